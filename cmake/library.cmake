file(GLOB GLIA_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*/*.c ${CMAKE_SOURCE_DIR}/src/kernels/cpu/*.c)
if(GLIA_HAVE_ONEDNN)
  file(GLOB GLIA_DNNL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/dnnl/*.c)
  list(APPEND GLIA_SOURCES ${GLIA_DNNL_SOURCES})
endif()
list(FILTER GLIA_SOURCES EXCLUDE REGEX "TEMPLATE\\.c$")
list(SORT GLIA_SOURCES)
set(GLIA_OPS ${GLIA_SOURCES})
list(FILTER GLIA_OPS INCLUDE REGEX "/src/ops/")

set(GLIA_GENERATED ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${GLIA_GENERATED}/glia)
add_custom_command(
  OUTPUT ${GLIA_GENERATED}/registry.c
  COMMAND ${CMAKE_SOURCE_DIR}/tools/gen_registry.sh ${GLIA_GENERATED}/registry.c ${GLIA_SOURCES}
  DEPENDS ${GLIA_SOURCES} ${CMAKE_SOURCE_DIR}/tools/gen_registry.sh VERBATIM)
add_custom_command(
  OUTPUT ${GLIA_GENERATED}/glia/ops.h
  COMMAND ${CMAKE_SOURCE_DIR}/tools/gen_ops_header.sh ${GLIA_GENERATED}/glia/ops.h ${GLIA_OPS}
  DEPENDS ${GLIA_OPS} ${CMAKE_SOURCE_DIR}/tools/gen_ops_header.sh VERBATIM)

# Compiled once, for both libraries.
add_library(glia_objects OBJECT ${GLIA_SOURCES} ${GLIA_GENERATED}/registry.c ${GLIA_GENERATED}/glia/ops.h)
target_include_directories(glia_objects PUBLIC ${CMAKE_SOURCE_DIR}/include ${GLIA_GENERATED}
                                        PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(glia_objects PRIVATE glia_flags PUBLIC glia_deps)
target_compile_definitions(glia_objects PRIVATE GLIA_BUILD_TYPE="${CMAKE_BUILD_TYPE}")

add_library(glia_static STATIC $<TARGET_OBJECTS:glia_objects>)
add_library(glia_shared SHARED $<TARGET_OBJECTS:glia_objects>)
foreach(target glia_static glia_shared)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME glia VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:glia_flags>)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${GLIA_GENERATED}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  add_dependencies(${target} glia_objects)
endforeach()
# Who links the static library needs its libraries too; an installed one finds them by cmake/gliaConfig.cmake.in.
target_link_libraries(glia_static PUBLIC $<BUILD_INTERFACE:glia_deps> $<INSTALL_INTERFACE:glia::deps>)
target_link_libraries(glia_shared PRIVATE $<BUILD_INTERFACE:glia_deps>)
set_target_properties(glia_static PROPERTIES EXPORT_NAME static)
set_target_properties(glia_shared PROPERTIES EXPORT_NAME glia)

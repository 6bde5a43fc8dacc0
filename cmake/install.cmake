# `make install`: both libraries, headers, pkg-config files, a CMake package, the program, its man page, the examples.
include(CMakePackageConfigHelpers)

if(GLIA_BUILD_CLI)
  install(TARGETS glia)
  install(FILES man/glia.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(TARGETS glia_static glia_shared EXPORT glia)
install(DIRECTORY include/glia ${GLIA_GENERATED}/glia DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
file(GLOB GLIA_EXAMPLE_FILES ${CMAKE_SOURCE_DIR}/examples/*.yaml ${CMAKE_SOURCE_DIR}/examples/*.c)
install(FILES ${GLIA_EXAMPLE_FILES} DESTINATION ${CMAKE_INSTALL_DATADIR}/glia/examples)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The prefix is that of the installation, not of the configuration: paths are relative to the files themselves.
file(RELATIVE_PATH GLIA_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" GLIA_PC_UP "${GLIA_PC_UP}")
string(STRIP "${GLIA_PC_REQUIRES}" GLIA_PC_REQUIRES)
set(GLIA_PC_LIBS "-lm -pthread")
if(GLIA_HAVE_ONEDNN)
  string(PREPEND GLIA_PC_LIBS "-ldnnl ${OpenMP_C_FLAGS} ")
endif()
foreach(package glia glia-static)
  configure_file(cmake/${package}.pc.in ${CMAKE_BINARY_DIR}/package/${package}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/package/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

set(GLIA_CMAKE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/glia)
configure_package_config_file(cmake/gliaConfig.cmake.in ${CMAKE_BINARY_DIR}/package/gliaConfig.cmake
                              INSTALL_DESTINATION ${GLIA_CMAKE_FOLDER})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/gliaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/gliaConfig.cmake ${CMAKE_BINARY_DIR}/package/gliaConfigVersion.cmake
        DESTINATION ${GLIA_CMAKE_FOLDER})
install(EXPORT glia NAMESPACE glia:: FILE gliaTargets.cmake DESTINATION ${GLIA_CMAKE_FOLDER})

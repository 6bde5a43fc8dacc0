option(GLIA_BUILD_CLI "Build the glia program" ON)
option(GLIA_BUILD_TESTS "Build the tests and examples" ON)
option(GLIA_BUILD_FUZZERS "Build the libFuzzer targets (clang only)" OFF)
set(GLIA_SANITIZE "" CACHE STRING "Sanitizers for everything: address,undefined or thread")

# Flags of every target of ours. Warnings are errors; snprintf cuts messages on purpose.
add_library(glia_flags INTERFACE)
target_compile_options(glia_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-format-truncation
  $<$<C_COMPILER_ID:Clang>:-Wno-unknown-warning-option> $<$<CONFIG:Release>:-O3 -fno-math-errno -fno-trapping-math>)
target_compile_definitions(glia_flags INTERFACE _GNU_SOURCE)
if(GLIA_SANITIZE)
  target_compile_options(glia_flags INTERFACE -fsanitize=${GLIA_SANITIZE} -fno-omit-frame-pointer
                                              -fno-sanitize-recover=all)
  target_link_options(glia_flags INTERFACE -fsanitize=${GLIA_SANITIZE})
endif()

# How everything of ours is compiled: one INTERFACE target, loom_flags, and nothing global.
# No option here changes what the program computes.

set(LOOM_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize= (address,undefined | thread)")
option(LOOM_WERROR "warnings are errors" OFF)
option(LOOM_FUZZ "build fuzz_* with libFuzzer (clang) instead of the corpus replay" OFF)

find_program(LOOM_CCACHE ccache)
if(LOOM_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${LOOM_CCACHE})
endif()

add_library(loom_flags INTERFACE)
target_compile_definitions(loom_flags INTERFACE
  _GNU_SOURCE   # here, because banned.h includes system headers before the first line of a file
  LOOM_VERSION="${PROJECT_VERSION}")
target_compile_options(loom_flags INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef
  -Wno-missing-field-initializers   # rows of tables leave out what is zero
  $<$<C_COMPILER_ID:Clang>:-Wno-pass-failed>   # "omp simd" is a wish: clang does not grant it at -O1
  -fno-math-errno -fno-trapping-math
  -ffp-contract=off   # a * b + c rounds the same in every compiler; kernels ask for FMA by name
  -fno-strict-aliasing   # mapped files are read in place through typed pointers
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/="   # no path of the build machine in the program
  -include ${CMAKE_SOURCE_DIR}/src/base/banned.h)

# What a program that reads the network wants; glibc's checks need an optimised build.
target_compile_options(loom_flags INTERFACE -fPIE -fstack-protector-strong
  $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
target_link_options(loom_flags INTERFACE -pie LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)

if(LOOM_WERROR)
  target_compile_options(loom_flags INTERFACE -Werror)
endif()

if(LOOM_SANITIZE)
  set(sanitize -fsanitize=${LOOM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(loom_flags INTERFACE ${sanitize})
  target_link_options(loom_flags INTERFACE ${sanitize})
endif()

if(LOOM_FUZZ)
  target_compile_options(loom_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

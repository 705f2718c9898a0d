# Our own modules.  src/LAYERS is the one place that says who may use whom: LOOM_MODULES (lowest first) and
# LOOM_USES_<module> come from it, so what a module may not include it cannot link either.

file(STRINGS ${CMAKE_SOURCE_DIR}/src/LAYERS rows REGEX "^[a-z]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/LAYERS)
foreach(row IN LISTS rows)
  separate_arguments(row UNIX_COMMAND "${row}")
  list(POP_FRONT row module)
  foreach(dep IN LISTS row)
    if(NOT dep IN_LIST LOOM_MODULES)
      message(FATAL_ERROR "src/LAYERS: '${dep}' is not above '${module}'")
    endif()
  endforeach()
  list(APPEND LOOM_MODULES ${module})
  list(TRANSFORM row PREPEND loom_ OUTPUT_VARIABLE LOOM_USES_${module})
endforeach()

# Source groups of a module that are compiled for more than the baseline CPU; each is a row of the kernel
# tables, chosen at run time.  A processor of another family builds without them.
set(LOOM_ISA_AVX2 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mpopcnt)
set(LOOM_ISA_AVX512 ${LOOM_ISA_AVX2} -mavx512f -mavx512bw -mavx512vl -mavx512dq)
set(LOOM_ISA_AVX512VNNI ${LOOM_ISA_AVX512} -mavx512vnni)
set(LOOM_ISA_AVX512BF16 ${LOOM_ISA_AVX512} -mavx512bf16)
# NEON is in the baseline; scheduling before registers are given out would use more of them than there are.
set(LOOM_ISA_NEON $<$<C_COMPILER_ID:GNU>:-fno-schedule-insns>)
set(LOOM_ISA_NEONDOT ${LOOM_ISA_NEON} -march=armv8.2-a+dotprod)
set(LOOM_ISAS AVX2 AVX512 AVX512VNNI AVX512BF16 NEON NEONDOT)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(LOOM_ISAS_HERE AVX2 AVX512 AVX512VNNI AVX512BF16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(LOOM_ISAS_HERE NEON NEONDOT)
endif()

# ext::<name> for each name of an EXTERN list, or an error that names the known ones.
function(loom_extern_targets out)
  set(targets)
  foreach(name IN LISTS ARGN)
    if(NOT name IN_LIST LOOM_EXTERNS)
      list(JOIN LOOM_EXTERNS " " known)
      message(FATAL_ERROR "EXTERN ${name}: unknown; cmake/LoomFeatures.cmake has: ${known}")
    endif()
    list(APPEND targets ext::${name})
  endforeach()
  set(${out} ${targets} PARENT_SCOPE)
endfunction()

# loom_module(tensor SOURCES a.c AVX2 a_avx2.c AVX512 a_avx512.c EXTERN dnnl): the library loom_tensor.
function(loom_module module)
  cmake_parse_arguments(A "" "" "SOURCES;EXTERN;${LOOM_ISAS}" ${ARGN})
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "loom_module(${module}): what is '${A_UNPARSED_ARGUMENTS}'?")
  endif()
  loom_extern_targets(externs ${A_EXTERN})
  add_library(loom_${module} STATIC ${A_SOURCES})
  target_include_directories(loom_${module} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(loom_${module} PUBLIC ${LOOM_USES_${module}} PRIVATE loom_flags ${externs})
  foreach(isa IN LISTS LOOM_ISAS_HERE)
    target_sources(loom_${module} PRIVATE ${A_${isa}})
    set_source_files_properties(${A_${isa}} PROPERTIES COMPILE_OPTIONS
      "${LOOM_ISA_${isa}};$<$<NOT:$<CONFIG:Debug>>:-O3>")
  endforeach()
endfunction()

# loom_program(loom cli SOURCES main.c): an installed program that links a module and what is below it.
function(loom_program name module)
  cmake_parse_arguments(A "" "" "SOURCES;EXTERN" ${ARGN})
  loom_extern_targets(externs ${A_EXTERN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE loom_${module} loom_flags ${externs})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  install(TARGETS ${name} RUNTIME)
endfunction()

# loom_plugin(loom-mpi SOURCES a.c LINK target): a shared object of its own beside the program, which loads it only
# when it is needed.  It links nothing of ours.
function(loom_plugin name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} MODULE ${A_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE $<TARGET_PROPERTY:loom_flags,INTERFACE_COMPILE_DEFINITIONS>)
  target_compile_options(${name} PRIVATE $<TARGET_PROPERTY:loom_flags,INTERFACE_COMPILE_OPTIONS> -fPIC)
  target_link_options(${name} PRIVATE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
  target_link_libraries(${name} PRIVATE ${A_LINK})
  set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/loom)
endfunction()

# A change of what includes what is refused by the build itself, before any test runs.
add_custom_target(layers ALL
  COMMAND sh cmake/check_layers.sh
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMENT "src/LAYERS: who includes whom"
  VERBATIM)

# The libraries of others, each under one name: EXTERN jansson in a loom_module() links ext::jansson.
# All but MPI and libpq are required; docs/DEPENDENCIES.md says what for.  To add one: a line here, its Debian package in
# packages.txt.

find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(Threads REQUIRED)

# A macro, because what find_package and pkg_check_modules set would be lost in a function.
macro(loom_extern name)   # loom_extern(icu icu-uc icu-i18n): pkg-config modules
  pkg_check_modules(LOOM_EXT_${name} REQUIRED QUIET IMPORTED_TARGET ${ARGN})
  add_library(ext::${name} INTERFACE IMPORTED)
  target_link_libraries(ext::${name} INTERFACE PkgConfig::LOOM_EXT_${name})
  list(APPEND LOOM_EXTERNS ${name})
endmacro()

loom_extern(zlib zlib)
loom_extern(zstd libzstd)
loom_extern(jansson jansson)
loom_extern(yaml yaml-0.1)
loom_extern(sqlite3 sqlite3)
loom_extern(icu icu-uc icu-i18n)
loom_extern(hyperscan libhs)
loom_extern(pcre2 libpcre2-8)
loom_extern(microhttpd libmicrohttpd)
loom_extern(gnutls gnutls)
loom_extern(nettle nettle)
loom_extern(sodium libsodium)
loom_extern(curl libcurl)
loom_extern(xxhash libxxhash)
loom_extern(cmocka cmocka)

# oneDNN by file: Debian's package has no .pc, and its CMake file asks for OpenCL.
find_path(LOOM_DNNL_INCLUDE dnnl.h REQUIRED)
find_library(LOOM_DNNL_LIBRARY dnnl REQUIRED)
add_library(ext::dnnl INTERFACE IMPORTED)
target_include_directories(ext::dnnl INTERFACE ${LOOM_DNNL_INCLUDE})
target_link_libraries(ext::dnnl INTERFACE ${LOOM_DNNL_LIBRARY})

list(APPEND LOOM_EXTERNS dnnl)

# MPI is for several machines: without it everything else is built.  Cross builds would find this machine's.
if(NOT CMAKE_CROSSCOMPILING)
  pkg_check_modules(LOOM_MPI QUIET IMPORTED_TARGET mpi-c)
endif()

# libpq is for the token table in PostgreSQL: its header, when it is there; the library is opened at run time.
if(NOT CMAKE_CROSSCOMPILING)
  pkg_check_modules(LOOM_PQ QUIET libpq)
endif()

# Every module may use threads, OpenMP and libm; they need no EXTERN.
target_link_libraries(loom_flags INTERFACE OpenMP::OpenMP_C Threads::Threads m)

# Warnings, hardening, linker and sanitizers for every target.
add_library(stele_options INTERFACE)
target_link_libraries(stele_options INTERFACE Threads::Threads)
target_include_directories(stele_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(stele_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
                       -fno-omit-frame-pointer -fstack-protector-strong -pthread)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(stele_options INTERFACE -Wthread-safety -Wimplicit-fallthrough)
  add_link_options(-fuse-ld=lld)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false positives in inlined std::string and std::variant code.
  target_compile_options(stele_options INTERFACE -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow
                         -Wno-array-bounds -Wno-dangling-pointer)
endif()
if(STELE_UNITY)
  target_compile_options(stele_options INTERFACE -Wno-shadow)   # what one file calls its own shadows nothing in another
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # It takes a .cpp that is included for a header, whose anonymous namespace another file might have, too.
    target_compile_options(stele_options INTERFACE -Wno-subobject-linkage)
  endif()
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(stele_options INTERFACE _FORTIFY_SOURCE=2)
endif()
if(STELE_SANITIZE)
  add_compile_options(-fsanitize=${STELE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${STELE_SANITIZE})
  if(STELE_SANITIZE MATCHES "address,undefined")
    # A third of the time that such a build takes; a bad address is what the address sanitizer sees when it is used.
    add_compile_options(-fno-sanitize=null,object-size)
  endif()
endif()
if(STELE_FUZZ_SEARCH)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
# The same source gives the same objects in whatever folder it lies: so does __FILE__, so does the debug information.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # A clone in another folder, such as make ci's, finds what this one has compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_SOURCE_DIR}/cmake/launcher.sh ${CMAKE_SOURCE_DIR})
endif()
if(STELE_PRECOMPILE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
endif()

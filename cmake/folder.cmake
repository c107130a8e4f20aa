# stele_folder(<name> DEPENDS <targets...>): the static library of one top-level folder, made of every
# .cpp below it. A folder without sources yet is an interface target, so that its edges exist from the start.
function(stele_folder name)
  cmake_parse_arguments(FOLDER "" "" "DEPENDS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.cpp)
  if(sources)
    add_library(stele_${name} STATIC ${sources})
    target_link_libraries(stele_${name} PUBLIC stele_options Threads::Threads ${FOLDER_DEPENDS})
  else()
    add_library(stele_${name} INTERFACE)
    target_link_libraries(stele_${name} INTERFACE stele_options ${FOLDER_DEPENDS})
  endif()
endfunction()

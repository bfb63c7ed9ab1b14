# cmake --install: the program, and the library as a package (docs/client.md). Of the headers only
# the client's: it stands alone, and behind it every module that it needs is an archive of its own.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/OTR)

# otr_linked(out target...) adds our libraries that these link, through however many others.
function(otr_linked out)
  set(found ${${out}})
  foreach(target IN LISTS ARGN)
    if(target MATCHES "^otr_" AND NOT target IN_LIST found)
      list(APPEND found ${target})
      get_target_property(libraries ${target} INTERFACE_LINK_LIBRARIES)
      otr_linked(found ${libraries})
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

set(libraries)
otr_linked(libraries otr_client)
foreach(library IN LISTS libraries)
  string(REGEX REPLACE "^otr_" "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
endforeach()
target_include_directories(otr_client INTERFACE
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS otr RUNTIME)
install(TARGETS ${libraries} EXPORT OTRTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/otr)
install(EXPORT OTRTargets NAMESPACE OTR:: DESTINATION ${package_dir})
install(FILES src/client/client.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/otr)
configure_package_config_file(cmake/OTRConfig.cmake.in ${PROJECT_BINARY_DIR}/OTRConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/OTRConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/OTRConfig.cmake ${PROJECT_BINARY_DIR}/OTRConfigVersion.cmake
  DESTINATION ${package_dir})

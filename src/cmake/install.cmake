# Installs every layer that was built, the public headers, and a package for find_package(vaspace).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(layers GLOBAL PROPERTY VASPACE_LAYERS)
foreach(layer IN LISTS layers)
  get_target_property(kind ${layer} TYPE)
  if(NOT kind STREQUAL "INTERFACE_LIBRARY")
    # Shared layers find each other beside themselves, wherever the prefix is.
    set_target_properties(${layer} PROPERTIES INSTALL_RPATH "$ORIGIN")
  endif()
endforeach()
install(TARGETS ${layers} EXPORT vaspaceTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# What PyTorch loads; nothing links it.
if(TARGET vaspace_torch)
  install(TARGETS vaspace_torch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

# A header whose target was not built is left out.
set(absent_headers "")
foreach(backend cpu vulkan cuda)
  if(NOT TARGET vaspace_${backend})
    list(APPEND absent_headers REGEX "(backends|frontends)/${backend}([._/]|$)" EXCLUDE)
  endif()
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/vaspace DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h" ${absent_headers})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vaspace)
install(EXPORT vaspaceTargets NAMESPACE vaspace:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/vaspaceConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/vaspaceConfig.cmake INSTALL_DESTINATION ${package_dir})
# Below 1.0 a minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/vaspaceConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/vaspaceConfig.cmake ${PROJECT_BINARY_DIR}/vaspaceConfigVersion.cmake
        DESTINATION ${package_dir})

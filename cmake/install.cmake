# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` brings: the broker, the module, the command, their manual pages and completions, and all
# that a plugin of somebody else's needs.
include(CMakePackageConfigHelpers)

# wps::plugin: the header alone, as its users see it, in this tree too.
configure_file(broker_shim/wps_plugin.h ${CMAKE_BINARY_DIR}/include/wps/wps_plugin.h COPYONLY)
add_library(wps_plugin INTERFACE)
add_library(wps::plugin ALIAS wps_plugin)
set_target_properties(wps_plugin PROPERTIES EXPORT_NAME plugin)
target_include_directories(wps_plugin INTERFACE
    $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include/wps>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/wps>)

install(TARGETS wpsd proctrack_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS proctrack-exporter RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT broker)
# Its units, for the managers of the system and of each user, with its dashboard and samples for Prometheus.
set(PROCTRACK ${CMAKE_INSTALL_FULL_BINDIR}/proctrack)
foreach(manager system user)
    configure_file(packaging/systemd/exporter-${manager}.service.in
        ${CMAKE_BINARY_DIR}/systemd/${manager}/proctrack-exporter.service @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/systemd/${manager}/proctrack-exporter.service
            DESTINATION lib/systemd/${manager} COMPONENT broker)
endforeach()
install(FILES packaging/grafana/proctrack.json packaging/prometheus/prometheus.yml
              packaging/prometheus/proctrack.rules.yml
        DESTINATION ${CMAKE_INSTALL_DATADIR}/proctrack COMPONENT broker)
install(TARGETS proctrack_module LIBRARY DESTINATION ${WPS_PLUGIN_DIR})
# The module looks for it beside itself.
install(TARGETS proctrack-keeper RUNTIME DESTINATION ${WPS_PLUGIN_DIR})
install(FILES docs/man/proctrack.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES docs/man/wpsd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES cli/completions/proctrack.bash RENAME proctrack
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES cli/completions/_proctrack DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES broker_shim/wps_plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wps)
install(TARGETS wps_plugin EXPORT WpsPlugin)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/WpsPlugin)
install(EXPORT WpsPlugin NAMESPACE wps:: FILE WpsPluginTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/WpsPluginConfig.cmake.in
    ${CMAKE_BINARY_DIR}/WpsPluginConfig.cmake
    INSTALL_DESTINATION ${package_dir} PATH_VARS WPS_PLUGIN_DIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/WpsPluginConfigVersion.cmake
    COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/WpsPluginConfig.cmake
              ${CMAKE_BINARY_DIR}/WpsPluginConfigVersion.cmake
        DESTINATION ${package_dir})

# Relative to where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
configure_file(${CMAKE_CURRENT_LIST_DIR}/wps-plugin.pc.in ${CMAKE_BINARY_DIR}/wps-plugin.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/wps-plugin.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

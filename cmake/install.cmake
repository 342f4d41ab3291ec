# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` brings, in three components (`--component NAME` brings one alone):
#   broker        the broker, the module, its keeper, the command, their manual pages and completions, units
#                 for systemd, the configuration
#   library       libproctrack, for programs that were linked with it
#   development   what such programs, and plugins of somebody else's, are built with
include(CMakePackageConfigHelpers)

# Relative to where a .pc file lies, so that an installed tree can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix /${pkgconfig_dir} /)
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})

# install_package(NAME DIRECTORY COMPATIBILITY...): NAMEConfig.cmake and its version, in DIRECTORY.
function(install_package name directory)
    configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/${name}Config.cmake.in
        ${CMAKE_BINARY_DIR}/${name}Config.cmake
        INSTALL_DESTINATION ${directory} PATH_VARS WPS_PLUGIN_DIR)
    write_basic_package_version_file(${CMAKE_BINARY_DIR}/${name}ConfigVersion.cmake
        COMPATIBILITY ${ARGN})
    install(FILES ${CMAKE_BINARY_DIR}/${name}Config.cmake ${CMAKE_BINARY_DIR}/${name}ConfigVersion.cmake
            DESTINATION ${directory} COMPONENT development)
endfunction()

# install_pc(NAME): NAME.pc.
function(install_pc name)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${CMAKE_BINARY_DIR}/${name}.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/${name}.pc DESTINATION ${pkgconfig_dir} COMPONENT development)
endfunction()

# ---- broker ----

install(TARGETS wpsd proctrack_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT broker)
install(FILES packaging/grafana/proctrack.json packaging/prometheus/prometheus.yml
              packaging/prometheus/proctrack.rules.yml
        DESTINATION ${CMAKE_INSTALL_DATADIR}/proctrack COMPONENT broker)
install(TARGETS proctrack_module LIBRARY DESTINATION ${WPS_PLUGIN_DIR} COMPONENT broker)
# The module looks for its keeper beside itself, the command for its exporter.
install(TARGETS proctrack-keeper proctrack-exporter RUNTIME DESTINATION ${WPS_PLUGIN_DIR} COMPONENT broker)
install(FILES docs/man/proctrack.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT broker)
install(FILES docs/man/wpsd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT broker)
install(FILES cli/completions/proctrack.bash RENAME proctrack
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT broker)
install(FILES cli/completions/_proctrack DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
        COMPONENT broker)

install(CODE "
    set(SOURCE \"${PROJECT_SOURCE_DIR}/packaging\")
    set(WORK \"${CMAKE_BINARY_DIR}/packaging\")
    set(BIN \"${CMAKE_INSTALL_BINDIR}\")
    set(PLUGINS \"${WPS_PLUGIN_DIR}\")" COMPONENT broker)
install(SCRIPT cmake/install-service.cmake COMPONENT broker)

# ---- library, and what is built with it ----

set(proctrack_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Proctrack)
install(TARGETS proctrack_shared EXPORT Proctrack
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
        PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/proctrack COMPONENT development)
install(TARGETS proctrack_static EXPORT ProctrackStatic
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES docs/man/libproctrack.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT development)
install(EXPORT Proctrack NAMESPACE Proctrack:: FILE ProctrackTargets.cmake
        DESTINATION ${proctrack_dir} COMPONENT development)
install(EXPORT ProctrackStatic NAMESPACE Proctrack:: FILE ProctrackStaticTargets.cmake
        DESTINATION ${proctrack_dir} COMPONENT development)
list(TRANSFORM ZMQ_LIBRARIES PREPEND -l OUTPUT_VARIABLE zmq_libs)
list(TRANSFORM MSGPACK_LIBRARIES PREPEND -l OUTPUT_VARIABLE msgpack_libs)
list(JOIN zmq_libs " " zmq_libs)
list(JOIN msgpack_libs " " msgpack_libs)
set(pc_libs_private "${zmq_libs} ${msgpack_libs}")
set(pc_static_needs "${ZMQ_MODULE_NAME} ${MSGPACK_MODULE_NAME}")
install_package(Proctrack ${proctrack_dir} SameMinorVersion)
install_pc(proctrack)

# ---- wps::plugin: the header alone, as its users see it, in this tree too ----

configure_file(broker_shim/wps_plugin.h ${CMAKE_BINARY_DIR}/include/wps/wps_plugin.h COPYONLY)
add_library(wps_plugin INTERFACE)
add_library(wps::plugin ALIAS wps_plugin)
set_target_properties(wps_plugin PROPERTIES EXPORT_NAME plugin)
target_include_directories(wps_plugin INTERFACE
    $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/include/wps>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/wps>)

set(wps_plugin_dir ${CMAKE_INSTALL_LIBDIR}/cmake/WpsPlugin)
install(FILES broker_shim/wps_plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wps COMPONENT development)
install(TARGETS wps_plugin EXPORT WpsPlugin)
install(EXPORT WpsPlugin NAMESPACE wps:: FILE WpsPluginTargets.cmake
        DESTINATION ${wps_plugin_dir} COMPONENT development)
install_package(WpsPlugin ${wps_plugin_dir} SameMajorVersion ARCH_INDEPENDENT)
install_pc(wps-plugin)

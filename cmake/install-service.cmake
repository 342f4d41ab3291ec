# SPDX-License-Identifier: Apache-2.0
# Run at installation, when the prefix is known for certain (`cmake --install --prefix`, cpack): the units
# for systemd and the configuration, which name files by their whole path.
#   SOURCE       packaging/ of the source tree
#   WORK         a directory for what is made
#   BIN, PLUGINS where programs and plugins are, below the prefix

# As GNU's coding standards and the file system's have it: /etc for /usr, else below the prefix.
set(ETC ${CMAKE_INSTALL_PREFIX}/etc)
if(CMAKE_INSTALL_PREFIX MATCHES "^(/usr)?/?$")
    set(ETC /etc)
endif()
# One of its own for each place, since two installations may run at once.
string(SHA1 place "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(work ${WORK}/${place})
set(WPSD ${CMAKE_INSTALL_PREFIX}/${BIN}/wpsd)
set(PROCTRACK ${CMAKE_INSTALL_PREFIX}/${BIN}/proctrack)
set(PLUGIN_DIR ${CMAKE_INSTALL_PREFIX}/${PLUGINS})
set(WPSD_CONF ${ETC}/wps/wpsd.conf)

foreach(flavour system user)
    set(units ${work}/${flavour}/wpsd.service ${work}/${flavour}/proctrack-exporter.service)
    list(GET units 0 unit)
    configure_file(${SOURCE}/systemd/${flavour}.service.in ${unit} @ONLY)
    list(GET units 1 unit)
    configure_file(${SOURCE}/systemd/exporter-${flavour}.service.in ${unit} @ONLY)
    file(INSTALL ${units} DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/${flavour})
endforeach()

# What somebody wrote into it is theirs.
configure_file(${SOURCE}/wpsd.conf.in ${work}/wpsd.conf @ONLY)
if(EXISTS $ENV{DESTDIR}${WPSD_CONF})
    message(STATUS "Kept: $ENV{DESTDIR}${WPSD_CONF}")
else()
    file(INSTALL ${work}/wpsd.conf DESTINATION ${ETC}/wps)
endif()
file(REMOVE_RECURSE ${work})

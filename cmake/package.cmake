# SPDX-License-Identifier: Apache-2.0
# Debian packages, one for each component of the installation: `cpack` in the build tree makes them in
# packages/, out of what `cmake --install` would bring below /usr.
#   proctrack          broker        libproctrack0      library
#   libproctrack-dev   development   python3-proctrack  python, which only packages have
set(PROCTRACK_MAINTAINER "proctrack maintainers <maintainers@proctrack.example>" CACHE STRING
    "Who is named as the maintainer of the packages")

# Debian's place for modules of Python is below no other prefix: elsewhere pip installs them.
set(python_dir lib/python3/dist-packages)
install(DIRECTORY clients/python/src/proctrack DESTINATION ${python_dir} COMPONENT python EXCLUDE_FROM_ALL
        PATTERN __pycache__ EXCLUDE)
configure_file(packaging/debian/python-metadata.in
    ${CMAKE_BINARY_DIR}/packaging/proctrack-${PROJECT_VERSION}.dist-info/METADATA @ONLY)
install(DIRECTORY ${CMAKE_BINARY_DIR}/packaging/proctrack-${PROJECT_VERSION}.dist-info
        DESTINATION ${python_dir} COMPONENT python EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME proctrack)
set(CPACK_PACKAGE_CONTACT "${PROCTRACK_MAINTAINER}")
set(CPACK_OUTPUT_FILE_PREFIX ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each has its own
# With DESTDIR, so that what is installed knows /usr for its prefix, and /etc is beside it.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/package-debian.cmake)
set(CPACK_PROCTRACK_DEBIAN ${PROJECT_SOURCE_DIR}/packaging/debian)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL broker library development python)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# debian_package(COMPONENT NAME SECTION DESCRIPTION): the first line of that is the summary. What is in
# packaging/debian/NAME/ goes into the package's control files.
macro(debian_package component name section description)
    string(TOUPPER ${component} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name})
    set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
    set(CPACK_DEBIAN_${upper}_DESCRIPTION "${description}")
    set(CPACK_PROCTRACK_${upper}_PACKAGE ${name})
    file(GLOB scripts ${CPACK_PROCTRACK_DEBIAN}/${name}/*)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${scripts})
endmacro()

debian_package(broker proctrack admin
"every process of every block: seen, listed, ended
People run many coding agents side by side, and each starts shells, servers
and test runs, many of which detach and outlive it. What one agent runs is a
block. This shows what each block runs, as it happens, and ends it for
certain, with nobody else hurt.

Here are the broker wpsd, its module proctrack.so, the command proctrack, and
units for systemd. None of them is enabled: whether a machine or a user has a
broker is theirs to say.")
set(CPACK_DEBIAN_BROKER_PACKAGE_SHLIBDEPS ON)
# By which a user's systemd is asked for a scope, and by systemd-run for a unit.
set(CPACK_DEBIAN_BROKER_PACKAGE_SUGGESTS dbus-user-session)

debian_package(library libproctrack0 libs
"processes of blocks, as they come and go - shared library
For programs that show what the blocks of a proctrack broker run: it asks the
broker, and keeps a picture of blocks and processes up to date.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)

set(this_version "${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")
debian_package(development libproctrack-dev libdevel
"processes of blocks, as they come and go - development files
Headers, the static library, and packages for pkg-config and CMake, for
programs that watch the blocks of a proctrack broker, and for plugins of the
broker wpsd.")
# The static library is linked with these.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libproctrack0 (= ${this_version}), libzmq3-dev, libmsgpack-dev")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS proctrack)

debian_package(python python3-proctrack python
"processes of blocks, as they come and go - Python client
For programs in Python that watch the blocks of a proctrack broker and act on
them: asyncio, with a mirror of blocks and processes that keeps itself up to
date.")
set(CPACK_DEBIAN_PYTHON_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.11), python3-zmq, python3-msgpack")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS proctrack)

include(CPack)

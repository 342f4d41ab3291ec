# SPDX-License-Identifier: Apache-2.0
# Run by cpack, on what is to go into the packages, before it does: what Debian's policy wants of every
# package and an installation by hand need not have. Its variables are in cmake/package.cmake.

# gzip_file(FILE): FILE.gz in its place, the same each time.
function(gzip_file file)
    execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# readable(FILE...): by all, whatever the umask of who took the sources out.
function(readable)
    file(CHMOD ${ARGN} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

# strip_files(OPTIONS FILE...): as Debian's dh_strip does. Links are left to what they lead to.
function(strip_files options)
    foreach(file ${ARGN})
        if(NOT IS_SYMLINK ${file})
            execute_process(COMMAND strip ${options} --remove-section=.comment --remove-section=.note ${file}
                            COMMAND_ERROR_IS_FATAL ANY)
        endif()
    endforeach()
endfunction()

foreach(component ${CPACK_COMPONENTS_ALL})
    set(root ${CPACK_TEMPORARY_DIRECTORY}/${component})
    string(TOUPPER ${component} upper)
    set(package ${CPACK_PROCTRACK_${upper}_PACKAGE})
    set(doc ${root}/usr/share/doc/${package})

    file(GLOB_RECURSE pages ${root}/usr/share/man/*)
    foreach(page ${pages})
        gzip_file(${page})
    endforeach()

    file(COPY ${CPACK_PROCTRACK_DEBIAN}/copyright DESTINATION ${doc})
    file(COPY_FILE ${CPACK_PROCTRACK_DEBIAN}/changelog ${doc}/changelog.Debian)
    readable(${doc}/copyright ${doc}/changelog.Debian)
    gzip_file(${doc}/changelog.Debian)

    set(overrides ${root}/usr/share/lintian/overrides/${package})
    file(GLOB lists ${CPACK_PROCTRACK_DEBIAN}/lintian/all ${CPACK_PROCTRACK_DEBIAN}/lintian/${package})
    file(WRITE ${overrides} "")
    foreach(list ${lists})
        file(READ ${list} text)
        file(APPEND ${overrides} "${text}")
    endforeach()
    readable(${overrides})

    file(GLOB_RECURSE programs ${root}/usr/bin/* ${root}/usr/lib/*.so ${root}/usr/lib/*.so.*.*
         ${root}/usr/lib/*-keeper ${root}/usr/lib/*-exporter)
    file(GLOB_RECURSE archives ${root}/usr/lib/*.a)
    strip_files("" ${programs})
    strip_files("--strip-debug;--enable-deterministic-archives" ${archives})
endforeach()

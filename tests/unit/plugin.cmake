# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    # The module without its loop, on a bench. The linker leads what reads /proc to a /proc that tests
    # write.
    set(bench test_plugin_bench.c test_plugin_fakes.c test_plugin_people.c test_plugin_proc.c
        test_plugin_told.c test_plugin_trace.c)
    foreach(module lives netlink_lives publish scans traces)
        proctrack_criterion(test_plugin_${module} test_plugin_${module}.c ${bench}
                            LIBS plugin_objects)
        target_compile_definitions(test_plugin_${module} PRIVATE
                                   TRACES="${CMAKE_SOURCE_DIR}/tests/traces")
        target_link_options(test_plugin_${module} PRIVATE -Wl,--wrap=facts_read
                            -Wl,--wrap=proc_stat_read -Wl,--wrap=proc_rss_bytes)
    endforeach()
endif()

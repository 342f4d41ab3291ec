# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    foreach(module mask options registry)
        proctrack_criterion(test_plugin_${module} test_plugin_${module}.c LIBS plugin_objects)
    endforeach()

    # The module without its loop, on a bench. The linker leads what reads /proc to a /proc that tests
    # write.
    add_library(plugin_bench STATIC test_plugin_bench.c test_plugin_fakes.c test_plugin_people.c
                test_plugin_proc.c test_plugin_told.c)
    target_link_libraries(plugin_bench PUBLIC plugin_objects PkgConfig::CRITERION)
    target_link_options(plugin_bench INTERFACE -Wl,--wrap=facts_read -Wl,--wrap=proc_stat_read
                        -Wl,--wrap=proc_rss_bytes)
    foreach(module escapees hits lives marks netlink_lives publish scans)
        proctrack_criterion(test_plugin_${module} test_plugin_${module}.c LIBS plugin_bench)
    endforeach()
    proctrack_criterion(test_plugin_traces test_plugin_traces.c test_plugin_trace.c
                        LIBS plugin_bench)
    target_compile_definitions(test_plugin_traces PRIVATE TRACES="${CMAKE_SOURCE_DIR}/tests/traces")
    set_tests_properties(test_plugin_traces PROPERTIES TIMEOUT 600)
endif()

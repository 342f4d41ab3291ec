# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    foreach(module held life lineage netlink)
        proctrack_criterion(test_trackers_${module} test_trackers_${module}.c LIBS trackers)
    endforeach()

    # Those that need real processes and cgroups.
    add_library(trackers_test_tools STATIC test_trackers_tools.c)
    target_link_libraries(trackers_test_tools PUBLIC trackers PkgConfig::CRITERION)
    target_compile_definitions(trackers_test_tools PUBLIC ODD="$<TARGET_FILE:odd>")
    add_dependencies(trackers_test_tools odd)
    foreach(module procfs detail workers)
        proctrack_criterion(test_trackers_${module} test_trackers_${module}.c
                            LIBS trackers_test_tools)
    endforeach()
    foreach(module cgroup cgroup_members)
        proctrack_criterion(test_trackers_${module} test_trackers_${module}.c
                            test_trackers_blocks.c LIBS trackers_test_tools)
        set_tests_properties(test_trackers_${module} PROPERTIES TIMEOUT 600)
    endforeach()
    foreach(module feeds feed_kinds losses cut)
        proctrack_criterion(test_trackers_${module} test_trackers_${module}.c
                            test_trackers_witness.c LIBS trackers_test_tools)
        set_tests_properties(test_trackers_${module} PROPERTIES TIMEOUT 600)
    endforeach()
endif()

# Records what a feed says: tests/traces/record.py runs it.
add_executable(feed_trace ${CMAKE_SOURCE_DIR}/tests/tools/feed_trace.c)
target_link_libraries(feed_trace PRIVATE trackers)

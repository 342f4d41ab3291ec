# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    foreach(module life lineage)
        proctrack_criterion(test_trackers_${module} test_trackers_${module}.c LIBS trackers)
    endforeach()
endif()

# Records what a feed says: tests/traces/record.py runs it.
add_executable(feed_trace ${CMAKE_SOURCE_DIR}/tests/tools/feed_trace.c)
target_link_libraries(feed_trace PRIVATE trackers)

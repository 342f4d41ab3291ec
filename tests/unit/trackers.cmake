# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    foreach(module life)
        proctrack_criterion(test_trackers_${module} test_trackers_${module}.c LIBS trackers)
    endforeach()
endif()

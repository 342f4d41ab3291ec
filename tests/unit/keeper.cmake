# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    proctrack_criterion(test_keeper_message test_keeper_message.c LIBS keeper_work)
    proctrack_criterion(test_keeper_process test_keeper_process.c
                        LIBS keeper_work trackers_test_tools)
    target_compile_definitions(test_keeper_process PRIVATE KEEPER="$<TARGET_FILE:proctrack-keeper>")
    add_dependencies(test_keeper_process proctrack-keeper)
endif()

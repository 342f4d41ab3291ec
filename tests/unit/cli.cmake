# SPDX-License-Identifier: Apache-2.0
if(NOT PROCTRACK_SANITIZE MATCHES "thread")
    foreach(module history model rows ui)
        proctrack_criterion(test_cli_top_${module} test_cli_top_${module}.c LIBS top_model)
    endforeach()
    proctrack_criterion(test_cli_json test_cli_json.c ${CMAKE_SOURCE_DIR}/cli/json.c
                        LIBS client PkgConfig::JANSSON)
endif()

# SPDX-License-Identifier: Apache-2.0
if(CRITERION_FOUND)
    add_library(schemas_test_tools STATIC test_schemas_tools.c)
    target_link_libraries(schemas_test_tools PUBLIC schemas)
    foreach(module wire wire_out utf8 names command_line event block_event process_detail request control_request
            control_reply stats_names fuzz)
        proctrack_criterion(test_schemas_${module} test_schemas_${module}.c
                            LIBS schemas schemas_test_tools)
        # Criterion's children report a leak after their verdict, so the verdict does not know of it.
        set_tests_properties(test_schemas_${module} PROPERTIES
                             FAIL_REGULAR_EXPRESSION "ERROR: (Leak|Address)Sanitizer|runtime error:")
    endforeach()
endif()

# The messages that the C code packs, for the JSON Schemas to be held against.
add_executable(schemas_samples test_schemas_samples.c)
target_link_libraries(schemas_samples PRIVATE schemas)

# The system's own python3, for it is the one that the distribution's python3-jsonschema serves.
find_program(SCHEMAS_PYTHON3 python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(SCHEMAS_PYTHON3)
    add_test(NAME test_json_schemas
             COMMAND ${SCHEMAS_PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/test_json_schemas.py
                     ${CMAKE_SOURCE_DIR}/schemas $<TARGET_FILE:schemas_samples>)
    set_tests_properties(test_json_schemas PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
endif()

# SPDX-License-Identifier: Apache-2.0
# Allocations that fail, in what needs no socket. The linker hands our own modules' calls to the test.
if(CRITERION_FOUND)
    proctrack_criterion(test_no_memory test_no_memory.c LIBS client schemas)
    foreach(function malloc calloc realloc reallocarray strdup strndup)
        target_link_options(test_no_memory PRIVATE -Wl,--wrap=${function})
    endforeach()
endif()

/* SPDX-License-Identifier: Apache-2.0 */

/* The texts of /proc. A process writes its own name, arguments and environment, so all of it may be
 * anything. Input: one byte that chooses, and the text. */

#include "fuzz.h"
#include "schemas/command_line.h"
#include "schemas/wire.h"
#include "trackers/procfs.h"

static void as_stat(struct text text)
{
    struct proc_stat stat;
    if (proc_stat_parse(&stat, text) < 0)
        return;
    must(memchr(stat.comm, '\0', sizeof stat.comm));
    proc_has_ended(&stat);
    proc_is_kernel_thread(&stat);
}

static void as_cgroup(struct text text)
{
    bool deleted;
    struct text path = proc_cgroup_parse(text, &deleted);
    if (path.size)
        must(path.at >= text.at && path.at + path.size <= text.at + text.size);
}

static void as_environment(struct text text)
{
    struct text value = proc_environ_value(text, "PROCTRACK_BLOCK");
    if (value.at)
        must(value.at >= text.at && value.at + value.size <= text.at + text.size);
}

/* The first byte of the rest says how long the name is. */
static void as_argv(struct text text, bool cut)
{
    char command[COMMAND_MAX];
    bool truncated;
    size_t of_name = text.size ? (uint8_t)text.at[0] % 16 : 0;
    if (of_name >= text.size)
        of_name = 0;
    struct text name = {text.at, of_name};
    struct text argv = {text.at + of_name, text.size - of_name};
    size_t size = command_line(command, argv, cut, name, &truncated);
    must(size <= COMMAND_MAX);
    must(wire_utf8_valid((struct text){command, size}));
    must(!cut || truncated || size == 0 || command[0] == '[');
    command_is_shell(argv, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t kind = take_byte(&input);
    struct text text = take_text(&input, input.left);
    switch (kind % 5) {
    case 0:
        as_stat(text);
        break;
    case 1:
        as_cgroup(text);
        break;
    case 2:
        as_environment(text);
        break;
    default:
        as_argv(text, kind % 5 == 4);
    }
    free((void *)text.at);
    return 0;
}

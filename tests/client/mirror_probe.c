/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program that writes what a mirror calls it with, for tests that have a broker of their own:
 *
 *     mirror_probe RUNTIME_DIR [SCOPE]
 *
 * It ends when it is killed, or when nobody reads.
 */

#include <stdio.h>

#include "client/mirror.h"

static void added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                  const struct proctrack_process *process, void *arg)
{
    (void)mirror, (void)arg;
    printf("added %s %u %s\n", block->block_id, process->pid, process->command);
}

static void changed(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                    const struct proctrack_process *process, unsigned changes, void *arg)
{
    (void)mirror, (void)arg;
    printf("changed %s %u %u %s\n", block->block_id, process->pid, changes, process->command);
}

static void gone(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                 const struct proctrack_process *process, const struct proctrack_gone *how,
                 void *arg)
{
    (void)mirror, (void)arg;
    printf("gone %s %u %d %d %d\n", block->block_id, process->pid, (int)how->how, how->exit_code,
           how->signal);
}

static void block_added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                        void *arg)
{
    (void)mirror, (void)arg;
    printf("block-added %s\n", block->block_id);
}

static void block_removed(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                          const char *reason, void *arg)
{
    (void)mirror, (void)arg;
    printf("block-removed %s %s\n", block->block_id, reason);
}

static void state(struct proctrack_mirror *mirror, enum proctrack_mirror_state now, const char *why,
                  void *arg)
{
    static const char *const names[] = {"starting", "current", "repairing", "stale"};
    (void)mirror, (void)arg;
    printf("state %s %s\n", names[now], why);
}

int main(int argc, char **argv)
{
    struct proctrack_error error = {""};
    struct proctrack *connection = NULL;
    struct proctrack_mirror *mirror = NULL;
    struct proctrack_options where = PROCTRACK_OPTIONS;
    struct proctrack_mirror_options options = PROCTRACK_MIRROR_OPTIONS;
    where.runtime_dir = argc > 1 ? argv[1] : NULL;
    options.scope = argc > 2 ? argv[2] : NULL;
    options.calls = (struct proctrack_mirror_calls){added, changed,       gone, block_added,
                                                    NULL,  block_removed, state};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (proctrack_connect(&connection, &where, &error) < 0 ||
        proctrack_mirror_open(&mirror, connection, &options, &error) < 0) {
        fprintf(stderr, "mirror_probe: %s\n", error.message);
        proctrack_close(&connection);
        return 1;
    }
    while (proctrack_mirror_wait(mirror, -1, &error) >= 0 && !ferror(stdout))
        ;
    proctrack_mirror_close(&mirror);
    proctrack_close(&connection);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program that writes what a mirror calls it with, for tests that have a broker of their own:
 *
 *     mirror_probe RUNTIME_DIR SCOPE [CONTROL EVENTS RPC SECRET SERVER]
 *
 * Each call is a line. A line `dump` on its standard input is answered with what look-ups show: a
 * line `block` for each block, `process` for each process in the order of the tree, `counts`, and
 * `end` with the state; `sample BLOCK` asks for detail. The end of its input ends it. It waits in
 * poll(2) alone, so that the descriptor is tested too. Commands are in hexadecimal digits: they may
 * hold anything. MIRROR_PROBE_CHECK_MS and MIRROR_PROBE_TIMEOUT_MS in the environment are the
 * options of that name.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/mirror.h"

static const char *const states[] = {"starting", "current", "repairing", "stale"};

static void put_process(const char *what, const struct proctrack_block *block,
                        const struct proctrack_process *process, unsigned number)
{
    printf("%s %s %" PRIu32 " %" PRIu64 " %u %d %d %s ", what, block->block_id, process->pid,
           process->started_at_ms, number, process->root, process->started, process->scope);
    for (const char *c = process->command; *c; c++)
        printf("%02x", (unsigned char)*c);
    putchar('\n');
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void added(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                  const struct proctrack_process *process, void *arg)
{
    (void)mirror, (void)arg;
    put_process("added", block, process, 0);
}

static void changed(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                    const struct proctrack_process *process, unsigned changes, void *arg)
{
    (void)mirror, (void)arg;
    put_process("changed", block, process, changes);
}

static void gone(struct proctrack_mirror *mirror, const struct proctrack_block *block,
                 const struct proctrack_process *process, const struct proctrack_gone *how,
                 void *arg)
{
    (void)mirror, (void)arg;
    printf("gone %s %" PRIu32 " %" PRIu64 " %d %d %d\n", block->block_id, process->pid,
           process->started_at_ms, (int)how->how, how->exit_code, how->signal);
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
    (void)mirror, (void)arg;
    printf("state %s %s\n", states[now], why);
}

/* ---- look-ups ------------------------------------------------------------------------------- */

static int dump_block(const struct proctrack_block *block)
{
    const struct proctrack_branch *tree;
    ssize_t n = proctrack_block_tree(block, &tree);
    printf("block %s %s %" PRIu64 " %zu\n", block->block_id, block->epoch, block->seq,
           block->n_processes);
    for (ssize_t i = 0; i < n; i++)
        put_process("process", block, tree[i].process, tree[i].depth);
    return n < 0 ? (int)n : 0;
}

static int dump(struct proctrack_mirror *mirror)
{
    struct proctrack_counts counts;
    int result = 0;
    for (const struct proctrack_block *block = proctrack_mirror_next(mirror, NULL);
         block && result == 0; block = proctrack_mirror_next(mirror, block))
        result = dump_block(block);
    proctrack_mirror_counts(mirror, &counts, sizeof counts);
    printf("counts %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
           counts.events, counts.lists, counts.gaps, counts.malformed, counts.overflows,
           counts.reconnects);
    printf("end %s\n", states[proctrack_mirror_state(mirror)]);
    return result;
}

static int obey(struct proctrack_mirror *mirror, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "sample ", 7) == 0)
        return proctrack_mirror_sample(mirror, line + 7);
    return dump(mirror);
}

/* ---- its life ------------------------------------------------------------------------------- */

static int serve(struct proctrack_mirror *mirror, struct proctrack_error *error)
{
    struct pollfd items[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = proctrack_mirror_fd(mirror), .events = POLLIN}};
    char line[512];
    int result = 0;
    while (result >= 0) {
        if (poll(items, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (items[1].revents)
            result = proctrack_mirror_dispatch(mirror, error);
        if (result >= 0 && items[0].revents) {
            if (!fgets(line, sizeof line, stdin))
                return 0;
            result = obey(mirror, line);
        }
        fflush(stdout);
    }
    return result;
}

/* 0, the preset, where the environment says nothing. */
static uint32_t milliseconds(const char *name)
{
    const char *value = getenv(name);
    return value ? (uint32_t)strtoul(value, NULL, 10) : 0;
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
    options.check_ms = milliseconds("MIRROR_PROBE_CHECK_MS");
    options.timeout_ms = milliseconds("MIRROR_PROBE_TIMEOUT_MS");
    if (argc > 7) { /* a broker on tcp, with keys */
        where.control = argv[3], where.events = argv[4], where.rpc = argv[5];
        where.curve_secret = argv[6], where.curve_server = argv[7];
    }
    options.calls = (struct proctrack_mirror_calls){
        .added = added,
        .changed = changed,
        .gone = gone,
        .block_added = block_added,
        .block_removed = block_removed,
        .state = state,
    };
    setvbuf(stdin, NULL, _IONBF, 0); /* what stands in a buffer cannot be polled for */
    int result = proctrack_connect(&connection, &where, &error);
    if (result == 0)
        result = proctrack_mirror_open(&mirror, connection, &options, &error);
    if (result == 0)
        result = serve(mirror, &error);
    if (result < 0)
        fprintf(stderr, "mirror_probe: %s\n", error.message);
    proctrack_mirror_close(&mirror);
    proctrack_close(&connection);
    return result < 0;
}

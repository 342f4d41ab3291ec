/* SPDX-License-Identifier: Apache-2.0 */

/* The registry's data and lookups; hash tables by uthash, lists by sys/queue.h. */

#include "plugin/registry.h"

#include <stdlib.h>
#include <string.h>

#include "schemas/command_line.h"
#include "trackers/procfs.h"

enum { SPARE_MAX = 1024 };

void registry_init(struct registry *registry)
{
    *registry = (struct registry){0};
    TAILQ_INIT(&registry->spare);
}

void registry_destroy(struct registry *registry)
{
    struct block *block, *next_block;
    HASH_ITER (by_id, registry->blocks, block, next_block) {
        struct process *process;
        while ((process = TAILQ_FIRST(&block->processes)))
            registry_remove_process(registry, process);
        registry_remove_block(registry, block);
    }
    struct process *process;
    while ((process = TAILQ_FIRST(&registry->spare))) {
        TAILQ_REMOVE(&registry->spare, process, in_block);
        free(process);
    }
    registry_init(registry);
}

/* ---- blocks ---- */

struct block *registry_block(const struct registry *registry, struct text id)
{
    struct block *block;
    HASH_FIND(by_id, registry->blocks, id.at, id.size, block);
    return block;
}

struct block *registry_block_at(const struct registry *registry, uint64_t place)
{
    struct block *block;
    HASH_FIND(by_place, registry->blocks_by_place, &place, sizeof place, block);
    return block;
}

struct block *registry_add_block(struct registry *registry, struct text id)
{
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    block->life = ++registry->last_life;
    text_copy(block->id, id);
    topic_of_block(block->topic, id);
    SLIST_INIT(&block->scopes);
    TAILQ_INIT(&block->processes);
    TAILQ_INIT(&block->makers);
    LIST_INIT(&block->removers);
    TAILQ_INIT(&block->escapees);
    TAILQ_INIT(&block->waiting);
    TAILQ_INIT(&block->listers);
    block->watch_fd = -1;
    registry->version++;
    HASH_ADD_KEYPTR(by_id, registry->blocks, block->id, id.size, block);
    if (!block->by_id.tbl) {
        free(block);
        return NULL;
    }
    return block;
}

void registry_place_block(struct registry *registry, struct block *block, uint64_t place)
{
    if (block->place || !place)
        return;
    block->place = place;
    HASH_ADD(by_place, registry->blocks_by_place, place, sizeof block->place, block);
    if (!block->by_place.tbl)
        block->place = 0;
}

void registry_displace_scope(struct registry *registry, struct scope *scope)
{
    scope->made = false;
    if (scope->place) // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is in the table
        HASH_DELETE(by_place, registry->scopes, scope);
    scope->place = 0;
}

void registry_displace_block(struct registry *registry, struct block *block)
{
    struct scope *scope;
    SLIST_FOREACH (scope, &block->scopes, in_block)
        registry_displace_scope(registry, scope);
    if (block->place)
        HASH_DELETE(by_place, registry->blocks_by_place, block);
    block->place = 0;
    if (block->watch_fd >= 0)
        close(block->watch_fd);
    block->watch_fd = -1;
}

void registry_remove_block(struct registry *registry, struct block *block)
{
    struct scope *scope;
    registry->version++;
    while ((scope = SLIST_FIRST(&block->scopes))) {
        SLIST_REMOVE_HEAD(&block->scopes, in_block);
        if (scope->place) // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is in the table
            HASH_DELETE(by_place, registry->scopes, scope);
        free(scope);
    }
    if (block->place)
        HASH_DELETE(by_place, registry->blocks_by_place, block);
    HASH_DELETE(by_id, registry->blocks, block);
    if (block->watch_fd >= 0)
        close(block->watch_fd);
    free(block->roots);
    free(block);
}

unsigned registry_n_blocks(const struct registry *registry)
{
    return HASH_CNT(by_id, registry->blocks);
}

/* ---- sub-scopes ---- */

struct scope *registry_scope(const struct block *block, struct text name)
{
    struct scope *scope;
    SLIST_FOREACH (scope, &block->scopes, in_block)
        if (text_is(name, scope->name))
            return scope;
    return NULL;
}

unsigned registry_scopes_missing(const struct block *block, struct text name)
{
    unsigned missing = 0;
    while (name.size && !registry_scope(block, name)) {
        const char *slash = memrchr(name.at, '/', name.size);
        name.size = slash ? (size_t)(slash - name.at) : 0;
        missing++;
    }
    return missing;
}

struct scope *registry_scope_for(struct registry *registry, struct block *block, struct text name)
{
    while (name.size) {
        struct scope *scope = registry_scope(block, name);
        if (scope)
            return scope;
        const char *slash = memrchr(name.at, '/', name.size);
        name.size = slash ? (size_t)(slash - name.at) : 0;
    }
    return registry_add_scope(registry, block, text_of(SUBSCOPE_DEFAULT), 0);
}

struct scope *registry_scope_at(const struct registry *registry, uint64_t place)
{
    struct scope *scope;
    HASH_FIND(by_place, registry->scopes, &place, sizeof place, scope);
    return scope;
}

struct scope *registry_add_scope(struct registry *registry, struct block *block, struct text name,
                                 uint64_t place)
{
    struct scope *scope = registry_scope(block, name);
    if (!scope) {
        scope = calloc(1, sizeof *scope);
        if (!scope)
            return NULL;
        text_copy(scope->name, name);
        scope->block = block;
        SLIST_INSERT_HEAD(&block->scopes, scope, in_block);
        block->n_scopes++;
        registry->version++;
    }
    if (place && !scope->place) {
        scope->place = place;
        HASH_ADD(by_place, registry->scopes, place, sizeof scope->place, scope);
        if (!scope->by_place.tbl)
            scope->place = 0;
    }
    return scope;
}

/* ---- processes ---- */

struct process *registry_process(const struct registry *registry, uint32_t pid)
{
    struct process *process;
    HASH_FIND(by_pid, registry->processes, &pid, sizeof pid, process);
    return process;
}

static struct process *take_spare(struct registry *registry)
{
    struct process *process = TAILQ_FIRST(&registry->spare);
    if (!process)
        return malloc(sizeof *process);
    TAILQ_REMOVE(&registry->spare, process, in_block);
    registry->n_spare--;
    return process;
}

struct process *registry_add_process(struct registry *registry, struct scope *scope, uint32_t pid)
{
    struct process *process = take_spare(registry);
    if (!process)
        return NULL;
    *process = (struct process){.pid = pid, .scope = scope, .block = scope->block, .threads = 1};
    LIST_INIT(&process->children);
    HASH_ADD(by_pid, registry->processes, pid, sizeof process->pid, process);
    if (!process->by_pid.tbl) {
        free(process);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&scope->block->processes, process, in_block);
    scope->block->n_processes++;
    scope->n_processes++;
    registry->version++;
    return process;
}

void registry_set_scope(struct registry *registry, struct process *process, struct scope *scope)
{
    process->scope->n_processes--;
    scope->n_processes++;
    process->scope = scope;
    registry->version++;
}

void registry_set_parent(struct process *process, struct process *parent)
{
    if (process->parent)
        LIST_REMOVE(process, sibling);
    process->parent = parent;
    if (parent)
        LIST_INSERT_HEAD(&parent->children, process, sibling);
}

void registry_remove_process(struct registry *registry, struct process *process)
{
    struct process *child;
    registry->version++;
    while ((child = LIST_FIRST(&process->children)))
        registry_set_parent(child, NULL);
    registry_set_parent(process, NULL);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is in the table
    HASH_DELETE(by_pid, registry->processes, process);
    TAILQ_REMOVE(&process->block->processes, process, in_block);
    process->block->n_processes--;
    process->scope->n_processes--;
    command_release(&process->command);
    if (registry->n_spare >= SPARE_MAX) {
        free(process);
        return;
    }
    TAILQ_INSERT_HEAD(&registry->spare, process, in_block);
    registry->n_spare++;
}

unsigned registry_n_processes(const struct registry *registry)
{
    return HASH_CNT(by_pid, registry->processes);
}

/* ---- commands ---- */

/* The bytes of a command, with what is secret hidden. */
static size_t masked_line(char text[static COMMAND_MAX], const struct mask *mask, struct text argv,
                          bool cut, struct text comm, bool *ret_truncated)
{
    char room[MASK_ROOM(PROC_ARGV_MAX)], name_room[MASK_ROOM(PROC_COMM_MAX)];
    if (argv.size > PROC_ARGV_MAX) {
        cut = cut || argv.size > PROC_ARGV_MAX + 1 || argv.at[PROC_ARGV_MAX]; /* not its last NUL */
        argv.size = PROC_ARGV_MAX;
    }
    if (comm.size > PROC_COMM_MAX)
        comm.size = PROC_COMM_MAX;
    comm = mask_argv(mask, comm, true, name_room, NULL);
    return command_line(text, mask_argv(mask, argv, cut, room, NULL), cut, comm, ret_truncated);
}

struct command *command_new(const struct mask *mask, struct text argv, bool cut, struct text comm)
{
    char text[COMMAND_MAX];
    bool truncated;
    size_t size = masked_line(text, mask, argv, cut, comm, &truncated);
    struct command *command = malloc(sizeof *command + size);
    if (!command)
        return NULL;
    *command = (struct command){.users = 1,
                                .size = (uint16_t)size,
                                .truncated = truncated,
                                .shell = command_is_shell(argv, comm)};
    memcpy(command->text, text, size);
    return command;
}

struct command *command_share(struct command *command)
{
    if (command)
        command->users++;
    return command;
}

void command_release(struct command **command_p)
{
    struct command *command = *command_p;
    *command_p = NULL;
    if (command && --command->users == 0)
        free(command);
}

bool command_equal(const struct command *a, const struct command *b)
{
    return a == b || (a && b && a->truncated == b->truncated &&
                      text_equal((struct text){a->text, a->size}, (struct text){b->text, b->size}));
}

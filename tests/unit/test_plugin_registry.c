/* SPDX-License-Identifier: Apache-2.0 */

/* The registry: who is found by what, what is freed with whom, and commands that processes share.
 */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "plugin/registry.h"

static const struct mask mask;

static struct registry registry;

static void begin(void)
{
    registry_init(&registry);
}

/* Frees everything; a sanitizer sees what is left. */
static void end(void)
{
    registry_destroy(&registry);
}

TestSuite(registry, .init = begin, .fini = end);

static struct block *add_block(const char *id, uint64_t place)
{
    struct block *block = registry_add_block(&registry, text_of(id));
    cr_assert(block);
    registry_place_block(&registry, block, place);
    return block;
}

static struct scope *add_scope(struct block *block, const char *name, uint64_t place)
{
    struct scope *scope = registry_add_scope(&registry, block, text_of(name), place);
    cr_assert(scope);
    return scope;
}

static struct process *add_process(struct scope *scope, uint32_t pid)
{
    struct process *process = registry_add_process(&registry, scope, pid);
    cr_assert(process);
    return process;
}

/* ---- blocks ---- */

Test(registry, a_block_is_found_by_its_id_and_by_its_place)
{
    struct block *one = add_block("one", 11);
    struct block *two = add_block("two", 22);
    cr_assert_eq(registry_n_blocks(&registry), 2);
    cr_assert_eq(registry_block(&registry, text_of("one")), one);
    cr_assert_eq(registry_block(&registry, text_of("two")), two);
    cr_assert_eq(registry_block_at(&registry, 11), one);
    cr_assert_eq(registry_block_at(&registry, 22), two);
    cr_assert_null(registry_block_at(&registry, 33));
    cr_assert_null(registry_block_at(&registry, 0), "0 is no place");
}

Test(registry, ids_that_begin_alike_are_apart)
{
    struct block *one = add_block("1", 0);
    struct block *ten = add_block("10", 0);
    struct block *dot = add_block("a.b", 0);
    struct block *bar = add_block("a_b", 0);
    cr_assert_eq(registry_block(&registry, text_of("1")), one);
    cr_assert_eq(registry_block(&registry, text_of("10")), ten);
    cr_assert_eq(registry_block(&registry, text_of("a.b")), dot);
    cr_assert_eq(registry_block(&registry, text_of("a_b")), bar);
    cr_assert_null(registry_block(&registry, text_of("A_b")));
    cr_assert_null(registry_block(&registry, text_of("")));
    cr_assert_null(registry_block(&registry, (struct text){NULL, 0}));
    cr_assert_eq(registry_block(&registry, (struct text){"1000", 2}), ten, "a view of two bytes");
}

Test(registry, a_block_knows_its_id_and_its_topic)
{
    struct block *block = add_block("a.b", 11);
    cr_assert_str_eq(block->id, "a.b");
    cr_assert_str_eq(block->topic, "block:a.b");
    cr_assert_eq(block->watch_fd, -1);
    cr_assert_eq(block->state, BLOCK_MAKING);
    cr_assert_eq(block->n_processes, 0);
}

Test(registry, a_place_that_is_known_stays)
{
    struct block *block = add_block("one", 0);
    cr_assert_eq(block->place, 0);
    registry_place_block(&registry, block, 11);
    registry_place_block(&registry, block, 12);
    cr_assert_eq(block->place, 11);
    cr_assert_null(registry_block_at(&registry, 12));
}

Test(registry, who_is_removed_is_found_by_nothing_any_more)
{
    struct block *block = add_block("one", 11);
    add_scope(block, "main", 12);
    add_scope(block, "bg/7", 13);
    registry_remove_block(&registry, block);
    cr_assert_null(registry_block(&registry, text_of("one")));
    cr_assert_null(registry_block_at(&registry, 11));
    cr_assert_null(registry_scope_at(&registry, 12));
    cr_assert_null(registry_scope_at(&registry, 13));
    cr_assert_eq(registry_n_blocks(&registry), 0);
    cr_assert_neq(add_block("one", 11), NULL, "and can be made again");
}

Test(registry, ten_thousand_blocks_are_found_each)
{
    char id[16];
    for (unsigned i = 1; i <= 10000; i++) {
        snprintf(id, sizeof id, "b%u", i);
        add_block(id, i);
    }
    for (unsigned i = 1; i <= 10000; i += 2) {
        snprintf(id, sizeof id, "b%u", i);
        registry_remove_block(&registry, registry_block(&registry, text_of(id)));
    }
    for (unsigned i = 1; i <= 10000; i++) {
        snprintf(id, sizeof id, "b%u", i);
        struct block *block = registry_block(&registry, text_of(id));
        cr_assert_eq(block != NULL, i % 2 == 0, "%s", id);
        cr_assert_eq(registry_block_at(&registry, i), block);
    }
    cr_assert_eq(registry_n_blocks(&registry), 5000);
}

/* ---- sub-scopes ---- */

Test(registry, a_sub_scope_is_made_once_and_found_by_name_and_place)
{
    struct block *block = add_block("one", 11);
    struct scope *scope = add_scope(block, "bg/7", 12);
    cr_assert_eq(add_scope(block, "bg/7", 12), scope);
    cr_assert_eq(add_scope(block, "bg/7", 0), scope);
    cr_assert_eq(registry_scope(block, text_of("bg/7")), scope);
    cr_assert_eq(registry_scope_at(&registry, 12), scope);
    cr_assert_eq(scope->block, block);
    cr_assert_str_eq(scope->name, "bg/7");
    cr_assert_null(registry_scope(block, text_of("bg")));
    cr_assert_null(registry_scope_at(&registry, 13));
}

Test(registry, a_sub_scope_gets_its_place_when_it_is_known)
{
    struct block *block = add_block("one", 11);
    struct scope *scope = add_scope(block, "main", 0);
    cr_assert_eq(scope->place, 0);
    add_scope(block, "main", 12);
    cr_assert_eq(registry_scope_at(&registry, 12), scope);
}

Test(registry, sub_scopes_of_two_blocks_share_a_name_and_nothing_else)
{
    struct scope *one = add_scope(add_block("one", 11), "main", 12);
    struct scope *two = add_scope(add_block("two", 21), "main", 22);
    cr_assert_neq(one, two);
    cr_assert_eq(registry_scope_at(&registry, 12), one);
    cr_assert_eq(registry_scope_at(&registry, 22), two);
}

Test(registry, a_name_falls_into_the_nearest_sub_scope_that_was_made)
{
    struct block *block = add_block("one", 11);
    struct scope *main_one = add_scope(block, "main", 12);
    struct scope *bg = add_scope(block, "bg", 13);
    struct scope *seven = add_scope(block, "bg/7", 14);
    cr_assert_eq(registry_scope_for(&registry, block, text_of("bg/7")), seven);
    cr_assert_eq(registry_scope_for(&registry, block, text_of("bg/7/x")), seven);
    cr_assert_eq(registry_scope_for(&registry, block, text_of("bg/8")), bg);
    cr_assert_eq(registry_scope_for(&registry, block, text_of("other/one")), main_one);
    cr_assert_eq(registry_scope_for(&registry, block, (struct text){NULL, 0}), main_one);
}

/* ---- processes ---- */

Test(registry, a_process_is_found_by_its_pid)
{
    struct block *block = add_block("one", 11);
    struct scope *scope = add_scope(block, "main", 12);
    struct process *process = add_process(scope, 42);
    cr_assert_eq(registry_process(&registry, 42), process);
    cr_assert_null(registry_process(&registry, 43));
    cr_assert_null(registry_process(&registry, 0));
    cr_assert_eq(process->state, LIFE_UNBORN);
    cr_assert_eq(process->block, block);
    cr_assert_eq(process->scope, scope);
    cr_assert_eq(process->threads, 1);
    cr_assert_eq(block->n_processes, 1);
    cr_assert_eq(registry_n_processes(&registry), 1);
}

Test(registry, a_process_that_is_removed_is_gone_and_its_pid_free)
{
    struct block *block = add_block("one", 11);
    struct scope *scope = add_scope(block, "main", 12);
    struct process *process = add_process(scope, 42);
    process->command = command_new(&mask, text_of("a"), false, text_of("a"));
    process->root = process->started = process->has_status = true;
    registry_remove_process(&registry, process);
    cr_assert_null(registry_process(&registry, 42));
    cr_assert_eq(block->n_processes, 0);
    struct process *again = add_process(scope, 42);
    cr_assert_null(again->command, "nothing of the one before is left");
    cr_assert_not(again->root || again->started || again->has_status || again->parent);
    cr_assert(LIST_EMPTY(&again->children));
}

Test(registry, a_block_lists_its_processes_in_the_order_of_their_births)
{
    struct block *block = add_block("one", 11);
    struct scope *scope = add_scope(block, "main", 12);
    for (uint32_t pid = 100; pid > 90; pid--)
        add_process(scope, pid);
    registry_remove_process(&registry, registry_process(&registry, 95));
    uint32_t expected = 100;
    struct process *process;
    TAILQ_FOREACH (process, &block->processes, in_block) {
        cr_assert_eq(process->pid, expected);
        expected -= expected == 96 ? 2 : 1;
    }
    cr_assert_eq(expected, 90);
}

Test(registry, children_of_who_is_removed_have_no_parent)
{
    struct scope *scope = add_scope(add_block("one", 11), "main", 12);
    struct process *parent = add_process(scope, 1000);
    struct process *first = add_process(scope, 1001), *second = add_process(scope, 1002);
    registry_set_parent(first, parent);
    registry_set_parent(second, parent);
    registry_remove_process(&registry, first);
    cr_assert_eq(LIST_FIRST(&parent->children), second);
    registry_remove_process(&registry, parent);
    cr_assert_null(second->parent);
}

Test(registry, a_parent_can_be_changed)
{
    struct scope *scope = add_scope(add_block("one", 11), "main", 12);
    struct process *old = add_process(scope, 1), *new = add_process(scope, 2);
    struct process *child = add_process(scope, 3);
    registry_set_parent(child, old);
    registry_set_parent(child, new);
    cr_assert(LIST_EMPTY(&old->children));
    cr_assert_eq(LIST_FIRST(&new->children), child);
    registry_set_parent(child, NULL);
    cr_assert(LIST_EMPTY(&new->children));
}

/* Freed ones are kept for the next births, but not without end. */
Test(registry, many_lives_leave_no_more_than_some_spare_ones)
{
    struct scope *scope = add_scope(add_block("one", 11), "main", 12);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t pid = 1; pid <= 5000; pid++)
            add_process(scope, pid);
        cr_assert_eq(registry_n_processes(&registry), 5000);
        for (uint32_t pid = 1; pid <= 5000; pid++)
            registry_remove_process(&registry, registry_process(&registry, pid));
        cr_assert_eq(registry_n_processes(&registry), 0);
        cr_assert_leq(registry.n_spare, 2048);
    }
}

Test(registry, the_end_frees_blocks_with_all_that_is_in_them)
{
    for (uint32_t i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "b%u", i);
        struct scope *scope = add_scope(add_block(id, 100 + i), "main", 200 + i);
        struct process *parent = add_process(scope, 1000 + 2 * i);
        parent->command = command_new(&mask, text_of("x"), false, text_of("x"));
        struct process *child = add_process(scope, 1001 + 2 * i);
        registry_set_parent(child, parent);
        child->command = command_share(parent->command);
    }
    registry_destroy(&registry);
    cr_assert_eq(registry_n_blocks(&registry), 0);
    cr_assert_eq(registry_n_processes(&registry), 0);
}

/* ---- commands ---- */

static struct command *command_of(const char *argv, size_t size)
{
    struct command *command = command_new(&mask, (struct text){argv, size}, false, text_of("name"));
    cr_assert(command);
    return command;
}
#define COMMAND(argv) command_of(argv, sizeof argv)

static void assert_command(struct command *command, const char *text, bool shell)
{
    cr_assert(text_is((struct text){command->text, command->size}, text), "'%.*s'",
              (int)command->size, command->text);
    cr_assert_eq(command->shell, shell, "%s", text);
    command_release(&command);
    cr_assert_null(command);
}

Test(commands, an_argument_vector_is_joined_by_spaces)
{
    assert_command(COMMAND("cc\0-c\0a.c"), "cc -c a.c", false);
    assert_command(COMMAND("/bin/bash\0-c\0x"), "/bin/bash -c x", true);
    assert_command(COMMAND("-zsh"), "-zsh", true);
    assert_command(COMMAND("/opt/bash/vi"), "/opt/bash/vi", false);
}

Test(commands, without_arguments_it_is_the_name_in_brackets)
{
    struct command *command = command_new(&mask, (struct text){NULL, 0}, false, text_of("kworker"));
    assert_command(command, "[kworker]", false);
}

Test(commands, a_shared_one_lives_until_its_last_user_lets_go)
{
    struct command *first = COMMAND("make\0all"), *second = command_share(first);
    cr_assert_eq(first, second);
    cr_assert_eq(first->users, 2);
    command_release(&first);
    cr_assert_null(first);
    cr_assert(text_is((struct text){second->text, second->size}, "make all"));
    cr_assert_eq(second->users, 1);
    command_release(&second);
    command_release(&second); /* nobody's is fine */
    cr_assert_null(command_share(NULL));
}

Test(commands, two_are_equal_where_they_read_the_same)
{
    struct command *one = COMMAND("a\0b"), *same = COMMAND("a b"), *other = COMMAND("a\0c");
    struct command *cut = command_new(&mask, (struct text){"a b", 4}, true, text_of("name"));
    cr_assert(command_equal(one, one));
    cr_assert(command_equal(one, same), "readers see no difference");
    cr_assert_not(command_equal(one, other));
    cr_assert_not(command_equal(one, NULL));
    cr_assert_not(command_equal(NULL, one));
    cr_assert(command_equal(NULL, NULL));
    if (cut->truncated)
        cr_assert_not(command_equal(one, cut));
    command_release(&one), command_release(&same), command_release(&other), command_release(&cut);
}

Test(commands, a_long_one_is_cut_and_says_so)
{
    static char argv[6000];
    memset(argv, 'x', sizeof argv - 1);
    struct command *command = command_of(argv, sizeof argv);
    cr_assert_eq(command->size, 4096);
    cr_assert(command->truncated);
    command_release(&command);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The command of a process as readers see it, and which programs are shells. */

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/command_line.h"
#include "schemas/utf8.h"

#define LITERAL(string)                                                                            \
    {                                                                                              \
        string, sizeof string - 1                                                                  \
    }
#define FFFD "\xef\xbf\xbd"

static const struct {
    struct text argv;
    const char *name, *command;
} lines[] = {
    {LITERAL("a\0b\0"), "x", "a b"},
    {LITERAL("a\0b"), "x", "a b"},
    {LITERAL("a\0"), "x", "a"},
    {LITERAL("a"), "x", "a"},
    {LITERAL("sh\0-c\0\0"), "sh", "sh -c "},
    {LITERAL("sh\0\0-c\0"), "sh", "sh  -c"},
    {LITERAL("\0a\0"), "x", " a"},
    {LITERAL("a b\0c\0"), "x", "a b c"},
    {LITERAL("a\nb\t\x01\0"), "x", "a\nb\t\x01"},
    {LITERAL("nginx: worker process\0\0\0"), "x", "nginx: worker process  "},
    {LITERAL("0123456\0"
             "01234567\0"
             "012345678\0"),
     "x", "0123456 01234567 012345678"},
    /* none */
    {{NULL, 0}, "kworker/0:1", "[kworker/0:1]"},
    {LITERAL("\0"), "sh", "[sh]"},
    {LITERAL("\0\0\0\0\0\0\0\0\0\0\0\0"), "sh", "[sh]"},
    {{NULL, 0}, "", "[]"},
    {{NULL, 0}, "a) b [", "[a) b []"},
    {{NULL, 0}, "\xff\xc3\xa9", "[" FFFD "\xc3\xa9]"},
    {{NULL, 0}, "cut by the ker\xc3", "[cut by the ker" FFFD "]"},
    /* UTF-8 */
    {LITERAL("\xc3\xa9\0\xf0\x9f\x98\x80\0"), "x", "\xc3\xa9 \xf0\x9f\x98\x80"},
    {LITERAL("a\xff\xfe"
             "b\0"),
     "x", "a" FFFD FFFD "b"},
    {LITERAL("\xe2\x82\0z\0"), "x", FFFD " z"},
    {LITERAL("12345678\xc3"), "x", "12345678" FFFD},
    {LITERAL("1234567\xc3\xa9"
             "12345678\xff"
             "1"),
     "x",
     "1234567\xc3\xa9"
     "12345678" FFFD "1"},
    {LITERAL("\xed\xa0\x80"), "x", FFFD FFFD FFFD},
    /* the example of the Unicode standard, table 3-11 and before it */
    {LITERAL("\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64"), "x",
     "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d"},
};

Test(command_line, arguments_are_joined_and_repaired)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char command[COMMAND_MAX];
        bool truncated = true;
        size_t size =
            command_line(command, lines[i].argv, false, text_of(lines[i].name), &truncated);
        cr_assert(text_is((struct text){command, size}, lines[i].command), "'%.*s' is not '%s'",
                  (int)size, command, lines[i].command);
        cr_assert_not(truncated, "%s", lines[i].command);
    }
}

/* `size` bytes of argv made of `unit`, `shift` bytes of 'x' before it. */
static struct text repeat(char *buffer, size_t size, const char *unit, size_t shift)
{
    size_t unit_size = strlen(unit);
    memset(buffer, 'x', shift);
    for (size_t i = shift; i < size; i++)
        buffer[i] = unit[(i - shift) % unit_size];
    return (struct text){buffer, size};
}

Test(command_line, a_line_of_the_greatest_length_is_whole)
{
    char argv[COMMAND_MAX + 1], command[COMMAND_MAX];
    bool truncated = true;
    struct text text = repeat(argv, COMMAND_MAX, "abc", 0);
    argv[COMMAND_MAX] = '\0';
    cr_assert_eq(command_line(command, text, false, text_of("x"), &truncated), COMMAND_MAX);
    cr_assert_not(truncated);
    text.size++; /* with the NUL that ends it */
    cr_assert_eq(command_line(command, text, false, text_of("x"), &truncated), COMMAND_MAX);
    cr_assert_not(truncated);
    cr_assert_eq(memcmp(command, argv, COMMAND_MAX), 0);
}

Test(command_line, one_byte_more_is_cut_off_and_said)
{
    char argv[COMMAND_MAX + 1], command[COMMAND_MAX];
    bool truncated = false;
    struct text text = repeat(argv, COMMAND_MAX + 1, "abc", 0);
    cr_assert_eq(command_line(command, text, false, text_of("x"), &truncated), COMMAND_MAX);
    cr_assert(truncated);
    cr_assert_eq(memcmp(command, argv, COMMAND_MAX), 0);
}

Test(command_line, a_long_line_is_cut_at_the_end_of_a_character)
{
    for (size_t shift = 0; shift < 8; shift++) {
        char argv[2 * COMMAND_MAX], command[COMMAND_MAX];
        bool truncated = false;
        struct text text = repeat(argv, sizeof argv, "\xf0\x9f\x98\x80", shift);
        size_t size = command_line(command, text, false, text_of("x"), &truncated);
        cr_assert(truncated);
        cr_assert_gt(size, COMMAND_MAX - 4);
        cr_assert(utf8_valid((struct text){command, size}), "shift %zu", shift);
        cr_assert_eq(memcmp(command, argv, size), 0);
    }
}

Test(command_line, what_replaces_broken_bytes_counts_too)
{
    char argv[COMMAND_MAX], command[COMMAND_MAX];
    bool truncated = false;
    memset(argv, '\xff', sizeof argv);
    size_t size =
        command_line(command, (struct text){argv, sizeof argv}, false, text_of("x"), &truncated);
    cr_assert(truncated);
    cr_assert_eq(size, COMMAND_MAX / 3 * 3);
    cr_assert(utf8_valid((struct text){command, size}));
}

Test(command_line, argv_that_was_cut_before_is_said_and_its_broken_end_left_out)
{
    static const struct {
        struct text argv;
        const char *command;
    } cuts[] = {
        {LITERAL("ab\0c"), "ab c"},
        {LITERAL("ab\0"), "ab"},
        {LITERAL("ab\xc3"), "ab"},
        {LITERAL("ab\xf0\x9f\x98"), "ab"},
        {LITERAL("ab\xff"), "ab" FFFD},
        {LITERAL("ab\xc3\xa9"), "ab\xc3\xa9"},
        {LITERAL("12345678\xe2\x82"), "12345678"},
        {LITERAL("\xe2\x82\0"), FFFD},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        char command[COMMAND_MAX];
        bool truncated = false;
        size_t size = command_line(command, cuts[i].argv, true, text_of("x"), &truncated);
        cr_assert(truncated);
        cr_assert(text_is((struct text){command, size}, cuts[i].command), "row %zu: '%.*s'", i,
                  (int)size, command);
    }
}

Test(command_line, a_name_of_any_length_keeps_its_brackets)
{
    char name[2 * COMMAND_MAX], command[COMMAND_MAX];
    bool truncated = false;
    size_t size = command_line(command, (struct text){0}, false, repeat(name, sizeof name, "n", 0),
                               &truncated);
    cr_assert_eq(size, COMMAND_MAX);
    cr_assert(truncated);
    cr_assert_eq(command[0], '[');
    cr_assert_eq(command[size - 1], ']');
}

/* The same by the plainest means: a character at a time into a buffer that never ends. */
static size_t plain_command_line(char *command, struct text argv)
{
    size_t size = 0;
    if (argv.size > 0 && argv.at[argv.size - 1] == '\0')
        argv.size--;
    for (size_t at = 0; at < argv.size;) {
        struct utf8_step step = utf8_step((struct text){argv.at + at, argv.size - at});
        const char *bytes = step.valid ? argv.at + at : FFFD;
        size_t n = step.valid ? step.size : 3;
        memcpy(command + size, argv.at[at] ? bytes : " ", n);
        size += n;
        at += step.size;
    }
    return size;
}

Test(command_line, eight_bytes_at_a_time_give_what_one_at_a_time_gives)
{
    static const char *const units[] = {
        "a", "b ", "cd", "", "\xc3\xa9", "\xff", "\xf0\x9f\x98\x80", "\xe2\x82"};
    srandom(7);
    for (int round = 0; round < 20000; round++) {
        char bytes[64], command[COMMAND_MAX], expected[sizeof bytes * 3];
        struct text argv = {bytes, 1};
        bytes[0] = 'x';
        for (long n = random() % 16; n > 0; n--) {
            const char *unit = units[random() % 8];
            size_t size = *unit ? strlen(unit) : 1; /* the empty one is its NUL */
            memcpy(bytes + argv.size, unit, size);
            argv.size += size;
        }
        bool truncated;
        size_t size = command_line(command, argv, false, text_of("x"), &truncated);
        size_t expected_size = plain_command_line(expected, argv);
        cr_assert(text_equal((struct text){command, size}, (struct text){expected, expected_size}),
                  "round %d", round);
    }
}

static const struct {
    struct text argv;
    const char *name;
    bool shell;
} programs[] = {
    {LITERAL("sh\0-c\0ls\0"), "sh", true},
    {LITERAL("/bin/bash\0"), "bash", true},
    {LITERAL("-zsh\0"), "zsh", true},
    {LITERAL("/bin/-ksh\0"), "ksh", true},
    {LITERAL("-/bin/ksh\0"), "ksh", true},
    {LITERAL("bash"), "bash", true},
    {LITERAL("dash\0"), "x", true},
    {LITERAL("ash\0"), "x", true},
    {LITERAL("mksh\0"), "x", true},
    {LITERAL("fish\0"), "x", true},
    {LITERAL("tcsh\0"), "x", true},
    {LITERAL("csh\0"), "x", true},
    {LITERAL("nu\0"), "x", true},
    {LITERAL("pwsh\0"), "x", true},
    {LITERAL("--bash\0"), "bash", false},
    {LITERAL("bash-5\0"), "bash", false},
    {LITERAL("BASH\0"), "bash", false},
    {LITERAL("/bin/sh/\0"), "sh", false},
    {LITERAL("python3\0/bin/sh\0"), "python3", false},
    {LITERAL("\0sh\0"), "sh", false},
    {LITERAL("-\0"), "sh", false},
    {{NULL, 0}, "sh", true},
    {{NULL, 0}, "python3", false},
    {{NULL, 0}, "kworker/sh", false},
    {{NULL, 0}, "", false},
    {LITERAL("\0"), "sh", true},
};

Test(command_line, a_shell_is_known_by_its_program_name)
{
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        cr_assert_eq(command_is_shell(programs[i].argv, text_of(programs[i].name)),
                     programs[i].shell, "row %zu", i);
}

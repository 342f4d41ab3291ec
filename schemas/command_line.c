/* SPDX-License-Identifier: Apache-2.0 */

/* From an argument vector to the one line that readers see. It is made at every exec, so plain
 * ASCII goes eight bytes at a time. */

#include "schemas/command_line.h"

#include <stdint.h>

#include "schemas/utf8.h"

/* The line so far. */
struct line {
    char *bytes;
    size_t used;
    size_t room; /* greatest `used` */
    bool full;   /* something did not fit: nothing more is put */
};

static void put(struct line *line, const char *bytes, size_t size)
{
    if (line->full || size > line->room - line->used) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->used, bytes, size);
    line->used += size;
}

/* Eight ASCII bytes at a time with their NULs made spaces; returns how many bytes that were. */
static size_t put_ascii_words(struct line *line, struct text text)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    size_t done = 0;
    while (text.size - done >= sizeof(uint64_t) && line->room - line->used >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text.at + done, sizeof word);
        if (word & high)
            break;
        /* All bytes are below 0x80, so adding 0x7f sets the high bit of those that are not 0. */
        uint64_t zeros = ~(word + ~high) & high;
        word |= zeros >> 2; /* 0x80 becomes 0x20, a space */
        memcpy(line->bytes + line->used, &word, sizeof word);
        line->used += sizeof word;
        done += sizeof word;
    }
    return done;
}

/* `cut`: the text goes on where we do not see it, so a character that its end breaks is left out.
 */
static void put_text(struct line *line, struct text text, bool cut)
{
    while (text.size > 0 && !line->full) {
        size_t done = put_ascii_words(line, text);
        if (done == 0) {
            struct utf8_step step = utf8_step(text);
            if (step.valid)
                put(line, text.at[0] == '\0' ? " " : text.at, step.size);
            else if (!(cut && step.unfinished))
                put(line, UTF8_REPLACEMENT, sizeof UTF8_REPLACEMENT - 1);
            done = step.size;
        }
        text.at += done;
        text.size -= done;
    }
}

static bool is_blank(struct text argv)
{
    for (size_t i = 0; i < argv.size; i++) {
        if (argv.at[i] != '\0')
            return false;
    }
    return true;
}

/* The kernel's names are short, but this needs no trust in that: of a longer one the closing
 * bracket still fits. Returns the length. */
static size_t put_name(char *command, struct text name, bool *ret_truncated)
{
    struct line inner = {.bytes = command + 1, .room = COMMAND_MAX - 2};
    put_text(&inner, name, false);
    command[0] = '[';
    command[1 + inner.used] = ']';
    *ret_truncated = inner.full;
    return inner.used + 2;
}

size_t command_line(char command[static COMMAND_MAX], struct text argv, bool cut, struct text name,
                    bool *ret_truncated)
{
    struct line line = {.bytes = command, .room = COMMAND_MAX};
    bool full;

    if (is_blank(argv)) {
        line.used = put_name(command, name, &full);
    } else {
        bool ended = argv.at[argv.size - 1] == '\0';
        argv.size -= ended; /* the end of the last argument separates nothing */
        put_text(&line, argv, cut && !ended);
        full = line.full;
    }
    *ret_truncated = cut || full;
    return line.used;
}

/* The base name of argv[0], the '-' of a login shell off. */
static struct text program_name(struct text argv)
{
    const char *end = memchr(argv.at, '\0', argv.size);
    struct text path = {argv.at, end ? (size_t)(end - argv.at) : argv.size};
    for (size_t i = path.size; i > 0; i--) {
        if (path.at[i - 1] == '/') {
            path = (struct text){path.at + i, path.size - i};
            break;
        }
    }
    if (path.size > 0 && path.at[0] == '-')
        path = (struct text){path.at + 1, path.size - 1};
    return path;
}

bool command_is_shell(struct text argv, struct text name)
{
    static const char *const shells[] = {"sh",   "bash", "dash", "ash", "zsh", "ksh",
                                         "mksh", "fish", "tcsh", "csh", "nu",  "pwsh"};
    struct text program = is_blank(argv) ? name : program_name(argv);
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (text_is(program, shells[i]))
            return true;
    }
    return false;
}

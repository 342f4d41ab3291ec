/* SPDX-License-Identifier: Apache-2.0 */

/* Terminals, and what may be written to them. */

#include "cli/term.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "base/cleanup.h"
#include "schemas/utf8.h"

#define ESCAPE "\033"

/* ---- what it is ----------------------------------------------------------------------------- */

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static unsigned width_of(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

struct term term_of(int fd)
{
    const char *kind = getenv("TERM");
    struct term term = {.tty = isatty(fd), .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    if (term.tty) {
        term.colour = kind && *kind && strcmp(kind, "dumb") != 0 && !is_set("NO_COLOR");
        term.width = width_of(fd);
    }
    return term;
}

/* ---- text of others ------------------------------------------------------------------------- */

static uint32_t code_point(const char *at, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)at;
    if (size == 1)
        return bytes[0];
    uint32_t code = bytes[0] & (0x7FU >> size);
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (bytes[i] & 0x3F);
    return code;
}

/* Characters that show nothing themselves, and change what is seen of others (Unicode, UAX 9 and
 * section 23.2). */
static bool is_deceptive(uint32_t code)
{
    return code == 0xAD || code == 0x61C || (code >= 0x200B && code <= 0x200F) ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
           code == 0xFEFF || (code >= 0xFFF9 && code <= 0xFFFB) ||
           (code >= 0xE0000 && code <= 0xE007F);
}

static bool may_show(const struct term *term, uint32_t code)
{
    if (code < 0x80)
        return code >= 0x20 && code != 0x7F;
    return term->utf8 && !is_deceptive(code) && iswprint((wint_t)code);
}

void term_put(FILE *to, const struct term *term, struct text text)
{
    while (text.size > 0) {
        struct utf8_step step = utf8_step(text);
        uint32_t code = code_point(text.at, step.valid ? step.size : 1);
        size_t taken = step.valid ? step.size : 1;
        if (step.valid && may_show(term, code))
            fwrite(text.at, 1, taken, to);
        else
            fprintf(to, step.valid && code >= 0x80 ? "\\u{%" PRIX32 "}" : "\\x%02" PRIX32, code);
        text.at += taken;
        text.size -= taken;
    }
}

char *term_safe(const struct term *term, struct text text)
{
    char *string = NULL;
    size_t size;
    FILE *to = open_memstream(&string, &size);
    if (!to)
        return NULL;
    term_put(to, term, text);
    if (fclose(to) != 0) {
        free(string);
        return NULL;
    }
    return string;
}

/* ---- one line ------------------------------------------------------------------------------- */

/* How many bytes of `at` are its next piece, and how many columns that takes. */
static size_t next_piece(const char *at, unsigned *ret_columns)
{
    wchar_t wide;
    mbstate_t state = {0};
    *ret_columns = 0;
    if (*at == *ESCAPE)
        return strcspn(at, "m") + (at[strcspn(at, "m")] == 'm');
    size_t size = mbrtowc(&wide, at, MB_CUR_MAX, &state);
    if (size == 0 || size > MB_CUR_MAX) { /* not of this locale: a byte is a column */
        *ret_columns = 1;
        return 1;
    }
    int columns = wcwidth(wide);
    *ret_columns = columns > 0 ? (unsigned)columns : 0;
    return size;
}

/* How much of a line the terminal has room for, in bytes. */
static size_t fitting(const char *line, unsigned width)
{
    size_t used = 0;
    for (unsigned columns = 0, more; line[used]; columns += more) {
        size_t size = next_piece(line + used, &more);
        if (columns + more > width)
            break;
        used += size;
    }
    return used;
}

void term_put_line(FILE *to, const struct term *term, const char *line)
{
    size_t size = term->width ? fitting(line, term->width) : strlen(line);
    fwrite(line, 1, size, to);
    fputs(line[size] && term->colour ? ESCAPE "[0m\n" : "\n", to);
}

/* ---- numbers -------------------------------------------------------------------------------- */

const char *term_bytes(char buffer[static TERM_NUMBER], uint64_t bytes)
{
    static const char units[] = "\0KMGTPE";
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1023.95 && units[unit + 1]; unit++)
        value /= 1024;
    if (unit == 0)
        snprintf(buffer, TERM_NUMBER, "%" PRIu64, bytes);
    else
        snprintf(buffer, TERM_NUMBER, "%.1f%c", value, units[unit]);
    return buffer;
}

const char *term_cpu(char buffer[static TERM_NUMBER], uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s < 60)
        snprintf(buffer, TERM_NUMBER, "%" PRIu64 ".%02us", s, (unsigned)(ms % 1000 / 10));
    else if (s < 3600)
        snprintf(buffer, TERM_NUMBER, "%" PRIu64 ":%02u", s / 60, (unsigned)(s % 60));
    else
        snprintf(buffer, TERM_NUMBER, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    return buffer;
}

const char *term_age(char buffer[static TERM_NUMBER], uint64_t since_ms, uint64_t now_ms)
{
    uint64_t s = now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
    if (s < 60)
        snprintf(buffer, TERM_NUMBER, "%us", (unsigned)s);
    else if (s < 3600)
        snprintf(buffer, TERM_NUMBER, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(buffer, TERM_NUMBER, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
    else
        snprintf(buffer, TERM_NUMBER, "%" PRIu64 "d%02uh", s / 86400, (unsigned)(s / 3600 % 24));
    return buffer;
}

uint64_t term_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What the benchmark's programs share. */

#include "bench/programs/bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void bench_fail(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

void bench_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

/* Byte by byte: who polls stdin must not find it read ahead. */
bool bench_wait_line(void)
{
    char byte;
    ssize_t n;
    while ((n = read(STDIN_FILENO, &byte, 1)) == 1 || (n < 0 && errno == EINTR))
        if (n == 1 && byte == '\n')
            return true;
    return false;
}

uint64_t bench_number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno || end == text || *end) {
        errno = EINVAL;
        bench_fail(text);
    }
    return number;
}

void bench_append(struct bench_bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size > bytes->room) {
        bytes->room = bytes->room * 2 + size + (1 << 20);
        bytes->data = realloc(bytes->data, bytes->room);
        if (!bytes->data)
            bench_fail("memory");
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void bench_write(const struct bench_bytes *bytes, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file || fwrite(bytes->data, 1, bytes->size, file) != bytes->size || fclose(file) != 0)
        bench_fail(path);
}

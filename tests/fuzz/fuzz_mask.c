/* SPDX-License-Identifier: Apache-2.0 */

/* Hiding secrets in command lines. Input: one byte that chooses how a secret is put there, one that
 * says behind how many bytes, and an argument vector. However odd what is around it: a secret in an
 * argument of its own is not in what comes out. */

#include "fuzz.h"
#include "plugin/mask.h"

#define SECRET "s3cr3t-vAlue"

enum { ROOM = 4096 };

static const char *const ways[] = {"--token=" SECRET, "--password=" SECRET, "API_KEY=" SECRET,
                                   "https://user:" SECRET "@example.org/", "DB_PASSWORD=" SECRET};

static bool has_secret(struct text text)
{
    return memmem(text.at, text.size, SECRET, strlen(SECRET)) != NULL;
}

/* The arguments with one more between them: `before`, NUL, the secret's, NUL, the rest. */
static size_t plant(char *argv, const char *secret, struct text before, struct text behind)
{
    size_t size = 0;
    memcpy(argv, before.at, before.size);
    size += before.size;
    argv[size++] = '\0';
    memcpy(argv + size, secret, strlen(secret) + 1);
    size += strlen(secret) + 1;
    memcpy(argv + size, behind.at, behind.size);
    return size + behind.size;
}

static struct text mask_exactly(const char *argv, size_t size, bool cut, char *room)
{
    static const struct mask defaults;
    unsigned n;
    struct text masked = mask_argv(&defaults, (struct text){argv, size}, cut, room, &n);
    must(masked.size <= MASK_ROOM(size));
    must(masked.at == argv ? masked.size == size : masked.at == room);
    return masked;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t way = take_byte(&input), at = take_byte(&input);
    if (input.left > ROOM)
        input.left = ROOM;
    struct text before = take_text(&input, at), behind = take_text(&input, input.left);
    char *room = malloc(MASK_ROOM(2 * ROOM)), *argv = malloc(2 * ROOM);
    must(room && argv);
    mask_exactly(behind.at, behind.size, way & 1, room);
    if (!has_secret(before) && !has_secret(behind)) {
        size_t used = plant(argv, ways[way % (sizeof ways / sizeof *ways)], before, behind);
        char *exact = realloc(argv, used);
        must(exact);
        must(!has_secret(mask_exactly(exact, used, way & 1, room)));
        argv = exact;
    }
    free(argv);
    free(room);
    free((void *)before.at);
    free((void *)behind.at);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The example host of another day, which offers less: its `struct wps_host` ends before the member
 * that the first argument names (`publish` or `log`), and behind it is memory that nobody may read.
 * All else is examples/plain_host/plain_host.c, word by word, with the words behind the first.
 */

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int plain_host_main(int argc, char **argv);
static void *load(void *handle, const char *name);

#define main  plain_host_main
#define dlsym load
#include "examples/plain_host/plain_host.c"
#undef main
#undef dlsym

static const struct wps_plugin *theirs_whole;
static size_t offered; /* bytes of the struct */

/* Passes on what is offered, at the very end of a page. */
static int open_with_less(const struct wps_host *host, const struct wps_option *options,
                          size_t n_options, void **ret_plugin, char *error, size_t error_size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) < 0)
        abort();
    struct wps_host *less = (struct wps_host *)(void *)(pages + page - offered);
    memcpy(less, host, offered);
    less->size = (uint32_t)offered;
    return theirs_whole->open(less, options, n_options, ret_plugin, error, error_size);
}

static void *load(void *handle, const char *name)
{
    static struct wps_plugin plugin;
    theirs_whole = dlsym(handle, name);
    if (!theirs_whole)
        return NULL;
    plugin = *theirs_whole;
    plugin.open = open_with_less;
    return &plugin;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "publish") == 0)
        offered = offsetof(struct wps_host, publish);
    else if (argc > 1 && strcmp(argv[1], "log") == 0)
        offered = offsetof(struct wps_host, log);
    else
        return fail("usage", "smaller_host publish|log DIRECTORY PLUGIN [KEY=VALUE]...");
    argv[1] = argv[0];
    return plain_host_main(argc - 1, argv + 1);
}

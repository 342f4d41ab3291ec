/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory that runs out at a moment of the test's choosing. Preloaded (LD_PRELOAD), it counts the
 * allocations that the programs and modules named in FAIL_ALLOC_IN make ("wpsd:proctrack.so"), and
 * lets the n-th fail, or all from the n-th on. Those of other libraries always succeed: libzmq and
 * czmq end the process where they get no memory, which would say nothing about us. What counts is
 * who calls, by the return address: malloc and its kin, and what of the libraries allocates on
 * behalf of its caller and tells so (strdup, opendir, zmq_msg_init_size, sd_event_add_io and so
 * on).
 *
 * FAIL_ALLOC names a file that the test maps too: see struct control, and blackbox/memory.py.
 */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FAILS  fails(__builtin_return_address(0))

enum { SITES_MAX = 1024, MODULES_MAX = 8, NAME_MAX_HERE = 20 };

struct site {
    uint64_t offset; /* of the return address, in the module */
    char module[NAME_MAX_HERE + 4];
};

/* The test's and ours. All counts are of the time since it was armed last. */
struct control {
    _Atomic uint32_t armed;
    uint32_t from_then_on;
    uint64_t nth; /* the first to fail, from 1 */
    _Atomic uint64_t calls, injected;
    _Atomic uint64_t n_sites; /* those that failed, never forgotten */
    struct site sites[SITES_MAX];
};

static struct control *control;
static char modules[MODULES_MAX][NAME_MAX_HERE + 1];

static void *library(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "fail_alloc: no %s\n", name);
        abort();
    }
    return function;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAIL_ALLOC");
    const char *in = getenv("FAIL_ALLOC_IN");
    int fd = path && in ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    for (size_t i = 0; *in && i < MODULES_MAX; i++) {
        size_t size = strcspn(in, ":");
        memcpy(modules[i], in, size < NAME_MAX_HERE ? size : NAME_MAX_HERE);
        in += size + (in[size] == ':');
    }
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static bool is_ours(const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    for (size_t i = 0; i < MODULES_MAX && *modules[i]; i++)
        if (strcmp(modules[i], name) == 0)
            return true;
    return false;
}

static void note_site(const Dl_info *info, const void *caller)
{
    uint64_t i = atomic_fetch_add(&control->n_sites, 1) % SITES_MAX;
    const char *slash = strrchr(info->dli_fname, '/');
    control->sites[i].offset = (uint64_t)((const char *)caller - (const char *)info->dli_fbase);
    strncpy(control->sites[i].module, slash ? slash + 1 : info->dli_fname, NAME_MAX_HERE);
}

static bool fails(const void *caller)
{
    Dl_info info;
    if (!control || !atomic_load_explicit(&control->armed, memory_order_acquire))
        return false;
    if (!dladdr(caller, &info) || !info.dli_fname || !is_ours(info.dli_fname))
        return false;
    uint64_t call = atomic_fetch_add(&control->calls, 1) + 1;
    if (control->from_then_on ? call < control->nth : call != control->nth)
        return false;
    atomic_fetch_add(&control->injected, 1);
    note_site(&info, caller);
    errno = ENOMEM;
    return true;
}

/* ---- malloc and its kin: glibc's own, as dlsym allocates itself ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

EXPORT void *malloc(size_t size)
{
    return FAILS ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return FAILS ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return FAILS ? NULL : __libc_realloc(old, size);
}

EXPORT void *reallocarray(void *old, size_t n, size_t size)
{
    size_t bytes;
    if (FAILS)
        return NULL;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(old, bytes);
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *made = FAILS ? NULL : __libc_memalign(alignment, size);
    if (!made)
        return ENOMEM;
    *ret = made;
    return 0;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return FAILS ? NULL : __libc_memalign(alignment, size);
}

/* ---- texts ---- */

static char *copy(const char *text, size_t size)
{
    char *made = __libc_malloc(size + 1);
    if (!made)
        return NULL;
    memcpy(made, text, size);
    made[size] = '\0';
    return made;
}

EXPORT char *strdup(const char *text)
{
    return FAILS ? NULL : copy(text, strlen(text));
}

EXPORT char *strndup(const char *text, size_t max)
{
    return FAILS ? NULL : copy(text, strnlen(text, max));
}

EXPORT int asprintf(char **ret, const char *format, ...)
{
    va_list arguments;
    if (FAILS)
        return -1;
    va_start(arguments, format);
    int size = vasprintf(ret, format, arguments);
    va_end(arguments);
    return size;
}

/* What asprintf is in a build with _FORTIFY_SOURCE. */
EXPORT int __asprintf_chk(char **ret, int flag, const char *format, ...);
EXPORT int __asprintf_chk(char **ret, int flag, const char *format, ...)
{
    va_list arguments;
    (void)flag;
    if (FAILS)
        return -1;
    va_start(arguments, format);
    int size = vasprintf(ret, format, arguments);
    va_end(arguments);
    return size;
}

/* ---- what else allocates for its caller ---- */

/* INSTEAD(type, name, failure, (parameters), (arguments)): the library's own, unless it is to fail.
 */
#define INSTEAD(type, name, failure, parameters, arguments)                                        \
    EXPORT type name parameters;                                                                   \
    EXPORT type name parameters                                                                    \
    {                                                                                              \
        static type(*_Atomic next) parameters;                                                     \
        if (FAILS)                                                                                 \
            return failure;                                                                        \
        if (!next)                                                                                 \
            next = (type(*) parameters)library(#name);                                             \
        return next arguments;                                                                     \
    }

INSTEAD(DIR *, opendir, NULL, (const char *path), (path))
INSTEAD(DIR *, fdopendir, NULL, (int fd), (fd))
INSTEAD(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
INSTEAD(FILE *, fdopen, NULL, (int fd, const char *mode), (fd, mode))
INSTEAD(FILE *, open_memstream, NULL, (char **text, size_t *size), (text, size))
INSTEAD(char *, realpath, NULL, (const char *path, char *to), (path, to))
INSTEAD(ssize_t, getdelim, -1, (char **line, size_t *size, int end, FILE *file),
        (line, size, end, file))
INSTEAD(ssize_t, __getdelim, -1, (char **line, size_t *size, int end, FILE *file),
        (line, size, end, file))
INSTEAD(int, zmq_msg_init_size, -1, (void *message, size_t size), (message, size))
INSTEAD(int, zmq_msg_init_data, -1,
        (void *message, void *data, size_t size, void (*done)(void *, void *), void *hint),
        (message, data, size, done, hint))
INSTEAD(int, sd_event_new, -ENOMEM, (void **ret), (ret))
INSTEAD(int, sd_event_add_io, -ENOMEM,
        (void *event, void **ret, int fd, uint32_t events, void *callback, void *context),
        (event, ret, fd, events, callback, context))
INSTEAD(int, sd_event_add_time, -ENOMEM,
        (void *event, void **ret, int clock, uint64_t due, uint64_t accuracy, void *callback,
         void *context),
        (event, ret, clock, due, accuracy, callback, context))
INSTEAD(int, sd_event_add_defer, -ENOMEM, (void *event, void **ret, void *callback, void *context),
        (event, ret, callback, context))

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Preloaded into a program it counts what the program holds of its heap: blocks, and the bytes in
 * them. The file that COUNT_HEAP_FILE names is mapped; its first user writes there for as long as
 * it lives, and who reads the file knows both. What the allocator keeps for itself, of what was
 * freed, is not in it.
 *
 * The allocator is glibc's own, under the names that it has for those who stand in front of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct held {
    _Atomic int64_t pid; /* whose; 0: nobody's yet */
    _Atomic int64_t blocks;
    _Atomic int64_t bytes;
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static struct held unseen; /* until the file is there, and in children */
static struct held *held = &unseen;

static void *add(void *block)
{
    if (block) {
        atomic_fetch_add(&held->blocks, 1);
        atomic_fetch_add(&held->bytes, (int64_t)malloc_usable_size(block));
    }
    return block;
}

static void forget(int64_t blocks, int64_t bytes)
{
    atomic_fetch_sub(&held->blocks, blocks);
    atomic_fetch_sub(&held->bytes, bytes);
}

/* ---- the allocator ---- */

void *malloc(size_t size)
{
    return add(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return add(__libc_calloc(n, size));
}

void *realloc(void *block, size_t size)
{
    int64_t bytes = block ? (int64_t)malloc_usable_size(block) : 0;
    void *moved = __libc_realloc(block, size);
    if (block && (moved || size == 0))
        forget(1, bytes);
    return add(moved);
}

void *reallocarray(void *block, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    return add(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    void *made = memalign(alignment, size);
    if (made)
        *block = made;
    return made ? 0 : ENOMEM;
}

void free(void *block)
{
    if (block)
        forget(1, (int64_t)malloc_usable_size(block));
    __libc_free(block);
}

/* ---- the file ---- */

static void be_unseen(void)
{
    held = &unseen;
}

static struct held *map_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *map = mmap(NULL, sizeof *held, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

/* No other thread is there yet. Programs that ours starts find the file taken. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("COUNT_HEAP_FILE");
    struct held *file = path ? map_file(path) : NULL;
    int64_t nobody = 0;
    if (!file || !atomic_compare_exchange_strong(&file->pid, &nobody, getpid()))
        return;
    atomic_store(&file->blocks, unseen.blocks);
    atomic_store(&file->bytes, unseen.bytes);
    held = file;
    pthread_atfork(NULL, NULL, be_unseen);
}

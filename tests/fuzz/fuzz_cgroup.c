/* SPDX-License-Identifier: Apache-2.0 */

/* The files of a cgroup and the list of mounts, as they are read. Input: one byte that chooses the
 * file, and its text. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "trackers/cgroupfs.h"

static char directory[64];

static void remove_directory(void)
{
    static const char *const names[] = {"cgroup.procs", "cgroup.threads", "cgroup.events",
                                        "cpu.stat"};
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < sizeof names / sizeof *names; i++)
        unlinkat(fd, names[i], 0);
    close(fd);
    rmdir(directory);
}

static void make_directory(void)
{
    if (directory[0])
        return;
    snprintf(directory, sizeof directory, "/tmp/proctrack-fuzz-XXXXXX");
    must(mkdtemp(directory));
    atexit(remove_directory);
}

static void put(const char *name, const struct input *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, text->at, text->left) == (ssize_t)text->left);
    close(fd);
}

static void read_members(void)
{
    uint32_t *pids;
    size_t n;
    must(cgroupfs_members(directory, &pids, &n) == 0);
    for (size_t i = 0; i < n; i++)
        must(pids[i] != 0 && (i == 0 || pids[i] > pids[i - 1]));
    free(pids);
}

static void read_threads(void)
{
    uint32_t *tids;
    size_t n;
    must(cgroupfs_threads(directory, NULL, NULL, &tids, &n) == 0);
    for (size_t i = 0; i < n; i++)
        must(tids[i] != 0 && (i == 0 || tids[i] > tids[i - 1]));
    free(tids);
}

/* The processes by themselves, then with a list of threads of the same numbers. */
static void read_lists(const struct input *text)
{
    put("cgroup.procs", text);
    put("cgroup.threads", &(struct input){text->at, 0});
    read_members();
    put("cgroup.threads", text);
    read_threads();
    read_members();
}

static void find_mount(struct input *text)
{
    char *directory_of_own = NULL;
    FILE *file = text->left ? fmemopen((void *)text->at, text->left, "r") : NULL;
    if (file && cgroupfs_find_mount(file, "/a/b", &directory_of_own) == 0)
        must(directory_of_own);
    free(directory_of_own);
    if (file)
        fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint64_t us;
    make_directory();
    switch (take_byte(&input) % 4) {
    case 0:
        read_lists(&input);
        break;
    case 1:
        put("cgroup.events", &input);
        cgroupfs_is_empty(directory);
        break;
    case 2:
        find_mount(&input);
        break;
    case 3:
        put("cpu.stat", &input);
        cgroupfs_cpu_us(directory, &us);
        break;
    }
    return 0;
}

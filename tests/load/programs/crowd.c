/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A crowd that is born and dies without end: in each of many cgroups a mother with her children.
 *
 *     load_crowd LEAF CHILDREN TOKENS < directories
 *
 * reads cgroup directories from stdin, one a line, up to an empty one, puts a mother with so many
 * waiting children into each, and says `ready`. Then it takes lines:
 *
 *     go      births and deaths begin
 *     pause   they end; when they have it says `paused BIRTHS DEATHS`, counted from the start
 *
 * and ends with its stdin, after all of them. Should it be killed they end with it.
 *
 * A mother has her turn when a token is handed to her: she has some children that end at once, in
 * every way, ends her oldest waiting one, has another in its place, and hands the token on to the
 * mother of the next cgroup. So TOKENS mothers work at a time, however many there are.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/programs/bench.h"

enum { SHORT_LIVES = 3, CHILDREN_MAX = 1024, LOOK_S = 1, AT_ONCE = 16 };

/* What all share. The last four are futexes. */
struct crowd {
    unsigned n, children, tokens;
    char *leaf;
    atomic_bool paused, over;
    atomic_ullong births, deaths;
    atomic_uint ready;  /* mothers who have all their children */
    atomic_uint home;   /* tokens that nobody has */
    atomic_uint turn[]; /* tokens by mother */
};

struct mother {
    struct crowd *crowd;
    unsigned number, oldest;
    unsigned long long births;
    pid_t children[CHILDREN_MAX];
};

/* ---- waiting -----------------------------------------------------------------------------------
 */

/* Comes back when it was woken, has another value, or after that time; null: however long. */
static void sleep_while(atomic_uint *futex, unsigned value, const struct timespec *most)
{
    syscall(SYS_futex, futex, FUTEX_WAIT, value, most, NULL, 0);
}

static void add(atomic_uint *futex)
{
    atomic_fetch_add(futex, 1);
    syscall(SYS_futex, futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* For the controller: a mother who ended has taken a token with her. */
static void wait_for_all(atomic_uint *futex, unsigned value)
{
    const struct timespec look = {.tv_sec = LOOK_S};
    unsigned now;
    while ((now = atomic_load(futex)) < value) {
        sleep_while(futex, now, &look);
        if (waitpid(-1, NULL, WNOHANG) > 0) {
            errno = ECHILD;
            bench_fail("a mother has ended");
        }
    }
}

/* ---- births and deaths -------------------------------------------------------------------------
 */

static pid_t spawn(struct mother *self, const char *verb, unsigned value)
{
    static char *no_environment[] = {NULL};
    char number[16], label[24];
    snprintf(number, sizeof number, "%u", value);
    snprintf(label, sizeof label, "%llu", self->births++);
    char *argv[] = {self->crowd->leaf, (char *)(uintptr_t)verb, number, label, NULL};
    pid_t mother = getpid(), pid = vfork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == mother)
            execve(argv[0], argv, no_environment);
        _exit(127);
    }
    if (pid < 0)
        bench_fail("vfork");
    atomic_fetch_add_explicit(&self->crowd->births, 1, memory_order_relaxed);
    return pid;
}

static void reap(struct mother *self, pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    atomic_fetch_add_explicit(&self->crowd->deaths, 1, memory_order_relaxed);
}

/* Others may have ended some of them. */
static void replace_missing(struct mother *self)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        atomic_fetch_add_explicit(&self->crowd->deaths, 1, memory_order_relaxed);
        for (unsigned i = 0; i < self->crowd->children; i++)
            if (self->children[i] == pid)
                self->children[i] = spawn(self, "wait", 0);
    }
}

static void replace_oldest(struct mother *self)
{
    pid_t *child = &self->children[self->oldest];
    if (self->crowd->children == 0)
        return;
    kill(*child, SIGKILL);
    reap(self, *child);
    *child = spawn(self, "wait", 0);
    self->oldest = (self->oldest + 1) % self->crowd->children;
}

static void take_turn(struct mother *self)
{
    replace_missing(self);
    for (unsigned i = 0; i < SHORT_LIVES; i++) {
        bool by_signal = self->births % 16 == 15;
        reap(self, spawn(self, by_signal ? "signal" : "exit",
                         by_signal ? SIGTERM : (unsigned)(self->births % 256)));
    }
    replace_oldest(self);
}

/* ---- mothers -----------------------------------------------------------------------------------
 */

_Noreturn static void end(struct mother *self)
{
    for (unsigned i = 0; i < self->crowd->children; i++)
        kill(self->children[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    _exit(0);
}

_Noreturn static void be_mother(struct crowd *crowd, unsigned number)
{
    struct mother self = {.crowd = crowd, .number = number};
    atomic_uint *turn = &crowd->turn[number];
    for (unsigned i = 0; i < crowd->children; i++)
        self.children[i] = spawn(&self, "wait", 0);
    add(&crowd->ready);
    while (!atomic_load(&crowd->over)) {
        if (atomic_load(turn) == 0) {
            sleep_while(turn, 0, NULL);
            continue;
        }
        atomic_fetch_sub(turn, 1);
        if (!atomic_load(&crowd->paused))
            take_turn(&self);
        add(atomic_load(&crowd->paused) ? &crowd->home : &crowd->turn[(number + 1) % crowd->n]);
    }
    end(&self);
}

static void place_mother(struct crowd *crowd, unsigned number, const char *directory)
{
    pid_t controller = getpid();
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        bench_fail(directory);
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        bench_fail("clone3");
    if (pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    if (getppid() == controller)
        be_mother(crowd, number);
    _exit(1);
}

/* ---- the controller ----------------------------------------------------------------------------
 */

struct lines {
    char **at;
    unsigned n;
};

/* Byte by byte, as what follows the empty one is read by another. */
static char *read_line(void)
{
    char line[PATH_MAX];
    size_t size = 0;
    while (size < sizeof line - 1 && read(STDIN_FILENO, &line[size], 1) == 1 && line[size] != '\n')
        size++;
    line[size] = '\0';
    return size ? strdup(line) : NULL;
}

static struct lines read_lines(void)
{
    struct lines lines = {0};
    char *line;
    while ((line = read_line())) {
        lines.at = realloc(lines.at, (lines.n + 1) * sizeof *lines.at);
        if (!lines.at)
            bench_fail("memory");
        lines.at[lines.n++] = line;
    }
    return lines;
}

static struct crowd *make_crowd(unsigned n)
{
    size_t size = sizeof(struct crowd) + n * sizeof(atomic_uint);
    struct crowd *crowd =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (crowd == MAP_FAILED)
        bench_fail("mmap");
    crowd->n = n;
    return crowd;
}

static void go(struct crowd *crowd)
{
    atomic_store(&crowd->paused, false);
    atomic_store(&crowd->home, 0);
    for (unsigned i = 0; i < crowd->tokens; i++)
        add(&crowd->turn[(uint64_t)i * crowd->n / crowd->tokens]);
}

static void pause_all(struct crowd *crowd)
{
    atomic_store(&crowd->paused, true);
    wait_for_all(&crowd->home, crowd->tokens);
    bench_say("paused %llu %llu", (unsigned long long)atomic_load(&crowd->births),
              (unsigned long long)atomic_load(&crowd->deaths));
}

static void end_all(struct crowd *crowd)
{
    atomic_store(&crowd->over, true);
    for (unsigned i = 0; i < crowd->n; i++)
        add(&crowd->turn[i]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s LEAF CHILDREN TOKENS < directories\n", argv[0]);
        return 2;
    }
    struct lines places = read_lines();
    struct crowd *crowd = make_crowd(places.n);
    crowd->leaf = argv[1];
    crowd->children = (unsigned)bench_number(argv[2]);
    crowd->tokens = (unsigned)bench_number(argv[3]);
    if (places.n == 0 || crowd->children > CHILDREN_MAX || crowd->tokens > places.n) {
        errno = EINVAL;
        bench_fail("directories, CHILDREN, TOKENS");
    }
    for (unsigned i = 0; i < places.n; i++) {
        wait_for_all(&crowd->ready, i < AT_ONCE ? 0 : i - AT_ONCE);
        place_mother(crowd, i, places.at[i]);
    }
    wait_for_all(&crowd->ready, places.n);
    atomic_store(&crowd->home, crowd->tokens);
    bench_say("ready");
    char *line;
    while ((line = read_line())) {
        if (strcmp(line, "go") == 0)
            go(crowd);
        else
            pause_all(crowd);
        free(line);
    }
    end_all(crowd);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Spawns leaves, as fast as it can or at a rate, and keeps its own record of them:
 *
 *     bench_spawn LEAF COUNT [rate=N] [life=MS] [first=N] [ends=all] [record=FILE]
 *                 [turn=IN,OUT,BATCH]
 *
 * It says `ready`, waits for a line, spawns, says `done NANOSECONDS`, and waits for the end of its
 * stdin, so that its own end is not part of what is measured. Its children are born where it is.
 *
 * With `ends` the leaves end in every way: number i by exit status i mod 256, each sixteenth by a
 * signal. With `record` pid, wait status, number and the time when it was reaped go to the file.
 * With `turn` it spawns BATCH, then hands a byte on to OUT and waits for one from IN: two that take
 * turns make one spawner that works in two blocks.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/programs/bench.h"

struct record {
    uint32_t pid;
    int32_t status;
    uint64_t number;
    uint64_t time_ns;
};

struct spawner {
    char *leaf;
    uint64_t count, rate, first, batch;
    char *life;
    const char *record;
    bool all_ends;
    int in, out;
    uint64_t spawned, reaped;
    struct bench_bytes records;
    uint64_t number_of[1 << 22]; /* of the child with that pid */
};

static void take_turn(struct spawner *self, char *value)
{
    self->in = atoi(strtok(value, ","));
    self->out = atoi(strtok(NULL, ","));
    self->batch = bench_number(strtok(NULL, ","));
}

static void take_option(struct spawner *self, char *option)
{
    char *value = strchr(option, '=');
    if (!value) {
        errno = EINVAL;
        bench_fail(option);
    }
    *value++ = '\0';
    if (strcmp(option, "rate") == 0)
        self->rate = bench_number(value);
    else if (strcmp(option, "life") == 0)
        self->life = value;
    else if (strcmp(option, "first") == 0)
        self->first = bench_number(value);
    else if (strcmp(option, "record") == 0)
        self->record = value;
    else if (strcmp(option, "ends") == 0)
        self->all_ends = true;
    else if (strcmp(option, "turn") == 0)
        take_turn(self, value);
}

/* How a leaf is to end, as its arguments. */
static void set_end(const struct spawner *self, uint64_t number, char *verb, char *value)
{
    if (self->life) {
        strcpy(verb, "life");
        strcpy(value, self->life);
    } else if (self->all_ends && number % 16 == 15) {
        strcpy(verb, "signal");
        strcpy(value, number % 32 == 31 ? "9" : "15");
    } else {
        strcpy(verb, "exit");
        snprintf(value, 8, "%u", self->all_ends ? (unsigned)(number % 256) : 0);
    }
}

static void spawn(struct spawner *self)
{
    static char *no_environment[] = {NULL};
    char verb[16], value[24], label[24];
    uint64_t number = self->first + self->spawned;
    set_end(self, number, verb, value);
    snprintf(label, sizeof label, "%llu", (unsigned long long)number);
    char *argv[] = {self->leaf, verb, value, label, NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        execve(self->leaf, argv, no_environment);
        _exit(127);
    }
    if (pid < 0)
        bench_fail("vfork");
    self->number_of[pid] = number;
    self->spawned++;
}

static bool reap(struct spawner *self, int flags)
{
    int status;
    pid_t pid = waitpid(-1, &status, flags);
    if (pid <= 0)
        return false;
    self->reaped++;
    if (self->record) {
        struct record record = {(uint32_t)pid, status, self->number_of[pid], bench_now()};
        bench_append(&self->records, &record, sizeof record);
    }
    return true;
}

/* Until number `spawned` is due, from when it began. */
static void wait_for_due(const struct spawner *self, uint64_t began_ns)
{
    uint64_t due = began_ns + self->spawned * UINT64_C(1000000000) / self->rate;
    struct timespec at = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static void wait_for_turn(const struct spawner *self)
{
    char byte;
    if (self->batch && self->spawned % self->batch == 0 && read(self->in, &byte, 1) < 0)
        bench_fail("waiting for the turn");
}

static void hand_on_turn(const struct spawner *self)
{
    bool over = self->spawned % self->batch == 0 || self->spawned == self->count;
    if (over && write(self->out, "", 1) < 0)
        bench_fail("handing on the turn");
}

static uint64_t run(struct spawner *self)
{
    uint64_t began = bench_now();
    while (self->spawned < self->count) {
        wait_for_turn(self);
        if (self->rate)
            wait_for_due(self, began);
        spawn(self);
        if (!self->rate)
            reap(self, 0);
        while (self->rate && reap(self, WNOHANG))
            ;
        if (self->batch)
            hand_on_turn(self);
    }
    while (self->reaped < self->spawned && reap(self, 0))
        ;
    return bench_now() - began;
}

int main(int argc, char **argv)
{
    static struct spawner self;
    if (argc < 3) {
        fprintf(stderr, "usage: %s LEAF COUNT [key=value]...\n", argv[0]);
        return 2;
    }
    self.leaf = argv[1];
    self.count = bench_number(argv[2]);
    for (int i = 3; i < argc; i++)
        take_option(&self, argv[i]);
    signal(SIGPIPE, SIG_IGN); /* a turn handed to one that is through is no error */
    bench_say("ready");
    if (!bench_wait_line())
        return 0;
    uint64_t took = run(&self);
    if (self.record)
        bench_write(&self.records, self.record);
    bench_say("done %llu", (unsigned long long)took);
    while (bench_wait_line())
        ;
    return 0;
}

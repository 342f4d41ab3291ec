/* SPDX-License-Identifier: Apache-2.0 */

/* What processes do, in one line each. */

#include "test_plugin_people.h"

#include <string.h>

#include "plugin/scan.h"

struct bench *bench;
struct block *one, *two;
uint64_t starts[PEOPLE];
static unsigned parents[PEOPLE];

/* ---- begin and end ---- */

static void begin(const char *feed)
{
    bench = bench_new(feed);
    one = bench_block(bench, "one", ONE);
    two = bench_block(bench, "two", TWO);
    bench_scope(bench, one, "bg", ONE_BG);
    bench_story(bench); /* of the blocks */
}

void begin_bpf(void)
{
    begin("bpf");
}

void begin_netlink(void)
{
    begin("netlink");
}

void begin_poll(void)
{
    begin("poll");
}

void end_bench(void)
{
    bench_free(&bench);
}

/* ---- what happens ---- */

uint32_t pid_of(unsigned number)
{
    return PROC_FIRST + number;
}

/* Each moment is a new one, and not before those at which facts were read. */
uint64_t now(void)
{
    uint64_t real = boottime_ns();
    bench->time_ns = real > bench->time_ns ? real : bench->time_ns + 1;
    return bench->time_ns;
}

static bool tells_places(void)
{
    return feed_traits(bench->module.feed) & FEED_TELLS_PLACES;
}

struct feed_event event_of(enum feed_event_kind kind, unsigned number, uint64_t block,
                           uint64_t scope)
{
    struct feed_event event = {.kind = kind, .pid = pid_of(number), .time_ns = now()};
    if (tells_places()) {
        event.start_ns = starts[number];
        event.parent = pid_of(parents[number]);
        event.has_place = true;
        event.place[0] = block;
        event.place[1] = scope;
        event.comm = text_of("comm");
    }
    return event;
}

/* "a b c" as an argument vector. */
static struct text argv_of(const char *words, char *room)
{
    size_t size = strlen(words) + 1;
    memcpy(room, words, size);
    for (size_t i = 0; i < size; i++)
        if (room[i] == ' ')
            room[i] = '\0';
    return (struct text){room, size};
}

void born_in(unsigned number, unsigned parent, uint64_t block, uint64_t scope)
{
    starts[number] = now();
    parents[number] = parent;
    struct feed_event event = event_of(FEED_FORK, number, block, scope);
    event.parent = pid_of(parent);
    event.creator = tells_places() ? event.parent : 0;
    event.tid = tells_places() ? 0 : event.pid;
    bench_event(bench, &event);
}

void born(unsigned number, unsigned parent)
{
    born_in(number, parent, ONE, ONE_MAIN);
}

void execs(unsigned number, const char *words)
{
    char room[8192];
    struct feed_event event = event_of(FEED_EXEC, number, ONE, ONE_MAIN);
    event.has_argv = tells_places();
    if (event.has_argv)
        event.argv = argv_of(words, room);
    bench_event(bench, &event);
}

void execs_blind(unsigned number)
{
    struct feed_event event = event_of(FEED_EXEC, number, ONE, ONE_MAIN);
    bench_event(bench, &event);
}

void exits(unsigned number, int status)
{
    struct feed_event event =
        event_of(tells_places() ? FEED_EXIT : FEED_THREAD_EXIT, number, ONE, ONE_MAIN);
    event.tid = tells_places() ? 0 : event.pid;
    event.has_status = true;
    event.status = status;
    bench_event(bench, &event);
}

void moves(unsigned number, uint64_t block, uint64_t scope, const char *path)
{
    struct feed_event event = event_of(FEED_MOVE, number, block, scope);
    event.path = text_of(path);
    bench_event(bench, &event);
}

void shows_in(unsigned number, unsigned parent, const char *words, const char *cgroup)
{
    struct fake fake = {
        .pid = pid_of(number), .parent = pid_of(parent), .state = 'S', .threads = 1};
    fake.ticks = proc_clock_ticks(&bench->module.clock, starts[number]);
    strcpy(fake.comm, "comm");
    strcpy(fake.cgroup, cgroup);
    if (*words)
        fake.argv_size = argv_of(words, fake.argv).size;
    proc_put(&fake);
}

void shows(unsigned number, unsigned parent, const char *words)
{
    shows_in(number, parent, words, "/root/b-one/s-main");
}

void shows_zombie(unsigned number, unsigned parent, unsigned threads)
{
    struct fake fake = {
        .pid = pid_of(number), .parent = pid_of(parent), .state = 'Z', .threads = threads};
    fake.ticks = proc_clock_ticks(&bench->module.clock, starts[number]);
    strcpy(fake.comm, "comm");
    strcpy(fake.cgroup, "/root/b-one/s-main");
    proc_put(&fake);
}

void shows_exiting(unsigned number, unsigned parent)
{
    struct fake fake = {
        .pid = pid_of(number), .parent = pid_of(parent), .state = 'E', .threads = 1};
    fake.ticks = proc_clock_ticks(&bench->module.clock, starts[number]);
    strcpy(fake.comm, "comm");
    strcpy(fake.cgroup, "/root/b-one/s-main");
    proc_put(&fake);
}

void shows_nothing(unsigned number)
{
    proc_take(pid_of(number));
}

void scan(void)
{
    scan_all(&bench->module);
    bench_answer(bench);
}

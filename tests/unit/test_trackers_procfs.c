/* SPDX-License-Identifier: Apache-2.0 */

/* What /proc says, parsed without trust, and read of real odd processes; and the clock that
 * creation times are told in. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_tools.h"
#include "trackers/facts.h"
#include "trackers/procfs.h"

/* ---- stat ---- */

#define REST                                                                                       \
    "S 41 42 42 0 -1 4194560 1 2 3 4 70 30 0 0 20 0 9 0 123456 1000 77 "                           \
    "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 2816\n"

/* Parsed out of memory of just that size, so that a sanitizer sees a read behind it. */
static int parse(struct proc_stat *ret, const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    cr_assert(copy);
    memcpy(copy, text, size);
    int r = proc_stat_parse(ret, (struct text){copy, size});
    free(copy);
    return r;
}

Test(procfs, a_stat_is_read_field_by_field)
{
    static const char text[] = "43 (cat) " REST;
    struct proc_stat stat;
    cr_assert_eq(parse(&stat, text, sizeof text - 1), 0);
    cr_assert_eq(stat.pid, 43);
    cr_assert_str_eq(stat.comm, "cat");
    cr_assert_eq(stat.state, 'S');
    cr_assert_eq(stat.ppid, 41);
    cr_assert_eq(stat.flags, 4194560);
    cr_assert_eq(stat.cpu_ticks, 100);
    cr_assert_eq(stat.threads, 9);
    cr_assert_eq(stat.start_ticks, 123456);
    cr_assert_eq(stat.rss_pages, 77);
    cr_assert_eq(stat.status, 2816);
}

Test(procfs, a_name_may_hold_anything)
{
    static const char *const names[] = {
        "",
        "a) R 1 (b",
        ")",
        "(",
        "()",
        ") (",
        "a b  c",
        "new\nline",
        "tab\tand \x01\x02",
        "\xff\xfe",
        ") S 1 2 3",
        "kworker/u4:2-events_unbound",
        "0123456789012345678901234567890123456789012345678901234567890123", /* 64 bytes */
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[512], wanted[PROC_COMM_MAX];
        struct proc_stat stat;
        int size = snprintf(text, sizeof text, "43 (%s) " REST, names[i]);
        cr_assert_eq(parse(&stat, text, (size_t)size), 0, "(%s)", names[i]);
        snprintf(wanted, sizeof wanted, "%.63s", names[i]);
        cr_assert_str_eq(stat.comm, wanted);
        cr_assert_eq(stat.state, 'S', "(%s)", names[i]);
        cr_assert_eq(stat.ppid, 41, "(%s)", names[i]);
        cr_assert_eq(stat.start_ticks, 123456, "(%s)", names[i]);
    }
}

/* A kernel before 3.5 tells no status; less than that is no stat. */
Test(procfs, a_stat_that_is_cut_anywhere_is_none_or_says_what_it_has)
{
    static const char text[] = "43 (a) b) " REST;
    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct proc_stat stat;
        int r = parse(&stat, text, size);
        cr_assert(r == 0 || r == -EBADMSG, "%zu bytes", size);
        if (r == 0) {
            cr_assert_eq(stat.start_ticks, 123456, "%zu bytes", size);
            cr_assert_eq(stat.ppid, 41, "%zu bytes", size);
        }
    }
}

Test(procfs, what_is_no_stat_is_refused_and_changes_nothing)
{
    static const char *const texts[] = {
        "",
        "43",
        "43 (cat",
        "43 cat) S 1",
        ")43 (cat S 1",
        "43 (cat)",
        "43 (cat) ",
        "43 (cat) S",
        "43 (cat)S 1 2 3",
        "43 (cat) SS 1 2 3",
        "(cat) " REST,
        "x (cat) " REST,
        "43 (cat) S x 42 42 0",
        "43 (cat) S 41 42 42 0 -1 4194560 1 2 3",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct proc_stat stat = {.pid = 7};
        cr_assert_eq(parse(&stat, texts[i], strlen(texts[i])), -EBADMSG, "%s", texts[i]);
        cr_assert_eq(stat.pid, 7, "untouched");
    }
}

Test(procfs, random_bytes_never_lead_a_parser_astray)
{
    uint64_t random = UINT64_C(0x2545f4914f6cdd1d);
    for (int i = 0; i < 20000; i++) {
        char text[] = "43 (a) b) " REST;
        struct proc_stat stat;
        bool deleted;
        for (int k = 0; k < 6; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            text[random % (sizeof text - 1)] = (char)(random >> 32);
        }
        parse(&stat, text, random % sizeof text);
        char *copy = malloc(sizeof text);
        memcpy(copy, text, sizeof text);
        proc_cgroup_parse((struct text){copy, sizeof text}, &deleted);
        free(copy);
    }
}

/* ---- cgroup ---- */

static void assert_cgroup(const char *text, const char *path, bool deleted)
{
    bool is_deleted = !deleted;
    char *copy = malloc(strlen(text) + 1);
    memcpy(copy, text, strlen(text)); /* without a NUL */
    struct text seen = proc_cgroup_parse((struct text){copy, strlen(text)}, &is_deleted);
    cr_assert(text_is(seen, path), "'%.*s' and not '%s'", (int)seen.size, seen.at, path);
    cr_assert_eq(is_deleted, deleted);
    free(copy);
}

Test(procfs, the_cgroup_is_that_of_the_unified_hierarchy)
{
    assert_cgroup("0::/a/b\n", "/a/b", false);
    assert_cgroup("0::/\n", "/", false);
    assert_cgroup("9:name=systemd:/x\n4:memory:/deep/0::/no\n0::/hybrid\n", "/hybrid", false);
    assert_cgroup("0::/first\n1:cpu:/second\n", "/first", false);
    assert_cgroup("0::/../outside of our namespace\n", "/../outside of our namespace", false);
}

Test(procfs, a_cgroup_that_was_removed_says_so)
{
    assert_cgroup("0::/a/b (deleted)\n", "/a/b", true);
    assert_cgroup("0::/a (deleted) b\n", "/a (deleted) b", false);
    assert_cgroup("0::/a (deleted) (deleted)\n", "/a (deleted)", true);
    assert_cgroup("1:cpu:/x (deleted)\n0::/y\n", "/y", false);
}

Test(procfs, a_text_without_the_line_has_no_cgroup)
{
    assert_cgroup("", "", false);
    assert_cgroup("\n\n", "", false);
    assert_cgroup("0", "", false);
    assert_cgroup("0:", "", false);
    assert_cgroup("10::/a\n", "", false);
    assert_cgroup("4:memory:/x\n1:cpu:/y (deleted)\n", "", false);
}

Test(procfs, a_last_line_may_lack_its_newline)
{
    assert_cgroup("0::/a/b", "/a/b", false);
    assert_cgroup("0::", "", false);
    assert_cgroup("3:cpu:/\n0::/a (deleted)", "/a", true);
}

/* ---- lists of facts ---- */

static char *copy_of(const char *string)
{
    char *copy = string ? strdup(string) : NULL;
    cr_assert(copy || !string);
    return copy;
}

static void add_facts(struct facts_list *list, uint32_t pid, const char *argv, const char *cgroup)
{
    struct process_facts facts = {.pid = pid, .cgroup = copy_of(cgroup)};
    facts.argv = (struct text){copy_of(argv), argv ? strlen(argv) : 0};
    cr_assert_eq(facts_list_add(list, &facts), 0);
    cr_assert(!facts.cgroup && !facts.argv.at, "the list has it now");
}

Test(procfs, a_list_keeps_what_facts_hold_while_it_grows)
{
    enum { MANY = 3000 };
    struct facts_list list = {0};
    char argv[PROC_ARGV_MAX + 1];
    memset(argv, 'a', PROC_ARGV_MAX);
    for (uint32_t i = 0; i < MANY; i++) {
        argv[PROC_ARGV_MAX - i] = '\0'; /* of all lengths */
        add_facts(&list, i, i % 3 ? argv : NULL, i % 2 ? "/some/where" : NULL);
        argv[PROC_ARGV_MAX - i] = 'a';
    }
    cr_assert_eq(list.n, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        const struct process_facts *facts = &list.items[i];
        cr_assert_eq(facts->pid, i);
        cr_assert_eq(facts->argv.size, i % 3 ? PROC_ARGV_MAX - i : 0);
        cr_assert(memcmp(facts->argv.size ? facts->argv.at : argv, argv, facts->argv.size) == 0);
        cr_assert(i % 2 ? strcmp(facts->cgroup, "/some/where") == 0 : !facts->cgroup);
    }
    facts_list_clear(&list);
    cr_assert(!list.items && !list.blocks);
}

/* ---- memory ---- */

Test(procfs, memory_is_the_same_by_both_ways)
{
    enum { MUCH = 64 << 20 };
    /* Before Linux 6.16 the one leaves out what each processor holds back, some hundred KiB. */
    const uint64_t slack = MUCH / 4;
    _cleanup_free_ char *touched = malloc(MUCH);
    cr_assert(touched);
    explicit_bzero(touched, MUCH); /* not left out, as memset of what nobody reads */
    uint64_t told = proc_rss_bytes((uint32_t)getpid());
    uint64_t counted = proc_rss_counted_bytes((uint32_t)getpid());
    cr_assert_gt(told, MUCH - slack);
    cr_assert(counted + slack >= told && told + slack >= counted, "%llu and %llu",
              (unsigned long long)told, (unsigned long long)counted);
}

Test(procfs, nobody_has_no_memory)
{
    cr_assert_eq(proc_rss_bytes(UINT32_MAX), 0);
    cr_assert_eq(proc_rss_counted_bytes(UINT32_MAX), 0);
}

/* ---- argv of real processes ---- */

static struct odd *odd;

static void end_odd(void)
{
    odd_free(&odd);
}

TestSuite(procfs_live, .fini = end_odd, .timeout = 120);

static size_t read_argv(char argv[static PROC_ARGV_MAX], const char *shape, bool *ret_cut)
{
    odd = odd_start(NULL, "argv-odd", shape, NULL);
    uint32_t pid = odd_told(odd, "ready")->pid;
    ssize_t size = proc_argv_read(argv, PROC_ARGV_MAX, pid, ret_cut);
    cr_assert_geq(size, 0);
    return (size_t)size;
}

#define assert_argv(shape, expected)                                                               \
    do {                                                                                           \
        char argv_[PROC_ARGV_MAX];                                                                 \
        bool cut_;                                                                                 \
        size_t size_ = read_argv(argv_, shape, &cut_);                                             \
        cr_assert_eq(size_, sizeof expected - 1, "%zu bytes and not %zu", size_,                   \
                     sizeof expected - 1);                                                         \
        cr_assert_arr_eq(argv_, expected, sizeof expected - 1);                                    \
        cr_assert_not(cut_);                                                                       \
    } while (0)

Test(procfs_live, empty_arguments_are_arguments)
{
    assert_argv("empty", "odd\0\0\0x\0");
}

Test(procfs_live, newlines_are_bytes_of_arguments)
{
    assert_argv("newlines", "odd\0one\ntwo\0\n\0tab\there\0");
}

Test(procfs_live, bytes_that_are_no_utf8_are_read_as_they_are)
{
    assert_argv("invalid", "odd\0a\xff\xfe z\0\xc3\0\xe2\x82\0gr\xc3\xbc\xc3\x9f\0");
}

Test(procfs_live, a_last_empty_argument_is_kept)
{
    assert_argv("trailing", "odd\0last one is empty\0\0");
}

Test(procfs_live, spaces_in_arguments_are_kept)
{
    assert_argv("spaces", "odd  it\0 \0a b\0");
}

Test(procfs_live, who_has_no_arguments_has_next_to_none)
{
    char argv[PROC_ARGV_MAX];
    bool cut;
    /* Since Linux 5.18 the kernel makes one empty argument of none. */
    cr_assert_leq(read_argv(argv, "none", &cut), 1);
    cr_assert_not(cut);
}

Test(procfs_live, long_arguments_are_cut_and_say_so)
{
    char argv[PROC_ARGV_MAX];
    bool cut = false;
    cr_assert_eq(read_argv(argv, "long", &cut), PROC_ARGV_MAX);
    cr_assert(cut);
    cr_assert_eq(argv[PROC_ARGV_MAX - 1], 'x');
}

Test(procfs_live, a_title_is_read_without_the_padding_behind_it)
{
    char argv[PROC_ARGV_MAX];
    bool cut;
    odd = odd_start(NULL, "retitle", "me", NULL);
    uint32_t pid = odd_told(odd, "ready")->pid;
    cr_assert_eq(proc_argv_read(argv, PROC_ARGV_MAX, pid, &cut), 2);
    cr_assert_arr_eq(argv, "me", 2);
}

Test(procfs_live, who_is_gone_has_no_arguments)
{
    char argv[PROC_ARGV_MAX];
    bool cut;
    odd = odd_start(NULL, "exit", "0", NULL);
    odd_end(odd);
    cr_assert_eq(proc_argv_read(argv, PROC_ARGV_MAX, (uint32_t)odd->pid, &cut), -ESRCH);
}

/* ---- other files of real processes ---- */

Test(procfs_live, an_odd_name_hides_neither_parent_nor_state)
{
    struct proc_stat stat;
    odd = odd_start(NULL, "comm-odd", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    cr_assert_str_eq(stat.comm, "a) R 1 (b");
    cr_assert_eq(stat.ppid, (uint32_t)getpid());
    const struct truth *born = odd_told(odd, "born");
    cr_assert_eq(proc_stat_read(&stat, born->pid), 0);
    cr_assert_eq(stat.ppid, (uint32_t)odd->pid);
    cr_assert_str_eq(stat.comm, "a) R 1 (b");
}

Test(procfs_live, a_zombie_has_ended_and_tells_its_status)
{
    struct proc_stat stat;
    odd = odd_start(NULL, "zombie", NULL);
    odd_told(odd, "ready");
    uint32_t pid = odd_told(odd, "born")->pid;
    cr_assert_eq(proc_stat_read(&stat, pid), 0);
    cr_assert_eq(stat.state, 'Z');
    cr_assert(proc_has_ended(&stat));
    if (geteuid() == 0)
        cr_assert_eq(stat.status, 4 << 8);
    struct process_facts facts;
    cr_assert_eq(facts_read(&facts, pid, FACTS_ARGV | FACTS_CGROUP), 0);
    cr_assert_eq(facts.argv.size, 0);
    cr_assert_str_eq(facts.stat.comm, "odd");
    facts_clear(&facts);
}

Test(procfs_live, a_process_whose_leader_left_has_not_ended)
{
    struct proc_stat stat;
    odd = odd_start(NULL, "leader-leaves", "exit_group", "0", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    cr_assert_eq(stat.state, 'Z');
    cr_assert_eq(stat.threads, 2);
    cr_assert_not(proc_has_ended(&stat));
}

Test(procfs_live, a_process_whose_leader_left_shows_its_environment_at_its_other_threads)
{
    char environment[16 * 1024];
    setenv("PROCTRACK_BLOCK", "of the test", 1);
    odd = odd_start(NULL, "leader-leaves", "exit_group", "0", NULL);
    odd_told(odd, "ready");
    uint32_t pid = (uint32_t)odd->pid;
    cr_assert_leq(proc_environ_read(environment, sizeof environment, pid), 0);
    ssize_t size = proc_environ_read_by_threads(environment, sizeof environment, pid);
    cr_assert_gt(size, 0);
    struct text whole = {environment, (size_t)size};
    cr_assert(text_is(proc_environ_value(whole, "PROCTRACK_BLOCK"), "of the test"));
}

Test(procfs_live, a_thread_is_no_process)
{
    odd = odd_start(NULL, "threads", "3", NULL);
    odd_told(odd, "ready");
    cr_assert(proc_is_process((uint32_t)odd->pid));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)odd->pid);
    _cleanup_closedir_ DIR *tasks = opendir(path);
    unsigned threads = 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        uint32_t tid = (uint32_t)atoi(entry->d_name);
        if (!tid)
            continue;
        threads++;
        cr_assert_eq(proc_is_process(tid), tid == (uint32_t)odd->pid);
    }
    cr_assert_eq(threads, 4);
    cr_assert_not(proc_is_process(0));
}

Test(procfs_live, facts_are_those_of_one_process_at_one_time)
{
    struct process_facts facts;
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    uint64_t before = boottime_ns();
    cr_assert_eq(facts_read(&facts, (uint32_t)odd->pid, FACTS_ARGV | FACTS_CGROUP), 0);
    cr_assert_geq(facts.read_ns, before);
    cr_assert_leq(facts.read_ns, boottime_ns());
    cr_assert_eq(facts.pid, (uint32_t)odd->pid);
    cr_assert_eq(facts.stat.ppid, (uint32_t)getpid());
    cr_assert_gt(facts.rss_bytes, 0);
    cr_assert_geq(facts.argv.size, 5);
    cr_assert_arr_eq(facts.argv.at + facts.argv.size - 5, "hold", 5);
    if (facts.cgroup)
        cr_assert_eq(facts.cgroup[0], '/');
    facts_clear(&facts);
    cr_assert_eq(facts_read(&facts, (uint32_t)odd->pid, 0), 0);
    cr_assert_eq(facts.argv.size, 0, "not asked for");
    cr_assert_null(facts.cgroup);
    facts_clear(&facts);
    odd_release(odd);
    odd_end(odd);
    cr_assert_eq(facts_read(&facts, (uint32_t)odd->pid, FACTS_ARGV), -ESRCH);
}

Test(procfs_live, the_children_of_all_threads_are_children)
{
    uint32_t *pids = NULL;
    size_t n = 0, room = 0;
    odd = odd_start(NULL, "setsid-child", NULL);
    odd_told(odd, "ready");
    uint32_t child = odd_told(odd, "born")->pid;
    int r = proc_children((uint32_t)odd->pid, &pids, &n, &room);
    if (r == -ENOSYS)
        cr_skip_test("this kernel has no /proc/PID/task/TID/children");
    cr_assert_eq(r, 0);
    cr_assert_eq(n, 1);
    cr_assert_eq(pids[0], child);
    cr_assert_eq(proc_children((uint32_t)getpid(), &pids, &n, &room), 0);
    cr_assert_eq(n, 2, "appended");
    cr_assert_eq(pids[1], (uint32_t)odd->pid);
    odd_release(odd);
    odd_end(odd);
    cr_assert_eq(proc_children((uint32_t)odd->pid, &pids, &n, &room), 0, "gone is no error");
    cr_assert_eq(n, 2);
    free(pids);
}

Test(procfs_live, the_list_of_processes_holds_us_and_our_child)
{
    _cleanup_free_ uint32_t *pids = NULL;
    size_t n = 0, found = 0;
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    cr_assert_eq(proc_list(&pids, &n), 0);
    for (size_t i = 0; i < n; i++)
        found += pids[i] == (uint32_t)getpid() || pids[i] == (uint32_t)odd->pid;
    cr_assert_eq(found, 2);
}

Test(procfs_live, the_user_of_a_process_is_its_real_one)
{
    uid_t uid = 4711;
    cr_assert_eq(proc_uid_read(&uid, (uint32_t)getpid()), 0);
    cr_assert_eq(uid, getuid());
    odd = odd_start(NULL, "exit", "0", NULL);
    odd_end(odd);
    uid = 4711;
    cr_assert_eq(proc_uid_read(&uid, (uint32_t)odd->pid), -ESRCH);
    cr_assert_eq(uid, 4711);
}

Test(procfs_live, a_kernel_thread_is_known_by_its_flag)
{
    struct proc_stat stat;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)getpid()), 0);
    cr_assert_not(proc_is_kernel_thread(&stat));
    if (proc_stat_read(&stat, 2) < 0 || strcmp(stat.comm, "kthreadd") != 0)
        cr_skip_test("kernel threads are not visible here (another pid namespace)");
    cr_assert(proc_is_kernel_thread(&stat));
}

/* ---- time ---- */

Test(procfs, ticks_become_milliseconds_and_ticks_again)
{
    static const uint64_t per_second[] = {100, 250, 1000, 1024, 300};
    for (size_t i = 0; i < sizeof per_second / sizeof *per_second; i++) {
        struct proc_clock clock = {.boot_ms = INT64_C(1763900000000),
                                   .ticks_per_second = per_second[i]};
        for (uint64_t ticks = 0; ticks < 100000; ticks += 7) {
            uint64_t ms = proc_clock_ms(&clock, ticks);
            if (per_second[i] <= 1000 && 1000 % per_second[i] == 0)
                cr_assert_eq(proc_clock_ticks_of(&clock, ms), ticks, "%llu a second, tick %llu",
                             (unsigned long long)per_second[i], (unsigned long long)ticks);
        }
    }
}

Test(procfs, a_time_between_two_ticks_is_nobodys)
{
    struct proc_clock clock = {.boot_ms = INT64_C(1763900000000), .ticks_per_second = 100};
    cr_assert_eq(proc_clock_ticks_of(&clock, 1763900000000 + 10), 1);
    for (uint64_t ms = 1; ms < 10; ms++)
        cr_assert_eq(proc_clock_ticks_of(&clock, 1763900000000 + ms), UINT64_MAX);
}

Test(procfs, a_time_that_cannot_be_is_nobodys)
{
    struct proc_clock clock = {.boot_ms = INT64_C(1763900000000), .ticks_per_second = 100};
    static const uint64_t times[] = {0,
                                     1,
                                     1763899999999,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     INT64_MAX,
                                     (uint64_t)INT64_MAX + 1,
                                     (uint64_t)INT64_MAX + 1763900000000,
                                     UINT64_C(9223372036854775)};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        uint64_t ticks = proc_clock_ticks_of(&clock, times[i]);
        if (ticks != UINT64_MAX)
            cr_assert_eq(proc_clock_ms(&clock, ticks), times[i], "%llu",
                         (unsigned long long)times[i]);
        if (times[i] < 1763900000000)
            cr_assert_eq(ticks, UINT64_MAX, "%llu", (unsigned long long)times[i]);
    }
}

Test(procfs, nanoseconds_become_the_tick_they_fall_into)
{
    struct proc_clock clock = {.boot_ms = 0, .ticks_per_second = 100};
    cr_assert_eq(proc_clock_ticks(&clock, 0), 0);
    cr_assert_eq(proc_clock_ticks(&clock, 9999999), 0);
    cr_assert_eq(proc_clock_ticks(&clock, 10000000), 1);
    cr_assert_eq(proc_clock_ticks(&clock, UINT64_C(86400000000000) * 365), 86400ull * 365 * 100);
}

Test(procfs_live, the_clock_agrees_with_the_wall_clock)
{
    struct proc_clock clock = proc_clock_now();
    struct proc_stat stat;
    uint64_t before = (uint64_t)time(NULL) * 1000;
    odd = odd_start(NULL, "hold", NULL);
    odd_told(odd, "ready");
    uint64_t after = (uint64_t)time(NULL) * 1000 + 1000;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    uint64_t started = proc_clock_ms(&clock, stat.start_ticks);
    cr_assert_geq(started + 2 * 1000 / clock.ticks_per_second, before);
    cr_assert_leq(started, after);
}

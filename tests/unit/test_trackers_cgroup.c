/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `cgroup` on the real kernel: blocks and sub-scopes are made, joined, filled,
 * searched, ended and taken away. Each test works on ground of its own that is cleared behind it.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_tools.h"
#include "trackers/cgroupfs.h"
#include "trackers/tracker.h"

static const char *ground;
static struct tracker *tracker;
static struct workers *workers;
static struct odd *odds[16];
static size_t n_odds;

static void begin(void)
{
    struct wps_error error;
    ground = ground_make();
    const struct tracker_options options = {.cgroup_root = ground, .instance = "a test"};
    cr_assert_eq(tracker_open("cgroup", &options, &tracker, &error), 0, "%s", error.message);
    cr_assert_eq(workers_new(&workers, &error), 0, "%s", error.message);
}

static void end(void)
{
    while (n_odds)
        odd_free(&odds[--n_odds]);
    ground_clear();
    if (workers)
        workers_destroy(&workers, UINT64_MAX);
    tracker_close(&tracker);
}

TestSuite(cgroup, .init = begin, .fini = end, .timeout = 240);

/* ---- operations, by a worker ---- */

static void on_done(struct tracker_op *op, void *context)
{
    *(struct tracker_op **)context = op;
}

static struct tracker_op *operate(enum tracker_op_kind kind, const char *block, const char *scope,
                                  uint32_t pid, const struct tracker_op *more)
{
    struct tracker_op *done = NULL;
    struct tracker_op *op = tracker_op_new(tracker, kind, on_done, &done);
    cr_assert(op);
    strcpy(op->block, block);
    strcpy(op->scope, scope);
    op->pid = pid;
    if (more) {
        op->start_ticks = more->start_ticks;
        op->client_uid = more->client_uid;
    }
    tracker_op_submit(workers, op);
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (!done) {
        struct pollfd pollfd = {.fd = workers_fd(workers), .events = POLLIN};
        cr_assert_lt(clock_ms(), deadline);
        poll(&pollfd, 1, 100);
        workers_reap(workers);
    }
    return done;
}

/* The same where only the result counts. */
static int result_of(enum tracker_op_kind kind, const char *block, const char *scope, uint32_t pid)
{
    struct tracker_op *op = operate(kind, block, scope, pid, NULL);
    int r = op->result;
    if (r < 0)
        cr_assert(*op->error.message, "a failure has a sentence");
    tracker_op_free(op);
    return r;
}

static void create(const char *block, const char *scope)
{
    cr_assert_eq(result_of(TRACKER_CREATE, block, scope, 0), 0);
}

/* The directory of a block or sub-scope. */
static const char *directory_of(const char *block, const char *scope)
{
    static char path[TRACKER_PATH_MAX];
    cr_assert(tracker_procs_path(tracker, block, scope, path));
    *strrchr(path, '/') = '\0';
    return path;
}

static struct odd *keep(struct odd *odd)
{
    return odds[n_odds++] = odd;
}

static struct odd *hold_in(const char *block, const char *scope)
{
    struct odd *odd = keep(odd_start(directory_of(block, scope), "hold", NULL));
    odd_told(odd, "ready");
    return odd;
}

static bool holds(const struct tracker_op *op, uint32_t pid)
{
    for (size_t i = 0; i < op->facts.n; i++)
        if (op->facts.items[i].pid == pid)
            return true;
    return false;
}

/* Where a process is now. */
static bool is_in(uint32_t pid, const char *block, const char *scope)
{
    char in_block[TRACKER_BLOCK_MAX + 1], in_scope[TRACKER_SCOPE_MAX + 1];
    _cleanup_free_ char *path = NULL;
    return proc_cgroup_read(&path, pid) == 0 && tracker_locate(tracker, path, in_block, in_scope) &&
           strcmp(in_block, block) == 0 && strcmp(in_scope, scope) == 0;
}

static uint64_t inode_of(const char *path)
{
    struct stat stat;
    cr_assert_eq(lstat(path, &stat), 0, "%s", path);
    return stat.st_ino;
}

/* ---- opening ---- */

static volatile sig_atomic_t sigchlds;

static void count_sigchld(int signal_number)
{
    (void)signal_number;
    sigchlds++;
}

Test(cgroup, opening_leaves_nothing_behind_and_closing_takes_the_root_away)
{
    struct wps_error error;
    struct tracker *other;
    char root[TRACKER_PATH_MAX];
    const struct tracker_options options = {.cgroup_root = ground, .instance = "another"};
    signal(SIGCHLD, count_sigchld);
    cr_assert_eq(tracker_open("cgroup", &options, &other, &error), 0, "%s", error.message);
    snprintf(root, sizeof root, "%s", tracker_root_path(other));
    cr_assert_eq(strncmp(root, ground, strlen(ground)), 0, "%s is below %s", root, ground);
    cr_assert_str_neq(root, tracker_root_path(tracker), "each instance has its own");
    cr_assert_eq(sigchlds, 0, "the host never learns of the trial child");
    cr_assert_lt(waitpid(-1, NULL, WNOHANG), 0);
    cr_assert_eq(errno, ECHILD);
    struct stat stat;
    cr_assert_eq(lstat(root, &stat), 0);
    cr_assert_eq(stat.st_nlink, 2, "the trial's cgroup is gone");
    tracker_close(&other);
    cr_assert_null(other);
    cr_assert_lt(access(root, F_OK), 0);
}

Test(cgroup, the_root_stays_while_blocks_are_in_it_and_is_found_again)
{
    struct wps_error error;
    char root[TRACKER_PATH_MAX];
    const struct tracker_options options = {.cgroup_root = ground, .instance = "a test"};
    create("kept", "main");
    snprintf(root, sizeof root, "%s", tracker_root_path(tracker));
    tracker_close(&tracker);
    cr_assert_eq(access(root, F_OK), 0);
    cr_assert_eq(tracker_open("cgroup", &options, &tracker, &error), 0, "%s", error.message);
    cr_assert_str_eq(tracker_root_path(tracker), root);
    struct tracker_op *op = operate(TRACKER_LIST, "", "", 0, NULL);
    cr_assert_eq(op->result, 0);
    cr_assert_str_eq(op->names[0], "kept");
    cr_assert_null(op->names[1]);
    tracker_op_free(op);
}

Test(cgroup, a_root_that_cannot_be_made_is_refused_with_a_sentence)
{
    struct wps_error error = {""};
    struct tracker *other = NULL;
    const struct tracker_options options = {.cgroup_root = "/proc/no-such-place",
                                            .instance = "another"};
    cr_assert_lt(tracker_open("cgroup", &options, &other, &error), 0);
    cr_assert(strstr(error.message, "/proc/no-such-place"), "%s", error.message);
    cr_assert_null(other);
}

Test(cgroup, a_root_that_is_no_cgroup_is_refused)
{
    struct wps_error error = {""};
    struct tracker *other = NULL;
    char directory[] = "/tmp/proctrack-units-XXXXXX";
    cr_assert(mkdtemp(directory));
    const struct tracker_options options = {.cgroup_root = directory, .instance = "another"};
    int r = tracker_open("cgroup", &options, &other, &error);
    cr_assert_lt(r, 0);
    cr_assert_neq(*error.message, '\0');
    cr_assert_eq(rmdir(directory), 0, "nothing is left in %s", directory);
}

/* ---- making ---- */

Test(cgroup, a_block_and_its_sub_scope_are_directories_with_ids)
{
    struct tracker_op *op = operate(TRACKER_CREATE, "one", "bg/7", 0, NULL);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    char path[TRACKER_PATH_MAX];
    snprintf(path, sizeof path, "%s/b-one", tracker_root_path(tracker));
    cr_assert_eq(op->block_place, inode_of(path));
    strcat(path, "/s-bg");
    cr_assert_eq(op->scope_place[0], inode_of(path));
    strcat(path, "/s-7");
    cr_assert_eq(op->scope_place[1], inode_of(path));
    cr_assert(tracker_is_empty(op->watch_fd));
    tracker_op_free(op);
}

Test(cgroup, making_it_again_finds_it)
{
    struct tracker_op *first = operate(TRACKER_CREATE, "one", "main", 0, NULL);
    struct tracker_op *second = operate(TRACKER_CREATE, "one", "main", 0, NULL);
    cr_assert_eq(second->result, 0);
    cr_assert_eq(first->block_place, second->block_place);
    cr_assert_eq(first->scope_place[0], second->scope_place[0]);
    tracker_op_free(first);
    tracker_op_free(second);
}

Test(cgroup, the_watch_tells_when_a_block_becomes_empty)
{
    struct tracker_op *op = operate(TRACKER_CREATE, "one", "main", 0, NULL);
    struct odd *odd = hold_in("one", "main");
    cr_assert_not(tracker_is_empty(op->watch_fd));
    struct pollfd pollfd = {.fd = op->watch_fd, .events = POLLPRI};
    odd_release(odd);
    do
        cr_assert_eq(poll(&pollfd, 1, PATIENCE_MS), 1, "nobody says that it is empty");
    while (!tracker_is_empty(op->watch_fd));
    tracker_op_free(op);
}

/* ---- names ---- */

Test(cgroup, every_id_is_found_again_from_the_path_of_a_member)
{
    static const struct {
        const char *block, *scope;
    } names[] = {
        {"a.b", "main"},
        {"a_b", "main"},
        {"A-b", "bg/7"},
        {"0f3c2a1e-5d5b-4b4e-9a43-2f0c5f5e8a11", "a/b/c"},
        {"s-main", "s-main/b-x"},
        {"b-b-", "s-/b-"},
        {"cgroup.procs", "cgroup.kill"},
        {"01234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "012345678901234567890123456789012345678901234567",
         "main"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        create(names[i].block, names[i].scope);
        struct odd *odd = hold_in(names[i].block, names[i].scope);
        cr_assert(is_in((uint32_t)odd->pid, names[i].block, names[i].scope), "%s, %s",
                  names[i].block, names[i].scope);
        odd_release(odd);
    }
}

Test(cgroup, what_is_in_no_block_is_not_located)
{
    char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1], path[TRACKER_PATH_MAX];
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    _cleanup_free_ char *inside = NULL;
    cr_assert_eq(proc_cgroup_read(&inside, (uint32_t)odd->pid), 0);
    cr_assert(tracker_locate(tracker, inside, block, scope));
    char *root_end = strstr(inside, "/b-one");
    cr_assert(root_end);
    static const char *const tails[] = {"",          "/",       "/x",     "/b-",    "/b-/s-main",
                                        "/c-one",    "b-one",   "/b-.a",  "/b--a",  "/b-a b",
                                        "/trial-12", "/b-a\nb", "/b-a:b", "/s-main"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(path, sizeof path, "%.*s%s", (int)(root_end - inside), inside, tails[i]);
        cr_assert_not(tracker_locate(tracker, path, block, scope), "%s is %s, %s", path, block,
                      scope);
    }
    cr_assert_not(tracker_locate(tracker, "/", block, scope));
    cr_assert_not(tracker_locate(tracker, "", block, scope));
    snprintf(path, sizeof path, "%.*s/b-%0129d", (int)(root_end - inside), inside, 7);
    cr_assert_not(tracker_locate(tracker, path, block, scope), "129 bytes");
}

Test(cgroup, what_members_make_belongs_to_their_sub_scope)
{
    static const struct {
        const char *tail, *scope;
    } places[] = {
        {"", ""},
        {"/own", ""},
        {"/s-main/own", "main"},
        {"/s-main/own/s-deeper", "main"},
        {"/s-a/s-b/s-c", "a/b/c"},
        {"/s-a/s-b/s-c/s-d", "a/b/c"},
        {"/s-", ""},
    };
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    _cleanup_free_ char *inside = NULL;
    cr_assert_eq(proc_cgroup_read(&inside, (uint32_t)odd->pid), 0);
    *strstr(inside, "/s-main") = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char block[TRACKER_BLOCK_MAX + 1], scope[TRACKER_SCOPE_MAX + 1], path[TRACKER_PATH_MAX];
        snprintf(path, sizeof path, "%s%s", inside, places[i].tail);
        cr_assert(tracker_locate(tracker, path, block, scope), "%s", path);
        cr_assert_str_eq(block, "one");
        cr_assert_str_eq(scope, places[i].scope, "%s", path);
    }
}

Test(cgroup, a_b_with_a_dot_and_a_b_with_a_bar_share_nothing)
{
    create("a.b", "main");
    create("a_b", "main");
    struct odd *dot = hold_in("a.b", "main");
    struct odd *bar = hold_in("a_b", "main");
    cr_assert_eq(result_of(TRACKER_KILL, "a.b", "", 0), 0);
    cr_assert_eq(odd_end(dot), SIGKILL);
    struct tracker_op *op = operate(TRACKER_SCAN, "a_b", "", 0, NULL);
    cr_assert_eq(op->facts.n, 1);
    cr_assert(holds(op, (uint32_t)bar->pid));
    tracker_op_free(op);
}

/* ---- scanning ---- */

Test(cgroup, a_scan_finds_members_with_all_that_is_asked_of_them)
{
    create("one", "main");
    create("one", "bg/7");
    struct odd *first = hold_in("one", "main");
    struct odd *second = hold_in("one", "bg/7");
    struct tracker_op *op = operate(TRACKER_SCAN, "one", "", 0, NULL);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    cr_assert_eq(op->facts.n, 2);
    cr_assert(holds(op, (uint32_t)first->pid) && holds(op, (uint32_t)second->pid));
    for (size_t i = 0; i < op->facts.n; i++) {
        const struct process_facts *facts = &op->facts.items[i];
        cr_assert_gt(facts->read_ns, op->began_ns);
        cr_assert_gt(facts->argv.size, 0);
        cr_assert(strstr(facts->cgroup, "/b-one/s-"), "%s", facts->cgroup);
        cr_assert_eq(facts->stat.ppid, (uint32_t)getpid());
    }
    tracker_op_free(op);
    op = operate(TRACKER_SCAN, "one", "bg", 0, NULL);
    cr_assert_eq(op->facts.n, 1, "a sub-scope means what is below it, too");
    cr_assert(holds(op, (uint32_t)second->pid));
    tracker_op_free(op);
}

Test(cgroup, a_scan_finds_who_is_in_a_cgroup_that_a_member_made)
{
    char own[TRACKER_PATH_MAX + 16];
    create("one", "main");
    snprintf(own, sizeof own, "%s/own", directory_of("one", "main"));
    cr_assert_eq(mkdir(own, 0755), 0);
    struct odd *odd = keep(odd_start(own, "hold", NULL));
    odd_told(odd, "ready");
    struct tracker_op *op = operate(TRACKER_SCAN, "one", "", 0, NULL);
    cr_assert(holds(op, (uint32_t)odd->pid));
    tracker_op_free(op);
}

Test(cgroup, a_scan_of_nobody_and_of_no_block_finds_nobody)
{
    create("one", "main");
    struct tracker_op *op = operate(TRACKER_SCAN, "one", "", 0, NULL);
    cr_assert_eq(op->result, 0);
    cr_assert_eq(op->facts.n, 0);
    tracker_op_free(op);
    op = operate(TRACKER_SCAN, "never-made", "", 0, NULL);
    cr_assert_eq(op->facts.n, 0);
    tracker_op_free(op);
}

/* ---- killing ---- */

/* Waits until nobody is in the block any more. */
static bool is_block_empty(void *block)
{
    char path[TRACKER_PATH_MAX];
    snprintf(path, sizeof path, "%s/b-%s", tracker_root_path(tracker), (const char *)block);
    return cgroupfs_is_empty(path);
}

/* A kill is repeated by its owner while somebody is there. */
static void kill_until_empty(const char *block)
{
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    while (!is_block_empty((void *)block)) {
        cr_assert_lt(clock_ms(), deadline, "somebody survives in %s", block);
        cr_assert_eq(result_of(TRACKER_KILL, block, "", 0), 0);
    }
}

Test(cgroup, a_kill_ends_whatever_has_been_done_to_get_away)
{
    create("one", "main");
    create("next-door", "main");
    struct odd *canary = hold_in("next-door", "main");
    static const char *const lives[] = {"ignore-term", "double-fork", "setsid-child", "orphan",
                                        "comm-odd"};
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        struct odd *odd = keep(odd_start(directory_of("one", "main"), lives[i], NULL));
        odd_told(odd, "ready");
    }
    kill_until_empty("one");
    struct tracker_op *op = operate(TRACKER_SCAN, "one", "", 0, NULL);
    cr_assert_eq(op->facts.n, 0);
    tracker_op_free(op);
    cr_assert(is_process((uint32_t)canary->pid), "the canary next door lives");
}

Test(cgroup, a_process_whose_leader_left_is_killed_too)
{
    create("one", "main");
    struct odd *odd =
        keep(odd_start(directory_of("one", "main"), "leader-leaves", "exit_group", "0", NULL));
    odd_told(odd, "ready");
    kill_until_empty("one");
    cr_assert_eq(odd_end(odd) & 0x7f, SIGKILL);
}

Test(cgroup, what_is_frozen_is_killed_too)
{
    char path[TRACKER_PATH_MAX + 16];
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    snprintf(path, sizeof path, "%s/cgroup.freeze", directory_of("one", "main"));
    _cleanup_close_ int freeze = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(write(freeze, "1", 1), 1);
    kill_until_empty("one");
    cr_assert_eq(odd_end(odd), SIGKILL);
}

Test(cgroup, a_storm_of_forks_is_ended)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(directory_of("one", "main"), "storm", "6", "4", NULL));
    odd_told_times(odd, "born", 20);
    kill_until_empty("one");
}

Test(cgroup, a_kill_of_a_sub_scope_spares_the_others)
{
    create("one", "main");
    create("one", "bg");
    create("one", "bg/7");
    struct odd *main_one = hold_in("one", "main");
    struct odd *bg = hold_in("one", "bg");
    struct odd *below = hold_in("one", "bg/7");
    cr_assert_eq(result_of(TRACKER_KILL, "one", "bg", 0), 0);
    cr_assert_eq(odd_end(bg), SIGKILL);
    cr_assert_eq(odd_end(below), SIGKILL);
    cr_assert(is_process((uint32_t)main_one->pid));
}

Test(cgroup, a_kill_of_nobody_is_fine)
{
    create("one", "main");
    cr_assert_eq(result_of(TRACKER_KILL, "one", "", 0), 0);
    cr_assert_eq(result_of(TRACKER_KILL, "never-made", "", 0), 0);
    cr_assert_eq(result_of(TRACKER_KILL, "one", "never-made", 0), 0);
}

/* ---- removing ---- */

Test(cgroup, a_block_that_is_not_empty_is_not_removed)
{
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    cr_assert_eq(result_of(TRACKER_REMOVE, "one", "", 0), -EBUSY);
    cr_assert(is_process((uint32_t)odd->pid));
    cr_assert(is_in((uint32_t)odd->pid, "one", "main"));
}

Test(cgroup, a_block_is_removed_with_all_that_members_made_in_it)
{
    char own[TRACKER_PATH_MAX + 32];
    create("one", "main");
    create("one", "bg/7/deep");
    const char *made[] = {"own", "own/deeper", "s-fake", "own/deeper/b-one"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(own, sizeof own, "%s/%s", directory_of("one", "main"), made[i]);
        cr_assert_eq(mkdir(own, 0755), 0, "%s", own);
    }
    struct odd *odd = keep(odd_start(own, "hold", NULL));
    odd_told(odd, "ready");
    kill_until_empty("one");
    odd_end(odd);
    cr_assert_eq(result_of(TRACKER_REMOVE, "one", "", 0), 0);
    snprintf(own, sizeof own, "%s/b-one", tracker_root_path(tracker));
    cr_assert_lt(access(own, F_OK), 0);
    cr_assert_eq(result_of(TRACKER_REMOVE, "one", "", 0), 0, "who is gone is gone");
}

Test(cgroup, the_blocks_that_are_there_are_listed_and_their_sub_scopes)
{
    char path[TRACKER_PATH_MAX];
    create("one", "main");
    create("a.b", "bg/7");
    snprintf(path, sizeof path, "%s/something-else", tracker_root_path(tracker));
    cr_assert_eq(mkdir(path, 0755), 0);
    struct tracker_op *op = operate(TRACKER_LIST, "", "", 0, NULL);
    cr_assert_eq(op->result, 0);
    bool one_first = strcmp(op->names[0], "one") == 0;
    cr_assert_str_eq(op->names[!one_first], "one");
    cr_assert_str_eq(op->names[one_first], "a.b");
    cr_assert_null(op->names[2]);
    tracker_op_free(op);
    op = operate(TRACKER_LIST, "a.b", "", 0, NULL);
    cr_assert_eq(op->result, 0);
    cr_assert_str_eq(op->names[0], "bg");
    cr_assert_str_eq(op->names[1], "bg/7");
    cr_assert_null(op->names[2]);
    tracker_op_free(op);
}

/* ---- assigning ---- */

Test(cgroup, a_process_is_assigned_with_the_descendants_it_has)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "comm-odd", NULL));
    odd_told(odd, "ready");
    uint32_t child = odd_told(odd, "born")->pid;
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, NULL);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    cr_assert_eq(op->facts.n, 2);
    cr_assert_eq(op->facts.items[0].pid, (uint32_t)odd->pid, "itself first");
    cr_assert_eq(op->facts.items[1].pid, child);
    cr_assert(op->facts.items[0].moved && op->facts.items[1].moved);
    cr_assert_str_eq(op->facts.items[0].stat.comm, "a) R 1 (b");
    cr_assert(is_in((uint32_t)odd->pid, "one", "main"));
    cr_assert(is_in(child, "one", "main"));
    tracker_op_free(op);
}

Test(cgroup, who_is_there_already_is_not_moved)
{
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, NULL);
    cr_assert_eq(op->result, 0);
    for (size_t i = 0; i < op->facts.n; i++)
        cr_assert_not(op->facts.items[i].moved);
    tracker_op_free(op);
}

Test(cgroup, a_member_is_assigned_to_another_sub_scope_and_to_another_block)
{
    create("one", "main");
    create("one", "bg/7");
    create("two", "main");
    struct odd *odd = hold_in("one", "main");
    cr_assert_eq(result_of(TRACKER_ASSIGN, "one", "bg/7", (uint32_t)odd->pid), 0);
    cr_assert(is_in((uint32_t)odd->pid, "one", "bg/7"));
    cr_assert_eq(result_of(TRACKER_ASSIGN, "two", "main", (uint32_t)odd->pid), 0);
    cr_assert(is_in((uint32_t)odd->pid, "two", "main"));
}

Test(cgroup, descendants_that_fork_on_are_all_caught)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "storm", "5", "4", NULL));
    odd_told_times(odd, "born", 5);
    int r = result_of(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid);
    if (r == -ESRCH)
        return; /* it was over already */
    cr_assert_eq(r, 0);
    cr_assert(is_in((uint32_t)odd->pid, "one", "main") || is_gone(&(uint32_t){(uint32_t)odd->pid}));
    kill_until_empty("one");
    odd_end(odd); /* nobody that held its output was left outside */
    odd_told_all(odd);
}

static void assert_refused(uint32_t pid, int result, const char *says)
{
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", pid, NULL);
    cr_assert_eq(op->result, result, "%u: %d, %s", pid, op->result, op->error.message);
    cr_assert(strstr(op->error.message, says), "'%s' does not say '%s'", op->error.message, says);
    cr_assert_eq(op->facts.n, 0);
    tracker_op_free(op);
}

Test(cgroup, who_must_not_be_moved_is_refused)
{
    create("one", "main");
    struct proc_stat stat;
    assert_refused(0, -ESRCH, "no process 0");
    assert_refused(1, -EPERM, "init");
    assert_refused((uint32_t)getpid(), -EPERM, "the broker itself");
    if (proc_stat_read(&stat, 2) == 0 && proc_is_kernel_thread(&stat))
        assert_refused(2, -EPERM, "kernel thread");
    assert_refused(4194304 + 7, -ESRCH, "no process");
}

Test(cgroup, a_thread_is_no_process_to_be_assigned)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "threads", "1", NULL));
    odd_told(odd, "ready");
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)odd->pid);
    _cleanup_closedir_ DIR *tasks = opendir(path);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        uint32_t tid = (uint32_t)atoi(entry->d_name);
        if (tid && tid != (uint32_t)odd->pid)
            assert_refused(tid, -ESRCH, "no process");
    }
    cr_assert_not(is_in((uint32_t)odd->pid, "one", "main"));
}

Test(cgroup, who_has_ended_is_refused)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "zombie", NULL));
    odd_told(odd, "ready");
    assert_refused(odd_told(odd, "born")->pid, -ESRCH, "has ended");
}

Test(cgroup, another_life_of_the_pid_is_refused)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    struct proc_stat stat;
    cr_assert_eq(proc_stat_read(&stat, (uint32_t)odd->pid), 0);
    struct tracker_op more = {.start_ticks = stat.start_ticks + 1};
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, -ESRCH);
    cr_assert(strstr(op->error.message, "data.started_at_ms"), "%s", op->error.message);
    tracker_op_free(op);
    more.start_ticks = stat.start_ticks;
    op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    tracker_op_free(op);
}

Test(cgroup, another_users_process_is_refused_unless_root_asks)
{
    create("one", "main");
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    struct tracker_op more = {.client_uid = getuid() + 1};
    struct tracker_op *op = operate(TRACKER_ASSIGN, "one", "main", (uint32_t)odd->pid, &more);
    cr_assert_eq(op->result, -EPERM);
    cr_assert(strstr(op->error.message, "another user"), "%s", op->error.message);
    tracker_op_free(op);
    cr_assert_not(is_in((uint32_t)odd->pid, "one", "main"));
}

Test(cgroup, an_assignment_to_what_was_not_made_fails_and_moves_nobody)
{
    struct odd *odd = keep(odd_start(NULL, "hold", NULL));
    odd_told(odd, "ready");
    cr_assert_lt(result_of(TRACKER_ASSIGN, "never-made", "main", (uint32_t)odd->pid), 0);
    cr_assert_not(is_in((uint32_t)odd->pid, "never-made", "main"));
}

/* ---- facts ---- */

Test(cgroup, facts_of_a_process_are_an_operation)
{
    create("one", "main");
    struct odd *odd = hold_in("one", "main");
    struct tracker_op *op = tracker_op_new(tracker, TRACKER_FACTS, NULL, NULL);
    op->pid = (uint32_t)odd->pid;
    op->wanted = FACTS_ARGV | FACTS_CGROUP;
    cr_assert_eq(tracker_op_run(op), 0);
    cr_assert_eq(op->facts.n, 1);
    cr_assert(strstr(op->facts.items[0].cgroup, "/b-one/s-main"));
    tracker_op_free(op);
    odd_release(odd);
    odd_end(odd);
    op = tracker_op_new(tracker, TRACKER_FACTS, NULL, NULL);
    op->pid = (uint32_t)odd->pid;
    cr_assert_eq(tracker_op_run(op), -ESRCH);
    cr_assert(strstr(op->error.message, "cannot read process"), "%s", op->error.message);
    tracker_op_free(op);
}

/* ---- the tracker `none` ---- */

Test(trackers, the_tracker_none_has_blocks_and_no_members)
{
    struct wps_error error = {""};
    struct tracker *none;
    const struct tracker_options options = {.instance = "a test"};
    cr_assert_eq(tracker_open("none", &options, &none, &error), 0);
    cr_assert_str_eq(tracker_name(none), "none");
    cr_assert_eq(tracker_traits(none), 0);
    cr_assert_eq(tracker_root_fd(none), -1);
    cr_assert_str_eq(tracker_root_path(none), "");
    struct tracker_op *op = tracker_op_new(none, TRACKER_CREATE, NULL, NULL);
    strcpy(op->block, "one");
    cr_assert_eq(tracker_op_run(op), 0);
    tracker_op_free(op);
    op = tracker_op_new(none, TRACKER_ASSIGN, NULL, NULL);
    op->pid = (uint32_t)getpid();
    cr_assert_eq(tracker_op_run(op), -ENOTSUP);
    cr_assert(strstr(op->error.message, "none"), "%s", op->error.message);
    tracker_op_free(op);
    char path[TRACKER_PATH_MAX];
    cr_assert_not(tracker_procs_path(none, "one", "main", path));
    tracker_close(&none);
}

Test(trackers, a_tracker_that_is_not_there_is_named_in_the_refusal)
{
    struct wps_error error = {""};
    struct tracker *tracker_of_none = NULL;
    const struct tracker_options options = {.instance = "a test"};
    cr_assert_eq(tracker_open("pgroup", &options, &tracker_of_none, &error), -ENOSYS);
    cr_assert(strstr(error.message, "'pgroup'"), "%s", error.message);
}

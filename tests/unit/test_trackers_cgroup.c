/* SPDX-License-Identifier: Apache-2.0 */

/* The tracker `cgroup` on the real kernel: opening, making, naming and scanning. Each test works on
 * ground of its own that is cleared behind it. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test_trackers_blocks.h"
#include "trackers/cgroupfs.h"

TestSuite(cgroup, .init = begin_blocks, .fini = end_blocks, .timeout = 240);

static uint64_t inode_of(const char *path)
{
    struct stat stat;
    cr_assert_eq(lstat(path, &stat), 0, "%s", path);
    return stat.st_ino;
}

/* ---- where it is mounted ---- */

static char *directory_in(const char *mountinfo)
{
    char *directory = NULL;
    _cleanup_fclose_ FILE *file = fmemopen((void *)(uintptr_t)mountinfo, strlen(mountinfo), "r");
    cr_assert(file);
    return cgroupfs_find_mount(file, "/", &directory) == 0 ? directory : NULL;
}

Test(mountinfo, an_escape_is_three_octal_digits_and_nothing_less)
{
    char base[] = "/tmp/proctrack-mount-XXXXXX", line[256], spaced[64], cut[64];
    cr_assert(mkdtemp(base));
    snprintf(spaced, sizeof spaced, "%s/a b", base);
    snprintf(cut, sizeof cut, "%s/\\4", base);
    cr_assert_eq(mkdir(spaced, 0700), 0);
    cr_assert_eq(mkdir(cut, 0700), 0);
    snprintf(line, sizeof line, "30 20 0:26 / %s/a\\040b rw - cgroup2 cgroup2 rw\n", base);
    _cleanup_free_ char *whole = directory_in(line);
    snprintf(line, sizeof line, "30 20 0:26 / %s/\\4 rw - cgroup2 cgroup2 rw\n", base);
    _cleanup_free_ char *short_one = directory_in(line);
    rmdir(spaced), rmdir(cut), rmdir(base);
    cr_assert_str_eq(whole ? whole : "none", spaced);
    cr_assert_str_eq(short_one ? short_one : "none", cut);
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

/* What is known: each of them in the sub-scope of that number. */
static struct known *known_of(const char *const *scopes, size_t n_scopes, struct odd *const *odds,
                              const uint32_t *places, size_t n)
{
    struct known *known = known_new(n_scopes, n);
    cr_assert(known);
    for (size_t i = 0; i < n_scopes; i++) {
        strcpy(known->places[i].block, "one");
        strcpy(known->places[i].scope, scopes[i]);
    }
    for (size_t i = 0; i < n; i++)
        known->members[i].pid = (uint32_t)odds[i]->pid, known->members[i].place = places[i];
    known->n_places = n_scopes;
    known->n_members = n;
    known_sort(known);
    return known;
}

Test(cgroup, a_scan_reads_only_those_who_are_not_where_they_are_known_to_be)
{
    create("one", "main");
    create("one", "bg/7");
    struct odd *stays = hold_in("one", "main"), *moved = hold_in("one", "bg/7");
    struct odd *gone = hold_in("one", "main"), *new = hold_in("one", "main");
    struct odd *const odds[] = {stays, moved, gone};
    const uint32_t places[] = {0, 0, 0};
    const char *const scopes[] = {"main", "bg/7"};
    struct tracker_op more = {.known = known_of(scopes, 2, odds, places, 3)};
    cr_assert_eq(cgroupfs_move(tracker_root_path(tracker), (uint32_t)gone->pid), 0);
    struct tracker_op *op = operate(TRACKER_SCAN, "one", "", 0, &more);
    cr_assert_eq(op->result, 0, "%s", op->error.message);
    cr_assert_eq(op->n_pids, 1);
    cr_assert_eq(op->pids[0], (uint32_t)stays->pid);
    cr_assert_eq(op->facts.n, 2);
    cr_assert(holds(op, (uint32_t)moved->pid) && holds(op, (uint32_t) new->pid));
    tracker_op_free(op);
    known_drop(&more.known);
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

/* SPDX-License-Identifier: Apache-2.0 */

/* Children that are born inside, and that nobody runs who cannot be. With a real cgroup where one
 * can be made. (Ten thousand of them: tests/system/test_run.py.) */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/birth.h"
#include "trackers/cgroupfs.h"

static char *own, *own_path;
static char cgroup[4200], procs_path[4300], out_path[64];
static struct proctrack_error error;

static void setup(void)
{
    snprintf(out_path, sizeof out_path, "/tmp/birth-%d", (int)getpid());
    struct wps_error why;
    if (cgroupfs_own(&own, &own_path, &why) < 0)
        cr_skip_test("%s", why.message);
    snprintf(cgroup, sizeof cgroup, "%s/birth-test-%d", own, (int)getpid());
    if (mkdir(cgroup, 0755) < 0)
        cr_skip_test("cannot make the cgroup %s", cgroup);
    snprintf(procs_path, sizeof procs_path, "%s/cgroup.procs", cgroup);
}

static void teardown(void)
{
    unlink(out_path);
    if (*cgroup)
        cr_expect_eq(cgroupfs_remove(cgroup, 5000), 0);
    free(own);
    free(own_path);
}

TestSuite(birth, .init = setup, .fini = teardown);

/* A shell that writes where it is, and ends with 7. */
static char *const *where_am_i(void)
{
    static char script[128];
    static char *argv[] = {"sh", "-c", script, NULL};
    snprintf(script, sizeof script, "grep ^0:: /proc/self/cgroup >%s; exit 7", out_path);
    return argv;
}

static void assert_was_inside(pid_t pid)
{
    int status;
    char line[4300] = "", expected[64];
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %#x", status);
    FILE *file = fopen(out_path, "r");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(line, sizeof line, file));
    fclose(file);
    int size = snprintf(expected, sizeof expected, "/birth-test-%d\n", (int)getpid());
    cr_assert_str_eq(line + strlen(line) - (size_t)size, expected);
}

/* No child is left, and nothing ran. */
static void assert_nobody_ran(void)
{
    cr_assert_eq(waitpid(-1, NULL, 0), -1);
    cr_assert_eq(errno, ECHILD);
    cr_assert_neq(access(out_path, F_OK), 0);
}

static void assert_says(const char *part)
{
    cr_assert_not_null(strstr(error.message, part), "'%s' is not in: %s", part, error.message);
}

/* clone3 fails with this from here on, as in some sandboxes. */
static void refuse_clone3(int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* ---- a whole program ---- */

Test(birth, what_is_spawned_is_inside_and_its_end_is_ours_to_wait_for)
{
    pid_t pid;
    cr_assert_eq(proctrack_birth_spawn(procs_path, where_am_i(), NULL, &pid, &error), 0, "%s",
                 error.message);
    assert_was_inside(pid);
}

Test(birth, it_has_the_environment_that_is_given)
{
    pid_t pid;
    int status;
    char *argv[] = {"sh", "-c", "test \"$A\" = 1 && test -z \"$HOME\"", NULL};
    char *envp[] = {"A=1", NULL};
    setenv("HOME", "/", 1);
    cr_assert_eq(proctrack_birth_spawn(procs_path, argv, envp, &pid, &error), 0, "%s",
                 error.message);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
}

Test(birth, where_clone3_is_refused_it_is_forked_and_moved)
{
    pid_t pid;
    refuse_clone3(ENOSYS);
    cr_assert_eq(proctrack_birth_spawn(procs_path, where_am_i(), NULL, &pid, &error), 0, "%s",
                 error.message);
    assert_was_inside(pid);
}

Test(birth, where_clone3_is_not_permitted_it_is_forked_and_moved)
{
    pid_t pid;
    refuse_clone3(EPERM);
    cr_assert_eq(proctrack_birth_spawn(procs_path, where_am_i(), NULL, &pid, &error), 0, "%s",
                 error.message);
    assert_was_inside(pid);
}

Test(birth, a_program_that_is_not_there_leaves_no_child)
{
    pid_t pid = -7;
    char *argv[] = {"/no/such/program", NULL};
    cr_assert_eq(proctrack_birth_spawn(procs_path, argv, NULL, &pid, &error), -ENOENT);
    assert_says("/no/such/program");
    assert_nobody_ran();
    cr_assert_eq(pid, -7);
}

Test(birth, a_program_that_cannot_be_executed_leaves_no_child)
{
    pid_t pid;
    char *argv[] = {"/etc/passwd", NULL};
    cr_assert_eq(proctrack_birth_spawn(procs_path, argv, NULL, &pid, &error), -EACCES);
    assert_nobody_ran();
}

Test(birth, where_the_block_is_gone_nobody_runs)
{
    pid_t pid;
    cr_assert_eq(cgroupfs_remove(cgroup, 1000), 0);
    cr_assert_eq(proctrack_birth_spawn(procs_path, where_am_i(), NULL, &pid, &error), -ENOENT);
    assert_says(procs_path);
    assert_nobody_ran();
}

Test(birth, what_is_no_cgroup_is_no_place_to_be_born_in)
{
    pid_t pid;
    cr_assert_lt(proctrack_birth_spawn("/tmp/cgroup.procs", where_am_i(), NULL, &pid, &error), 0);
    assert_nobody_ran();
    cr_assert_eq(proctrack_birth_spawn("no-slash", where_am_i(), NULL, &pid, &error), -EINVAL);
    assert_nobody_ran();
}

/* ---- by hand ---- */

Test(birth, one_descriptor_lets_many_enter)
{
    int procs = proctrack_birth_open(procs_path, &error);
    cr_assert_geq(procs, 0, "%s", error.message);
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            proctrack_birth_enter_or_exit(procs);
            execv("/bin/sh", where_am_i());
            _exit(127);
        }
        assert_was_inside(pid);
        unlink(out_path);
    }
    close(procs);
}

Test(birth, a_clone_is_inside_and_has_a_pidfd)
{
    int pidfd = -1, fd = proctrack_birth_open_cgroup(procs_path, &error);
    cr_assert_geq(fd, 0, "%s", error.message);
    pid_t pid = proctrack_birth_clone(fd, &pidfd);
    if (pid == 0) {
        execv("/bin/sh", where_am_i());
        _exit(127);
    }
    cr_assert_gt(pid, 0);
    cr_assert(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
    assert_was_inside(pid);
    close(pidfd);
    close(fd);
}

Test(birth, a_block_that_was_removed_lets_nobody_in)
{
    int procs = proctrack_birth_open(procs_path, &error),
        fd = proctrack_birth_open_cgroup(procs_path, &error);
    cr_assert_eq(cgroupfs_remove(cgroup, 1000), 0);
    cr_assert_eq(proctrack_birth_enter(procs), -ENODEV);
    int result = proctrack_birth_clone(fd, NULL);
    cr_assert_eq(result, -ENODEV, "%d", result);
    cr_assert_eq(proctrack_birth_clone(-1, NULL), -EBADF);
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        proctrack_birth_enter_or_exit(procs);
        execv("/bin/sh", where_am_i());
        _exit(127);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == PROCTRACK_BIRTH_FAILED);
    assert_nobody_ran();
    cr_assert_eq(proctrack_birth_open(procs_path, &error), -ENOENT);
    assert_says(procs_path);
    close(procs);
    close(fd);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The runtime directory: which one, and what is refused. (Two brokers and kill -9 are tested on the
 * whole program.) */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/runtime_path.h"
#include "broker_shim/runtime_dir.h"

static char home[64];
static char path[96];
static struct wps_error error;

static void setup(void)
{
    strcpy(home, "/tmp/wpsd-unit-XXXXXX");
    cr_assert_not_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/r", home);
    unsetenv("WPS_RUNTIME_DIR");
    unsetenv("XDG_RUNTIME_DIR");
}

static void teardown(void)
{
    char file[128];
    snprintf(file, sizeof file, "%s/wpsd.lock", path);
    unlink(file);
    if (unlink(path) < 0)
        rmdir(path);
    rmdir(home);
}

TestSuite(runtime_dir, .init = setup, .fini = teardown);

static void assert_resolves(const char *wanted, const char *expected)
{
    char *resolved;
    cr_assert_eq(runtime_path_resolve(wanted, &resolved, &error), 0, "%s", error.message);
    cr_expect_str_eq(resolved, expected);
    free(resolved);
}

Test(runtime_dir, what_is_wanted_comes_first_then_the_environment)
{
    setenv("WPS_RUNTIME_DIR", "/from/environment/", 1);
    assert_resolves("/wanted", "/wanted");
    assert_resolves(NULL, "/from/environment");
    assert_resolves("", "/from/environment");
    assert_resolves("/a//", "/a");
    assert_resolves("/", "/");
}

Test(runtime_dir, root_has_its_own_and_users_have_xdgs)
{
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_resolves(NULL, geteuid() == 0 ? "/run/wps" : "/run/user/7/wps");
    unsetenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    char *resolved;
    cr_assert_eq(runtime_path_resolve(NULL, &resolved, &error), -ENOENT);
    cr_assert_not_null(strstr(error.message, "set WPS_RUNTIME_DIR"));
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
}

Test(runtime_dir, it_is_made_private_and_locked)
{
    struct runtime_dir dir = RUNTIME_DIR_NONE;
    struct stat status;
    cr_assert_eq(runtime_dir_open(&dir, path, false, &error), 0, "%s", error.message);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0700);
    cr_assert_str_eq(dir.path, path);

    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        struct runtime_dir again = RUNTIME_DIR_NONE;
        char pid[32];
        snprintf(pid, sizeof pid, "pid %d", (int)parent);
        int result = runtime_dir_open(&again, path, false, &error);
        _exit(result == -EADDRINUSE && strstr(error.message, pid) ? 0 : 1);
    }
    int ended;
    waitpid(child, &ended, 0);
    cr_assert_eq(ended, 0, "a second one is told who is there");

    runtime_dir_close(&dir);
    cr_assert_eq(runtime_dir_open(&dir, path, false, &error), 0, "free again: %s", error.message);
    runtime_dir_close(&dir);
    runtime_dir_close(&dir);
}

static void assert_refused(int code, const char *part)
{
    struct runtime_dir dir = RUNTIME_DIR_NONE;
    cr_expect_eq(runtime_dir_open(&dir, path, false, &error), code);
    cr_expect_not_null(strstr(error.message, part), "%s", error.message);
    cr_expect_null(dir.path, "untouched on failure");
}

Test(runtime_dir, a_link_is_refused)
{
    cr_assert_eq(symlink(home, path), 0);
    assert_refused(-ELOOP, "symbolic link");
}

Test(runtime_dir, a_missing_parent_is_not_made)
{
    snprintf(path, sizeof path, "%s/no/r", home);
    assert_refused(-ENOENT, "missing");
}

Test(runtime_dir, one_that_is_too_open_is_refused)
{
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(chmod(path, 0750), 0);
    assert_refused(-EPERM, "chmod 0700");
}

Test(runtime_dir, with_others_allowed_a_private_one_is_opened_up)
{
    struct runtime_dir dir = RUNTIME_DIR_NONE;
    struct stat status;
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(runtime_dir_open(&dir, path, true, &error), 0, "%s", error.message);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0711);
    runtime_dir_close(&dir);
    assert_refused(-EPERM, "0711");
}

Test(runtime_dir, a_lock_file_that_is_a_link_is_refused)
{
    char file[128];
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(file, sizeof file, "%s/wpsd.lock", path);
    cr_assert_eq(symlink("/etc/passwd", file), 0);
    assert_refused(-ELOOP, "wpsd.lock");
}

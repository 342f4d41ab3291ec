/* SPDX-License-Identifier: Apache-2.0 */

/* Tries what no plugin needs, each in a way that does no harm where it is allowed, and logs what
 * came of it: "mount: EPERM". A kernel that would do it finds the arguments wrong instead. */

#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fixture.h"

static long try_mount(void)
{
    return mount(NULL, NULL, NULL, 0, NULL); /* EFAULT */
}

static long try_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, INT_MAX, NULL, NULL); /* ESRCH */
}

static long try_process_vm_readv(void)
{
    return process_vm_readv(INT_MAX, NULL, 0, NULL, 0, 0); /* 0: no byte was asked for */
}

static long try_keyctl(void)
{
    return syscall(SYS_keyctl, INT_MAX, 0, 0, 0, 0); /* EOPNOTSUPP */
}

static long try_unshare(void)
{
    return unshare(0); /* 0 */
}

static long try_setns(void)
{
    return setns(-1, CLONE_NEWNS); /* EBADF */
}

static long try_setns_of_network(void)
{
    return setns(-1, CLONE_NEWNET); /* EBADF, also inside of the fence */
}

/* Here it is a capability that is wanted, and no more than that. */
static long try_raw_socket(void)
{
    int fd = socket(AF_INET, SOCK_RAW, 255);
    return fd < 0 ? fd : close(fd);
}

static long try_chown(void)
{
    int fd = memfd_create("climb", MFD_CLOEXEC);
    long result = fchown(fd, 1, 1);
    int code = errno;
    close(fd);
    errno = code;
    return result;
}

static const struct {
    const char *name;
    long (*function)(void);
} attempts[] = {
    {"mount", try_mount},
    {"ptrace", try_ptrace},
    {"keyctl", try_keyctl},
    {"process_vm_readv", try_process_vm_readv},
    {"unshare", try_unshare},
    {"setns", try_setns},
    {"setns(NEWNET)", try_setns_of_network},
    {"raw socket", try_raw_socket},
    {"chown", try_chown},
};

static void *climb(void *argument)
{
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        char line[80];
        errno = 0;
        int code = attempts[i].function() < 0 ? errno : 0;
        snprintf(line, sizeof line, "%s: %s", attempts[i].name, strerrorname_np(code));
        fixture_host->log(fixture_host->context, WPS_LOG_INFO, line);
    }
    return argument;
}

static int start(void *plugin, char *error, size_t error_size)
{
    pthread_t thread;
    (void)plugin, (void)error, (void)error_size;
    int result = pthread_create(&thread, NULL, climb, NULL);
    return result ? -result : -pthread_join(thread, NULL);
}

EXPORT const struct wps_plugin wps_plugin_v1 = {FIXTURE("climb"), .start = start};

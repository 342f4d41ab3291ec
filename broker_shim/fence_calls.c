/* SPDX-License-Identifier: Apache-2.0 */

/* The seccomp filter, by libseccomp. It is a list of what is refused, not one of what is allowed:
 * what plugins and the libraries behind them call cannot be known here. */

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>

#include "broker_shim/fence.h"

static const char *const refused[] = {
    /* Other processes: their memory, registers and descriptors. */
    "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
#if !defined __SANITIZE_ADDRESS__ /* its search for leaks traces our threads */
    "ptrace",
#endif
    /* What files and namespaces there are. (Of `setns` one kind is needed: see below.) */
    "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick",
    "move_mount", "open_tree", "mount_setattr", "unshare", "open_by_handle_at", "quotactl",
    "quotactl_fd", "fanotify_init",
    /* The machine. */
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "syslog", "sethostname", "setdomainname", "settimeofday",
    "clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "modify_ldt", "vhangup",
    /* Keys of the kernel's; and doors into it that have had many holes. io_uring also goes round
     * every filter. */
    "add_key", "request_key", "keyctl", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register"};

enum { N_REFUSED = sizeof refused / sizeof *refused };

int fence_call_number(const char *name)
{
    return seccomp_syscall_resolve_name(name);
}

static bool is_kept(const struct fence *fence, int number)
{
    for (size_t i = 0; i < fence->n_calls; i++)
        if (fence->calls[i] == number)
            return true;
    return false;
}

/* One that this processor or this libseccomp does not know is left out. */
static int refuse(scmp_filter_ctx filter, const struct fence *fence, size_t *n)
{
    for (size_t i = 0; i < N_REFUSED; i++) {
        int number = fence_call_number(refused[i]);
        if (number < 0 || is_kept(fence, number))
            continue;
        int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (result < 0)
            return result;
        ++*n;
    }
    int number = fence_call_number("setns");
    if (is_kept(fence, number))
        return 0;
    ++*n; /* ports are asked for in the network of the process that has them */
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 1,
                            SCMP_A1(SCMP_CMP_NE, CLONE_NEWNET));
}

/* The first two are not to be had everywhere. Without them the processor may be a little slower,
 * and threads that are there already are left out: there is none. */
static int set_up(scmp_filter_ctx filter)
{
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's own errors */
    int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    return result < 0 ? result : seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
}

int fence_calls(const struct fence *self, size_t *ret_n, struct wps_error *error)
{
    size_t n = 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return wps_error_set(error, -ENOMEM, "the filter of system calls: no memory");
    int result = set_up(filter);
    if (result == 0)
        result = refuse(filter, self, &n);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    if (result < 0)
        return wps_error_system(error, result, "system calls cannot be filtered");
    *ret_n = n;
    return 0;
}

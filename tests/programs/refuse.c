/* SPDX-License-Identifier: Apache-2.0 */

/*
 * refuse CALL=ERROR... -- PROGRAM ARGS: becomes the program, under a seccomp filter as containers
 * have them, which refuses these system calls: clone3, pidfd_open, bpf, seccomp, prctl, capset;
 * with ENOSYS, EPERM or EINVAL.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned number;
} calls[] = {{"clone3", SYS_clone3},   {"pidfd_open", SYS_pidfd_open}, {"bpf", SYS_bpf},
             {"seccomp", SYS_seccomp}, {"prctl", SYS_prctl},           {"capset", SYS_capset}};

enum { N_CALLS = sizeof calls / sizeof *calls, REFUSALS_MAX = 8, FAILED = 125 };

/* CALL=ERROR as two instructions: is it this call, then this error. False: it is not one. */
static int refusal(struct sock_filter *to, const char *text)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        size_t size = strlen(calls[i].name);
        if (strncmp(text, calls[i].name, size) != 0 || text[size] != '=')
            continue;
        int code = strcmp(text + size + 1, "ENOSYS") == 0   ? ENOSYS
                   : strcmp(text + size + 1, "EPERM") == 0  ? EPERM
                   : strcmp(text + size + 1, "EINVAL") == 0 ? EINVAL
                                                            : 0;
        to[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
        to[1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code);
        return code != 0;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sock_filter filter[2 + 2 * REFUSALS_MAX] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short n = 1;
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++, n += 2)
        if (i > REFUSALS_MAX || !refusal(filter + n, argv[i])) {
            fprintf(stderr, "refuse: %s: not CALL=ENOSYS, CALL=EPERM or CALL=EINVAL\n", argv[i]);
            return FAILED;
        }
    if (++i >= argc) {
        fputs("usage: refuse CALL=ERROR... -- PROGRAM ARGS\n", stderr);
        return FAILED;
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {.len = n, .filter = filter};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    /* An ordinary user may only have a filter together with this; capabilities that were there
     * before stay. */
    if (result < 0 && errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    if (result < 0) {
        perror("refuse: seccomp");
        return FAILED;
    }
    execvp(argv[i], argv + i);
    perror("refuse: exec");
    return FAILED;
}

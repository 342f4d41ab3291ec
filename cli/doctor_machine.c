/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel and this user's rights allow. */

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/doctor.h"

#define SECTION "machine"

enum {
    CAPABILITY_NET_ADMIN = 12,
    CAPABILITY_PERFMON = 38,
    CAPABILITY_BPF = 39,
    DESCRIPTORS_WANTED = 4096, /* a block, a client and a watched process each take one or two */
};

/* The namespaces that a machine starts with (linux/proc_ns.h). */
static const ino_t first_pid_namespace = 0xEFFFFFFC, first_user_namespace = 0xEFFFFFFD;

#define mend(finding, ...) snprintf((finding)->mend, sizeof(finding)->mend, __VA_ARGS__)

/* ---- kernel --------------------------------------------------------------------------------- */

static void look_at_kernel(struct findings *findings)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    uname(&name);
    sscanf(name.release, "%u.%u", &major, &minor);
    bool new_enough = major > 5 || (major == 5 && minor >= 14);
    struct finding *finding =
        findings_add(findings, SECTION, "kernel", new_enough ? FINDING_OK : FINDING_NOTE, "%s %s%s",
                     name.sysname, name.release,
                     new_enough ? "" : ": it has no cgroup.kill, so ends take more steps");
    if (!new_enough)
        mend(finding, "run Linux 5.14 or newer");
}

/* ---- cgroups -------------------------------------------------------------------------------- */

/* The path of our own cgroup in the unified hierarchy: the line 0:: of /proc/self/cgroup. */
static char *own_cgroup(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    while (file && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            return strdup(line + 3);
    }
    return NULL;
}

/* Where cgroup2 is mounted (/proc/self/mountinfo; proc_pid_mountinfo(5)), and which part of it. */
static bool find_mount(char **ret_root, char **ret_point)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    while (file && getline(&line, &room, file) > 0) {
        const char *kind = strstr(line, " - ");
        if (kind && strncmp(kind + 3, "cgroup2 ", 8) == 0)
            return sscanf(line, "%*s %*s %*s %ms %ms", ret_root, ret_point) == 2;
    }
    return false;
}

/* The directory of our own cgroup; null: it is told why not. */
static char *look_at_mount(struct findings *findings)
{
    _cleanup_free_ char *root = NULL, *point = NULL, *own = own_cgroup();
    char *directory;
    if (!own || !find_mount(&root, &point)) {
        mend(findings_add(findings, SECTION, "cgroup v2", FINDING_NO, "%s",
                          own ? "it is not mounted" : "this process is in no cgroup of version 2"),
             "mount -t cgroup2 none /sys/fs/cgroup");
        return NULL;
    }
    size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, root, skip) != 0 || asprintf(&directory, "%s%s", point, own + skip) < 0) {
        findings_add(findings, SECTION, "cgroup v2", FINDING_NO,
                     "mounted at %s, where our cgroup %s is not to be seen", point, own);
        return NULL;
    }
    size_t size = strlen(directory);
    if (size > 1 && directory[size - 1] == '/')
        directory[size - 1] = '\0';
    findings_add(findings, SECTION, "cgroup v2", FINDING_OK, "mounted at %s; we are in %s", point,
                 own);
    return directory;
}

static void mend_delegation(struct finding *finding, const char *directory)
{
    if (geteuid() == 0)
        mend(finding,
             "mount -o remount,rw on that file system, or start wpsd where it is writable");
    else if (access("/run/systemd/system", F_OK) == 0) /* sd_booted(3) */
        mend(finding, "systemd-run --user --scope -p Delegate=yes wpsd ... (in a unit: "
                      "Delegate=yes)");
    else
        mend(finding,
             "d=%.300s/wps && mkdir $d && chown %u $d $d/cgroup.procs && echo %d >$d/cgroup.procs "
             "(as root, then wpsd from this shell)",
             directory, (unsigned)geteuid(), (int)getppid());
}

/* Makes a cgroup in ours, looks at it, and takes it away. */
static void look_at_delegation(struct findings *findings, const char *directory)
{
    char made[4200], file[4300];
    snprintf(made, sizeof made, "%s/proctrack-doctor-%d", directory, (int)getpid());
    if (mkdir(made, 0755) < 0) {
        mend_delegation(findings_add(findings, SECTION, "delegation", FINDING_NO,
                                     "may not make cgroups in %s: %s", directory, strerror(errno)),
                        directory);
        return;
    }
    snprintf(file, sizeof file, "%s/cgroup.kill", made);
    bool kills = access(file, F_OK) == 0;
    rmdir(made);
    snprintf(file, sizeof file, "%s/cgroup.procs", directory);
    if (access(file, W_OK) < 0) {
        mend_delegation(findings_add(findings, SECTION, "delegation", FINDING_NO,
                                     "may not move processes out of %s: %s", directory,
                                     strerror(errno)),
                        directory);
    } else {
        findings_add(findings, SECTION, "delegation", FINDING_OK, "cgroups can be made in %s",
                     directory);
    }
    findings_add(findings, SECTION, "cgroup.kill", kills ? FINDING_OK : FINDING_NOTE, "%s",
                 kills ? "there: a whole block is ended by one write"
                       : "not there (Linux 5.14): processes are ended one by one");
}

/* ---- feeds ---------------------------------------------------------------------------------- */

static uint64_t effective_capabilities(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long set = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "CapEff: %llx", &set) == 1)
            break;
    return set;
}

static void look_at_btf(struct findings *findings)
{
    bool there = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    struct finding *finding =
        findings_add(findings, SECTION, "BTF", there ? FINDING_OK : FINDING_NO, "%s",
                     there ? "the kernel describes its types in /sys/kernel/btf/vmlinux"
                           : "/sys/kernel/btf/vmlinux is not there or not readable: no feed bpf");
    if (!there)
        mend(finding, "run a kernel with CONFIG_DEBUG_INFO_BTF=y");
}

static bool is_first_namespace(const char *path, ino_t first)
{
    struct stat stat_of;
    return stat(path, &stat_of) < 0 || stat_of.st_ino == first;
}

/* Makes a map and lets go of it: with the capabilities that is refused by filters alone. */
static int try_bpf(void)
{
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
    return fd < 0 ? -errno : close(fd);
}

static void tell_of_bpf(struct findings *findings)
{
    int r = try_bpf();
    if (r == 0)
        findings_add(findings, SECTION, "BPF rights", FINDING_OK,
                     "this user has CAP_BPF and CAP_PERFMON");
    else
        mend(findings_add(findings, SECTION, "BPF rights", FINDING_NO,
                          "this user has CAP_BPF and CAP_PERFMON, but bpf() is refused, by a "
                          "seccomp filter perhaps: %s: no feed bpf",
                          strerror(-r)),
             MEND_SECCOMP, "bpf");
}

static void look_at_bpf_rights(struct findings *findings, const char *wpsd)
{
    uint64_t have = effective_capabilities();
    const uint64_t wanted = UINT64_C(1) << CAPABILITY_BPF | UINT64_C(1) << CAPABILITY_PERFMON;
    if (!is_first_namespace("/proc/self/ns/user", first_user_namespace)) {
        mend(findings_add(findings, SECTION, "BPF rights", FINDING_NO,
                          "we are in a user namespace, whose capabilities do not count for BPF: no "
                          "feed bpf"),
             "start wpsd outside of the container");
        return;
    }
    if ((have & wanted) == wanted) {
        tell_of_bpf(findings);
        return;
    }
    if (wpsd && getxattr(wpsd, "security.capability", NULL, 0) > 0) {
        findings_add(findings, SECTION, "BPF rights", FINDING_OK, "%s has capabilities of its own",
                     wpsd);
        return;
    }
    mend(findings_add(
             findings, SECTION, "BPF rights", FINDING_NO, "this user has no %s%s%s: no feed bpf",
             have >> CAPABILITY_BPF & 1 ? "" : "CAP_BPF", (have & wanted) == 0 ? " and no " : "",
             have >> CAPABILITY_PERFMON & 1 ? "" : "CAP_PERFMON"),
         "setcap cap_bpf,cap_perfmon+ep %s (in a unit: AmbientCapabilities=CAP_BPF CAP_PERFMON)",
         wpsd ? wpsd : "WPSD");
}

/* The process connector (Documentation/driver-api/connector.rst): may we join its group? */
static void look_at_connector(struct findings *findings)
{
    if (!is_first_namespace("/proc/self/ns/pid", first_pid_namespace)) {
        mend(findings_add(findings, SECTION, "connector", FINDING_NO,
                          "we are in a pid namespace, where the kernel does not tell: no feed "
                          "netlink"),
             "start wpsd outside of the container");
        return;
    }
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
    if (fd < 0) {
        mend(findings_add(findings, SECTION, "connector", FINDING_NO,
                          "no socket of it can be made: %s: no feed netlink", strerror(errno)),
             "run a kernel with CONFIG_PROC_EVENTS=y");
    } else if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        mend(findings_add(findings, SECTION, "connector", FINDING_NO,
                          "may not listen to it: %s: no feed netlink", strerror(errno)),
             "setcap cap_net_admin+ep WPSD, or run Linux 6.6 or newer");
    } else {
        findings_add(findings, SECTION, "connector", FINDING_OK,
                     "the kernel tells of processes by netlink");
    }
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void look_at_pidfds(struct findings *findings)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0) {
        close(fd);
        findings_add(findings, SECTION, "pidfd", FINDING_OK,
                     "processes can be signalled without mistaking one for another");
        return;
    }
    bool old = errno == ENOSYS;
    struct finding *finding = findings_add(
        findings, SECTION, "pidfd", FINDING_NO,
        "pidfd_open is refused%s: %s: single processes are not signalled, and there is "
        "no tracker lineage",
        old ? "" : ", by a seccomp filter perhaps", strerror(errno));
    if (old)
        mend(finding, "run Linux 5.3 or newer");
    else
        mend(finding, MEND_SECCOMP, "pidfd_open");
}

/* ---- limits --------------------------------------------------------------------------------- */

static void look_at_descriptors(struct findings *findings)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    bool enough = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= DESCRIPTORS_WANTED;
    struct finding *finding = findings_add(
        findings, SECTION, "descriptors", enough ? FINDING_OK : FINDING_NO, "wpsd may have %llu%s",
        (unsigned long long)limit.rlim_max, enough ? "" : ": few blocks and clients at a time");
    if (!enough)
        mend(finding, "ulimit -Hn 65536 (in a unit: LimitNOFILE=65536)");
}

void doctor_look_at_machine(struct findings *findings, const char *wpsd)
{
    look_at_kernel(findings);
    _cleanup_free_ char *directory = look_at_mount(findings);
    if (directory)
        look_at_delegation(findings, directory);
    look_at_btf(findings);
    look_at_bpf_rights(findings, wpsd);
    look_at_connector(findings);
    look_at_pidfds(findings);
    look_at_descriptors(findings);
}

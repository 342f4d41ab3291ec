/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a systemd manager and its bus are to one who asks for a scope, and how they may fail him:
 *
 *   fake_manager SOCKET MODE DIRECTORY
 *
 * listens at SOCKET as a D-Bus peer that is bus and manager in one. Scopes are cgroups in
 * DIRECTORY. MODE is
 *
 *   makes        the scope is made, and is the asker's
 *   undelegated  it is made, and nobody but its maker may write there
 *   refuses      the call is answered with an error
 *   fails        its job ends with "failed"
 *   forgets      its job is "done", but nothing was made
 *   silent       the call is never answered
 *
 * It says what it is asked on stdout, a line each: the member, the unit, the process.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define JOB     "/org/freedesktop/systemd1/job/1"
#define REFUSED "org.freedesktop.DBus.Error.AccessDenied"

static const char *mode, *directory;

struct peer {
    sd_bus *bus;
    uid_t uid;
};

static int write_pid(const char *cgroup, uint32_t pid)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    fprintf(file, "%" PRIu32, pid);
    return fclose(file) == 0 ? 0 : -errno;
}

/* Delegation, as systemd does it. */
static void hand_over(const char *cgroup, uid_t uid)
{
    static const char *const files[] = {"", "/cgroup.procs", "/cgroup.subtree_control",
                                        "/cgroup.threads"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s%s", cgroup, files[i]);
        if (chown(path, uid, (gid_t)-1) < 0)
            perror(path);
    }
}

static int read_pid(sd_bus_message *message, uint32_t *ret)
{
    const char *name;
    int r = sd_bus_message_enter_container(message, 'a', "(sv)");
    while (r >= 0 && (r = sd_bus_message_enter_container(message, 'r', "sv")) > 0) {
        const void *pids;
        size_t size;
        r = sd_bus_message_read(message, "s", &name);
        if (r >= 0 && strcmp(name, "PIDs") == 0) {
            r = sd_bus_message_enter_container(message, 'v', "au");
            r = r < 0 ? r : sd_bus_message_read_array(message, 'u', &pids, &size);
            if (r >= 0 && size == sizeof *ret)
                memcpy(ret, pids, size);
            return r;
        }
        r = r < 0 ? r : sd_bus_message_skip(message, "v");
        r = r < 0 ? r : sd_bus_message_exit_container(message);
    }
    return r < 0 ? r : -EINVAL;
}

static int end_job(struct peer *peer, const char *unit, const char *result)
{
    return sd_bus_emit_signal(peer->bus, "/org/freedesktop/systemd1",
                              "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 1, JOB,
                              unit, result);
}

static int start_unit(struct peer *peer, sd_bus_message *message)
{
    const char *unit, *how;
    uint32_t pid = 0;
    char cgroup[4096];
    int r = sd_bus_message_read(message, "ss", &unit, &how);
    r = r < 0 ? r : read_pid(message, &pid);
    if (r < 0)
        return r;
    printf("StartTransientUnit %s %" PRIu32 "\n", unit, pid);
    snprintf(cgroup, sizeof cgroup, "%s/%s", directory, unit);
    if (strcmp(mode, "silent") == 0)
        return 1;
    if (strcmp(mode, "refuses") == 0)
        return sd_bus_reply_method_errorf(message, REFUSED, "No scopes on Sundays");
    bool makes = strcmp(mode, "makes") == 0 || strcmp(mode, "undelegated") == 0;
    if (makes && mkdir(cgroup, 0755) < 0)
        return sd_bus_reply_method_errorf(message, "org.freedesktop.systemd1.UnitExists",
                                          "Unit %s was already loaded", unit);
    if (strcmp(mode, "makes") == 0)
        hand_over(cgroup, peer->uid);
    if (makes && write_pid(cgroup, pid) < 0)
        return sd_bus_reply_method_errorf(message, REFUSED, "cannot move %" PRIu32, pid);
    r = sd_bus_reply_method_return(message, "o", JOB);
    return r < 0 ? r : end_job(peer, unit, strcmp(mode, "fails") == 0 ? "failed" : "done");
}

static int attach(sd_bus_message *message)
{
    const char *unit, *below;
    const void *pids;
    size_t size;
    uint32_t pid;
    char cgroup[4200];
    int r = sd_bus_message_read(message, "ss", &unit, &below);
    r = r < 0 ? r : sd_bus_message_read_array(message, 'u', &pids, &size);
    if (r < 0 || size != sizeof pid)
        return r < 0 ? r : -EINVAL;
    memcpy(&pid, pids, sizeof pid);
    printf("AttachProcessesToUnit %s %" PRIu32 "\n", unit, pid);
    snprintf(cgroup, sizeof cgroup, "%s/%s%s", directory, unit, below);
    r = write_pid(cgroup, pid);
    return r < 0 ? sd_bus_reply_method_errnof(message, r, "cannot move: %m")
                 : sd_bus_reply_method_return(message, "");
}

static int on_message(sd_bus_message *message, void *context, sd_bus_error *error)
{
    struct peer *peer = context;
    (void)error;
    if (sd_bus_message_is_method_call(message, NULL, "Hello"))
        return sd_bus_reply_method_return(message, "s", ":1.1");
    if (sd_bus_message_is_method_call(message, NULL, "StartTransientUnit"))
        return start_unit(peer, message);
    if (sd_bus_message_is_method_call(message, NULL, "AttachProcessesToUnit"))
        return attach(message);
    if (sd_bus_message_is_method_call(message, NULL, NULL)) /* AddMatch, Subscribe */
        return sd_bus_reply_method_return(message, "");
    return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *context)
{
    struct peer *peer = calloc(1, sizeof *peer);
    struct ucred cred;
    socklen_t size = sizeof cred;
    sd_id128_t id;
    (void)events, (void)context;
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!peer || connection < 0 ||
        getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return -errno;
    peer->uid = cred.uid;
    sd_id128_randomize(&id);
    int r = sd_bus_new(&peer->bus);
    r = r < 0 ? r : sd_bus_set_fd(peer->bus, connection, connection);
    r = r < 0 ? r : sd_bus_set_server(peer->bus, true, id);
    r = r < 0 ? r : sd_bus_set_trusted(peer->bus, true);
    r = r < 0 ? r : sd_bus_add_filter(peer->bus, NULL, on_message, peer);
    r = r < 0 ? r : sd_bus_start(peer->bus);
    return r < 0 ? r : sd_bus_attach_event(peer->bus, sd_event_source_get_event(source), 0);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, 8) < 0)
        return -errno;
    return fd;
}

int main(int argc, char **argv)
{
    sd_event *event = NULL;
    if (argc != 4) {
        fputs("usage: fake_manager SOCKET MODE DIRECTORY\n", stderr);
        return 64;
    }
    mode = argv[2];
    directory = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = listen_at(argv[1]);
    int r = fd < 0 ? fd : sd_event_default(&event);
    r = r < 0 ? r : sd_event_add_io(event, NULL, fd, 1 /* EPOLLIN */, on_connection, NULL);
    if (r == 0 || r > 0) {
        puts("listens");
        r = sd_event_loop(event);
    }
    fprintf(stderr, "fake_manager: %s\n", strerror(-r));
    return 1;
}

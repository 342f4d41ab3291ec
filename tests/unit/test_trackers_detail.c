/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel answers of listening sockets, parsed without trust; and the detail of real
 * processes. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_trackers_tools.h"
#include "trackers/detail.h"

/* ---- the kernel's answer ---- */

enum { SEQ = 7, LISTENER = NLMSG_LENGTH(sizeof(struct inet_diag_msg)) };

struct answer {
    char bytes[1024];
    size_t size;
};

static void put(struct answer *answer, uint16_t type, uint32_t seq, const void *body, size_t size)
{
    struct nlmsghdr header = {
        .nlmsg_len = (uint32_t)NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_seq = seq};
    memcpy(answer->bytes + answer->size, &header, sizeof header);
    memcpy(answer->bytes + answer->size + NLMSG_HDRLEN, body, size);
    answer->size += NLMSG_SPACE(size);
}

static void put_listener(struct answer *answer, uint32_t inode, uint16_t port, uint8_t state)
{
    struct inet_diag_msg message = {
        .idiag_family = AF_INET, .idiag_state = state, .idiag_inode = inode};
    message.id.idiag_sport = htons(port);
    message.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
    put(answer, SOCK_DIAG_BY_FAMILY, SEQ, &message, sizeof message);
}

/* Parsed out of memory of just that size, so that a sanitizer sees a read behind it. */
static int parse(struct ports *ports, const void *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    cr_assert(copy);
    memcpy(copy, bytes, size);
    int r = ports_parse(ports, copy, size, SEQ);
    free(copy);
    return r;
}

Test(ports, listeners_are_taken_and_other_sockets_are_not)
{
    struct answer answer = {0};
    struct ports ports = {0};
    size_t n;
    put_listener(&answer, 11, 80, TCP_LISTEN);
    put_listener(&answer, 12, 81, TCP_ESTABLISHED);
    put_listener(&answer, 0, 82, TCP_LISTEN);
    put_listener(&answer, 13, 65535, TCP_LISTEN);
    cr_assert_eq(parse(&ports, answer.bytes, answer.size), 0);
    cr_assert_eq(ports.n, 2);
    cr_assert_eq(ports_find(&ports, 11, &n)->port, 80);
    cr_assert_eq(n, 1);
    cr_assert_eq(ports_find(&ports, 13, &n)->port, 65535);
    cr_assert_null(ports_find(&ports, 12, &n));
    cr_assert_eq(n, 0);
    cr_assert_null(ports_find(&ports, 99, &n));
    ports_clear(&ports);
}

Test(ports, sockets_of_one_inode_are_found_together)
{
    struct answer answer = {0};
    struct ports ports = {0};
    size_t n;
    for (uint32_t inode = 1; inode <= 3; inode++)
        for (uint16_t port = 1; port <= inode; port++)
            put_listener(&answer, inode, port, TCP_LISTEN);
    cr_assert_eq(parse(&ports, answer.bytes, answer.size), 0);
    for (uint32_t inode = 1; inode <= 3; inode++) {
        cr_assert_eq(ports_find(&ports, inode, &n)->port, 1);
        cr_assert_eq(n, inode);
    }
    ports_clear(&ports);
}

Test(ports, an_answer_ends_with_done_or_with_an_error)
{
    const int denied = -EPERM, fine = 0;
    struct ports ports = {0};
    struct answer answer = {0};
    put(&answer, NLMSG_DONE, SEQ, &fine, sizeof fine);
    put_listener(&answer, 1, 1, TCP_LISTEN);
    cr_assert_eq(parse(&ports, answer.bytes, answer.size), 1);
    cr_assert_eq(ports.n, 0, "what is behind the end is not read");
    answer.size = 0;
    put(&answer, NLMSG_ERROR, SEQ, &denied, sizeof denied);
    cr_assert_eq(parse(&ports, answer.bytes, answer.size), -EPERM);
    answer.size = 0;
    put(&answer, NLMSG_ERROR, SEQ, &fine, 2);
    cr_assert_eq(parse(&ports, answer.bytes, answer.size), -EBADMSG);
}

Test(ports, answers_to_other_questions_are_passed_over)
{
    struct ports ports = {0};
    struct answer answer = {0};
    const int fine = 0;
    put(&answer, NLMSG_DONE, SEQ + 1, &fine, sizeof fine);
    put(&answer, NLMSG_NOOP, SEQ, "", 0);
    put_listener(&answer, 5, 80, TCP_LISTEN);
    cr_assert_eq(parse(&ports, answer.bytes, answer.size), 0);
    cr_assert_eq(ports.n, 1);
    ports_clear(&ports);
}

Test(ports, lengths_are_not_believed_beyond_the_bytes)
{
    struct answer answer = {0};
    put_listener(&answer, 1, 80, TCP_LISTEN);
    put_listener(&answer, 2, 81, TCP_LISTEN);
    for (size_t size = 0; size <= answer.size; size++) {
        struct ports ports = {0};
        bool whole = size == 0 || size == LISTENER || size == answer.size;
        cr_assert_eq(parse(&ports, answer.bytes, size), whole ? 0 : -EBADMSG, "%zu bytes", size);
        cr_assert_eq(ports.n, (size >= LISTENER) + (size == answer.size));
        ports_clear(&ports);
    }
    for (uint32_t length = 0; length < 2 * LISTENER; length++) {
        struct ports ports = {0};
        memcpy(answer.bytes, &length, sizeof length);
        int r = parse(&ports, answer.bytes, LISTENER);
        cr_assert(r == -EBADMSG || length == LISTENER, "length %u gave %d", length, r);
        ports_clear(&ports);
    }
}

Test(ports, junk_is_refused_or_passed_over)
{
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        struct ports ports = {0};
        struct answer answer = {0};
        put_listener(&answer, 1, 80, TCP_LISTEN);
        put_listener(&answer, 2, 81, TCP_LISTEN);
        for (int i = rand_r(&seed) % 8; i >= 0; i--)
            answer.bytes[(size_t)rand_r(&seed) % answer.size] = (char)rand_r(&seed);
        int r = parse(&ports, answer.bytes, (size_t)rand_r(&seed) % (answer.size + 1));
        cr_assert(r <= 1);
        cr_assert_leq(ports.n, 2);
        ports_clear(&ports);
    }
}

/* ---- real sockets ---- */

static int listen_on(const char *address, uint16_t *ret_port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v6 = strchr(address, ':');
    socklen_t size = is_v6 ? sizeof v6 : sizeof v4;
    void *name = is_v6 ? (void *)&v6 : (void *)&v4;
    cr_assert_eq(inet_pton(is_v6 ? AF_INET6 : AF_INET, address,
                           is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr),
                 1);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, name, size) < 0)
        cr_skip_test("no %s here", address);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(getsockname(fd, name, &size), 0);
    *ret_port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
    return fd;
}

/* Our own detail, with argv. */
static struct detail own_detail(void)
{
    struct ports ports;
    struct detail detail;
    int r = ports_read(&ports);
    if (r == -ENOENT || r == -EPROTONOSUPPORT)
        cr_skip_test("this kernel has no sock_diag for TCP");
    cr_assert_eq(r, 0, "%s", strerror(-r));
    cr_assert_eq(detail_read(&detail, (uint32_t)getpid(), &ports), 0);
    ports_clear(&ports);
    cr_assert_eq(detail_read_argv(&detail, 4096), 0);
    return detail;
}

TestSuite(detail, .timeout = 120);

Test(detail, each_listening_socket_of_a_process_is_found_and_no_other)
{
    uint16_t port[3];
    listen_on("127.0.0.1", &port[0]);
    int twice = dup(listen_on("0.0.0.0", &port[1]));
    int unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    listen_on("::1", &port[2]);
    struct detail detail = own_detail();
    cr_assert(detail.has_ports);
    cr_assert_eq(detail.n_ports, 3);
    for (size_t i = 0; i < 3; i++) {
        static const char *const address[] = {"127.0.0.1", "0.0.0.0", "::1"};
        const struct detail_port *seen = detail.ports;
        while (seen < detail.ports + 3 && seen->port != port[i])
            seen++;
        cr_assert_lt(seen, detail.ports + 3);
        cr_assert_str_eq(seen->address, address[i]);
        cr_assert_eq(seen->family, i == 2 ? AF_INET6 : AF_INET);
    }
    detail_clear(&detail);
    close(unbound);
    close(twice);
}

Test(detail, a_process_in_another_network_is_asked_for_there)
{
    int told[2];
    struct ports ports;
    struct detail detail;
    cr_assert_eq(pipe2(told, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        uint16_t port;
        if (unshare(CLONE_NEWNET) < 0)
            _exit(77);
        listen_on("0.0.0.0", &port);
        if (write(told[1], &port, sizeof port) == sizeof port)
            pause();
        _exit(1);
    }
    close(told[1]);
    uint16_t port;
    if (read(told[0], &port, sizeof port) != sizeof port) {
        waitpid(child, NULL, 0);
        cr_skip_test("a network namespace needs root");
    }
    struct stat before, after;
    cr_assert_eq(stat("/proc/thread-self/ns/net", &before), 0);
    cr_assert_eq(ports_read(&ports), 0);
    cr_assert_eq(detail_read(&detail, (uint32_t)child, &ports), 0);
    cr_assert_eq(stat("/proc/thread-self/ns/net", &after), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert_eq(before.st_ino, after.st_ino, "we stay where we are");
    cr_assert(detail.has_ports);
    cr_assert_eq(detail.n_ports, 1);
    cr_assert_eq(detail.ports[0].port, port);
    detail_clear(&detail);
    ports_clear(&ports);
}

/* ---- the rest of it ---- */

Test(detail, what_is_read_of_ourselves_is_true)
{
    char exe[4096], cwd[4096];
    ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
    struct detail detail = own_detail();
    exe[size] = '\0';
    cr_assert_str_eq(detail.exe, exe);
    cr_assert_str_eq(detail.cwd, getcwd(cwd, sizeof cwd));
    cr_assert(detail.has_uid && detail.uid == getuid());
    cr_assert_eq(detail.state, 'R');
    cr_assert_geq(detail.threads, 1);
    cr_assert_gt(detail.rss_bytes, 0);
    cr_assert(detail.has_argv && !detail.argv_cut);
    cr_assert_gt(detail.argv.size, 0);
    detail_clear(&detail);
}

Test(detail, long_arguments_are_cut_and_say_so)
{
    struct detail detail;
    struct odd *odd = odd_start(NULL, "argv-odd", "long", NULL);
    uint32_t pid = odd_told(odd, "ready")->pid;
    cr_assert_eq(detail_read(&detail, pid, NULL), 0);
    cr_assert_not(detail.has_ports);
    cr_assert_eq(detail_read_argv(&detail, 100), 0);
    cr_assert_eq(detail.argv.size, 100);
    cr_assert(detail.argv_cut);
    detail_clear(&detail);
    odd_free(&odd);
}

Test(detail, who_is_gone_or_a_zombie_has_none)
{
    struct detail detail;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    cr_assert_eq(detail_read(&detail, (uint32_t)child, NULL), -ESRCH);
    waitpid(child, NULL, 0);
    cr_assert_eq(detail_read(&detail, (uint32_t)child, NULL), -ESRCH);
}

Test(detail, a_process_whose_leader_left_is_read_by_a_thread_that_lives_on)
{
    struct detail detail;
    struct odd *odd = odd_start(NULL, "leader-leaves", "exit_group", "0", NULL);
    uint32_t pid = odd_told(odd, "ready")->pid;
    struct proc_stat stat;
    cr_assert_eq(proc_stat_read(&stat, pid), 0);
    cr_assert_eq(stat.state, 'Z');
    cr_assert_eq(detail_read(&detail, pid, NULL), 0);
    cr_assert_neq(detail.state, 'Z');
    cr_assert_not_null(detail.exe);
    cr_assert_not_null(detail.cwd);
    cr_assert_eq(detail_read_argv(&detail, 4096), 0);
    cr_assert_gt(detail.argv.size, 0);
    detail_clear(&detail);
    odd_free(&odd);
}

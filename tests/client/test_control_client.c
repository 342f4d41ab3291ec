/* SPDX-License-Identifier: Apache-2.0 */

/* Asking, with a socket that answers as the broker does, as it should not, or not at all. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "client/control_client.h"
#include "schemas/control_reply.h"

enum { PATIENCE_MS = 20000, SHORT_MS = 100 };

static char directory[] = "/tmp/control-client-XXXXXX";
static char path[64], endpoint[64];
static void *context;
static struct control_client *client;
static struct wps_error error;

static const struct control_request question = {
    CONTROL_REQUEST_DEFAULTS,
    .command = CONTROL_CONFIDENCE_OF,
    .block_id = {"demo", 4},
};

/* ---- who answers ---- */

struct server {
    pthread_t thread;
    void *context, *socket;
    char path[64];    /* of its own socket */
    atomic_int asked; /* how many requests came */
    int silent;       /* so many of the first are not answered */
    int ends_at;      /* it ends when this one comes; 0: never */
    bool wrong_id, refuses, babbles;
    atomic_bool stop;
};

static void answer(struct server *server, zmq_msg_t *who, struct text body)
{
    struct request request;
    enum errorcode code;
    struct wire_out out;
    cr_assert_eq(request_open(&request, body.at, body.size, &code, &error), 0, "%s", error.message);
    wire_out_init(&out);
    if (server->wrong_id)
        request.reqid.number += 7;
    if (server->babbles) {
        wire_put_uint(&out, 7);
    } else if (server->refuses) {
        reply_error(&out, &request.reqid, ERRORCODE_NO_SUCH_BLOCK, "there is no such block");
    } else {
        struct confidence_view view = {text_of("high"), text_of("a reason")};
        reply_begin(&out, &request.reqid);
        confidence_reply_pack(&out, (struct block_version){text_of("epoch"), 7}, view);
    }
    zmq_msg_send(who, server->socket, ZMQ_SNDMORE);
    zmq_send(server->socket, "", 0, ZMQ_SNDMORE);
    zmq_send(server->socket, out.bytes.data, out.bytes.size, 0);
    wire_out_destroy(&out);
    request_close(&request);
}

static void *serve(void *argument)
{
    struct server *server = argument;
    while (!server->stop) {
        zmq_msg_t who, empty, body;
        zmq_msg_init(&who);
        zmq_msg_init(&empty);
        zmq_msg_init(&body);
        if (zmq_msg_recv(&who, server->socket, 0) >= 0) {
            zmq_msg_recv(&empty, server->socket, 0);
            zmq_msg_recv(&body, server->socket, 0);
            int number = ++server->asked;
            if (number == server->ends_at)
                server->stop = true;
            else if (number > server->silent)
                answer(server, &who, (struct text){zmq_msg_data(&body), zmq_msg_size(&body)});
        }
        zmq_msg_close(&who);
        zmq_msg_close(&empty);
        zmq_msg_close(&body);
    }
    zmq_close(server->socket);
    return NULL;
}

static void server_start(struct server *server, const char *name)
{
    char where[80];
    snprintf(server->path, sizeof server->path, "%s/%s", directory, name);
    snprintf(where, sizeof where, "ipc://%s", server->path);
    server->context = zmq_ctx_new();
    server->socket = zmq_socket(server->context, ZMQ_ROUTER);
    zmq_setsockopt(server->socket, ZMQ_RCVTIMEO, &(int){10}, sizeof(int));
    zmq_setsockopt(server->socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    cr_assert_eq(zmq_bind(server->socket, where), 0);
    cr_assert_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_end(struct server *server)
{
    server->stop = true;
    pthread_join(server->thread, NULL);
    zmq_ctx_term(server->context);
}

/* The endpoint leads to this server from now on. */
static void lead_to(const struct server *server)
{
    char link[80];
    snprintf(link, sizeof link, "%s/link", directory);
    cr_assert_eq(symlink(server->path, link), 0);
    cr_assert_eq(rename(link, path), 0);
}

/* ---- who asks ---- */

static void setup(void)
{
    cr_assert_not_null(mkdtemp(directory));
    char *made;
    snprintf(path, sizeof path, "%s/control", directory);
    cr_assert_eq(control_client_endpoint(directory, &made, &error), 0);
    snprintf(endpoint, sizeof endpoint, "%s", made);
    free(made);
    context = zmq_ctx_new();
    cr_assert_eq(control_client_open(&client, context, endpoint, &error), 0, "%s", error.message);
}

static void teardown(void)
{
    char command[96];
    control_client_close(&client);
    cr_assert_null(client);
    control_client_close(&client);
    zmq_ctx_term(context);
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(control_client, .init = setup, .fini = teardown);

static int ask_for(int timeout_ms, enum errorcode *refusal)
{
    const msgpack_object *data = NULL;
    struct block_version version;
    struct confidence_view view;
    int result = control_client_ask(client, &question, timeout_ms, &data, refusal, &error);
    if (result < 0)
        return result;
    cr_assert_eq(confidence_reply_read(&version, &view, data, &error), 0, "%s", error.message);
    cr_assert(text_is(view.confidence, "high"));
    return 0;
}

static int ask(void)
{
    return ask_for(PATIENCE_MS, NULL);
}

static void assert_says(const char *part)
{
    cr_assert_not_null(strstr(error.message, part), "'%s' is not in: %s", part, error.message);
}

/* ---- the tests ---- */

Test(control_client, a_reply_is_read)
{
    struct server server = {0};
    server_start(&server, "control");
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ask(), 0, "%s", error.message);
    cr_assert_eq(server.asked, 3);
    server_end(&server);
}

Test(control_client, a_refusal_has_its_code_and_the_brokers_sentence)
{
    struct server server = {.refuses = true};
    enum errorcode refusal = ERRORCODE_INTERNAL;
    server_start(&server, "control");
    cr_assert_eq(ask_for(PATIENCE_MS, &refusal), -EREMOTEIO);
    cr_assert_eq(refusal, ERRORCODE_NO_SUCH_BLOCK);
    cr_assert_str_eq(error.message, "there is no such block");
    server_end(&server);
}

Test(control_client, no_socket_is_told_at_once)
{
    cr_assert_eq(ask(), -ENOENT);
    assert_says(endpoint);
    assert_says("wpsd --plugin");
}

Test(control_client, a_socket_that_nobody_listens_on_is_told_at_once)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    cr_assert_eq(ask(), -ECONNREFUSED);
    assert_says("nobody listens");
}

Test(control_client, nobody_over_tcp_is_told_before_the_time_is_up)
{
    control_client_close(&client);
    cr_assert_eq(control_client_open(&client, context, "tcp://127.0.0.1:9", &error), 0);
    cr_assert_eq(ask(), -ECONNREFUSED);
}

Test(control_client, a_time_out_leaves_it_usable)
{
    struct server server = {.silent = 1};
    server_start(&server, "control");
    cr_assert_eq(ask_for(SHORT_MS, NULL), -ETIMEDOUT);
    assert_says("100 ms");
    cr_assert_eq(ask(), 0, "%s", error.message);
    cr_assert_eq(server.asked, 2);
    server_end(&server);
}

Test(control_client, a_broker_that_ends_while_it_is_asked_is_told)
{
    struct server server = {.ends_at = 1};
    server_start(&server, "control");
    int result = ask();
    cr_assert(result == -ENOENT || result == -ECONNREFUSED || result == -ECONNRESET, "%d", result);
    assert_says(endpoint);
    server_end(&server);
}

Test(control_client, a_broker_that_took_its_place_is_asked_again)
{
    struct server first = {.ends_at = 2}, second = {0};
    server_start(&first, "first");
    server_start(&second, "second");
    lead_to(&first);
    cr_assert_eq(ask(), 0, "%s", error.message);
    lead_to(&second);
    cr_assert_eq(ask(), 0, "%s", error.message);
    cr_assert_eq(first.asked, 2);
    cr_assert_eq(second.asked, 1);
    server_end(&first);
    server_end(&second);
}

/* A signal that came twice would be told to the process twice. */
static const struct control_request once = {
    CONTROL_REQUEST_DEFAULTS,
    .command = CONTROL_SIGNAL_TREE,
    .block_id = {"demo", 4},
};

Test(control_client, what_may_not_be_done_twice_is_not_asked_again)
{
    struct server first = {.ends_at = 2}, second = {0};
    const msgpack_object *data;
    server_start(&first, "first");
    server_start(&second, "second");
    lead_to(&first);
    cr_assert_eq(ask(), 0, "%s", error.message);
    lead_to(&second);
    cr_assert_eq(control_client_ask(client, &once, PATIENCE_MS, &data, NULL, &error), -ECONNRESET);
    assert_says("ended before it answered");
    cr_assert_eq(first.asked, 2);
    cr_assert_eq(second.asked, 0);
    server_end(&first);
    server_end(&second);
}

Test(control_client, what_was_never_sent_is_sent_to_the_broker_that_took_the_place)
{
    struct server first = {0}, second = {0};
    const msgpack_object *data;
    server_start(&first, "first");
    server_start(&second, "second");
    lead_to(&first);
    cr_assert_eq(ask(), 0, "%s", error.message);
    lead_to(&second);
    server_end(&first);
    cr_assert_eq(control_client_ask(client, &once, PATIENCE_MS, &data, NULL, &error), 0, "%s",
                 error.message);
    cr_assert_eq(second.asked, 1);
    server_end(&second);
}

/* Takes connections and ends each at once, after a line that is no greeting of ZeroMQ. */
static void *hang_up(void *listener)
{
    static const char line[] = "what do you want?\n";
    for (int fd; (fd = accept(*(int *)listener, NULL, NULL)) >= 0; close(fd)) {
        ssize_t sent = send(fd, line, strlen(line), MSG_NOSIGNAL);
        (void)sent; /* who only looked is gone already */
    }
    return NULL;
}

Test(control_client, who_speaks_another_protocol_is_told_from_a_broker_that_ended)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    pthread_t thread;
    strcpy(address.sun_path, path);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 16), 0);
    cr_assert_eq(pthread_create(&thread, NULL, hang_up, &listener), 0);
    cr_assert_eq(ask(), -ECONNRESET);
    assert_says("is it a broker?");
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
}

Test(control_client, what_is_too_long_to_be_read_is_not_sent)
{
    static char id[REQUEST_BYTES_ANSWERED + 1];
    struct control_request long_one = question;
    const msgpack_object *data;
    memset(id, 'a', sizeof id);
    long_one.block_id = (struct text){id, sizeof id};
    cr_assert_eq(control_client_ask(client, &long_one, PATIENCE_MS, &data, NULL, &error),
                 -EMSGSIZE);
}

Test(control_client, what_is_no_reply_is_an_error)
{
    struct server server = {.babbles = true};
    server_start(&server, "control");
    cr_assert_eq(ask(), -EPROTO);
    server_end(&server);
}

Test(control_client, a_reply_to_another_request_is_an_error)
{
    struct server server = {.wrong_id = true};
    server_start(&server, "control");
    cr_assert_eq(ask(), -EPROTO);
    server_end(&server);
}

static atomic_int alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

Test(control_client, signals_do_not_end_the_wait)
{
    struct server server = {.silent = 1};
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {{0, 5000}, {0, 5000}}, never = {0};
    sigset_t alarm_set;
    sigemptyset(&alarm_set);
    sigaddset(&alarm_set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_set, NULL); /* not in the server's threads */
    server_start(&server, "control");
    pthread_sigmask(SIG_UNBLOCK, &alarm_set, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    cr_assert_eq(ask_for(SHORT_MS, NULL), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    setitimer(ITIMER_REAL, &never, NULL);
    cr_assert_gt(alarms, 0);
    cr_assert_geq((after.tv_sec - before.tv_sec) * 1000 +
                      (after.tv_nsec - before.tv_nsec) / 1000000,
                  SHORT_MS - 1);
    server_end(&server);
}

Test(control_client, a_broker_of_this_pid_namespace_means_the_same_pids)
{
    struct server server = {0};
    cr_assert_eq(control_client_check_pids(client, &error), -ENOENT);
    server_start(&server, "control");
    cr_assert_eq(control_client_check_pids(client, &error), 0, "%s", error.message);
    server_end(&server);
}

Test(control_client, what_is_no_endpoint_is_refused)
{
    struct control_client *none = NULL;
    cr_assert_eq(control_client_open(&none, context, "/run/wps/control", &error), -EINVAL);
    cr_assert_null(none);
}

Test(control_client, a_directory_whose_socket_would_have_too_long_a_path_is_refused)
{
    char name[108], *made = NULL;
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[99] = '\0'; /* with "/control" the path has 107 bytes: the most */
    cr_assert_eq(control_client_endpoint(name, &made, &error), 0, "%s", error.message);
    free(made);
    made = NULL;
    name[99] = 'x';
    name[100] = '\0';
    cr_assert_eq(control_client_endpoint(name, &made, &error), -ENAMETOOLONG);
    cr_assert_null(made);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program that asks over libproctrack what it is told to, for tests that have a broker of their
 * own:
 *
 *     ask_probe RUNTIME_DIR TIMEOUT_MS
 *
 * Each line of its standard input is a request, each line of its output the answer: what the
 * function returned, then what it gave, or the errorcode and the sentence. The end of its input
 * ends it.
 */

#include <inttypes.h>
#include <poll.h>
#include <proctrack/proctrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 8 };

static struct proctrack *connection;
static struct proctrack_error error;
static char *words[WORDS_MAX]; /* of the line; null: there is none */

static uint32_t number_at(int i)
{
    return words[i] ? (uint32_t)strtoul(words[i], NULL, 10) : 0;
}

/* Says what there is to say of a failure; of a success its caller says it. */
static bool failed(int result)
{
    if (result < 0)
        printf("%d %s %s\n", result, proctrack_errorcode_name(error.errorcode), error.message);
    return result < 0;
}

static void simple(int result)
{
    if (!failed(result))
        printf("%d\n", result);
}

static void put_survivors(const struct proctrack_survivor *const *survivors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf(" survivor:%" PRIu32 ":%d", survivors[i]->pid, survivors[i]->escaped);
    putchar('\n');
}

static void put_pids(int result, struct proctrack_pids *pids)
{
    if (failed(result))
        return;
    printf("%d", result);
    for (size_t i = 0; i < pids->n_pids; i++)
        printf(" %" PRIu32, pids->pids[i]);
    putchar('\n');
    proctrack_free(pids);
}

/* ---- one request each ------------------------------------------------------------------------ */

static void describe(void)
{
    struct proctrack_described *told;
    int result = proctrack_describe(connection, &told, &error);
    if (failed(result))
        return;
    printf("%d %" PRIu64 " %s %s %s %s", result, told->protocol, told->name, told->tracker,
           told->feed, told->confidence);
    for (size_t i = 0; i < told->n_tried; i++)
        printf(" %s:%d:%zu", told->tried[i].what, told->tried[i].ok, strlen(told->tried[i].why));
    putchar('\n');
    proctrack_free(told);
}

static void ensure(void)
{
    struct proctrack_ensure_options options = PROCTRACK_ENSURE_OPTIONS;
    struct proctrack_ensured *ensured;
    options.scope = words[2];
    int result = proctrack_ensure(connection, words[1], &options, &ensured, &error);
    if (failed(result))
        return;
    printf("%d %d %s %s\n", result, ensured->created, ensured->epoch,
           ensured->procs_path ? ensured->procs_path : "-");
    proctrack_free(ensured);
}

static void assign(void)
{
    struct proctrack_assign_options options = PROCTRACK_ASSIGN_OPTIONS;
    uint64_t assigned;
    options.pid = number_at(2);
    options.scope = words[3];
    int result = proctrack_assign(connection, words[1], &options, &assigned, &error);
    if (!failed(result))
        printf("%d %" PRIu64 "\n", result, assigned);
}

static void list(void)
{
    struct proctrack_list_options options = PROCTRACK_LIST_OPTIONS;
    struct proctrack_listed *listed;
    options.scope = words[2];
    options.detail = true;
    int result = proctrack_list(connection, words[1], &options, &listed, &error);
    if (failed(result))
        return;
    printf("%d %d %s", result, listed->tracked, listed->confidence);
    for (size_t i = 0; i < listed->n_processes; i++) {
        const struct proctrack_process *process = listed->processes[i];
        printf(" %" PRIu32 ":%s:%d:%zu", process->pid, process->scope, process->root,
               process->detail->n_argv);
        for (size_t j = 0; j < process->detail->n_argv; j++)
            printf(":%s", process->detail->argv[j]);
    }
    putchar('\n');
    proctrack_free(listed);
}

static void blocks(void)
{
    struct proctrack_blocks *all;
    int result = proctrack_list_blocks(connection, true, &all, &error);
    if (failed(result))
        return;
    printf("%d", result);
    for (size_t i = 0; i < all->n_blocks; i++)
        printf(" %s:%" PRIu64 ":%d", all->blocks[i]->block_id, all->blocks[i]->n_processes,
               all->blocks[i]->has_use);
    putchar('\n');
    proctrack_free(all);
}

static void kill_started(void)
{
    struct proctrack_pids *pids = NULL;
    int result = proctrack_kill_started(connection, words[1], number_at(2), &pids, &error);
    put_pids(result, pids);
}

static void send_signal(void)
{
    struct proctrack_pids *pids = NULL;
    int result = proctrack_signal(connection, words[1], NULL, (int)number_at(2), &pids, &error);
    put_pids(result, pids);
}

static void stop(void)
{
    struct proctrack_stop_options options = PROCTRACK_STOP_OPTIONS;
    struct proctrack_stopped *stopped;
    options.grace_ms = number_at(2);
    int result = proctrack_stop(connection, words[1], &options, &stopped, &error);
    if (failed(result))
        return;
    printf("%d %" PRIu64 " %" PRIu64, result, stopped->exited, stopped->killed);
    put_survivors(stopped->survivors, stopped->n_survivors);
    proctrack_free(stopped);
}

static void wait_empty(void)
{
    uint64_t remaining;
    int result = proctrack_wait_empty(connection, words[1], NULL, number_at(2), &remaining, &error);
    if (!failed(result))
        printf("%d %" PRIu64 "\n", result, remaining);
}

static void remove_block(void)
{
    struct proctrack_removed *removed;
    int result = proctrack_remove(connection, words[1], NULL, &removed, &error);
    if (failed(result))
        return;
    printf("%d %d", result, removed->ok);
    put_survivors(removed->survivors, removed->n_survivors);
    proctrack_free(removed);
}

static void kill_all(void)
{
    simple(proctrack_kill(connection, words[1], words[2], &error));
}

static void kill_one(void)
{
    simple(proctrack_kill_pid(connection, words[1], number_at(2), 0, &error));
}

static void freeze(void)
{
    simple(proctrack_freeze(connection, words[1], NULL, &error));
}

static void thaw(void)
{
    simple(proctrack_thaw(connection, words[1], NULL, &error));
}

/* ---- any request ----------------------------------------------------------------------------- */

static void put_value(const struct proctrack_value *value)
{
    switch (proctrack_value_type(value)) {
    case PROCTRACK_TYPE_NONE:
        fputs("null", stdout);
        break;
    case PROCTRACK_TYPE_BOOL:
        fputs(proctrack_value_bool(value, false) ? "true" : "false", stdout);
        break;
    case PROCTRACK_TYPE_UINT:
        printf("%" PRIu64, proctrack_value_uint(value, 0));
        break;
    case PROCTRACK_TYPE_INT:
        printf("%" PRId64, proctrack_value_int(value, 0));
        break;
    case PROCTRACK_TYPE_FLOAT:
        printf("%g", proctrack_value_float(value, 0));
        break;
    case PROCTRACK_TYPE_STR:
        printf("'%s'", proctrack_value_str(value, ""));
        break;
    case PROCTRACK_TYPE_ARRAY:
        putchar('[');
        for (size_t i = 0; i < proctrack_value_size(value); i++) {
            if (i)
                putchar(',');
            put_value(proctrack_value_item(value, i));
        }
        putchar(']');
        break;
    case PROCTRACK_TYPE_MAP:
        putchar('{');
        for (size_t i = 0; i < proctrack_value_size(value); i++) {
            const char *key = proctrack_value_key(value, i);
            printf("%s%s:", i ? "," : "", key ? key : "?");
            put_value(proctrack_value_item(value, i));
        }
        putchar('}');
        break;
    case PROCTRACK_TYPE_OTHER:
        putchar('?');
        break;
    }
}

static void put_answer(const struct proctrack_request *request)
{
    struct proctrack_reply *reply;
    int result = proctrack_ask(connection, request, &reply, &error);
    if (failed(result))
        return;
    printf("%d ", result);
    put_value(reply->data);
    putchar('\n');
    proctrack_free(reply);
}

/* ask COMMAND rpc|control repeat|once [KEY STRING] [KEY STRING] */
static void ask(void)
{
    const struct proctrack_field fields[] = {
        proctrack_str(words[4] ? words[4] : "-", words[5]),
        proctrack_str(words[6] ? words[6] : "-", words[7]),
    };
    struct proctrack_request request = PROCTRACK_REQUEST;
    request.command = words[1];
    request.rpc = strcmp(words[2], "rpc") == 0;
    request.repeat = strcmp(words[3], "repeat") == 0;
    request.fields = fields;
    request.n_fields = 2;
    put_answer(&request);
}

/* Every kind of field, sent as the data of an event, which is passed on as it is. */
static void fields(void)
{
    static const char packed[] = "\x92\x01\xc0"; /* [1, nil] */
    const char *const strs[] = {"a", "b"};
    const struct proctrack_field data[] = {
        proctrack_str("event", "test:fields"),
        proctrack_strs("scopes", strs, 2),
        proctrack_uint("persist", 1),
        proctrack_str("sender", NULL),
        proctrack_msgpack("data", packed, sizeof packed - 1),
        proctrack_bool("unknown", true),
        proctrack_int("other", -7),
    };
    struct proctrack_request request = PROCTRACK_REQUEST;
    request.command = "eventpublish";
    request.rpc = true;
    request.fields = data;
    request.n_fields = sizeof data / sizeof *data;
    put_answer(&request);
}

/* ---- events ---------------------------------------------------------------------------------- */

static struct proctrack_subscriber *events;

/* subscribe EVENT SCOPE... */
static void subscribe(void)
{
    size_t n = 0;
    while (n + 2 < WORDS_MAX && words[n + 2])
        n++;
    int result = events ? 0 : proctrack_subscriber_open(&events, connection, &error);
    if (result == 0)
        result = proctrack_subscriber_subscribe(events, words[1], (const char *const *)words + 2, n,
                                                &error);
    simple(result);
}

static void sync_events(void)
{
    simple(proctrack_subscriber_sync(events, (int)number_at(1), &error));
}

/* Whether a loop would be woken for it. */
static void ready(void)
{
    struct pollfd fd = {.fd = proctrack_subscriber_fd(events), .events = POLLIN};
    printf("%d\n", poll(&fd, 1, (int)number_at(1)));
}

static void receive(void)
{
    const struct proctrack_event *event;
    int result = proctrack_subscriber_receive(events, (int)number_at(1), &event, &error);
    if (failed(result))
        return;
    printf("%d", result);
    if (result == 1) {
        printf(" %s %s %zu '%s' ", event->event, event->scope, event->n_scopes, event->sender);
        put_value(event->data);
    }
    putchar('\n');
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(void);
} requests[] = {
    {"ask", ask},
    {"assign", assign},
    {"blocks", blocks},
    {"describe", describe},
    {"ensure", ensure},
    {"fields", fields},
    {"freeze", freeze},
    {"kill", kill_all},
    {"kill-pid", kill_one},
    {"list", list},
    {"signal", send_signal},
    {"kill-started", kill_started},
    {"remove", remove_block},
    {"stop", stop},
    {"thaw", thaw},
    {"wait", wait_empty},
    {"subscribe", subscribe},
    {"sync", sync_events},
    {"ready", ready},
    {"receive", receive},
};

static void run(char *line)
{
    memset(words, 0, sizeof words);
    for (int i = 0; i < WORDS_MAX; i++)
        words[i] = strtok(i ? NULL : line, " \n");
    for (size_t i = 0; words[0] && i < sizeof requests / sizeof *requests; i++)
        if (strcmp(requests[i].name, words[0]) == 0)
            requests[i].run();
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct proctrack_options options = PROCTRACK_OPTIONS;
    char line[4096];
    if (argc != 3)
        return 64;
    options.runtime_dir = argv[1];
    options.timeout_ms = (uint32_t)atoi(argv[2]);
    if (failed(proctrack_connect(&connection, &options, &error)))
        return 1;
    while (fgets(line, sizeof line, stdin))
        run(line);
    proctrack_subscriber_close(&events);
    proctrack_close(&connection);
    return 0;
}

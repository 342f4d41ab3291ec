/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A wps plugin that keeps the state of each block in a file, for what would rather read a file than
 * talk ZeroMQ: `<dir>/<block_id>.json` holds the block's live processes. A file is replaced as a
 * whole, so a reader never sees half of one; it goes when its block goes, or when this plugin
 * stops.
 *
 * Options: `dir` (must be given and exist), `events` and `control` (endpoints; else those of the
 * same names in the runtime directory).
 *
 * It is a client like any other that lives in the broker: it follows section 5 of the protocol
 * ("Knowing a block without polling"). One thread does all of it. Messages come from the broker,
 * which has checked them.
 */

#include <errno.h>
#include <inttypes.h>
#include <msgpack.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <wps_plugin.h>
#include <zmq.h>

enum { PATH_SIZE = 4096, BLOCK_ID_SIZE = 129, EPOCH_SIZE = 33 };

struct process {
    struct process *next;
    uint64_t pid, started_at_ms;
    char *json; /* its record, as it stands in the file */
};

struct block {
    struct block *next;
    char id[BLOCK_ID_SIZE];
    char epoch[EPOCH_SIZE];
    uint64_t seq;      /* what is in `processes` */
    uint64_t seq_seen; /* the newest one heard of */
    bool asked;        /* something was missed: `list_block` is under way */
    bool dirty;        /* the file is older than this */
    struct process *processes;
};

struct state_file {
    struct wps_host host;
    char dir[PATH_SIZE], events[PATH_SIZE], control[PATH_SIZE];
    pthread_t thread;
    int stop_fd, done_fd; /* eventfds: it should end; it has ended */
    void *context, *sub, *dealer;
    struct block *blocks;
};

static void say(const struct state_file *self, int level, const char *what, const char *on)
{
    char line[PATH_SIZE + 128];
    snprintf(line, sizeof line, "state_file: %s %s: %s", what, on, strerror(errno));
    self->host.log(self->host.context, level, line);
}

/* ---- reading msgpack ---- */

static const msgpack_object *get(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; map && map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
        const msgpack_object *name = &map->via.map.ptr[i].key;
        if (name->type == MSGPACK_OBJECT_STR && name->via.str.size == strlen(key) &&
            memcmp(name->via.str.ptr, key, name->via.str.size) == 0)
            return &map->via.map.ptr[i].val;
    }
    return NULL;
}

static uint64_t get_uint(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = get(map, key);
    return value && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? value->via.u64 : 0;
}

/* The text behind a key; empty where there is none. */
static const char *get_text(const msgpack_object *map, const char *key, char *text, size_t size)
{
    const msgpack_object *value = get(map, key);
    bool there = value && value->type == MSGPACK_OBJECT_STR;
    snprintf(text, size, "%.*s", there ? (int)value->via.str.size : 0,
             there ? value->via.str.ptr : "");
    return text;
}

/* ---- writing JSON ---- */

static void write_json_text(FILE *out, const char *text, size_t size)
{
    fputc('"', out);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* A process record holds texts, numbers and truth values; what is more is left out. */
static char *record_to_json(const msgpack_object *record)
{
    char *json = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&json, &size);
    if (!out)
        return NULL;
    fputc('{', out);
    const char *comma = "";
    for (uint32_t i = 0; i < record->via.map.size; i++) {
        const msgpack_object_kv *pair = &record->via.map.ptr[i];
        int kind = pair->val.type;
        if (kind != MSGPACK_OBJECT_STR && kind != MSGPACK_OBJECT_POSITIVE_INTEGER &&
            kind != MSGPACK_OBJECT_BOOLEAN)
            continue;
        fputs(comma, out);
        comma = ", ";
        write_json_text(out, pair->key.via.str.ptr, pair->key.via.str.size);
        fputs(": ", out);
        if (kind == MSGPACK_OBJECT_STR)
            write_json_text(out, pair->val.via.str.ptr, pair->val.via.str.size);
        else if (kind == MSGPACK_OBJECT_BOOLEAN)
            fputs(pair->val.via.boolean ? "true" : "false", out);
        else
            fprintf(out, "%" PRIu64, pair->val.via.u64);
    }
    fputc('}', out);
    if (fclose(out) == 0)
        return json;
    free(json);
    return NULL;
}

static void path_of(const struct state_file *self, const struct block *block, const char *before,
                    const char *after, char *path, size_t size)
{
    snprintf(path, size, "%s/%s%s%s", self->dir, before, block->id, after);
}

/* Writes beside the file and puts it in its place in one step. */
static void write_block(struct state_file *self, struct block *block)
{
    char path[2 * PATH_SIZE], beside[2 * PATH_SIZE];
    path_of(self, block, "", ".json", path, sizeof path);
    path_of(self, block, ".", ".new", beside, sizeof beside); /* ids do not begin with a dot */
    block->dirty = false;
    FILE *out = fopen(beside, "we");
    if (!out) {
        say(self, WPS_LOG_WARNING, "cannot write", beside);
        return;
    }
    fprintf(out, "{\"block_id\": \"%s\", \"epoch\": \"%s\", \"seq\": %" PRIu64 ", \"processes\": [",
            block->id, block->epoch, block->seq);
    for (const struct process *process = block->processes; process; process = process->next)
        fprintf(out, "\n  %s%s", process->json, process->next ? "," : "");
    fputs("]}\n", out);
    bool bad = ferror(out);
    if (fclose(out) != 0 || bad || rename(beside, path) < 0) {
        say(self, WPS_LOG_WARNING, "cannot write", path);
        unlink(beside);
    }
}

/* ---- what is known ---- */

static void forget_process(struct process **place)
{
    struct process *gone = *place;
    *place = gone->next;
    free(gone->json);
    free(gone);
}

static void forget_processes(struct block *block)
{
    while (block->processes)
        forget_process(&block->processes);
}

static struct process **find_process(struct block *block, const msgpack_object *life)
{
    uint64_t pid = get_uint(life, "pid"), started_at_ms = get_uint(life, "started_at_ms");
    struct process **place = &block->processes;
    while (*place && ((*place)->pid != pid || (*place)->started_at_ms != started_at_ms))
        place = &(*place)->next;
    return place;
}

static void put_process(struct block *block, const msgpack_object *record)
{
    struct process **place = find_process(block, record);
    char *json = record && record->type == MSGPACK_OBJECT_MAP ? record_to_json(record) : NULL;
    if (!json)
        return;
    if (!*place && !(*place = calloc(1, sizeof **place))) {
        free(json);
        return;
    }
    (*place)->pid = get_uint(record, "pid");
    (*place)->started_at_ms = get_uint(record, "started_at_ms");
    free((*place)->json);
    (*place)->json = json;
}

static struct block **find_block(struct state_file *self, const char *id)
{
    struct block **place = &self->blocks;
    while (*place && strcmp((*place)->id, id) != 0)
        place = &(*place)->next;
    return place;
}

static void forget_block(struct state_file *self, struct block **place)
{
    struct block *gone = *place;
    char path[2 * PATH_SIZE];
    path_of(self, gone, "", ".json", path, sizeof path);
    unlink(path);
    *place = gone->next;
    forget_processes(gone);
    free(gone);
}

/* ---- asking ---- */

/* The reply finds its way back by `reqid`, which is the block's id. It is not waited for. */
static void ask(struct state_file *self, const char *command, const char *id)
{
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 3);
    msgpack_pack_str_with_body(&packer, "command", 7);
    msgpack_pack_str_with_body(&packer, command, strlen(command));
    msgpack_pack_str_with_body(&packer, "reqid", 5);
    msgpack_pack_str_with_body(&packer, id, strlen(id));
    msgpack_pack_str_with_body(&packer, "data", 4);
    msgpack_pack_map(&packer, *id ? 1 : 0);
    if (*id) {
        msgpack_pack_str_with_body(&packer, "block_id", 8);
        msgpack_pack_str_with_body(&packer, id, strlen(id));
    }
    zmq_send(self->dealer, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(self->dealer, body.data, body.size, ZMQ_DONTWAIT);
    msgpack_sbuffer_destroy(&body);
}

static void ask_for(struct state_file *self, struct block *block)
{
    if (!block->asked)
        ask(self, "list_block", block->id);
    block->asked = true;
}

static struct block *know_block(struct state_file *self, const char *id)
{
    struct block **place = find_block(self, id);
    if (!*place && (*place = calloc(1, sizeof **place)))
        snprintf((*place)->id, sizeof(*place)->id, "%s", id);
    return *place;
}

static void on_list(struct state_file *self, const char *id, const msgpack_object *data)
{
    struct block **place = find_block(self, id);
    const msgpack_object *processes = get(data, "processes"), *tracked = get(data, "tracked");
    if (!*place)
        return;
    (*place)->asked = false;
    if (!processes || processes->type != MSGPACK_OBJECT_ARRAY || !tracked ||
        !tracked->via.boolean) {
        forget_block(self, place);
        return;
    }
    struct block *block = *place;
    forget_processes(block);
    for (uint32_t i = 0; i < processes->via.array.size; i++)
        put_process(block, &processes->via.array.ptr[i]);
    char epoch[EPOCH_SIZE];
    bool same = strcmp(get_text(data, "epoch", epoch, sizeof epoch), block->epoch) == 0;
    strcpy(block->epoch, epoch);
    block->seq = get_uint(data, "seq");
    block->dirty = true;
    if (same && block->seq_seen > block->seq)
        ask_for(self, block); /* more happened while we waited, and was passed over */
}

static void on_reply(struct state_file *self, const msgpack_object *reply)
{
    char id[BLOCK_ID_SIZE];
    const msgpack_object *data = get(reply, "data"), *ids = get(data, "block_ids");
    if (*get_text(reply, "resid", id, sizeof id)) {
        on_list(self, id, data);
        return;
    }
    for (uint32_t i = 0; ids && ids->type == MSGPACK_OBJECT_ARRAY && i < ids->via.array.size; i++) {
        const msgpack_object_str *text = &ids->via.array.ptr[i].via.str;
        snprintf(id, sizeof id, "%.*s", (int)text->size, text->ptr);
        struct block *block = know_block(self, id);
        if (block)
            ask_for(self, block);
    }
}

/* ---- events ---- */

static void apply(struct block *block, const char *event, const msgpack_object *data)
{
    if (strcmp(event, "agent:process-exited") == 0 || strcmp(event, "agent:process-escaped") == 0) {
        struct process **place = find_process(block, data);
        if (*place)
            forget_process(place);
    } else if (get(data, "process")) { /* added, exec, changed: the whole record, as it is now */
        put_process(block, get(data, "process"));
    }
    block->seq = get_uint(data, "seq");
    block->dirty = true;
}

static void on_event(struct state_file *self, const msgpack_object *message)
{
    char event[64], id[BLOCK_ID_SIZE], epoch[EPOCH_SIZE];
    const msgpack_object *data = get(message, "data");
    get_text(message, "event", event, sizeof event);
    get_text(data, "epoch", epoch, sizeof epoch);
    if (!*get_text(data, "block_id", id, sizeof id) || strchr(id, '/'))
        return;
    struct block **place = find_block(self, id);
    if (strcmp(event, "agent:block-removed") == 0) {
        if (*place && strcmp((*place)->epoch, epoch) == 0)
            forget_block(self, place);
        return;
    }
    struct block *block = know_block(self, id);
    if (!block)
        return;
    uint64_t seq = get_uint(data, "seq");
    if (strcmp(block->epoch, epoch) != 0) { /* another life of this block */
        forget_processes(block);
        strcpy(block->epoch, epoch);
        block->seq = block->seq_seen = 0;
    }
    block->seq_seen = seq > block->seq_seen ? seq : block->seq_seen;
    bool is_mark = strcmp(event, "agent:block-mark") == 0;
    if (!block->asked && !is_mark && seq == block->seq + 1)
        apply(block, event, data);
    else if (seq > block->seq)
        ask_for(self, block);
}

/* ---- the thread ---- */

/* Takes all that waits on a socket: the last frame of each message is its body. */
static void drain(struct state_file *self, void *socket,
                  void (*handle)(struct state_file *, const msgpack_object *))
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0) {
        if (zmq_msg_more(&frame))
            continue;
        msgpack_unpacked body;
        msgpack_unpacked_init(&body);
        if (msgpack_unpack_next(&body, zmq_msg_data(&frame), zmq_msg_size(&frame), NULL) ==
            MSGPACK_UNPACK_SUCCESS)
            handle(self, &body.data);
        msgpack_unpacked_destroy(&body);
    }
    zmq_msg_close(&frame);
}

static void *run(void *argument)
{
    struct state_file *self = argument;
    zmq_pollitem_t items[] = {
        {.socket = self->sub, .events = ZMQ_POLLIN},
        {.socket = self->dealer, .events = ZMQ_POLLIN},
        {.fd = self->stop_fd, .events = ZMQ_POLLIN},
    };
    ask(self, "list_all_blocks", "");
    while (!items[2].revents) {
        if (zmq_poll(items, 3, -1) < 0 && errno != EINTR)
            break;
        drain(self, self->dealer, on_reply);
        drain(self, self->sub, on_event);
        for (struct block *block = self->blocks; block; block = block->next)
            if (block->dirty && !block->asked)
                write_block(self, block);
    }
    while (self->blocks) /* nobody keeps them true any more */
        forget_block(self, &self->blocks);
    eventfd_write(self->done_fd, 1);
    return NULL;
}

/* ---- the interface ---- */

static int set_option(struct state_file *self, const struct wps_option *option, char *error,
                      size_t error_size)
{
    char *place = strcmp(option->key, "dir") == 0       ? self->dir
                  : strcmp(option->key, "events") == 0  ? self->events
                  : strcmp(option->key, "control") == 0 ? self->control
                                                        : NULL;
    if (!place) {
        snprintf(error, error_size, "unknown option '%s': there are dir, events, control",
                 option->key);
        return -EINVAL;
    }
    if (strlen(option->value) >= PATH_SIZE) {
        snprintf(error, error_size, "option %s: longer than %d bytes", option->key, PATH_SIZE - 1);
        return -EINVAL;
    }
    strcpy(place, option->value);
    return 0;
}

static int state_file_open(const struct wps_host *host, const struct wps_option *options,
                           size_t n_options, void **ret_plugin, char *error, size_t error_size)
{
    struct state_file *self = calloc(1, sizeof *self);
    if (!self)
        return -ENOMEM;
    memcpy(&self->host, host, host->size < sizeof self->host ? host->size : sizeof self->host);
    snprintf(self->events, PATH_SIZE, "ipc://%s/events", self->host.runtime_dir);
    snprintf(self->control, PATH_SIZE, "ipc://%s/control", self->host.runtime_dir);
    self->stop_fd = self->done_fd = -1;
    int result = 0;
    for (size_t i = 0; i < n_options && result == 0; i++)
        result = set_option(self, &options[i], error, error_size);
    if (result == 0 && !*self->dir) {
        snprintf(error, error_size, "option dir is missing: give the directory for the files");
        result = -EINVAL;
    }
    if (result < 0)
        free(self);
    else
        *ret_plugin = self;
    return result;
}

static void let_go(struct state_file *self)
{
    void **sockets[] = {&self->sub, &self->dealer};
    for (size_t i = 0; i < 2; i++) {
        if (*sockets[i])
            zmq_close(*sockets[i]);
        *sockets[i] = NULL;
    }
    if (self->context)
        zmq_ctx_term(self->context);
    self->context = NULL;
    if (self->stop_fd >= 0)
        close(self->stop_fd);
    if (self->done_fd >= 0)
        close(self->done_fd);
    self->stop_fd = self->done_fd = -1;
}

static void *connect_to(struct state_file *self, int type, const char *endpoint)
{
    void *socket = zmq_socket(self->context, type);
    if (!socket)
        return NULL;
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &(int){100000}, sizeof(int));
    if (type == ZMQ_SUB)
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "block:", strlen("block:"));
    if (zmq_connect(socket, endpoint) == 0)
        return socket;
    zmq_close(socket);
    return NULL;
}

static int start_thread(struct state_file *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a thread is born with its maker's mask */
    int result = pthread_create(&self->thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static int state_file_start(void *plugin, char *error, size_t error_size)
{
    struct state_file *self = plugin;
    const char *what = self->dir;
    int result = access(self->dir, W_OK | X_OK) == 0 ? 0 : errno;
    if (result == 0) {
        what = "two eventfds";
        self->stop_fd = eventfd(0, EFD_CLOEXEC);
        self->done_fd = eventfd(0, EFD_CLOEXEC);
        self->context = zmq_ctx_new();
        result = self->stop_fd >= 0 && self->done_fd >= 0 && self->context ? 0 : EMFILE;
    }
    if (result == 0) {
        what = self->events;
        self->sub = connect_to(self, ZMQ_SUB, what);
        result = self->sub ? 0 : errno;
    }
    if (result == 0) {
        what = self->control;
        self->dealer = connect_to(self, ZMQ_DEALER, what);
        result = self->dealer ? 0 : errno;
    }
    if (result == 0) {
        what = "a thread";
        result = start_thread(self);
    }
    if (result == 0)
        return 0;
    snprintf(error, error_size, "cannot use %.200s: %s", what, zmq_strerror(result));
    let_go(self);
    return -result;
}

static int state_file_stop(void *plugin, uint32_t deadline_ms, char *error, size_t error_size)
{
    struct state_file *self = plugin;
    zmq_pollitem_t done = {.fd = self->done_fd, .events = ZMQ_POLLIN};
    eventfd_write(self->stop_fd, 1);
    if (zmq_poll(&done, 1, (long)deadline_ms) <= 0) {
        snprintf(error, error_size, "still writing to %.200s after %u ms", self->dir, deadline_ms);
        return -ETIMEDOUT;
    }
    pthread_join(self->thread, NULL);
    let_go(self);
    return 0;
}

__attribute__((visibility("default"))) extern const struct wps_plugin wps_plugin_v1;

const struct wps_plugin wps_plugin_v1 = {
    .magic = WPS_PLUGIN_MAGIC,
    .size = sizeof wps_plugin_v1,
    .minor = WPS_PLUGIN_MINOR,
    .name = "state_file",
    .version = "1.0",
    .open = state_file_open,
    .start = state_file_start,
    .stop = state_file_stop,
    .close = free,
};

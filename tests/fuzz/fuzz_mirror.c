/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The mirror of one block against a block as a broker has it: it is born and removed, adopted by
 * another broker, its processes come and go, events wait on their way or are lost, lists are read
 * early and arrive late. Whenever the mirror says that it is whole, and has the number of the
 * broker's newest event, it must show the same processes; at the end, once all has arrived and
 * a mark behind it, it must in any case. Each process is told once as added and once as gone.
 *
 * Input: one step a byte, the low half what, the high half of which process.
 */

#include "client/mirror_block.h"
#include "fuzz.h"

enum { PIDS = 17, QUEUE = 64 }; /* pid 0 is nobody's */

struct life {
    bool alive;
    uint64_t started_at_ms;
    unsigned command, scope;
    bool root;
};

struct message {
    char bytes[512];
    size_t size;
};

static const char *const commands[] = {"sleep 9", "sh -c true", "node x"};
static const char *const scopes[] = {"main", "bg/7"};

/* What the broker has. */
static struct {
    bool exists;
    unsigned epoch;
    char epoch_name[16];
    uint64_t seq;
    uint64_t clock;
    struct life lives[PIDS];
    bool lose_next;
    struct message queue[QUEUE]; /* published, not arrived */
    size_t n_queued;
} broker;

/* A reply on its way: what the broker had when it was asked. */
static struct {
    bool asked, made;
    bool exists;
    char epoch_name[16];
    uint64_t seq;
    struct life lives[PIDS];
} reply;

static struct mirror_teller teller;
static struct mirror_block *mirror;
static int64_t now_ms;
static bool told[PIDS]; /* by calls */

/* ---- what is called back ---- */

static void on_added(struct proctrack_mirror *of, const struct proctrack_block *block,
                     const struct proctrack_process *process, void *arg)
{
    (void)of, (void)arg;
    must(process->pid < PIDS && !told[process->pid]);
    must(proctrack_block_find(block, process->pid) == process);
    told[process->pid] = true;
}

static void on_gone(struct proctrack_mirror *of, const struct proctrack_block *block,
                    const struct proctrack_process *process, const struct proctrack_gone *how,
                    void *arg)
{
    (void)of, (void)arg, (void)how;
    must(process->pid < PIDS && told[process->pid]);
    must(!proctrack_block_find(block, process->pid));
    told[process->pid] = false;
}

/* ---- events out of the broker ---- */

static struct block_point point(void)
{
    return (struct block_point){text_of("b"), text_of(broker.epoch_name), broker.seq};
}

static void publish(const char *name, const struct wire_out *data)
{
    const struct text topic = text_of("block:b");
    const struct event event = {.event = text_of(name),
                                .scopes = &topic,
                                .n_scopes = 1,
                                .data = {data->bytes.data, data->bytes.size}};
    bool lost = broker.lose_next || broker.n_queued == QUEUE;
    broker.lose_next = false;
    if (lost)
        return;
    struct wire_out out;
    wire_out_init(&out);
    event_pack(&out, &event);
    struct message *message = &broker.queue[broker.n_queued++];
    must(out.bytes.size <= sizeof message->bytes);
    message->size = out.bytes.size;
    memcpy(message->bytes, out.bytes.data, out.bytes.size);
    wire_out_destroy(&out);
}

static struct process_record record_of(const struct life *life, uint32_t pid)
{
    return (struct process_record){.pid = pid,
                                   .started_at_ms = life->started_at_ms,
                                   .command = text_of(commands[life->command]),
                                   .scope = text_of(scopes[life->scope]),
                                   .root = life->root};
}

static void publish_process(const char *name, uint32_t pid)
{
    broker.seq++;
    const struct process_event event = {.at = point(),
                                        .process = record_of(&broker.lives[pid], pid)};
    struct wire_out data;
    wire_out_init(&data);
    process_event_pack(&data, &event);
    publish(name, &data);
    wire_out_destroy(&data);
}

static void publish_end(uint32_t pid, bool escaped)
{
    struct wire_out data;
    uint64_t started = broker.lives[pid].started_at_ms;
    broker.seq++;
    wire_out_init(&data);
    if (escaped)
        process_escape_pack(&data, &(struct process_escape){.at = point(),
                                                            .pid = pid,
                                                            .started_at_ms = started,
                                                            .reason = text_of("moved")});
    else
        process_exit_pack(
            &data, &(struct process_exit){.at = point(), .pid = pid, .started_at_ms = started});
    publish(escaped ? EVENT_PROCESS_ESCAPED : EVENT_PROCESS_EXITED, &data);
    wire_out_destroy(&data);
}

static void publish_block(const char *name)
{
    struct wire_out data;
    wire_out_init(&data);
    if (strcmp(name, EVENT_BLOCK_MARK) != 0)
        broker.seq++;
    const struct block_point at = point();
    if (strcmp(name, EVENT_BLOCK_MARK) == 0)
        block_mark_pack(&data, &at);
    else if (strcmp(name, EVENT_BLOCK_REMOVED) == 0)
        block_removed_pack(&data, &(struct block_removed){at, text_of("removed")});
    else if (strcmp(name, EVENT_BLOCK_RESYNC) == 0)
        block_resync_pack(&data, &(struct block_resync){at, text_of("overflow"), 0});
    else
        block_state_pack(&data, &(struct block_state){at, text_of("high"), text_of("a reason"),
                                                      text_of("cgroup"), text_of("bpf"), false});
    publish(name, &data);
    wire_out_destroy(&data);
}

/* ---- what happens there ---- */

static void begin_epoch(void)
{
    snprintf(broker.epoch_name, sizeof broker.epoch_name, "e%u", ++broker.epoch);
    broker.seq = 0;
    publish_block(EVENT_BLOCK_ADDED);
}

/* Another broker finds the block, and its processes by a scan. */
static void is_adopted(void)
{
    if (!broker.exists)
        return;
    begin_epoch();
    for (uint32_t pid = 1; pid < PIDS; pid++)
        if (broker.lives[pid].alive)
            publish_process(EVENT_PROCESS_ADDED, pid);
}

static void is_ensured(void)
{
    if (broker.exists)
        return;
    broker.exists = true;
    begin_epoch();
}

/* Whoever is left is no member any more, and nobody tells of each. */
static void is_removed(void)
{
    if (!broker.exists)
        return;
    publish_block(EVENT_BLOCK_REMOVED);
    memset(broker.lives, 0, sizeof broker.lives);
    broker.exists = false;
}

static void is_born(uint32_t pid)
{
    if (!broker.exists || broker.lives[pid].alive)
        return;
    broker.lives[pid] = (struct life){
        .alive = true, .started_at_ms = ++broker.clock, .command = pid % 3, .root = pid % 5 == 0};
    publish_process(EVENT_PROCESS_ADDED, pid);
}

static void execs(uint32_t pid)
{
    if (!broker.lives[pid].alive)
        return;
    broker.lives[pid].command = (broker.lives[pid].command + 1) % 3;
    publish_process(EVENT_PROCESS_EXEC, pid);
}

static void changes(uint32_t pid)
{
    if (!broker.lives[pid].alive)
        return;
    broker.lives[pid].scope ^= 1;
    publish_process(EVENT_PROCESS_CHANGED, pid);
}

static void ends(uint32_t pid, bool escaped)
{
    if (!broker.lives[pid].alive)
        return;
    publish_end(pid, escaped);
    broker.lives[pid].alive = false;
}

/* ---- what arrives ---- */

static void arrive(void)
{
    struct mirror_event event;
    struct event_doc doc;
    if (broker.n_queued == 0)
        return;
    struct message message = broker.queue[0];
    memmove(broker.queue, broker.queue + 1, --broker.n_queued * sizeof *broker.queue);
    must(mirror_event_open(&event, &doc, text_of("block:b"),
                           (struct text){message.bytes, message.size}) == 1);
    must(mirror_block_event(mirror, &event, now_ms) == 0);
    event_close(&doc);
}

static void ask(void)
{
    if (reply.asked || mirror->phase != MIRROR_WANTS_LIST)
        return;
    mirror_block_asked(mirror, now_ms);
    reply.asked = true;
}

static void make_reply(void)
{
    if (!reply.asked || reply.made)
        return;
    reply.made = true;
    reply.exists = broker.exists;
    reply.seq = broker.seq;
    memcpy(reply.epoch_name, broker.epoch_name, sizeof reply.epoch_name);
    memcpy(reply.lives, broker.lives, sizeof reply.lives);
}

static void take_reply(void)
{
    struct process_record records[PIDS];
    size_t n = 0;
    if (!reply.made)
        return;
    for (uint32_t pid = 0; pid < PIDS; pid++)
        if (reply.lives[pid].alive)
            records[n++] = record_of(&reply.lives[pid], pid);
    const struct list_reply list = {
        .head = {.version = {text_of(reply.exists ? reply.epoch_name : ""),
                             reply.exists ? reply.seq : 0},
                 .tracked = reply.exists,
                 .confidence = {text_of(reply.exists ? "high" : "none"), text_of("a reason")},
                 .n_processes = n},
        .processes = records,
    };
    must(mirror_block_list(mirror, &list, now_ms) == 0);
    reply.asked = reply.made = false;
}

static void lose_reply(void)
{
    if (!reply.asked)
        return;
    mirror_block_unanswered(mirror, now_ms);
    reply.asked = reply.made = false;
}

/* ---- what must hold ---- */

static void check_same(void)
{
    size_t n = 0;
    for (uint32_t pid = 0; pid < PIDS; pid++) {
        const struct life *life = &broker.lives[pid];
        const struct proctrack_process *shown = proctrack_block_find(&mirror->shown, pid);
        must((shown != NULL) == life->alive);
        must(told[pid] == life->alive);
        if (!shown)
            continue;
        n++;
        must(shown->started_at_ms == life->started_at_ms && shown->root == life->root);
        must(strcmp(shown->command, commands[life->command]) == 0);
        must(strcmp(shown->scope, scopes[life->scope]) == 0);
    }
    must(mirror->shown.n_processes == n);
}

static void check(void)
{
    if (broker.exists && mirror->phase == MIRROR_WHOLE && mirror->present &&
        strcmp(mirror->epoch.name, broker.epoch_name) == 0 && mirror->shown.seq == broker.seq)
        check_same();
}

/* Once a mark arrives, of a block that is gone too, nothing that was lost before is missed. */
static void finish(void)
{
    broker.lose_next = false;
    while (broker.n_queued)
        arrive();
    lose_reply();
    publish_block(EVENT_BLOCK_MARK);
    arrive();
    for (int i = 0; i < 3 && mirror->phase == MIRROR_WANTS_LIST; i++) {
        ask();
        make_reply();
        take_reply();
    }
    must(mirror->phase == MIRROR_WHOLE);
    must(mirror->present == broker.exists);
    check_same();
}

static void step(uint8_t byte)
{
    uint32_t pid = (byte >> 4) + 1u;
    switch (byte % 16) {
    case 0:
    case 1:
        is_born(pid);
        break;
    case 2:
        execs(pid);
        break;
    case 3:
        changes(pid);
        break;
    case 4:
        ends(pid, false);
        break;
    case 5:
        ends(pid, true);
        break;
    case 6:
        broker.lose_next = true;
        break;
    case 7:
    case 8:
        arrive();
        break;
    case 9:
        ask();
        break;
    case 10:
        make_reply();
        break;
    case 11:
        take_reply();
        break;
    case 12:
        lose_reply();
        break;
    case 13:
        if (pid % 2)
            publish_block(EVENT_BLOCK_MARK);
        else if (broker.exists)
            publish_block(EVENT_BLOCK_RESYNC);
        break;
    case 14:
        if (pid % 2)
            is_ensured();
        else
            is_removed();
        break;
    case 15:
        is_adopted();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&broker, 0, sizeof broker);
    memset(&reply, 0, sizeof reply);
    memset(told, 0, sizeof told);
    now_ms = 0;
    teller =
        (struct mirror_teller){.kept_max = 4096, .calls = {.added = on_added, .gone = on_gone}};
    mirror = mirror_block_new(&teller, text_of("b"), 0);
    must(mirror);
    is_ensured();
    for (size_t i = 0; i < size; i++) {
        step(data[i]);
        check();
        now_ms += 5;
    }
    finish();
    mirror_block_free(mirror);
    must(teller.kept_bytes == 0 && teller.n_unsettled == 0);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Says what a feed really says: `feed_trace FEED CGROUP-ROOT CMD ARGS...` opens the feed on a fresh
 * cgroup below CGROUP-ROOT, runs the command in a block there, and prints one line for each event
 * of its tree, and one for each change of what /proc says of a process, until all of them are gone.
 * `{one}`, `{bg}` and `{two}` in the arguments stand for the directories of the command's block, of
 * another sub-scope of it, and of another block. When nothing happened for a while the command's
 * standard input ends; when nothing happened again, what is left is killed.
 *
 * tests/traces/record.py makes the traces beside it of this, and says what the lines mean.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "trackers/cgroupfs.h"
#include "trackers/facts.h"
#include "trackers/feed.h"

enum { KNOWN_MAX = 512, LINE = 8192, QUIET_MS = 60, TRACE_MS = 20000 };

static const char *const kinds[] = {
    [FEED_FORK] = "fork",         [FEED_THREAD] = "thread",
    [FEED_EXEC] = "exec",         [FEED_THREAD_EXIT] = "thread-exit",
    [FEED_EXIT] = "exit",         [FEED_MOVE] = "move",
    [FEED_SCAN_DUE] = "scan-due",
};

/* The places below the root: their names in arguments and in the trace. */
static const struct {
    const char *name, *path;
} places[] = {
    {"one", "b-one"}, {"main", "b-one/s-main"},     {"bg", "b-one/s-bg"},
    {"two", "b-two"}, {"two-main", "b-two/s-main"},
};
enum { PLACES = sizeof places / sizeof *places, JOINED = 1 };

/* A process of the command's tree, and what /proc said of it last. */
struct known {
    uint32_t pid;
    char facts[LINE];
};

struct trace {
    char root[4096]; /* the fresh cgroup */
    struct feed *feed;
    pid_t child;
    int child_stdin;
    struct known known[KNOWN_MAX];
    size_t n_known;
    uint64_t quiet_since_ns;
};

/* ---- lines ---- */

static void put(char *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(char *line, const char *format, ...)
{
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, LINE - used, format, args);
    va_end(args);
}

/* Bytes as in a URL, so that a line has words and nothing else. */
static void put_text(char *line, const char *key, struct text text)
{
    put(line, " %s=", key);
    for (size_t i = 0; i < text.size && i < 1024; i++) {
        unsigned char c = (unsigned char)text.at[i];
        put(line, c > ' ' && c < 127 && c != '%' ? "%c" : "%%%02x", c);
    }
}

static const char *place_name(const struct trace *trace, uint64_t id)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct stat stat;
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", trace->root, places[i].path);
        if (lstat(path, &stat) == 0 && stat.st_ino == id)
            return places[i].name;
    }
    return "other";
}

static void print_event(const struct trace *trace, const struct feed_event *event)
{
    char line[LINE] = "";
    put(line, "%s pid=%u t=%" PRIu64, kinds[event->kind], event->pid, event->time_ns);
    if (event->start_ns)
        put(line, " start=%" PRIu64, event->start_ns);
    if (event->tid)
        put(line, " tid=%u", event->tid);
    if (event->parent)
        put(line, " parent=%u", event->parent);
    if (event->creator)
        put(line, " creator=%u", event->creator);
    if (event->has_place)
        put(line, " place=");
    for (int i = 0; event->has_place && i < FEED_PLACES && event->place[i]; i++)
        put(line, "%s%s", i ? "/" : "", place_name(trace, event->place[i]));
    if (event->comm.size)
        put_text(line, "comm", event->comm);
    if (event->has_argv)
        put_text(line, "argv", event->argv);
    if (event->argv_cut)
        put(line, " cut=1");
    if (event->path.size)
        put_text(line, "path", event->path);
    if (event->has_status)
        put(line, " status=%d", event->status);
    if (event->cpu_ns)
        put(line, " cpu=%" PRIu64 " rss=%" PRIu64, event->cpu_ns, event->max_rss_bytes);
    puts(line);
}

/* ---- what /proc says ---- */

static void describe(char *line, uint32_t pid)
{
    struct process_facts facts;
    line[0] = '\0';
    if (facts_read(&facts, pid, FACTS_ARGV | FACTS_CGROUP) < 0) {
        put(line, "gone pid=%u", pid);
        return;
    }
    bool zombie = facts.stat.state == 'Z' || facts.stat.state == 'X';
    put(line, "proc pid=%u parent=%u ticks=%" PRIu64 " threads=%" PRIu64 " state=%c", pid,
        facts.stat.ppid, facts.stat.start_ticks, facts.stat.threads,
        zombie ? facts.stat.state : 'S');
    put_text(line, "comm", text_of(facts.stat.comm));
    put_text(line, "argv", facts.argv);
    if (facts.argv_cut)
        put(line, " cut=1");
    if (facts.cgroup)
        put_text(line, "cgroup", text_of(facts.cgroup));
    facts_clear(&facts);
}

static void look(struct known *known)
{
    char line[LINE];
    if (strncmp(known->facts, "gone", 4) == 0)
        return;
    describe(line, known->pid);
    if (strcmp(line, known->facts) == 0)
        return;
    memcpy(known->facts, line, sizeof line);
    printf("%s t=%" PRIu64 "\n", line, boottime_ns()); /* it was so by then */
}

static void look_at_all(struct trace *trace)
{
    for (size_t i = 0; i < trace->n_known; i++)
        look(&trace->known[i]);
}

/* ---- events ---- */

static struct known *find(struct trace *trace, uint32_t pid)
{
    for (size_t i = 0; i < trace->n_known; i++)
        if (trace->known[i].pid == pid)
            return &trace->known[i];
    return NULL;
}

static void know(struct trace *trace, uint32_t pid)
{
    if (find(trace, pid) || trace->n_known == KNOWN_MAX)
        return;
    trace->known[trace->n_known] = (struct known){.pid = pid};
    trace->n_known++;
}

/* The tree is who was made by one of it; a child of our own is a sibling that one of it made. */
static void take(void *context, const struct feed_event *event)
{
    struct trace *trace = context;
    bool related = find(trace, event->parent) || find(trace, event->creator) ||
                   event->parent == (uint32_t)getpid();
    if (event->kind == FEED_FORK && related)
        know(trace, event->pid);
    struct known *known = find(trace, event->pid);
    if (!known)
        return;
    look(known);
    print_event(trace, event);
    trace->quiet_since_ns = boottime_ns();
}

/* ---- the command ---- */

/* Replaces `{one}` and the like. */
static char *with_places(const struct trace *trace, const char *argument)
{
    for (size_t i = 0; i < PLACES; i++) {
        char word[16], *text;
        snprintf(word, sizeof word, "{%s}", places[i].name);
        const char *at = strstr(argument, word);
        if (at && asprintf(&text, "%.*s%s/%s%s", (int)(at - argument), argument, trace->root,
                           places[i].path, at + strlen(word)) > 0)
            return text;
    }
    return strdup(argument);
}

/* In the child: into the cgroup, then the command. */
_Noreturn static void run(const struct trace *trace, int go, char **argv)
{
    char path[4200], byte;
    if (read(go, &byte, 1) < 0)
        _exit(126);
    snprintf(path, sizeof path, "%s/%s/cgroup.procs", trace->root, places[JOINED].path);
    int procs = open(path, O_WRONLY | O_CLOEXEC);
    if (procs < 0 || write(procs, "0", 1) != 1) {
        perror(path);
        _exit(126);
    }
    for (size_t i = 0; argv[i]; i++)
        argv[i] = with_places(trace, argv[i]);
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* It starts when its pid is known, so that nothing of it is missed. */
static void start(struct trace *trace, char **argv)
{
    int in[2], go[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
        exit(1);
    trace->child = fork();
    if (trace->child == 0) {
        close(go[1]);
        dup2(in[0], STDIN_FILENO);
        run(trace, go[0], argv);
    }
    close(in[0]);
    close(go[0]);
    trace->child_stdin = in[1];
    know(trace, (uint32_t)trace->child);
    printf("command pid=%d maker=%d t=%" PRIu64 "\n", (int)trace->child, (int)getpid(),
           boottime_ns());
    close(go[1]);
}

static bool is_quiet(struct trace *trace, unsigned ms)
{
    return boottime_ns() - trace->quiet_since_ns > ms * UINT64_C(1000000);
}

static void watch_it(struct trace *trace)
{
    uint64_t deadline = boottime_ns() + TRACE_MS * UINT64_C(1000000);
    bool killed = false;
    trace->quiet_since_ns = boottime_ns();
    while (boottime_ns() < deadline) {
        struct pollfd pollfd = {.fd = feed_fd(trace->feed), .events = POLLIN};
        poll(&pollfd, 1, 1);
        if (feed_drain(trace->feed, 1000, take, trace) < 0)
            break;
        look_at_all(trace);
        if (!is_quiet(trace, QUIET_MS))
            continue;
        if (trace->child_stdin >= 0) {
            puts("stdin ends");
            cleanup_close(&trace->child_stdin);
            trace->child_stdin = -1;
        } else if (!killed) {
            while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
                ;
            if (!cgroupfs_is_empty(trace->root))
                puts("killed");
            cgroupfs_kill(trace->root);
            killed = true;
        } else {
            break;
        }
        trace->quiet_since_ns = boottime_ns();
    }
    while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
        ;
}

int main(int argc, char **argv)
{
    static struct trace trace;
    struct wps_error error;
    if (argc < 4) {
        fprintf(stderr, "usage: %s FEED CGROUP-ROOT CMD ARGS...\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, LINE); /* the command writes there too */
    snprintf(trace.root, sizeof trace.root, "%s/feed-trace-%d", argv[2], (int)getpid());
    mkdir(trace.root, 0755);
    int root = open(trace.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct feed_options options = {.root_fd = root, .poll_ms = 100};
    int r = feed_open(argv[1], &options, &trace.feed, &error);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], error.message);
        rmdir(trace.root);
        return 1;
    }
    for (size_t i = 0; i < PLACES; i++)
        mkdirat(root, places[i].path, 0755);
    printf("feed %s root=%s\n", argv[1], trace.root);
    start(&trace, argv + 3);
    watch_it(&trace);
    printf("lost %" PRIu64 " received %" PRIu64 "\n", feed_lost(trace.feed),
           feed_received(trace.feed));
    feed_close(&trace.feed);
    return cgroupfs_remove(trace.root, 1000) < 0;
}

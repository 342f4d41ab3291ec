/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A plain host: loads a wps plugin into a program that is no broker, makes a block over its control
 * socket, shows events until standard input ends, takes the block away, and stops.
 *
 *     plain_host [--silent] DIRECTORY PLUGIN [KEY=VALUE]...
 *
 * DIRECTORY is for the plugin's sockets; --silent offers the plugin no `publish`.
 */

#include <dlfcn.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <wps_plugin.h>
#include <zmq.h>

enum { OPTIONS_MAX = 16, PATIENCE_MS = 60000 };

static void on_log(void *context, int level, const char *message)
{
    (void)context;
    if (level <= WPS_LOG_INFO)
        fprintf(stderr, "log %d: %s\n", level, message);
}

/* Comes from a thread of the plugin's. What it points to is gone when this returns. */
static int on_publish(void *context, const struct wps_event *event)
{
    (void)context;
    printf("event %s for %s\n", event->event, event->n_scopes ? event->scopes[0] : "all");
    return 0;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "plain_host: %s: %s\n", what, why);
    return 1;
}

/* Sends {command, data: {block_id: "plain"}} and prints the reply. */
static int ask(void *socket, const char *command)
{
    char bytes[65536];
    msgpack_unpacked reply;
    int size = snprintf(bytes, sizeof bytes, "\x82\xa7%s%c%s\xa4%s\x81\xa8%s\xa5%s", "command",
                        (char)(0xa0 | strlen(command)), command, "data", "block_id", "plain");
    zmq_send(socket, bytes, (size_t)size, 0);
    size = zmq_recv(socket, bytes, sizeof bytes, 0);
    if (size < 0 || size > (int)sizeof bytes)
        return fail(command, size < 0 ? zmq_strerror(zmq_errno()) : "a long reply");
    msgpack_unpacked_init(&reply);
    msgpack_unpack_next(&reply, bytes, (size_t)size, NULL);
    flockfile(stdout); /* events are printed by a thread of the plugin's */
    printf("%s: ", command);
    msgpack_object_print(stdout, reply.data);
    puts("");
    funlockfile(stdout);
    msgpack_unpacked_destroy(&reply);
    return fflush(stdout);
}

static int use(const char *control)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_REQ);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &(int){PATIENCE_MS}, sizeof(int));
    zmq_connect(socket, control);
    int failed = ask(socket, "ensure_tracker") || ask(socket, "list_block");
    while (!failed && getchar() != EOF)
        ;
    failed = failed || ask(socket, "remove");
    zmq_close(socket);
    zmq_ctx_term(context);
    return failed;
}

/* One life of a plugin, from open to close. */
static int live(const struct wps_plugin *plugin, const struct wps_host *host,
                const struct wps_option *options, size_t n_options)
{
    char error[256] = "no reason given";
    const char *name = NULL;
    void *state = NULL;
    if (plugin->open(host, options, n_options, &state, error, sizeof error) < 0)
        return fail("open", error);
    int started = plugin->start(state, error, sizeof error) == 0;
    int failed = started ? 0 : fail("start", error);
    if (started && plugin->endpoint)
        failed = use(plugin->endpoint(state, 0, &name));
    if (started && plugin->stop(state, PATIENCE_MS, error, sizeof error) < 0)
        return fail("stop", error); /* something of it still runs: it stays open */
    plugin->close(state);
    return failed;
}

int main(int argc, char **argv)
{
    int silent = argc > 1 && strcmp(argv[1], "--silent") == 0, n = argc - silent - 3;
    if (n < 0 || n > OPTIONS_MAX)
        return fail("usage", "plain_host [--silent] DIRECTORY PLUGIN [KEY=VALUE]...");
    char **words = argv + 1 + silent;
    struct wps_option options[OPTIONS_MAX];
    for (int i = 0; i < n; i++) {
        options[i].key = strtok(words[2 + i], "=");
        options[i].value = strtok(NULL, "");
        if (!options[i].value)
            return fail(words[2 + i], "not KEY=VALUE");
    }
    void *handle = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    const struct wps_plugin *theirs = handle ? dlsym(handle, WPS_PLUGIN_SYMBOL) : NULL;
    if (!theirs || theirs->magic != WPS_PLUGIN_MAGIC)
        return fail("load", handle ? "not a wps plugin of version 1" : dlerror());
    /* It may know fewer members than we do, or more. */
    struct wps_plugin plugin = {0};
    memcpy(&plugin, theirs, theirs->size < sizeof plugin ? theirs->size : sizeof plugin);
    struct wps_host host = {sizeof host, WPS_PLUGIN_MINOR, NULL,
                            words[0],    on_log,           silent ? NULL : on_publish};
    return live(&plugin, &host, options, (size_t)n) || dlclose(handle);
}

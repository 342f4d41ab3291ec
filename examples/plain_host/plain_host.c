/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A plain host: loads a wps plugin into a program that is no broker, makes a block over its control
 * socket, lists it, takes it away, and stops. It knows the plugin header, ZeroMQ and msgpack, no
 * more.
 *
 *     plain_host [--silent] [--rounds=N] [--wait] DIRECTORY PLUGIN [KEY=VALUE]...
 *
 * --silent offers no `publish`; --rounds does it all N times; --wait runs until standard input
 * ends.
 */

#include <dlfcn.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wps_plugin.h>
#include <zmq.h>

enum { OPTIONS_MAX = 16, PATIENCE_MS = 60000 };

static bool quiet; /* more than one round: says only what goes wrong */

static void on_log(void *context, int level, const char *message)
{
    (void)context;
    if (level <= WPS_LOG_WARNING || (!quiet && level <= WPS_LOG_INFO))
        fprintf(stderr, "log %d: %s\n", level, message);
}

/* Comes from a thread of the plugin's. What it points to is gone when this returns. */
static int on_publish(void *context, const struct wps_event *event)
{
    (void)context;
    if (!quiet)
        printf("event %s for %s\n", event->event, event->n_scopes ? event->scopes[0] : "all");
    return 0;
}

/* Sends {command, data: {block_id: "plain"}} and waits for the reply. True unless it is an error.
 */
static bool ask(void *context, const char *endpoint, const char *command)
{
    char body[256], reply[65536];
    int size = snprintf(body, sizeof body, "\x82\xa7%s%c%s\xa4%s\x81\xa8%s\xa5%s", "command",
                        (char)(0xa0 | strlen(command)), command, "data", "block_id", "plain");
    void *socket = zmq_socket(context, ZMQ_REQ);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &(int){PATIENCE_MS}, sizeof(int));
    int got = -1;
    if (zmq_connect(socket, endpoint) == 0 && zmq_send(socket, body, (size_t)size, 0) == size)
        got = zmq_recv(socket, reply, sizeof reply, 0);
    zmq_close(socket);

    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    bool ok = got > 0 && (size_t)got <= sizeof reply &&
              msgpack_unpack_next(&unpacked, reply, (size_t)got, NULL) == MSGPACK_UNPACK_SUCCESS &&
              !memmem(reply, (size_t)got, "errorcode", strlen("errorcode"));
    if (!quiet || !ok) {
        printf("%s: ", command);
        if (got > 0)
            msgpack_object_print(stdout, unpacked.data);
        puts(got > 0 ? "" : "no reply");
    }
    msgpack_unpacked_destroy(&unpacked);
    return ok;
}

static bool use(void *context, const struct wps_plugin *plugin, void *state, bool wait)
{
    const char *name = NULL, *control = plugin->endpoint ? plugin->endpoint(state, 0, &name) : NULL;
    bool ok =
        control && ask(context, control, "ensure_tracker") && ask(context, control, "list_block");
    fflush(stdout);
    while (ok && wait && getchar() != EOF)
        ;
    return ok && ask(context, control, "remove");
}

static bool fail(const char *what, const char *why)
{
    fprintf(stderr, "plain_host: %s: %s\n", what, why);
    return false;
}

/* One whole life of a plugin, from dlopen to close. */
static bool live(void *context, const struct wps_host *host, const char *file,
                 const struct wps_option *options, size_t n_options, bool wait)
{
    char error[256] = "no reason given";
    struct wps_plugin plugin = {0};
    void *state = NULL, *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return fail("load", dlerror());
    const struct wps_plugin *theirs = dlsym(handle, WPS_PLUGIN_SYMBOL);
    if (!theirs || theirs->magic != WPS_PLUGIN_MAGIC)
        return fail("load", "not a wps plugin of version 1");
    memcpy(&plugin, theirs, theirs->size < sizeof plugin ? theirs->size : sizeof plugin);
    if (plugin.open(host, options, n_options, &state, error, sizeof error) < 0)
        return fail("open", error);
    bool ok = plugin.start(state, error, sizeof error) == 0;
    if (ok) {
        ok = use(context, &plugin, state, wait);
        if (plugin.stop(state, PATIENCE_MS, error, sizeof error) < 0)
            return fail("stop", error); /* something of it still runs: no close, no dlclose */
    } else {
        fail("start", error);
    }
    plugin.close(state);
    dlclose(handle);
    return ok;
}

static int usage(void)
{
    fputs("usage: plain_host [--silent] [--rounds=N] [--wait] DIRECTORY PLUGIN [KEY=VALUE]...\n",
          stderr);
    return 64;
}

int main(int argc, char **argv)
{
    struct wps_host host = {.size = sizeof host, .log = on_log, .publish = on_publish};
    struct wps_option options[OPTIONS_MAX];
    size_t n_options = 0;
    long rounds = 1;
    bool wait = false;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--silent") == 0)
            host.publish = NULL;
        else if (strncmp(argv[i], "--rounds=", 9) == 0)
            rounds = strtol(argv[i] + 9, NULL, 10);
        else if (strcmp(argv[i], "--wait") == 0)
            wait = true;
    }
    if (argc - i < 2)
        return usage();
    host.runtime_dir = argv[i++];
    const char *file = argv[i++];
    for (; i < argc && n_options < OPTIONS_MAX; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return usage();
        *equals = '\0';
        options[n_options++] = (struct wps_option){.key = argv[i], .value = equals + 1};
    }
    quiet = rounds > 1;
    void *context = zmq_ctx_new();
    bool ok = true;
    for (long round = 0; ok && round < rounds; round++)
        ok = live(context, &host, file, options, n_options, wait);
    zmq_ctx_term(context);
    if (ok)
        printf("%ld rounds\n", rounds);
    return ok ? 0 : 1;
}

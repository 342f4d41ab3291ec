/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WPS_PLUGIN_H
#define WPS_PLUGIN_H

/*
 * The plugin interface of a wps broker, version 1. Plain C: no type of any library is in it.
 *
 * A plugin is a shared object that exports one symbol, `wps_plugin_v1`: a constant
 * `struct wps_plugin`. The host loads it with RTLD_NOW | RTLD_LOCAL and calls, in this order and
 * never two at once: open, start, any number of reload, stop, close.
 *
 * Growing. Both structs begin with their size and only ever grow at the tail. Each side copies
 * min (its own size, the other's size) bytes into a zeroed struct of its own before it looks at any
 * member, so what the other side does not know is null. `minor` counts the growths; it informs and
 * decides nothing. A change that this cannot carry gets a new symbol, `wps_plugin_v2`.
 *
 * Errors. Functions return 0 or a negative errno. `error` is the caller's buffer of `error_size`
 * bytes (at least 256): on failure it receives one UTF-8 sentence that says what failed, on what,
 * and what to do, NUL terminated; on success it is untouched.
 *
 * Manners. A plugin lives in somebody else's process: it leaves signals, stdin, stdout, umask,
 * the working directory, locale and atexit alone, and makes every thread it starts with all signals
 * blocked. It must not call dlclose on itself; link it with -Wl,-z,nodelete.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WPS_PLUGIN_MAGIC  0x31737077u /* "wps1", little endian */
#define WPS_PLUGIN_MINOR  0u
#define WPS_PLUGIN_SYMBOL "wps_plugin_v1"

enum wps_log_level {
    WPS_LOG_ERROR = 0,
    WPS_LOG_WARNING = 1,
    WPS_LOG_INFO = 2,
    WPS_LOG_DEBUG = 3,
    WPS_LOG_TRACE = 4,
};

/* One option as the user wrote it. Both strings are UTF-8 and never null. They live until the call
 * that was given them returns. */
struct wps_option {
    const char *key;
    const char *value;
};

/* One event to publish. All that it points to is the caller's; the host copies before it returns. */
struct wps_event {
    uint32_t size;             /* sizeof (struct wps_event) */
    uint32_t persist;          /* how many of this event to keep for late readers; 0: none */
    const char *event;         /* its name, such as "agent:process-added" */
    const char *sender;        /* null or "": absent */
    const char *const *scopes; /* it goes out once per scope; none: once, with the empty topic */
    size_t n_scopes;
    const void *data; /* exactly one msgpack value, passed through unchanged; null: absent */
    size_t data_size; /* bytes */
};

/* What the host offers. It lives from open until close has returned, or for ever where the host
 * gave up on the plugin. */
struct wps_host {
    uint32_t size; /* sizeof (struct wps_host) as the host knows it */
    uint32_t minor;
    void *context; /* to be passed back in every call */

    /* Absolute path of a directory that is the host's alone, mode 0700 or 0711. Sockets and lock
     * files of the plugin go there. Never null. */
    const char *runtime_dir;

    /* Logs one line. `level` is an enum wps_log_level; `message` is UTF-8 without a newline at its
     * end. Any thread, never blocks. Never null. */
    void (*log)(void *context, int level, const char *message);

    /* Publishes an event. Any thread; copies; never blocks. 0: it is in the queue, and events of one
     * thread leave in the order they were put there. -EAGAIN: the queue is full, the event is not
     * sent: try later. -EINVAL: not an event (no name, a scope over 245 bytes, data that is not one
     * msgpack value). -ESHUTDOWN: the host is going down. May be null: then nothing is published and
     * all else works. */
    int (*publish)(void *context, const struct wps_event *event);
};

/* What a plugin is. */
struct wps_plugin {
    uint32_t magic; /* WPS_PLUGIN_MAGIC */
    uint32_t size;  /* sizeof (struct wps_plugin) as the plugin knows it */
    uint32_t minor; /* WPS_PLUGIN_MINOR as the plugin knows it */
    uint32_t flags; /* 0 */
    const char *name;    /* lower case word, such as "proctrack" */
    const char *version; /* such as "1.2.0" */

    /* Reads the options and nothing else: no thread, no file, no socket is left behind if it fails.
     * An unknown key is -EINVAL and `error` names it. On success `*ret_plugin` is the plugin's own
     * state. May be called again after close, in the same process. */
    int (*open)(const struct wps_host *host, const struct wps_option *options, size_t n_options,
                void **ret_plugin, char *error, size_t error_size);

    /* Makes threads and sockets and returns when they are ready to be used. On failure all of them
     * are gone again and close follows. */
    int (*start)(void *plugin, char *error, size_t error_size);

    /* Ends what start began and joins all threads, within `deadline_ms` milliseconds. -ETIMEDOUT:
     * something still runs; the host then leaves the module mapped and does not call close. */
    int (*stop)(void *plugin, uint32_t deadline_ms, char *error, size_t error_size);

    /* Frees what open made. */
    void (*close)(void *plugin);

    /* Takes new options while running: those that can be changed are, and one that cannot is -EINVAL
     * with its name and changes nothing. May be null. */
    int (*reload)(void *plugin, const struct wps_option *options, size_t n_options, char *error,
                  size_t error_size);

    /* Names the sockets that the plugin serves, for the host to tell its users: returns the endpoint
     * number `index` (from 0) and sets `*ret_name` to what it is for, such as "control"; null past
     * the last. Called between start and stop; the strings live until stop. May be null. */
    const char *(*endpoint)(void *plugin, size_t index, const char **ret_name);
};

#ifdef __cplusplus
}
#endif

#endif

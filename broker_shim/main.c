/* SPDX-License-Identifier: Apache-2.0 */

/* wpsd: reads its options, then is the broker until it is told to end. */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker_shim/broker.h"
#include "broker_shim/fence.h"
#include "broker_shim/log.h"
#include "broker_shim/plugin_host.h"

/* The arguments, for those who read them again. */
struct arguments {
    int count;
    char **values;
};

static int help(void)
{
    config_help(stdout);
    puts("\n"
         "Signals: SIGINT and SIGTERM stop it in order, and at once when they come again after "
         "half\n"
         "a second; SIGHUP reads the configuration again and hands the plugins their options;\n"
         "SIGUSR1 logs more, SIGUSR2 less.\n"
         "\n"
         "Exit status: 0 ended in order; 1 something could not be made; 2 wrong option or\n"
         "configuration; 3 a plugin failed; 4 another broker runs in the runtime directory;\n"
         "5 a plugin did not stop in time; 6 stopped at once by a second signal.");
    return BROKER_ENDED;
}

static int check_plugin(const struct plugin_spec *spec)
{
    struct wps_error error;
    char name[160];
    int result = plugin_host_check(spec, "/", name, sizeof name, &error);
    if (result < 0) {
        fprintf(stderr, "%s\n", error.message);
        return BROKER_PLUGIN_FAILED;
    }
    printf("%s: %s\n", spec->file, name);
    return BROKER_ENDED;
}

static int read_config(void *context, struct config *ret, struct wps_error *error)
{
    const struct arguments *arguments = context;
    enum config_action action;
    return config_read(ret, &action, arguments->count, arguments->values, error);
}

static void *nothing(void *argument)
{
    return argument;
}

/* ZeroMQ ends the whole process where it can have no thread, without a word of ours. */
static bool may_have_threads(void)
{
    pthread_t thread;
    int code = pthread_create(&thread, NULL, nothing, NULL);
    if (code == 0)
        code = pthread_join(thread, NULL);
    if (code)
        log_error("cannot make a thread: %s: %s", strerror(code),
                  code == EPERM
                      ? "a seccomp filter refuses clone3; it has to say ENOSYS, upon which "
                        "clone is taken (docker: a newer version, or --security-opt "
                        "seccomp=unconfined)"
                      : "raise the limit on tasks (ulimit -u; in a unit: TasksMax=)");
    return code == 0;
}

/* glibc gives a large block back to the system when it is freed, and takes the largest ever freed
 * for the least that is large from then on. After one look at a full machine each worker's arena
 * would keep megabytes. Said to be what it is at first, it stays so (mallopt(3), M_MMAP_THRESHOLD);
 * and so does how much of the end of an arena is kept. */
static void give_large_blocks_back(void)
{
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

static bool is_done(int result, const struct wps_error *error)
{
    if (result < 0)
        log_warning("fence: %s: it goes on without that", error->message);
    return result == 0;
}

/* What cannot be had is said, and is no reason not to serve. */
static void put_up(const struct fence *fence)
{
    struct wps_error error;
    size_t n = 0;
    bool done = is_done(fence_privileges(&error), &error);
    done &= is_done(fence_capabilities(fence, &error), &error);
    done &= is_done(fence_calls(fence, &n, &error), &error);
    _cleanup_free_ char *kept = fence_capabilities_text();
    if (done && kept)
        log_info("fence: capabilities: %s; no new privileges; %zu system calls refused", kept, n);
}

static int fence_in(const struct config *config)
{
    struct fence fence;
    struct wps_error error;
    if (!config->fence)
        return 0;
    int result = fence_init(&fence, config->keep_capabilities, config->keep_system_calls, &error);
    if (result < 0) {
        log_error("%s", error.message);
        return result;
    }
    put_up(&fence);
    fence_clear(&fence);
    return 0;
}

static int serve(struct arguments *arguments, struct config *config)
{
    struct wps_error error;
    struct broker *broker;
    give_large_blocks_back();
    log_set_level((enum wps_log_level)config->log_level);
    log_set_format((enum log_format)config->log_format);
    if (!may_have_threads())
        return BROKER_FAILED;
    if (fence_in(config) < 0)
        return BROKER_USAGE;
    int result = broker_new(&broker, config, read_config, arguments, &error);
    if (result < 0) {
        log_error("%s", error.message);
        return result == -EADDRINUSE ? BROKER_OTHER_RUNS : BROKER_FAILED;
    }
    int status = broker_run(broker);
    broker_destroy(&broker);
    if (status == BROKER_PLUGIN_STUCK)
        _exit(status); /* a plugin's threads still run: nothing may be torn down under them */
    return status;
}

/* Where 0, 1 or 2 is closed, the next socket would get its number, and the log's lines. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    struct arguments arguments = {argc, argv};
    struct config config;
    enum config_action action;
    struct wps_error error;
    if (config_read(&config, &action, argc, argv, &error) < 0) {
        fprintf(stderr, "wpsd: %s\n", error.message);
        return BROKER_USAGE;
    }
    int status;
    if (action == CONFIG_HELP)
        status = help();
    else if (action == CONFIG_VERSION)
        status = printf("wpsd %s\n", PROCTRACK_VERSION) < 0;
    else if (action == CONFIG_CHECK_PLUGIN)
        status = check_plugin(&config.plugins[0]);
    else
        status = serve(&arguments, &config);
    config_clear(&config);
    return status;
}

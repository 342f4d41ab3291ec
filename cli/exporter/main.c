/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack-exporter, which `proctrack exporter` becomes: what is counted, for Prometheus. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/exporter/http.h"
#include "cli/signals.h"

#define LISTEN_DEFAULT "127.0.0.1:19770"

enum { BLOCKS_DEFAULT = 100, BLOCKS_MOST = 10000 };

/* clang-format off */
static const char help[] =
    "usage: proctrack exporter [OPTIONS]\n"
    "\n"
    "Serves what the broker and its module count over HTTP, at /metrics, for Prometheus and others\n"
    "that scrape: as OpenMetrics text, or in Prometheus' older format. It asks when it is asked, and\n"
    "runs until Ctrl-C or SIGTERM. A broker that is not there is told as proctrack_up 0.\n"
    "\n"
    "  -l, --listen=ADDRESS:PORT  where to serve, in numbers; port 0: any (" LISTEN_DEFAULT ")\n"
    "      --allow-remote   addresses too that other machines reach: there is no password\n"
    "  -b, --blocks=N       tell at most so many blocks one by one, the oldest; 0: none (100)\n"
    "      --rpc=ENDPOINT   rpc socket of the broker (beside the control socket)\n"
    COMMON_OPTIONS_HELP("one JSON object when it serves: its url")
    "\n"
    "A scrape takes at most --timeout-ms, and half a second less than Prometheus says that it\n"
    "waits.\n"
    "\n"
    "Exit status: 0 ended by a signal; 2 wrong arguments; 3 it could not be done.\n"
    "\n"
    "Examples:\n"
    "  proctrack exporter\n"
    "  proctrack exporter --listen '[::1]:19770' --blocks 0\n";
/* clang-format on */

enum { OPTION_ALLOW_REMOTE = OPTION_NEXT, OPTION_RPC };

struct exporter {
    struct common common;
    const char *listen, *rpc;
    bool allow_remote;
    uint64_t blocks;
};

static int take(void *self, int option, const char *value, struct wps_error *error)
{
    struct exporter *exporter = self;
    switch (option) {
    case 'l':
        exporter->listen = value;
        return 0;
    case 'b':
        return argument_number(&exporter->blocks, value, 0, BLOCKS_MOST, "--blocks", error);
    case OPTION_RPC:
        exporter->rpc = value;
        return 0;
    default:
        exporter->allow_remote = true;
        return 0;
    }
}

/* Says where it serves. -EIO: nobody can read that. */
static int announce(const struct exporter *exporter, const struct listener *listener)
{
    printf(exporter->common.json ? "{\"url\": \"%s/metrics\"}\n" : "serving %s/metrics\n",
           listener->url);
    return fflush(stdout) == 0 ? 0 : -EIO;
}

static void wait_signal(int signals)
{
    struct pollfd item = {.fd = signals, .events = POLLIN};
    while (poll(&item, 1, -1) < 0 || signals_read(signals) == 0)
        ;
}

static int serve(const struct exporter *exporter, struct listener *listener, struct scrape *scrape,
                 struct wps_error *error)
{
    struct http *http;
    int signals = signals_open(); /* before threads are made */
    if (signals < 0)
        return wps_error_system(error, signals, "cannot wait for signals");
    int result = http_start(&http, listener, scrape, exporter->common.broker.timeout_ms, error);
    if (result == 0) {
        if ((result = announce(exporter, listener)) < 0)
            wps_error_system(error, result, "cannot say where it serves");
        else
            wait_signal(signals);
        http_stop(&http);
    }
    signals_close(signals, 0);
    return result;
}

static int run(const struct exporter *exporter, struct wps_error *error)
{
    struct listener listener = {.fd = -1};
    struct scrape scrape = {0};
    int result = listen_open(&listener, exporter->listen, exporter->allow_remote, error);
    if (result == 0)
        result =
            scrape_open(&scrape, &exporter->common.broker, exporter->rpc, exporter->blocks, error);
    if (result == 0)
        result = serve(exporter, &listener, &scrape, error);
    scrape_close(&scrape);
    cleanup_close(&listener.fd);
    return result;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"allow-remote", no_argument, NULL, OPTION_ALLOW_REMOTE},
        {"blocks", required_argument, NULL, 'b'},
        {"rpc", required_argument, NULL, OPTION_RPC},
        COMMON_OPTIONS};
    const struct syntax syntax = {help, "hl:b:", options, 0, 0, "", take, NULL};
    struct exporter exporter = {.listen = LISTEN_DEFAULT, .blocks = BLOCKS_DEFAULT};
    struct wps_error error;
    char name[] = "proctrack exporter";
    argv[0] = name;
    int status = arguments_read(&exporter.common, &syntax, &exporter, argc, argv);
    if (status != CLI_GO_ON)
        return status;
    signal(SIGPIPE, SIG_IGN);
    int result = run(&exporter, &error);
    if (result < 0)
        fprintf(stderr, "%s: %s\n", name, error.message);
    if (result < 0)
        return result == -EINVAL || result == -EPERM ? CLI_USAGE : CLI_FAILED;
    return CLI_OK;
}

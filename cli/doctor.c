/* SPDX-License-Identifier: Apache-2.0 */

/* proctrack doctor: what was tried, what works, what is missing, and what would mend it. */

#include "cli/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/programs.h"

static const char help[] =
    "usage: proctrack doctor [OPTIONS]\n"
    "\n"
    "Says how the broker is, what this machine and this user's rights allow, and what a broker\n"
    "started here could do: each tracker and each feed is tried for real. For what is missing it\n"
    "names the one command or unit setting that would mend it.\n"
    "\n"
    "      --json           one JSON object\n"
    "      --no-trial       start no brokers of its own\n"
    "      --wpsd=FILE      the broker to try (beside proctrack, else in $PATH)\n"
    "      --module=FILE    the module to try (beside proctrack, else where it is "
    "installed)\n" BROKER_OPTIONS_HELP "  -h, --help           this\n"
    "\n"
    "Exit status: 0 nothing is missing; 1 something is; 2 wrong option; 3 it could not be done.\n"
    "\n"
    "Examples:\n"
    "  proctrack doctor\n"
    "  proctrack doctor --no-trial --json\n";

enum { OPTION_JSON = BROKER_OPTION_NEXT, OPTION_NO_TRIAL, OPTION_WPSD, OPTION_MODULE };

struct doctor {
    struct broker_options broker;
    bool json, no_trial;
    char *wpsd, *module; /* owned; null: not found */
};

/* ---- findings ------------------------------------------------------------------------------- */

struct finding *findings_add(struct findings *findings, const char *section, const char *what,
                             enum finding_state state, const char *why, ...)
{
    static struct finding nowhere;
    struct finding *finding = &nowhere;
    if (findings->n == findings->room) {
        size_t room = findings->room ? findings->room * 2 : 32;
        struct finding *items = realloc(findings->items, room * sizeof *items);
        if (items) {
            findings->items = items;
            findings->room = room;
        }
    }
    if (findings->n < findings->room)
        finding = &findings->items[findings->n++];
    else
        findings->failed = true;
    *finding = (struct finding){.section = section, .state = state};
    snprintf(finding->what, sizeof finding->what, "%s", what);
    va_list args;
    va_start(args, why);
    vsnprintf(finding->why, sizeof finding->why, why, args);
    va_end(args);
    return finding;
}

void findings_clear(struct findings *findings)
{
    free(findings->items);
    *findings = (struct findings){0};
}

static bool all_is_well(const struct findings *findings)
{
    for (size_t i = 0; i < findings->n; i++)
        if (findings->items[i].state == FINDING_NO)
            return false;
    return true;
}

/* ---- what would mend it --------------------------------------------------------------------- */

/* What does not work, and what it may be for: in the order to look at. */
static const struct {
    const char *what, *cause;
} causes[] = {
    {"tracker cgroup", "cgroup v2"},
    {"tracker cgroup", "delegation"},
    {"feed bpf", "BTF"},
    {"feed bpf", "BPF rights"},
    {"feed netlink", "connector"},
    {"confidence", "tracker cgroup"},
};

static const struct finding *find_mended(const struct findings *findings, const char *what)
{
    for (size_t i = 0; i < findings->n; i++)
        if (strcmp(findings->items[i].what, what) == 0 && *findings->items[i].mend)
            return &findings->items[i];
    return NULL;
}

static void take_mend(const struct findings *findings, struct finding *finding)
{
    for (size_t i = 0; i < sizeof causes / sizeof *causes && !*finding->mend; i++) {
        if (strcmp(finding->what, causes[i].what) != 0)
            continue;
        const struct finding *cause = find_mended(findings, causes[i].cause);
        if (cause)
            memcpy(finding->mend, cause->mend, sizeof finding->mend);
    }
}

/* What fails for a reason that was found is mended by mending that. Where all reasons that we know
 * of are in order here, a broker that lacks it was started elsewhere, or with other rights. */
static void take_mends(struct findings *findings, const char *module)
{
    for (size_t i = 0; i < findings->n; i++) {
        struct finding *finding = &findings->items[i];
        if (finding->state != FINDING_NO || *finding->mend)
            continue;
        take_mend(findings, finding);
        if (!*finding->mend && strstr(finding->why, "refuses clone3"))
            snprintf(finding->mend, sizeof finding->mend, MEND_SECCOMP, "clone3");
        if (!*finding->mend && strstr(finding->why, "not part of this build"))
            snprintf(finding->mend, sizeof finding->mend,
                     "scripts/install-deps build, and build it again");
        if (!*finding->mend && strcmp(finding->section, "broker") == 0)
            snprintf(finding->mend, sizeof finding->mend,
                     "stop it, and start it from here: wpsd --plugin %s",
                     module ? module : "proctrack.so");
    }
}

/* What is missing and is not needed, as something better works. */
static const struct {
    const char *what, *instead;
} replaced[] = {
    {"connector", "feed bpf"},
    {"delegation", "scope"},
};

static bool works(const struct findings *findings, const char *what)
{
    for (size_t i = 0; i < findings->n; i++)
        if (strcmp(findings->items[i].section, "trial") == 0 &&
            strcmp(findings->items[i].what, what) == 0 && findings->items[i].state == FINDING_OK)
            return true;
    return false;
}

static void soften(struct findings *findings)
{
    for (size_t i = 0; i < findings->n; i++)
        for (size_t k = 0; k < sizeof replaced / sizeof *replaced; k++)
            if (strcmp(findings->items[i].section, "machine") == 0 &&
                findings->items[i].state == FINDING_NO &&
                strcmp(findings->items[i].what, replaced[k].what) == 0 &&
                works(findings, replaced[k].instead))
                findings->items[i].state = FINDING_NOTE;
}

/* ---- telling -------------------------------------------------------------------------------- */

static const char *const words[] = {"ok", "note", "no"};
static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};

static void print(const struct findings *findings)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool colour =
        isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
    const char *section = "";
    for (size_t i = 0; i < findings->n; i++) {
        const struct finding *finding = &findings->items[i];
        if (strcmp(section, finding->section) != 0)
            printf("%s%s\n", i ? "\n" : "", finding->section);
        section = finding->section;
        printf("  %s%-4s%s  %-17s  %s\n", colour ? colours[finding->state] : "",
               words[finding->state], colour ? "\033[0m" : "", finding->what, finding->why);
        if (*finding->mend)
            printf("        %-17s  mend: %s\n", "", finding->mend);
    }
}

/* Paths and the like may be no UTF-8: what is not is left out. */
static json_t *string_of(const char *bytes)
{
    json_t *string = json_string(bytes);
    return string ? string : json_string("(not UTF-8)");
}

static int print_json(const struct findings *findings)
{
    json_t *list = json_array();
    for (size_t i = 0; i < findings->n; i++) {
        const struct finding *finding = &findings->items[i];
        json_t *item =
            json_pack("{s:s, s:s, s:s, s:o}", "section", finding->section, "what", finding->what,
                      "state", words[finding->state], "why", string_of(finding->why));
        if (*finding->mend)
            json_object_set_new(item, "mend", string_of(finding->mend));
        json_array_append_new(list, item);
    }
    json_t *all = json_pack("{s:s, s:b, s:o}", "version", PROCTRACK_VERSION, "ok",
                            all_is_well(findings), "findings", list);
    int result = all ? json_dumpf(all, stdout, JSON_COMPACT) : -1;
    json_decref(all);
    puts("");
    return result;
}

/* ---- options -------------------------------------------------------------------------------- */

static void keep(char **path, const char *value)
{
    free(*path);
    *path = strdup(value);
}

/* 1: go on; 0: help was told; -EINVAL. */
static int take_option(struct doctor *doctor, int c, struct wps_error *error)
{
    switch (c) {
    case OPTION_JSON:
        doctor->json = true;
        return 1;
    case OPTION_NO_TRIAL:
        doctor->no_trial = true;
        return 1;
    case OPTION_WPSD:
        keep(&doctor->wpsd, optarg);
        return 1;
    case OPTION_MODULE:
        keep(&doctor->module, optarg);
        return 1;
    case 'h':
        fputs(help, stdout);
        return 0;
    case '?': /* getopt has said what */
        return wps_error_set(error, -EINVAL, "see proctrack doctor --help");
    default:
        return broker_option(&doctor->broker, c, optarg, error);
    }
}

static int read_options(struct doctor *doctor, int argc, char **argv, struct wps_error *error)
{
    static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON},
                                            {"no-trial", no_argument, NULL, OPTION_NO_TRIAL},
                                            {"wpsd", required_argument, NULL, OPTION_WPSD},
                                            {"module", required_argument, NULL, OPTION_MODULE},
                                            {"help", no_argument, NULL, 'h'},
                                            BROKER_OPTIONS,
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        int result = take_option(doctor, c, error);
        if (result <= 0)
            return result;
    }
    if (optind < argc)
        return wps_error_set(error, -EINVAL, "takes no arguments, but got '%s'", argv[optind]);
    return 1;
}

/* ---- where the programs are ----------------------------------------------------------------- */

static void find_programs(struct doctor *doctor)
{
    if (!doctor->wpsd)
        doctor->wpsd = program_beside_us("wpsd");
    if (!doctor->wpsd)
        doctor->wpsd = program_in_path("wpsd");
    if (!doctor->module)
        doctor->module = program_beside_us("proctrack.so");
    if (!doctor->module)
        doctor->module = program_beside_us(PROCTRACK_PLUGIN_FROM_BIN "/proctrack.so");
}

static int examine(const struct doctor *doctor)
{
    struct findings findings = {0};
    doctor_look_at_broker(&findings, &doctor->broker, doctor->wpsd, doctor->module);
    doctor_look_at_machine(&findings, doctor->wpsd);
    if (!doctor->no_trial)
        doctor_try(&findings, doctor->wpsd, doctor->module);
    soften(&findings);
    take_mends(&findings, doctor->module);
    int status = all_is_well(&findings) ? CLI_OK : CLI_NO;
    if (doctor->json && print_json(&findings) < 0)
        status = CLI_FAILED;
    if (!doctor->json)
        print(&findings);
    if (findings.failed) {
        fputs("proctrack doctor: out of memory: some findings are missing\n", stderr);
        status = CLI_FAILED;
    }
    findings_clear(&findings);
    return status;
}

int doctor_main(int argc, char **argv)
{
    struct wps_error error;
    struct doctor doctor = {.broker = BROKER_OPTIONS_DEFAULT};
    int result = read_options(&doctor, argc, argv, &error), status = CLI_OK;
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], error.message);
        status = CLI_USAGE;
    } else if (result > 0) {
        find_programs(&doctor);
        status = examine(&doctor);
    }
    free(doctor.wpsd);
    free(doctor.module);
    return status;
}

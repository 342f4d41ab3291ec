/* SPDX-License-Identifier: Apache-2.0 */

/* The detail of a process record: packing and reading. */

#include "schemas/process_detail.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "schemas/utf8.h"

/* ---- packing -------------------------------------------------------------------------------- */

size_t process_detail_pairs(const struct process_detail *detail)
{
    return (size_t)(detail->exe.at != NULL) + (detail->cwd.at != NULL) + detail->has_uid +
           (detail->state != 0) + (detail->threads != 0) + detail->has_cpu + detail->has_argv +
           (detail->has_argv && detail->argv_truncated) + detail->has_ports;
}

/* The next string of an argument vector. False: there is none. */
static bool next_argument(struct text *argv, struct text *ret)
{
    if (argv->size == 0)
        return false;
    const char *end = memchr(argv->at, '\0', argv->size);
    ret->at = argv->at;
    ret->size = end ? (size_t)(end - argv->at) : argv->size;
    size_t passed = ret->size + (end != NULL);
    argv->at += passed;
    argv->size -= passed;
    return true;
}

/* A character that a cut broke is left out. */
static struct text without_broken_end(struct text text)
{
    enum { LONGEST = 4 };
    size_t tail = text.size < LONGEST ? text.size : LONGEST;
    for (size_t i = 1; i <= tail; i++) {
        struct text end = {text.at + text.size - i, i};
        struct utf8_step step = utf8_step(end);
        if (step.unfinished && step.size == i)
            return (struct text){text.at, text.size - i};
    }
    return text;
}

static void put_argv(struct wire_out *out, const struct process_detail *detail)
{
    struct text argument, rest = detail->argv;
    size_t n = 0;
    if (detail->argv_truncated)
        rest = without_broken_end(rest);
    for (struct text counted = rest; next_argument(&counted, &argument);)
        n++;
    wire_put_str(out, "argv");
    wire_put_array(out, n);
    while (next_argument(&rest, &argument))
        wire_put_repaired(out, argument);
    if (detail->argv_truncated)
        wire_pair_bool(out, "argv_truncated", true);
}

static void put_ports(struct wire_out *out, const struct process_detail *detail)
{
    wire_put_str(out, "ports");
    wire_put_array(out, detail->n_ports);
    for (size_t i = 0; i < detail->n_ports; i++) {
        wire_put_map(out, 3);
        wire_pair_uint(out, "port", detail->ports[i].port);
        wire_pair_text(out, "address", detail->ports[i].address);
        wire_pair_text(out, "family", detail->ports[i].family);
    }
}

void process_detail_pack(struct wire_out *out, const struct process_detail *detail)
{
    if (detail->exe.at)
        wire_pair_repaired(out, "exe", detail->exe);
    if (detail->cwd.at)
        wire_pair_repaired(out, "cwd", detail->cwd);
    if (detail->has_uid)
        wire_pair_uint(out, "uid", detail->uid);
    if (detail->state)
        wire_pair_text(out, "state", (struct text){&detail->state, 1});
    if (detail->threads)
        wire_pair_uint(out, "threads", detail->threads);
    if (detail->has_cpu)
        wire_pair_uint(out, "cpu_ms", detail->cpu_ms);
    if (detail->has_argv)
        put_argv(out, detail);
    if (detail->has_ports)
        put_ports(out, detail);
}

/* ---- reading -------------------------------------------------------------------------------- */

#define PORT(member) offsetof(struct listening_port, member)

static const struct wire_field port_fields[] = {
    {"port", WIRE_UINT, true, PORT(port), UINT16_MAX},
    {"address", WIRE_STR, true, PORT(address)},
    {"family", WIRE_STR, true, PORT(family)},
};

struct detail_keys {
    struct process_detail_view view;
    struct text state;
    const msgpack_object *ports;
};

#define DETAIL(member) offsetof(struct detail_keys, member)

enum { UID = 2, CPU_MS = 5 }; /* rows below whose value alone does not say that it was there */

static const struct wire_field detail_fields[] = {
    {"exe", WIRE_STR, false, DETAIL(view.exe)},
    {"cwd", WIRE_STR, false, DETAIL(view.cwd)},
    [UID] = {"uid", WIRE_UINT32, false, DETAIL(view.uid), UINT32_MAX},
    {"state", WIRE_STR, false, DETAIL(state)},
    {"threads", WIRE_UINT, false, DETAIL(view.threads)},
    [CPU_MS] = {"cpu_ms", WIRE_UINT, false, DETAIL(view.cpu_ms)},
    {"argv", WIRE_STR_LIST, false, DETAIL(view.argv)},
    {"argv_truncated", WIRE_BOOL, false, DETAIL(view.argv_truncated)},
    {"ports", WIRE_ARRAY, false, DETAIL(ports)},
};

static int read_ports(struct process_detail_view *view, const msgpack_object *array,
                      const char *path, struct wps_error *error)
{
    char list[WIRE_PATH_SIZE], where[WIRE_PATH_SIZE];
    uint32_t n = array->via.array.size;
    int r = 0;
    /* At least one: of none, calloc may give null. */
    _cleanup_free_ struct listening_port *ports = calloc(n ? n : 1, sizeof *ports);
    if (!ports)
        return wps_error_set(error, -ENOMEM, "no memory for %u ports", n);
    wire_path(list, path, "ports", 0);
    for (uint32_t i = 0; i < n && r == 0; i++)
        r = wire_read(&array->via.array.ptr[i], wire_path(where, list, NULL, i), port_fields,
                      sizeof port_fields / sizeof *port_fields, &ports[i], NULL, error);
    if (r < 0)
        return r;
    view->ports = take_ptr(ports);
    view->n_ports = n;
    return 0;
}

int process_detail_read(struct process_detail_view *ret, const msgpack_object *map,
                        const char *path, struct wps_error *error)
{
    struct detail_keys keys = {0};
    uint64_t present = 0;
    int r = wire_read(map, path, detail_fields, sizeof detail_fields / sizeof *detail_fields, &keys,
                      &present, error);
    if (r == 0 && keys.ports)
        r = read_ports(&keys.view, keys.ports, path, error);
    if (r < 0)
        return r;
    keys.view.has_uid = present & (UINT64_C(1) << UID);
    keys.view.has_cpu = present & (UINT64_C(1) << CPU_MS);
    keys.view.state = keys.state.size ? keys.state.at[0] : '\0';
    *ret = keys.view;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What is dear to read of a process, copied out of a reply. */

#include "client/detail.h"

#include <errno.h>
#include <stdlib.h>

#include "schemas/process_detail.h"

/* One block of memory: the struct, its argv and ports, and the bytes of all strings. */

static size_t n_argv(const struct process_detail_view *view)
{
    return view->argv ? view->argv->via.array.size : 0;
}

static size_t room_for(const struct process_detail_view *view)
{
    size_t size = sizeof(struct proctrack_detail) + view->n_ports * sizeof(struct proctrack_port) +
                  view->exe.size + view->cwd.size + 2;
    for (size_t i = 0; i < n_argv(view); i++)
        size += sizeof(char *) + view->argv->via.array.ptr[i].via.str.size + 1;
    for (size_t i = 0; i < view->n_ports; i++)
        size += view->ports[i].address.size + view->ports[i].family.size + 2;
    return size;
}

static const char *keep(char **cursor, struct text text)
{
    char *at = *cursor;
    text_copy(at, text);
    at[text.size] = '\0';
    *cursor += text.size + 1;
    return at;
}

static struct proctrack_detail *detail_new(const struct process_detail_view *view)
{
    struct proctrack_detail *detail = calloc(1, room_for(view));
    if (!detail)
        return NULL;
    const char **argv = (const char **)(detail + 1);
    struct proctrack_port *ports = (struct proctrack_port *)(argv + n_argv(view));
    char *cursor = (char *)(ports + view->n_ports);
    for (size_t i = 0; i < n_argv(view); i++) {
        const msgpack_object_str *word = &view->argv->via.array.ptr[i].via.str;
        argv[i] = keep(&cursor, (struct text){word->ptr, word->size});
    }
    for (size_t i = 0; i < view->n_ports; i++) {
        ports[i].address = keep(&cursor, view->ports[i].address);
        ports[i].family = keep(&cursor, view->ports[i].family);
        ports[i].port = (uint16_t)view->ports[i].port;
    }
    detail->ports = ports;
    detail->n_ports = view->n_ports;
    detail->ports_known = view->ports != NULL;
    detail->argv = view->argv ? argv : NULL;
    detail->n_argv = n_argv(view);
    detail->argv_truncated = view->argv_truncated;
    detail->exe = view->exe.at ? keep(&cursor, view->exe) : NULL;
    detail->cwd = view->cwd.at ? keep(&cursor, view->cwd) : NULL;
    detail->has_cpu = view->has_cpu;
    detail->cpu_ms = view->cpu_ms;
    detail->has_uid = view->has_uid;
    detail->uid = view->uid;
    detail->state = view->state;
    detail->threads = view->threads;
    return detail;
}

int detail_read(struct proctrack_detail **ret, const msgpack_object *map, uint64_t now_ms)
{
    struct process_detail_view view = {0};
    int result = process_detail_read(&view, map, "process", NULL);
    if (result < 0)
        return result;
    struct proctrack_detail *detail = detail_new(&view);
    free(view.ports);
    if (!detail)
        return -ENOMEM;
    detail->sampled_at_ms = now_ms;
    *ret = detail;
    return 0;
}

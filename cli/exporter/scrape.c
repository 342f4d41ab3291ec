/* SPDX-License-Identifier: Apache-2.0 */

/* What is asked, and which metrics become of it. */

#include "cli/exporter/scrape.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/metrics.h"

#define PROCTRACK "proctrack_"
#define WPSD      "wpsd_"

/* ---- two sheets, one in each format --------------------------------------------------------- */

struct sheets {
    struct openmetrics out[2];
    char *text[2];
    size_t size[2];
};

static void sheets_free(struct sheets *sheets)
{
    for (int i = 0; i < 2; i++) {
        if (sheets->out[i].to)
            fclose(sheets->out[i].to);
        free(sheets->text[i]);
    }
    *sheets = (struct sheets){0};
}

static int sheets_open(struct sheets *sheets)
{
    for (int i = 0; i < 2; i++) {
        sheets->out[i].classic = i;
        sheets->out[i].to = open_memstream(&sheets->text[i], &sheets->size[i]);
        if (!sheets->out[i].to)
            return -ENOMEM;
    }
    return 0;
}

/* Nothing more is written; the texts are whole. */
static int sheets_end(struct sheets *sheets)
{
    int result = 0;
    for (int i = 0; i < 2; i++) {
        result = ferror(sheets->out[i].to) ? -ENOMEM : result;
        result = fclose(take_ptr(sheets->out[i].to)) == 0 ? result : -ENOMEM;
    }
    return result;
}

static void sheets_append(struct sheets *to, const struct sheets *part)
{
    for (int i = 0; i < 2; i++)
        fwrite(part->text[i], 1, part->size[i], to->out[i].to);
}

/* Writes what `view` shows, on both. */
typedef void put_function(struct openmetrics *out, const void *view);

static void put_both(struct sheets *sheets, put_function *put, const void *view)
{
    for (int i = 0; i < 2; i++)
        put(&sheets->out[i], view);
}

/* ---- metrics without a table of their own --------------------------------------------------- */

static void put_gauge(struct openmetrics *out, const char *prefix, const char *name,
                      const char *help, uint64_t value)
{
    openmetrics_family(out, OPENMETRICS_GAUGE, prefix, text_of(name), help);
    openmetrics_uint(out, NULL, 0, value);
}

static void put_info(struct openmetrics *out, const char *prefix, const char *name,
                     const char *help, const struct openmetrics_label *labels, size_t n_labels)
{
    openmetrics_family(out, OPENMETRICS_INFO, prefix, text_of(name), help);
    openmetrics_uint(out, labels, n_labels, 1);
}

struct result {
    bool up, knows_rpc, rpc_up;
    int64_t took_ms;
};

static void put_result(struct openmetrics *out, const void *view)
{
    const struct result *result = view;
    const struct openmetrics_label version = {"version", text_of(PROCTRACK_VERSION)};
    put_gauge(out, PROCTRACK, "up", "1: the module answered; 0: nothing is known of it",
              result->up);
    if (result->knows_rpc)
        put_gauge(out, WPSD, "up", "1: the broker answered; 0: nothing is known of it",
                  result->rpc_up);
    put_gauge(out, PROCTRACK, "exporter_scrape_duration_ms",
              "How long the exporter waited for the answers told here", (uint64_t)result->took_ms);
    put_info(out, PROCTRACK, "exporter_build", "The exporter", &version, 1);
}

/* ---- the module ----------------------------------------------------------------------------- */

/* Those that are counts of what is counted here; others have units of their own. */
static bool is_count(struct text limit)
{
    static const char *const names[] = {"blocks",   "scopes",      "processes",
                                        "requests", "descriptors", "escaped"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_is(limit, names[i]))
            return true;
    return false;
}

static void put_module(struct openmetrics *out, const void *view)
{
    const struct describe_view *module = view;
    const struct openmetrics_label labels[] = {{"version", module->version},
                                               {"tracker", module->tracker},
                                               {"feed", module->feed},
                                               {"confidence", module->confidence.confidence}};
    put_info(out, PROCTRACK, "module",
             "The module: how it tracks, and how sure the membership of new blocks is", labels,
             sizeof labels / sizeof *labels);
    openmetrics_family(out, OPENMETRICS_GAUGE, PROCTRACK, text_of("limit"),
                       "How many of a thing there may be");
    for (size_t i = 0; i < module->n_limits; i++)
        if (is_count(module->limits[i].name))
            openmetrics_uint(out, &(struct openmetrics_label){"limit", module->limits[i].name}, 1,
                             module->limits[i].value);
}

static void put_module_stats(struct openmetrics *out, const void *view)
{
    metrics_put_stats(out, STATS_OF_MODULE, view);
}

static void put_broker_stats(struct openmetrics *out, const void *view)
{
    metrics_put_stats(out, STATS_OF_BROKER, view);
}

/* ---- blocks --------------------------------------------------------------------------------- */

struct blocks {
    struct block_summary *all;
    size_t n, n_told; /* the first ones are told one by one */
};

/* The oldest first: who was told stays so for as long as it is there. */
static int compare_age(const void *a, const void *b)
{
    const struct block_summary *one = a, *other = b;
    if (one->created_at_ms != other->created_at_ms)
        return one->created_at_ms < other->created_at_ms ? -1 : 1;
    size_t size =
        one->block_id.size < other->block_id.size ? one->block_id.size : other->block_id.size;
    int result = size ? memcmp(one->block_id.at, other->block_id.at, size) : 0;
    return result ? result
                  : (one->block_id.size > other->block_id.size) -
                        (one->block_id.size < other->block_id.size);
}

static uint64_t processes_of(const struct block_summary *block)
{
    return block->processes;
}

static uint64_t rss_of(const struct block_summary *block)
{
    return block->rss_bytes;
}

static uint64_t cpu_of(const struct block_summary *block)
{
    return block->cpu_ms;
}

static void put_each(struct openmetrics *out, const struct blocks *blocks,
                     enum openmetrics_kind kind, const char *name, const char *help,
                     uint64_t (*value_of)(const struct block_summary *))
{
    openmetrics_family(out, kind, PROCTRACK, text_of(name), help);
    for (size_t i = 0; i < blocks->n_told; i++)
        openmetrics_uint(out, &(struct openmetrics_label){"block", blocks->all[i].block_id}, 1,
                         value_of(&blocks->all[i]));
}

static void put_confidences(struct openmetrics *out, const struct blocks *blocks)
{
    static const char *const names[] = {"high", "best_effort", "none"};
    openmetrics_family(out, OPENMETRICS_GAUGE, PROCTRACK, text_of("blocks_by_confidence"),
                       "Blocks whose membership is so sure");
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        uint64_t n = 0;
        for (size_t i = 0; i < blocks->n; i++)
            n += text_is(blocks->all[i].confidence, names[k]);
        openmetrics_uint(out, &(struct openmetrics_label){"confidence", text_of(names[k])}, 1, n);
    }
}

static void put_blocks(struct openmetrics *out, const void *view)
{
    const struct blocks *blocks = view;
    put_confidences(out, blocks);
    put_gauge(out, PROCTRACK, "blocks_left_out",
              "Blocks that are not told one by one: there are more than the exporter may tell",
              blocks->n - blocks->n_told);
    put_each(out, blocks, OPENMETRICS_GAUGE, "block_processes", "Members of the block",
             processes_of);
    put_each(out, blocks, OPENMETRICS_GAUGE, "block_resident_memory_bytes",
             "Resident sets of the members of the block, added up", rss_of);
    put_each(out, blocks, OPENMETRICS_COUNTER, "block_cpu_ms",
             "Processor time that members of the block used, those that ended included", cpu_of);
}

/* ---- asking --------------------------------------------------------------------------------- */

static int left_ms(int64_t end_ms)
{
    int64_t left = end_ms - monotonic_ms();
    return left > 0 ? (int)left : 0;
}

static int ask(struct scrape *self, const struct control_request *request, int64_t end_ms,
               const msgpack_object **ret_data, struct wps_error *error)
{
    return control_client_ask(self->broker.client, request, left_ms(end_ms), ret_data, NULL, error);
}

static int put_stats(struct sheets *part, put_function *put, const msgpack_object *data,
                     struct wps_error *error)
{
    struct stats_view view;
    int result = stats_reply_read(&view, data, error);
    if (result < 0)
        return result;
    put_both(part, put, &view);
    free(view.counters);
    free(view.gauges);
    return 0;
}

static int ask_describe(struct scrape *self, struct sheets *part, int64_t end_ms,
                        struct wps_error *error)
{
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_DESCRIBE};
    const msgpack_object *data;
    struct describe_view view;
    int result = ask(self, &request, end_ms, &data, error);
    if (result == 0)
        result = describe_reply_read(&view, data, error);
    if (result < 0)
        return result;
    put_both(part, put_module, &view);
    free(view.tried);
    free(view.limits);
    return 0;
}

static int ask_stats(struct scrape *self, struct sheets *part, int64_t end_ms,
                     struct wps_error *error)
{
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS, .command = CONTROL_STATS};
    const msgpack_object *data;
    int result = ask(self, &request, end_ms, &data, error);
    return result < 0 ? result : put_stats(part, put_module_stats, data, error);
}

static int ask_blocks(struct scrape *self, struct sheets *part, int64_t end_ms,
                      struct wps_error *error)
{
    const struct control_request request = {CONTROL_REQUEST_DEFAULTS,
                                            .command = CONTROL_LIST_ALL_BLOCKS,
                                            .detail = self->blocks_max > 0};
    const msgpack_object *data;
    _cleanup_free_ struct block_summary *all = NULL;
    size_t n = 0;
    int result = ask(self, &request, end_ms, &data, error);
    if (result == 0)
        result = list_all_reply_read(&all, &n, data, error);
    if (result < 0)
        return result;
    if (n > 0)
        qsort(all, n, sizeof *all, compare_age);
    put_both(part, put_blocks,
             &(struct blocks){all, n, n < self->blocks_max ? n : self->blocks_max});
    return 0;
}

static int ask_module(struct scrape *self, struct sheets *part, int64_t end_ms,
                      struct wps_error *error)
{
    int result = ask_describe(self, part, end_ms, error);
    if (result == 0)
        result = ask_stats(self, part, end_ms, error);
    return result == 0 ? ask_blocks(self, part, end_ms, error) : result;
}

static void put_broker(struct openmetrics *out, const void *view)
{
    put_info(out, WPSD, "build", "The broker",
             &(struct openmetrics_label){"version", *(const struct text *)view}, 1);
}

static int read_broker(struct sheets *part, const msgpack_object *data, struct wps_error *error)
{
    static const struct wire_field fields[] = {{"version", WIRE_STR, true, 0}};
    struct text version;
    int result = wire_read(data, "data", fields, 1, &version, NULL, error);
    if (result < 0)
        return result;
    put_both(part, put_broker, &version);
    return put_stats(part, put_broker_stats, data, error);
}

static int ask_broker(struct scrape *self, struct sheets *part, int64_t end_ms,
                      struct wps_error *error)
{
    const struct control_question question = {
        .command = "brokerinfo", .may_repeat = true, .timeout_ms = left_ms(end_ms)};
    struct control_answer answer;
    int result = control_client_question(self->rpc, &question, &answer, NULL, error);
    if (result < 0)
        return result;
    result = read_broker(part, answer.reply.data, error);
    control_answer_close(&answer);
    return result;
}

/* Asks one of them; all that it says is written, or nothing is. 1: it answered; 0: not, with the
 * sentence; -ENOMEM. */
static int ask_whole(struct scrape *self, struct sheets *sheets, int64_t end_ms,
                     int (*ask_it)(struct scrape *, struct sheets *, int64_t, struct wps_error *),
                     struct wps_error *error)
{
    struct sheets part cleanup(sheets_free) = {0};
    if (sheets_open(&part) < 0)
        return -ENOMEM;
    if (ask_it(self, &part, end_ms, error) < 0)
        return 0;
    if (sheets_end(&part) < 0)
        return -ENOMEM;
    sheets_append(sheets, &part);
    return 1;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int scrape_ask(struct scrape *self, int timeout_ms, struct sheets *sheets,
                      struct result *result, struct page *page)
{
    const int64_t began_ms = monotonic_ms();
    int answered = 0;
    if (self->rpc) /* cheap; half of the time, so that the module has the rest */
        answered = ask_whole(self, sheets, began_ms + timeout_ms / 2, ask_broker, NULL);
    result->rpc_up = answered > 0;
    if (answered >= 0)
        answered = ask_whole(self, sheets, began_ms + timeout_ms, ask_module, &page->why);
    page->up = result->up = answered > 0;
    result->took_ms = monotonic_ms() - began_ms;
    return answered < 0 ? answered : 0;
}

int scrape_run(struct scrape *self, int timeout_ms, struct page *ret)
{
    struct page page = {0};
    struct result result = {.knows_rpc = self->rpc};
    struct sheets sheets cleanup(sheets_free) = {0};
    if (sheets_open(&sheets) < 0 || scrape_ask(self, timeout_ms, &sheets, &result, &page) < 0)
        return -ENOMEM;
    put_both(&sheets, put_result, &result);
    for (int i = 0; i < 2; i++)
        openmetrics_end(&sheets.out[i]);
    if (sheets_end(&sheets) < 0)
        return -ENOMEM;
    for (int i = 0; i < 2; i++) {
        page.text[i] = take_ptr(sheets.text[i]);
        page.size[i] = sheets.size[i];
    }
    *ret = page;
    return 0;
}

void page_free(struct page *page)
{
    free(page->text[0]);
    free(page->text[1]);
    *page = (struct page){0};
}

/* ---- its life ------------------------------------------------------------------------------- */

int scrape_open(struct scrape *ret, const struct broker_options *options, const char *rpc,
                size_t blocks_max, struct wps_error *error)
{
    struct scrape scrape = {.blocks_max = blocks_max};
    int result = broker_open(&scrape.broker, options, error);
    if (result < 0)
        return result;
    _cleanup_free_ char *beside = broker_beside(&scrape.broker, "rpc");
    if (rpc || beside)
        result = control_client_open(&scrape.rpc, scrape.broker.context, rpc ? rpc : beside, error);
    if (scrape.rpc)
        control_client_use_keys(scrape.rpc, &scrape.broker.keys);
    if (result < 0) {
        scrape_close(&scrape);
        return result;
    }
    if (scrape.rpc)
        control_client_use_keys(scrape.rpc, &scrape.broker.keys);
    *ret = scrape;
    return 0;
}

void scrape_interrupt(struct scrape *self)
{
    zmq_ctx_shutdown(self->broker.context);
}

void scrape_close(struct scrape *self)
{
    control_client_close(&self->rpc);
    broker_close(&self->broker);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Pages on demand. */

#include "cli/exporter/collector.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct collector {
    struct scrape *scrape;
    struct collector_hooks hooks;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    /* Under the lock: */
    bool stopping;
    struct page page; /* empty: there was none, or no memory for it */
    int64_t made_ms;
    void *waiting[COLLECTOR_WAITING_MAX];
    size_t n_waiting;
    int timeout_ms; /* the least that one of them has */
};

/* ---- the thread ----------------------------------------------------------------------------- */

/* Says when the broker goes and when it is back. */
static void tell_change(const struct page *page, int *was_up)
{
    if (*was_up == page->up)
        return;
    if (!page->up)
        fprintf(stderr, "proctrack exporter: %s\n", page->why.message);
    else if (*was_up == 0)
        fputs("proctrack exporter: the broker answers again\n", stderr);
    *was_up = page->up;
}

/* Gives the page to all who wait. */
static void deliver(struct collector *self, struct page *page)
{
    void *waiting[COLLECTOR_WAITING_MAX];
    pthread_mutex_lock(&self->lock);
    size_t n = self->n_waiting;
    memcpy(waiting, self->waiting, n * sizeof *waiting);
    self->n_waiting = 0;
    page_free(&self->page);
    self->page = *page;
    self->made_ms = monotonic_ms();
    pthread_mutex_unlock(&self->lock);
    for (size_t i = 0; i < n; i++)
        self->hooks.go_on(waiting[i]);
}

/* Waits until somebody wants a page. False: it is the end. */
static bool wait_wanted(struct collector *self, int *ret_timeout_ms)
{
    pthread_mutex_lock(&self->lock);
    while (!self->stopping && self->n_waiting == 0)
        pthread_cond_wait(&self->wanted, &self->lock);
    bool goes_on = !self->stopping;
    *ret_timeout_ms = self->timeout_ms;
    pthread_mutex_unlock(&self->lock);
    return goes_on;
}

static bool is_stopping(struct collector *self)
{
    pthread_mutex_lock(&self->lock);
    bool stopping = self->stopping;
    pthread_mutex_unlock(&self->lock);
    return stopping;
}

static void *run(void *argument)
{
    struct collector *self = argument;
    int timeout_ms, was_up = -1;
    while (wait_wanted(self, &timeout_ms)) {
        struct page page = {0};
        if (scrape_run(self->scrape, timeout_ms, &page) == 0 && !is_stopping(self))
            tell_change(&page, &was_up);
        deliver(self, &page);
    }
    deliver(self, &(struct page){0});
    return NULL;
}

/* ---- those who want one --------------------------------------------------------------------- */

static enum collected copy(const struct page *page, bool classic, char **ret_text, size_t *ret_size)
{
    char *text = page->text[classic] ? malloc(page->size[classic] + 1) : NULL;
    if (!text)
        return COLLECTED_NEVER;
    memcpy(text, page->text[classic], page->size[classic] + 1);
    *ret_text = text;
    *ret_size = page->size[classic];
    return COLLECTED;
}

static enum collected hold(struct collector *self, void *waiting, int timeout_ms)
{
    if (self->n_waiting == COLLECTOR_WAITING_MAX)
        return COLLECTED_NEVER;
    if (self->n_waiting == 0 || timeout_ms < self->timeout_ms)
        self->timeout_ms = timeout_ms;
    self->waiting[self->n_waiting++] = waiting;
    self->hooks.hold(waiting);
    pthread_cond_signal(&self->wanted);
    return COLLECTED_LATER;
}

enum collected collector_take(struct collector *self, void *waiting, bool waited, int timeout_ms,
                              bool classic, char **ret_text, size_t *ret_size)
{
    enum collected result;
    pthread_mutex_lock(&self->lock);
    bool fresh = self->page.text[0] && monotonic_ms() - self->made_ms <= COLLECTOR_FRESH_MS;
    if (self->stopping)
        result = COLLECTED_NEVER;
    else if (waited || fresh)
        result = copy(&self->page, classic, ret_text, ret_size);
    else
        result = hold(self, waiting, timeout_ms);
    pthread_mutex_unlock(&self->lock);
    return result;
}

/* ---- its life ------------------------------------------------------------------------------- */

int collector_start(struct collector **ret, struct scrape *scrape,
                    const struct collector_hooks *hooks, struct wps_error *error)
{
    struct collector *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_system(error, -ENOMEM, "cannot start");
    self->scrape = scrape;
    self->hooks = *hooks;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wanted, NULL);
    int code = pthread_create(&self->thread, NULL, run, self);
    if (code != 0) {
        collector_free(&self);
        return wps_error_system(error, -code, "cannot make a thread");
    }
    *ret = self;
    return 0;
}

void collector_stop(struct collector *self)
{
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->wanted);
    pthread_mutex_unlock(&self->lock);
    scrape_interrupt(self->scrape);
    pthread_join(self->thread, NULL);
}

void collector_free(struct collector **self_p)
{
    struct collector *self = take_ptr(*self_p);
    if (!self)
        return;
    page_free(&self->page);
    pthread_cond_destroy(&self->wanted);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

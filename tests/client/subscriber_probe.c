/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program that subscribes as it is told, for tests that have a broker of their own:
 *
 *     subscriber_probe ENDPOINT
 *
 * It takes lines of words from standard input (`all EVENT`, `subscribe EVENT SCOPE...`,
 * `unsubscribe EVENT`, `malformed`), answers each with one line that begins with `=`, and writes a
 * line `EVENT SENDER` for each event that is delivered. It waits in poll(2) alone, so that the
 * descriptor is tested too. The end of its input ends it.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "client/subscriber.h"

enum { WORDS_MAX = 20000, LINE_SIZE = 1 << 20 };

static size_t split(char *line, const char **words)
{
    size_t n = 0;
    char before = ' ';
    for (char *c = line; *c && n < WORDS_MAX; before = *c++) {
        if (*c == ' ' || *c == '\n')
            *c = '\0';
        else if (before == ' ' || before == '\0')
            words[n++] = c;
    }
    return n;
}

static int obey(struct subscriber *events, const char **words, size_t n, struct wps_error *error)
{
    if (strcmp(words[0], "unsubscribe") == 0)
        return subscriber_unsubscribe(events, words[1]);
    if (strcmp(words[0], "all") == 0)
        return subscriber_subscribe_all(events, words[1], error);
    return subscriber_subscribe(events, words[1], words + 2, n - 2, error);
}

static void answer(struct subscriber *events, const char **words, size_t n)
{
    struct wps_error error = {""};
    if (n == 1 && strcmp(words[0], "malformed") == 0)
        printf("= %llu\n", (unsigned long long)subscriber_malformed(events));
    else if (n < 2)
        puts("= an event is missing");
    else
        printf("= %d ", obey(events, words, n, &error)), puts(error.message);
}

static int deliver(struct subscriber *events)
{
    const struct event *event;
    int result;
    while ((result = subscriber_receive(events, 0, &event)) == 1)
        printf("%.*s %.*s\n", (int)event->event.size, event->event.at, (int)event->sender.size,
               event->sender.size ? event->sender.at : "");
    fflush(stdout);
    return result == -EAGAIN || result == -EINTR ? 0 : result;
}

int main(int argc, char **argv)
{
    static char line[LINE_SIZE];
    static const char *words[WORDS_MAX];
    struct wps_error error;
    struct subscriber *events;
    void *context = zmq_ctx_new();
    setvbuf(stdin, NULL, _IONBF, 0); /* what stands in a buffer cannot be polled for */
    if (argc != 2 || subscriber_open(&events, context, argv[1], &error) < 0)
        return fprintf(stderr, "%s\n", argc == 2 ? error.message : "one endpoint"), 1;
    struct pollfd items[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = subscriber_fd(events), .events = POLLIN}};
    while (deliver(events) == 0 && (poll(items, 2, -1) >= 0 || errno == EINTR)) {
        if (!items[0].revents)
            continue;
        if (!fgets(line, sizeof line, stdin))
            break;
        answer(events, words, split(line, words));
    }
    subscriber_close(&events);
    zmq_ctx_term(context);
    return 0;
}

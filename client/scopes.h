/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_SCOPES_H
#define CLIENT_SCOPES_H

/*
 * Scopes and who wants them: the three kinds of subscription that wps knows (all scopes of an
 * event, exact scopes, star scopes), with the same answers. Pure functions, any thread; nothing is
 * kept.
 *
 * A star scope has a part that is `*` or `**`. `*` is any one part, also an empty one; `**`, as the
 * last part only, is all the rest, also none. A scope with `**` anywhere else matches nothing once
 * matching gets that far. Parts are what lies between colons, so the empty scope is one empty part.
 *
 * Source: waveterm, pkg/wps/wps.go (subscriptions) and StarMatchString in pkg/util/utilfn.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/* True where a part of `scope` is `*` or `**`: then a subscription to it is a star subscription. */
bool scope_is_star(struct text scope);

/* True where `scope` matches the star scope `pattern`. A pattern without stars matches itself. */
bool scope_matches(struct text pattern, struct text scope);

/* The longest beginning that everything matched by `pattern` has, to subscribe to on a SUB socket:
 * "block:" of "block:*", all of an exact scope. It is a view into `pattern`. */
struct text scope_prefix(struct text pattern);

/* One subscription to one event name. */
struct subscription {
    bool all_scopes;           /* every event of that name, also one without scopes */
    const struct text *scopes; /* exact or star; not looked at where all_scopes is set */
    size_t n_scopes;
};

/* True where the message with this topic is the one to deliver. An event with several scopes comes
 * once for each of them, and a subscription may match several: it is delivered with the first of
 * its scopes that matches, and with no other. `scopes` are those of the event. */
bool subscription_delivers(const struct subscription *subscription, struct text topic,
                           const struct text *scopes, size_t n_scopes);

#endif

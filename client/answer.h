/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

/*
 * What a user of the library is given as one thing to free, and how it is made without copying:
 * the bytes of a reply are kept, every string in them is made to end in NUL where it stands, and
 * what is made besides lives in the memory of the decoded message.
 */

#include <stddef.h>

#include "client/connection.h"
#include "client/control_client.h"

struct answer {
    struct control_answer of;
    max_align_t room[]; /* for the user's struct */
};

/* The user's struct. */
static inline void *answer_shown(struct answer *answer)
{
    return answer->room;
}

/* Asks with the time-out of the question, and fails as the functions of ask.h do. `*ret` has room
 * for a zeroed struct of `size` bytes. */
int answer_ask(struct answer **ret, struct proctrack *connection, bool rpc,
               const struct control_question *question, size_t size, struct proctrack_error *error);

/* Makes an answer with room for a zeroed struct of `size` bytes; takes the reply over, also where
 * it fails. Null: no memory. */
struct answer *answer_new(struct control_answer *of, size_t size);

/* Memory that lives as long as the answer; zeroed. Null: there is none. */
void *answer_memory(struct answer *answer, size_t size);

/* Has `memory`, which malloc(3) gave, freed with the answer; where that fails (-ENOMEM), at once.
 */
int answer_keep(struct answer *answer, void *memory);

/* Says that there was no memory for one: -ENOMEM. */
int answer_no_memory(struct proctrack_error *error);

/* Makes every string below an object end in NUL. The bytes that it was decoded from must be ours,
 * with one to spare behind them. Behind a string stands the head of the next value, which was read
 * already; so nothing else changes. */
void answer_end_strings(msgpack_object *object);

#endif

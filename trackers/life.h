/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRACKERS_LIFE_H
#define TRACKERS_LIFE_H

/*
 * The life of a process in a block, as one table of states and inputs. Every feed drives this
 * table, so the feeds differ in what they see and never in what they mean. Pure: no time, no
 * memory, no process; any thread.
 *
 * "Told" means that its `added` was published. What a reader is told is always: added, any number
 * of exec and changed, then one exited or one escaped.
 */

#include <stdint.h>

enum life_state {
    LIFE_UNBORN,    /* not a member */
    LIFE_SETTLING,  /* not told: an exec may come at once */
    LIFE_READING,   /* not told: its command is being read, or its parent is told first */
    LIFE_DYING,     /* not told, and it ended while it was read */
    LIFE_LIVE,      /* told */
    LIFE_REREADING, /* told: it replaced its program and the new command is being read */
    LIFE_FADING,    /* told, and it ended while it was reread */
    LIFE_DEAD,      /* all was told, or there was nothing to tell */
    LIFE_STATES,
};

enum life_input {
    LIFE_FORK,        /* born of a member, its command is the parent's */
    LIFE_JOIN,        /* came in from outside, its command is not known */
    LIFE_EXEC,        /* replaced its program, the command is known */
    LIFE_EXEC_BLIND,  /* replaced its program, the command is to be read */
    LIFE_THREAD,      /* one more thread */
    LIFE_THREAD_EXIT, /* one thread less; the last one is LIFE_EXIT besides */
    LIFE_EXIT,        /* its last thread ended */
    LIFE_LEAVE,       /* is a member no more, and lives */
    LIFE_RESCOPE,     /* was moved to another sub-scope of its block */
    LIFE_SETTLED,     /* the settle time is over; or it forked, or a command named its block */
    LIFE_UNSURE,      /* the same, but its command or its place must be looked up */
    LIFE_FACTS,       /* what was asked for has come */
    LIFE_NO_FACTS,    /* nothing could be read, or not in time */
    LIFE_RELEASE,     /* its parent was told */
    LIFE_EARLY,       /* the facts were read before its birth was complete */
    LIFE_STRANGER,    /* the facts say that it never was a member */
    LIFE_SEEN,        /* a scan saw it */
    LIFE_SEEN_NEW,    /* a scan saw it, with another command than was told */
    LIFE_MISSED,      /* a scan did not see it */
    LIFE_INPUTS,
};

/* What is to be done, in this order. */
enum life_action {
    LIFE_COUNT_UP = 1 << 0,
    LIFE_COUNT_DOWN = 1 << 1,
    LIFE_TAKE = 1 << 2,    /* the command that came with the input is its command now */
    LIFE_ARM = 1 << 3,     /* start the settle time */
    LIFE_ASK = 1 << 4,     /* read its facts */
    LIFE_ADD = 1 << 5,     /* publish added */
    LIFE_RENEW = 1 << 6,   /* publish exec */
    LIFE_CHANGE = 1 << 7,  /* publish changed */
    LIFE_END = 1 << 8,     /* publish exited */
    LIFE_ESCAPE = 1 << 9,  /* publish escaped */
    LIFE_FORGET = 1 << 10, /* take it out of the registry */
};

struct life_step {
    enum life_state state;
    unsigned actions; /* enum life_action */
};

/* What follows. Inputs that mean nothing in a state leave it and do nothing. */
struct life_step life_next(enum life_state state, enum life_input input);

/* True where its `added` was published. */
static inline int life_is_told(enum life_state state)
{
    return state == LIFE_LIVE || state == LIFE_REREADING || state == LIFE_FADING;
}

/* "settling" and so on, for logs and tests. */
const char *life_state_name(enum life_state state);
const char *life_input_name(enum life_input input);

#endif

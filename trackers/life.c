/* SPDX-License-Identifier: Apache-2.0 */

/* The table of a process's life. A cell that is not there leaves the state and does nothing. */

#include "trackers/life.h"

#include <stdbool.h>
#include <stddef.h>

struct cell {
    bool there;
    struct life_step step;
};

#define TO(next, todo)                                                                             \
    {                                                                                              \
        true,                                                                                      \
        {                                                                                          \
            LIFE_##next, (todo)                                                                    \
        }                                                                                          \
    }

enum {
    ASK = LIFE_ASK,
    ADD = LIFE_ADD,
    TAKE = LIFE_TAKE,
    RENEW = LIFE_RENEW,
    END = LIFE_END,
    ESCAPE = LIFE_ESCAPE,
    FORGET = LIFE_FORGET,
};

/* clang-format off */
static const struct cell table[LIFE_STATES][LIFE_INPUTS] = {
    [LIFE_UNBORN] = {
        [LIFE_FORK]       = TO(SETTLING, LIFE_ARM),
        [LIFE_JOIN]       = TO(SETTLING, LIFE_ARM),
        [LIFE_EXEC]       = TO(LIVE, TAKE | ADD),
        [LIFE_EXEC_BLIND] = TO(READING, ASK),
        [LIFE_SEEN]       = TO(LIVE, TAKE | ADD),
    },
    [LIFE_SETTLING] = {
        [LIFE_EXEC]       = TO(LIVE, TAKE | ADD),
        [LIFE_EXEC_BLIND] = TO(READING, ASK),
        [LIFE_EXIT]       = TO(DEAD, ADD | END | FORGET),
        [LIFE_LEAVE]      = TO(DEAD, ADD | ESCAPE | FORGET),
        [LIFE_SETTLED]    = TO(LIVE, ADD),
        [LIFE_UNSURE]     = TO(READING, ASK),
        [LIFE_SEEN]       = TO(LIVE, TAKE | ADD),
        [LIFE_MISSED]     = TO(DEAD, ADD | END | FORGET),
    },
    [LIFE_READING] = {
        [LIFE_EXEC]       = TO(LIVE, TAKE | ADD),
        [LIFE_EXEC_BLIND] = TO(READING, ASK),
        [LIFE_EXIT]       = TO(DYING, 0),
        [LIFE_LEAVE]      = TO(DEAD, ADD | ESCAPE | FORGET),
        [LIFE_FACTS]      = TO(LIVE, TAKE | ADD),
        [LIFE_NO_FACTS]   = TO(LIVE, ADD),
        [LIFE_RELEASE]    = TO(LIVE, ADD),
        [LIFE_EARLY]      = TO(SETTLING, LIFE_ARM),
        [LIFE_STRANGER]   = TO(DEAD, FORGET),
        [LIFE_SEEN]       = TO(LIVE, TAKE | ADD),
        [LIFE_MISSED]     = TO(DEAD, ADD | END | FORGET),
    },
    [LIFE_DYING] = {
        [LIFE_FACTS]      = TO(DEAD, TAKE | ADD | END | FORGET),
        [LIFE_NO_FACTS]   = TO(DEAD, ADD | END | FORGET),
        [LIFE_RELEASE]    = TO(DEAD, ADD | END | FORGET),
        [LIFE_STRANGER]   = TO(DEAD, FORGET),
        [LIFE_MISSED]     = TO(DEAD, ADD | END | FORGET),
    },
    [LIFE_LIVE] = {
        [LIFE_EXEC]       = TO(LIVE, TAKE | RENEW),
        [LIFE_EXEC_BLIND] = TO(REREADING, ASK),
        [LIFE_EXIT]       = TO(DEAD, END | FORGET),
        [LIFE_LEAVE]      = TO(DEAD, ESCAPE | FORGET),
        [LIFE_RESCOPE]    = TO(LIVE, LIFE_CHANGE),
        [LIFE_SEEN_NEW]   = TO(LIVE, TAKE | RENEW),
        [LIFE_STRANGER]   = TO(DEAD, ESCAPE | FORGET),
        [LIFE_MISSED]     = TO(DEAD, END | FORGET),
    },
    [LIFE_REREADING] = {
        [LIFE_EXEC]       = TO(LIVE, TAKE | RENEW),
        [LIFE_EXEC_BLIND] = TO(REREADING, ASK),
        [LIFE_EXIT]       = TO(FADING, 0),
        [LIFE_LEAVE]      = TO(DEAD, ESCAPE | FORGET),
        [LIFE_RESCOPE]    = TO(REREADING, LIFE_CHANGE),
        [LIFE_FACTS]      = TO(LIVE, TAKE | RENEW),
        [LIFE_NO_FACTS]   = TO(LIVE, RENEW),
        [LIFE_STRANGER]   = TO(DEAD, ESCAPE | FORGET),
        [LIFE_SEEN_NEW]   = TO(LIVE, TAKE | RENEW),
        [LIFE_MISSED]     = TO(DEAD, END | FORGET),
    },
    [LIFE_FADING] = {
        [LIFE_FACTS]      = TO(DEAD, TAKE | RENEW | END | FORGET),
        [LIFE_NO_FACTS]   = TO(DEAD, RENEW | END | FORGET),
        [LIFE_STRANGER]   = TO(DEAD, END | FORGET),
        [LIFE_MISSED]     = TO(DEAD, END | FORGET),
    },
};
/* clang-format on */

struct life_step life_next(enum life_state state, enum life_input input)
{
    if (state != LIFE_UNBORN && state != LIFE_DEAD) {
        if (input == LIFE_THREAD)
            return (struct life_step){state, LIFE_COUNT_UP};
        if (input == LIFE_THREAD_EXIT)
            return (struct life_step){state, LIFE_COUNT_DOWN};
    }
    const struct cell *cell = &table[state][input];
    return cell->there ? cell->step : (struct life_step){state, 0};
}

const char *life_state_name(enum life_state state)
{
    static const char *const names[LIFE_STATES] = {
        [LIFE_UNBORN] = "unborn", [LIFE_SETTLING] = "settling", [LIFE_READING] = "reading",
        [LIFE_DYING] = "dying",   [LIFE_LIVE] = "live",         [LIFE_REREADING] = "rereading",
        [LIFE_FADING] = "fading", [LIFE_DEAD] = "dead",
    };
    return names[state];
}

const char *life_input_name(enum life_input input)
{
    static const char *const names[LIFE_INPUTS] = {
        [LIFE_FORK] = "fork",         [LIFE_JOIN] = "join",
        [LIFE_EXEC] = "exec",         [LIFE_EXEC_BLIND] = "exec-blind",
        [LIFE_THREAD] = "thread",     [LIFE_THREAD_EXIT] = "thread-exit",
        [LIFE_EXIT] = "exit",         [LIFE_LEAVE] = "leave",
        [LIFE_RESCOPE] = "rescope",   [LIFE_SETTLED] = "settled",
        [LIFE_UNSURE] = "unsure",     [LIFE_FACTS] = "facts",
        [LIFE_NO_FACTS] = "no-facts", [LIFE_RELEASE] = "release",
        [LIFE_EARLY] = "early",       [LIFE_STRANGER] = "stranger",
        [LIFE_SEEN] = "seen",         [LIFE_SEEN_NEW] = "seen-new",
        [LIFE_MISSED] = "missed",
    };
    return names[input];
}

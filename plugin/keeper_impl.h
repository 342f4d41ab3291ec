/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_KEEPER_IMPL_H
#define PLUGIN_KEEPER_IMPL_H

/*
 * What the files behind keeper.h share: keeper.c has the promises, keeper_process.c the process
 * that is told of them. For them alone.
 */

#include "plugin/keeper.h"

struct promise {
    UT_hash_handle by_id;
    bool wish; /* on_crash: kill, as it was asked for last */
    bool told; /* the same, as the keeper was told last */
    bool held; /* it was in force once: it is a block's, and not only asked for */
    enum { NOWHERE, IN_TO_TELL, IN_TOLD } where;
    TAILQ_ENTRY(promise) link;
    uint64_t number, sent_ns; /* of the message, while IN_TOLD */
    struct asks waiting;
    char id[BLOCK_ID_MAX + 1];
};

struct keeper {
    struct module *module;
    char path[OPTION_TEXT_MAX + 32];
    enum {
        OFF,
        LATER,    /* the timer starts it */
        STARTING, /* until it says that it is ready */
        RUNS,
        ENDING, /* it was told bye */
    } state;
    bool ended;        /* no other one is started */
    bool answered;     /* this one has taken something in */
    bool broken;       /* it failed too often, and runs not yet again */
    unsigned failures; /* in a row */
    char why[256];     /* of the newest failure */
    uint64_t started_ns, last_number;
    uint32_t pid;
    int socket, pidfd;
    sd_event_source *socket_source, *pidfd_source, *timer;
    struct promise *promises;
    TAILQ_HEAD(promises, promise) to_tell, told;
};

/* ---- keeper.c ---- */

/* Out of the list it is in. */
void keeper_take_out(struct keeper *keeper, struct promise *promise);

/* Something of it has changed: it is to be told, or it is in force. It may be freed. */
void keeper_look_at(struct keeper *keeper, struct promise *promise);

/* What the one that is gone was told, the next one does not know. */
void keeper_forget_told(struct keeper *keeper);

/* It cannot be had now: nobody waits for it. Blocks that it was to end stay on its list. */
void keeper_give_up(struct keeper *keeper);

/* Readers are told where the promise begins or ceases to hold. */
void keeper_set_broken(struct keeper *keeper, bool broken);

/* ---- keeper_process.c ---- */

/* Starts it where there is something to tell and none runs. One that could not be had is not waited
 * for: who asks has it tried at once. */
void keeper_want(struct keeper *keeper);

/* Tells it as much as the socket takes. */
void keeper_flush(struct keeper *keeper);

int keeper_on_timer(sd_event_source *source, uint64_t now_us, void *keeper);

#endif

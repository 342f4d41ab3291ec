/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEEPER_LOCK_H
#define KEEPER_LOCK_H

/*
 * The next broker adopts what the last one left, and must not adopt what that one's keeper is about
 * to end. A keeper holds a lock as long as it lives, and who adopts waits for it. The lock is on a
 * file of the root cgroup that only its owner may open, so that nobody else can hold anybody up.
 */

enum {
    KEEPER_PATIENCE_MS = 10000, /* a keeper whose host died ends within this time */
    KEEPER_WAIT_MS = 12000,     /* so who adopts waits for so long at most */
};

/* Holds the lock until the descriptor is closed. A negative errno. */
int keeper_lock_hold(const char *root);

/* Waits until no keeper of this root lives. -ETIMEDOUT; other failures mean that there is no lock.
 */
int keeper_lock_wait(const char *root, unsigned patience_ms);

#endif

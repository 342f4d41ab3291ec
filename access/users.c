/* SPDX-License-Identifier: Apache-2.0 */

/* Users by name and number, and the one behind a connection. */

#include "access/users.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 256, PASSWD_ROOM = 16 * 1024 };

static int number_of(const char *name, uint32_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(name, &end, 10);
    if (errno || *end || name[0] < '0' || name[0] > '9' || number >= UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)number;
    return 0;
}

static int find_user(const char *name, uint32_t *ret, struct wps_error *error)
{
    struct passwd entry, *found = NULL;
    if (number_of(name, ret) == 0)
        return 0;
    char *room = malloc(PASSWD_ROOM);
    if (!room)
        return wps_error_set(error, -ENOMEM, "allow-users: no memory");
    int failed = getpwnam_r(name, &entry, room, PASSWD_ROOM, &found);
    if (found)
        *ret = entry.pw_uid;
    free(room);
    if (failed)
        return wps_error_system(error, -failed, "allow-users: looking for the user %s", name);
    return found ? 0 : wps_error_set(error, -EINVAL, "allow-users: there is no user '%s'", name);
}

int users_read(struct users *ret, const char *list, struct wps_error *error)
{
    struct users users = {.n = 0};
    for (list += strspn(list, " "); *list; list += strspn(list, " ")) {
        char name[NAME_MAX_BYTES];
        size_t size = strcspn(list, " ");
        if (size >= sizeof name || users.n == USERS_MAX)
            return wps_error_set(error, -EINVAL,
                                 "allow-users: expected at most %d names or numbers of users with "
                                 "spaces between them",
                                 USERS_MAX);
        snprintf(name, sizeof name, "%.*s", (int)size, list);
        int r = find_user(name, &users.ids[users.n], error);
        if (r < 0)
            return r;
        users.n++;
        list += size;
    }
    *ret = users;
    return 0;
}

bool users_have(const struct users *users, uint32_t uid)
{
    if (uid == 0 || uid == geteuid())
        return true;
    for (size_t i = 0; i < users->n; i++)
        if (users->ids[i] == uid)
            return true;
    return false;
}

bool users_of_address(const char *address, uint32_t *ret_uid)
{
    const char *at = address ? address + strlen(address) : NULL;
    unsigned long uid, gid, pid;
    char behind;
    for (int colons = 0; at && colons < 3; colons++)
        at = memrchr(address, ':', (size_t)(at - address));
    if (!at || at[1] < '0' || at[1] > '9' ||
        sscanf(at, ":%lu:%lu:%lu%c", &uid, &gid, &pid, &behind) != 3 || uid > UINT32_MAX)
        return false;
    *ret_uid = (uint32_t)uid;
    return true;
}

bool users_of_frame(const zmq_msg_t *frame, uint32_t *ret_uid)
{
    return users_of_address(zmq_msg_gets(frame, "Peer-Address"), ret_uid);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Roles, and how sockets are guarded by them. */

#include "access/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/keyring.h"
#include "access/zap.h"

#define IPC "ipc://"
#define TCP "tcp://"

enum {
    /* A peer that begins a handshake and does not go on holds a descriptor for so long. */
    HANDSHAKE_MS = 10000,
    READ_IN_ONE_GO = 256,
};

static const char *const role_names[ACCESS_ROLES] = {"listen", "ask", "publish"};

struct access {
    void *context;
    struct access_options options; /* its names and switches; its texts are not kept */
    bool has_secret;
    struct certificate own;
    struct keyring rings[ACCESS_ROLES];
    struct users users;
    void *zap;                    /* null: no socket needs it */
    void *monitors[ACCESS_ROLES]; /* of sockets on tcp */
    unsigned n_monitors;
    uint64_t refused;
};

/* ---- its life ------------------------------------------------------------------------------- */

static int read_keys(struct access *self, struct wps_error *error)
{
    const struct access_options *options = &self->options;
    int result = 0;
    if (options->secret) {
        result = certificate_read_secret(&self->own, options->secret, error);
        self->has_secret = result == 0;
    }
    for (int i = 0; i < ACCESS_ROLES && result == 0; i++)
        if (options->clients[i])
            result = keyring_open(&self->rings[i], options->clients[i], error);
    if (result == 0 && options->users)
        result = users_read(&self->users, options->users, error);
    return result;
}

int access_new(struct access **ret, void *context, const struct access_options *options,
               struct wps_error *error)
{
    struct access *self = calloc(1, sizeof *self);
    if (!self)
        return wps_error_set(error, -ENOMEM, "reading who may connect: no memory");
    self->context = context;
    self->options = *options;
    int result = read_keys(self, error);
    if (result < 0) {
        access_free(&self);
        return result;
    }
    *ret = self;
    return 0;
}

void access_free(struct access **self_p)
{
    struct access *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (unsigned i = 0; i < self->n_monitors; i++)
        zmq_close(self->monitors[i]);
    if (self->zap)
        zmq_close(self->zap);
    for (int i = 0; i < ACCESS_ROLES; i++)
        keyring_clear(&self->rings[i]);
    certificate_clear(&self->own);
    free(self);
}

/* ---- endpoints ------------------------------------------------------------------------------ */

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool access_is_ipc(const char *endpoint)
{
    return begins_with(endpoint, IPC);
}

/* "tcp://127.0.0.1:5555"; a name could lead anywhere. */
static bool is_loopback(const char *endpoint)
{
    char host[64];
    struct in_addr address;
    const char *begin = endpoint + strlen(TCP), *end = strrchr(begin, ':');
    if (!end || (size_t)(end - begin) >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)(end - begin), begin);
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static int refuse_tcp(const struct access *self, const char *endpoint, enum access_role role,
                      struct wps_error *error)
{
    const struct access_options *options = &self->options;
    if (options->plain_tcp)
        return wps_error_set(error, -EPERM,
                             "%s: %s=yes is for 127.0.0.1 alone, as there is nobody "
                             "asked who they are: set %s and %s for other addresses",
                             endpoint, options->plain_option, options->secret_option,
                             options->client_options[role]);
    return wps_error_set(error, -EPERM,
                         "%s: on tcp everybody could %s: set %s to a secret key and %s to the keys "
                         "of those who may (or, on 127.0.0.1 alone, %s=yes)",
                         endpoint, role_names[role], options->secret_option,
                         options->client_options[role], options->plain_option);
}

/* ---- guarding ------------------------------------------------------------------------------- */

static int set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Tells of those who do not get as far as to be asked about: of a client without a key either side
 * may see first that the other one wants what it has not, and if the client does, all that is seen
 * here is that it went in the middle of its handshake. A monitor that is not read must not
 * stop ZeroMQ, so what it told waits without a limit; access_work reads it all. */
static int watch(struct access *self, void *socket, enum access_role role)
{
    char name[64];
    const int zero = 0;
    snprintf(name, sizeof name, "inproc://access-%p-%s", (void *)self, role_names[role]);
    void *monitor = zmq_socket(self->context, ZMQ_PAIR);
    if (!monitor)
        return -errno;
    self->monitors[self->n_monitors++] = monitor;
    if (zmq_setsockopt(monitor, ZMQ_RCVHWM, &zero, sizeof zero) < 0 ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &zero, sizeof zero) < 0 ||
        zmq_socket_monitor(socket, name,
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) < 0 ||
        zmq_connect(monitor, name) < 0)
        return -errno;
    return 0;
}

static int guard_by_zap(struct access *self, void *socket, enum access_role role,
                        struct wps_error *error)
{
    const char *domain = role_names[role];
    int result = self->zap ? 0 : zap_open(&self->zap, self->context, error);
    if (result < 0)
        return result;
    if (zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) < 0 ||
        set(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) < 0)
        return wps_error_system(error, -errno, "guarding a socket");
    return 0;
}

static int guard_by_curve(struct access *self, void *socket, enum access_role role,
                          struct wps_error *error)
{
    int result = guard_by_zap(self, socket, role, error);
    if (result == 0)
        result = watch(self, socket, role);
    if (result == 0 &&
        (set(socket, ZMQ_CURVE_SERVER, 1) < 0 ||
         zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, self->own.secret_key, CURVE_KEY_SIZE) < 0))
        result = -errno;
    return result < 0 ? wps_error_set(error, result, "guarding a socket by CURVE: %s",
                                      zmq_strerror(-result))
                      : 0;
}

int access_guard(struct access *self, void *socket, const char *endpoint, enum access_role role,
                 struct wps_error *error)
{
    if (begins_with(endpoint, TCP)) {
        if (self->has_secret && self->rings[role].path)
            return guard_by_curve(self, socket, role, error);
        return self->options.plain_tcp && !self->has_secret && is_loopback(endpoint)
                   ? 0
                   : refuse_tcp(self, endpoint, role, error);
    }
    if (role == ACCESS_LISTEN && self->users.n > 0 && !self->options.others_listen)
        return guard_by_zap(self, socket, role, error);
    return 0;
}

/* ---- deciding ------------------------------------------------------------------------------- */

static bool may_by_key(struct access *self, enum access_role role, struct text key)
{
    char text[CURVE_KEY_SIZE];
    return key.size == ZAP_KEY_BYTES &&
           zmq_z85_encode(text, (const uint8_t *)key.at, key.size) != NULL &&
           keyring_has(&self->rings[role], text);
}

static bool may_by_user(const struct access *self, struct text address)
{
    char text[128];
    uint32_t uid;
    if (address.size >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)address.size, address.at);
    return users_of_address(text, &uid) && users_have(&self->users, uid);
}

static bool decide(void *context, const struct zap_question *question)
{
    struct access *self = context;
    for (int role = 0; role < ACCESS_ROLES; role++)
        if (text_is(question->domain, role_names[role])) {
            if (text_is(question->mechanism, "CURVE"))
                return may_by_key(self, role, question->key);
            return text_is(question->mechanism, "NULL") && may_by_user(self, question->address);
        }
    return false;
}

bool access_permits(struct access *self, const zmq_msg_t *frame, bool ipc, uint32_t *ret_uid)
{
    uint32_t uid = (uint32_t)ACCESS_NOBODY;
    bool permitted = !ipc || (users_of_frame(frame, &uid) && users_have(&self->users, uid));
    self->refused += !permitted;
    if (ret_uid)
        *ret_uid = uid;
    return permitted;
}

/* ---- working -------------------------------------------------------------------------------- */

size_t access_sockets(const struct access *self, void *ret[static ACCESS_SOCKETS_MAX])
{
    size_t n = 0;
    if (self->zap)
        ret[n++] = self->zap;
    for (unsigned i = 0; i < self->n_monitors; i++)
        ret[n++] = self->monitors[i];
    return n;
}

/* Each event has two frames; only such that are to be counted were asked for. */
static bool read_monitor(struct access *self, void *monitor)
{
    bool read = false;
    for (int i = 0; i < READ_IN_ONE_GO; i++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        bool got = TEMP_FAILURE_RETRY(zmq_msg_recv(&frame, monitor, ZMQ_DONTWAIT)) >= 0;
        self->refused += got && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
        if (!got)
            return read;
        read = true;
    }
    return read;
}

bool access_work(struct access *self)
{
    bool more = false;
    if (self->zap)
        self->refused += zap_work(self->zap, decide, self, &more);
    for (unsigned i = 0; i < self->n_monitors; i++)
        more |= read_monitor(self, self->monitors[i]);
    return more;
}

bool access_has_users(const struct access *self)
{
    return self->users.n > 0;
}

uint64_t access_refused(const struct access *self)
{
    return self->refused;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Reading certificates, and using them as a client. */

#include "access/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/text.h"

enum { LINES_MAX = 1000, LINE_MAX_BYTES = 512 };

int certificate_check_file(int fd, const char *path, bool secret, struct wps_error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return wps_error_system(error, -errno, "looking at %s", path);
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return wps_error_set(error, -EPERM,
                             "%s: it belongs to user %u, who could put other keys there: it must "
                             "be root's or your own",
                             path, (unsigned)status.st_uid);
    if (secret && (status.st_mode & 077))
        return wps_error_set(error, -EPERM,
                             "%s: its mode %04o lets others read the secret key: chmod 0600 it, or "
                             "make a new one if somebody did",
                             path, (unsigned)status.st_mode & 07777);
    if (status.st_mode & 022)
        return wps_error_set(error, -EPERM,
                             "%s: its mode %04o lets others put keys there: chmod go-w it", path,
                             (unsigned)status.st_mode & 07777);
    return 0;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* "name = "value"", without regard to blanks. */
static bool take_value(const char *line, const char *name, char ret[static CURVE_KEY_SIZE])
{
    uint8_t raw[32];
    line += strspn(line, " \t");
    if (strncmp(line, name, strlen(name)) != 0)
        return false;
    line += strlen(name);
    line += strspn(line, " \t");
    if (*line != '=')
        return false;
    line += 1 + strspn(line + 1, " \t");
    char quote = *line == '"' || *line == '\'' ? *line++ : '\0';
    if (strnlen(line, CURVE_KEY_SIZE) < CURVE_KEY_SIZE - 1 || (quote && line[40] != quote))
        return false;
    memcpy(ret, line, CURVE_KEY_SIZE - 1);
    ret[CURVE_KEY_SIZE - 1] = '\0';
    if (zmq_z85_decode(raw, ret))
        return true;
    ret[0] = '\0';
    return false;
}

/* Keys count in the section `curve` alone; a section begins at a line's first column. */
static void take_line(struct certificate *certificate, const char *line, bool *in_curve)
{
    if (*line == '#' || *line == '\n' || *line == '\0')
        return;
    if (*line != ' ' && *line != '\t') {
        *in_curve = strcspn(line, " \t\r\n=") == 5 && strncmp(line, "curve", 5) == 0;
        return;
    }
    if (*in_curve && !take_value(line, "public-key", certificate->public_key))
        take_value(line, "secret-key", certificate->secret_key);
}

static void read_lines(struct certificate *ret, FILE *file)
{
    char line[LINE_MAX_BYTES];
    bool in_curve = false;
    for (int i = 0; i < LINES_MAX && fgets(line, sizeof line, file); i++)
        take_line(ret, line, &in_curve);
    explicit_bzero(line, sizeof line);
}

static int read_file(struct certificate *ret, const char *path, bool secret,
                     struct wps_error *error)
{
    struct certificate certificate = {0};
    struct stat status;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return wps_error_system(error, -errno, "reading the certificate %s", path);
    int result = certificate_check_file(fd, path, secret, error);
    if (result < 0)
        return result;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return wps_error_set(error, -EINVAL, "%s: it is not a file", path);
    _cleanup_fclose_ FILE *file = fdopen(fd, "r");
    if (!file)
        return wps_error_system(error, -errno, "reading the certificate %s", path);
    fd = -1;
    read_lines(&certificate, file);
    if (certificate.public_key[0] && (!secret || certificate.secret_key[0]))
        *ret = certificate;
    else
        result = wps_error_set(error, -EINVAL,
                               "%s: there is no section curve with a %s in it: make one with "
                               "zmakecert or pyzmq's create_certificates",
                               path, certificate.public_key[0] ? "secret-key" : "public-key");
    certificate_clear(&certificate);
    return result;
}

int certificate_read_public(struct certificate *ret, const char *file, struct wps_error *error)
{
    struct certificate certificate;
    int result = read_file(&certificate, file, false, error);
    if (result < 0)
        return result;
    explicit_bzero(certificate.secret_key, sizeof certificate.secret_key);
    *ret = certificate;
    return 0;
}

int certificate_read_secret(struct certificate *ret, const char *file, struct wps_error *error)
{
    char public_key[CURVE_KEY_SIZE];
    struct certificate certificate;
    if (!zmq_has("curve"))
        return wps_error_set(error, -EOPNOTSUPP,
                             "this libzmq was built without CURVE: %s is of no use", file);
    int result = read_file(&certificate, file, true, error);
    if (result < 0)
        return result;
    if (zmq_curve_public(public_key, certificate.secret_key) == 0 &&
        strcmp(public_key, certificate.public_key) == 0)
        *ret = certificate;
    else
        result = wps_error_set(error, -EINVAL, "%s: its two keys do not belong together", file);
    certificate_clear(&certificate);
    return result;
}

void certificate_clear(struct certificate *certificate)
{
    explicit_bzero(certificate, sizeof *certificate);
}

/* ---- clients -------------------------------------------------------------------------------- */

int client_keys_read(struct client_keys *ret, const char *secret_file, const char *server_file,
                     struct wps_error *error)
{
    struct client_keys keys = {.are_set = secret_file || server_file};
    struct certificate server;
    if (!secret_file != !server_file)
        return wps_error_set(error, -EINVAL,
                             "a client needs both, its own secret certificate and the server's "
                             "public one: there is only %s",
                             secret_file ? secret_file : server_file);
    if (keys.are_set) {
        int result = certificate_read_secret(&keys.own, secret_file, error);
        if (result == 0)
            result = certificate_read_public(&server, server_file, error);
        if (result < 0) {
            certificate_clear(&keys.own);
            return result;
        }
        memcpy(keys.server, server.public_key, sizeof keys.server);
    }
    *ret = keys;
    certificate_clear(&keys.own);
    return 0;
}

int client_keys_use(const struct client_keys *keys, void *socket)
{
    if (!keys || !keys->are_set)
        return 0;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server, CURVE_KEY_SIZE) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->own.public_key, CURVE_KEY_SIZE) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->own.secret_key, CURVE_KEY_SIZE) < 0)
        return -errno;
    return 0;
}

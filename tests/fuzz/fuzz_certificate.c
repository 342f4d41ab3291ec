/* SPDX-License-Identifier: Apache-2.0 */

/* Certificates in files, and the address that says who is at the other end. Input: one byte that
 * chooses, and the text. */

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/certificate.h"
#include "access/users.h"
#include "fuzz.h"

static void as_certificate(const char *text, size_t size, bool secret)
{
    char path[64];
    struct certificate certificate;
    struct wps_error error = {""};
    int fd = memfd_create("certificate", MFD_CLOEXEC);
    must(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, text, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int result = secret ? certificate_read_secret(&certificate, path, &error)
                        : certificate_read_public(&certificate, path, &error);
    if (result == 0)
        must(strlen(certificate.public_key) == CURVE_KEY_SIZE - 1);
    else
        must(error.message[0]);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t kind = take_byte(&input);
    char *text = take_string(&input, input.left, &size);
    uint32_t uid;
    if (kind % 3 == 2)
        users_of_address(text, &uid);
    else
        as_certificate(text, size, kind % 3);
    free(text);
    return 0;
}

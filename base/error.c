/* SPDX-License-Identifier: Apache-2.0 */

/* The error contract: one sentence beside one negative errno. */

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int wps_error_set(struct wps_error *error, int code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
    }
    return code;
}

int wps_error_system(struct wps_error *error, int code, const char *format, ...)
{
    if (error) {
        char text[128];
        va_list args;
        va_start(args, format);
        int used = vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
        if (used >= 0 && (size_t)used < sizeof error->message)
            snprintf(error->message + used, sizeof error->message - (size_t)used, ": %s",
                     strerror_r(-code, text, sizeof text));
    }
    return code;
}

bool wps_error_passes(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -EINTR;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Endpoints: what is one, and what is in the way of one. */

#include <criterion/criterion.h>
#include <errno.h>

#include "access/access.h"
#include "broker_shim/endpoint.h"

static int check(const char *endpoint)
{
    struct wps_error error = {""};
    int result = endpoint_check(endpoint, &error);
    if (result < 0)
        cr_expect_not_null(strstr(error.message, endpoint), "it is named: %s", error.message);
    return result;
}

Test(endpoint, ipc_and_tcp_are_endpoints)
{
    cr_expect_eq(check("ipc:///a/b"), 0);
    cr_expect_eq(check("ipc://@abstract"), 0);
    cr_expect_eq(check("tcp://127.0.0.1:5555"), 0);
    cr_expect_eq(check("tcp://*:*"), 0);
    cr_expect(access_is_ipc("ipc:///a"));
    cr_expect_not(access_is_ipc("tcp://ipc://"));
}

Test(endpoint, all_else_is_none)
{
    static const char *const wrong[] = {"",        "/a",     "ipc://",     "ipc://a",
                                        "ipc://*", "tcp://", "inproc://a", "IPC:///a"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(check(wrong[i]), -EINVAL, "%s", wrong[i]);
}

Test(endpoint, a_path_has_107_bytes_at_most)
{
    char endpoint[128] = "ipc:///";
    memset(endpoint + 7, 'x', 106);
    cr_expect_eq(check(endpoint), 0);
    strcat(endpoint, "x");
    cr_expect_eq(check(endpoint), -ENAMETOOLONG);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Requests: what anybody may send to control and rpc. One that is understood and packed again is
 * understood as the same; one that is not has a sentence that can be sent back. */

#include "fuzz.h"
#include "schemas/control_request.h"

static void check_refusal(enum errorcode code, const struct wps_error *error)
{
    must(code != ERRORCODE_INTERNAL);
    must(error->message[0]);
    must(wire_utf8_valid(text_of(error->message)));
}

static bool same(const struct control_request *a, const struct control_request *b)
{
    return a->command == b->command && text_equal(a->block_id, b->block_id) &&
           text_equal(a->scope, b->scope) && a->pid == b->pid &&
           a->started_at_ms == b->started_at_ms && a->root == b->root &&
           a->keep_on_exit == b->keep_on_exit && a->kill_on_crash == b->kill_on_crash &&
           a->only_started == b->only_started && a->detail == b->detail &&
           a->timeout_ms == b->timeout_ms && a->signal == b->signal && a->grace_ms == b->grace_ms &&
           a->include_escaped == b->include_escaped;
}

static void check_again(const struct control_request *control, const struct reqid *reqid)
{
    struct wire_out data, whole;
    struct request request;
    struct control_request again;
    struct wps_error error;
    enum errorcode code;
    wire_out_init(&data);
    wire_out_init(&whole);
    control_request_pack(&data, control);
    request_pack(&whole, control_command_name(control->command), reqid,
                 (struct text){data.bytes.data, data.bytes.size});
    must(request_open(&request, whole.bytes.data, whole.bytes.size, &code, &error) == 0);
    must(control_request_read(&again, &request, &code, &error) == 0);
    must(same(control, &again));
    request_close(&request);
    wire_out_destroy(&whole);
    wire_out_destroy(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct text bytes = take_text(&input, size);
    struct request request;
    struct control_request control;
    struct wps_error error = {""};
    enum errorcode code = ERRORCODE_INTERNAL;
    if (request_open(&request, bytes.at, bytes.size, &code, &error) < 0) {
        check_refusal(code, &error);
    } else {
        if (control_request_read(&control, &request, &code, &error) < 0)
            check_refusal(code, &error);
        else
            check_again(&control, &request.reqid);
        request_close(&request);
    }
    free((void *)bytes.at);
    return 0;
}

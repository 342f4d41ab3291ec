/* SPDX-License-Identifier: Apache-2.0 */

/* The packets between module and keeper: one that is read and written again has the same bytes, and
 * no name in it leads out of the keeper's directory. */

#include "fuzz.h"
#include "keeper/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct text bytes = take_text(&input, size);
    struct keeper_message message;
    char again[KEEPER_MESSAGE_MAX];
    if (keeper_message_read(&message, bytes.at, bytes.size) == 0) {
        must(!strchr(message.name, '/') && message.name[0] != '.');
        must(keeper_message_write(again, &message) == bytes.size);
        must(memcmp(again, bytes.at, bytes.size) == 0);
    }
    free((void *)bytes.at);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Writing msgpack: every put, the buffer that is used again, and what happens without memory. */

#include <criterion/criterion.h>

#include "test_schemas_tools.h"

/* Under a sanitizer too, no memory is a null pointer and not the end. It looks this name up. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

Test(wire_out, values_are_packed_in_their_shortest_form)
{
    WIRE_OUT(out);
    wire_put_array(&out, 9);
    wire_put_uint(&out, 1);
    wire_put_uint(&out, UINT64_MAX);
    wire_put_int(&out, -1);
    wire_put_int(&out, INT64_MIN);
    wire_put_bool(&out, true);
    wire_put_bool(&out, false);
    wire_put_str(&out, "a");
    wire_put_text(&out, (struct text){0});
    wire_put_raw(&out, "\xc4\x01\xff", 3);
    assert_packed(&out,
                  "<99 01 cf ff ff ff ff ff ff ff ff ff d3 80 00 00 00 00 00 00 00 c3 c2 a1 61"
                  " a0 c4 01 ff>");
}

Test(wire_out, pairs_are_a_key_and_its_value)
{
    WIRE_OUT(out);
    wire_put_map(&out, 6);
    wire_pair_str(&out, "a", "x");
    wire_pair_text(&out, "b", (struct text){"y\0z", 3});
    wire_pair_repaired(&out, "c", text_of("\xff"));
    wire_pair_uint(&out, "d", 300);
    wire_pair_int(&out, "e", -300);
    wire_pair_bool(&out, "f", true);
    assert_packed(&out, "{'a': 'x', 'b': 'y\\x00z', 'c': '\\xef\\xbf\\xbd', 'd': 300, 'e': -300,"
                        " 'f': true}");
}

Test(wire_out, once_grown_the_buffer_is_used_again)
{
    WIRE_OUT(out);
    char big[10000] = {0};
    wire_put_text(&out, (struct text){big, sizeof big});
    const char *data = out.bytes.data;
    size_t room = out.bytes.alloc;
    for (int i = 0; i < 100; i++) {
        wire_out_clear(&out);
        wire_put_text(&out, (struct text){big, sizeof big});
    }
    cr_assert_eq(out.bytes.data, data);
    cr_assert_eq(out.bytes.alloc, room);
    cr_assert_not(wire_out_failed(&out));
}

Test(wire_out, a_write_that_finds_no_memory_is_remembered_until_the_next_clear)
{
    WIRE_OUT(out);
    volatile size_t huge = SIZE_MAX / 4;
    wire_put_raw(&out, "x", huge);
    cr_assert(wire_out_failed(&out));
    wire_put_uint(&out, 1);
    cr_assert(wire_out_failed(&out));
    cr_assert_eq(out.bytes.size, 0, "nothing is written behind a gap");
    wire_out_clear(&out);
    cr_assert_not(wire_out_failed(&out));
    wire_put_uint(&out, 1);
    assert_packed(&out, "1");
}

Test(wire_out, what_msgpack_cannot_count_is_a_failed_write)
{
    const size_t too_many = (size_t)UINT32_MAX + 1;
    WIRE_OUT(out);
    wire_put_text(&out, (struct text){"x", too_many});
    cr_assert(wire_out_failed(&out));
    wire_out_clear(&out);
    wire_put_array(&out, too_many);
    cr_assert(wire_out_failed(&out));
    wire_out_clear(&out);
    wire_put_map(&out, too_many);
    cr_assert(wire_out_failed(&out));
}

static const struct {
    struct text bytes;
    const char *expected;
} repairs[] = {
    {{"", 0}, "''"},
    {{"abc", 3}, "'abc'"},
    {{"\xc3\xa9", 2}, "'\\xc3\\xa9'"},
    {{"a\xff\xfe", 3}, "'a\\xef\\xbf\\xbd\\xef\\xbf\\xbd'"},
    {{"\xe2\x82", 2}, "'\\xef\\xbf\\xbd'"},
    {{"\xed\xa0\x80z", 4}, "'\\xef\\xbf\\xbd\\xef\\xbf\\xbd\\xef\\xbf\\xbdz'"},
};

Test(wire_out, bytes_that_are_not_utf8_are_repaired)
{
    for (size_t i = 0; i < sizeof repairs / sizeof *repairs; i++) {
        WIRE_OUT(out);
        wire_put_repaired(&out, repairs[i].bytes);
        assert_packed(&out, repairs[i].expected);
    }
}

Test(wire_out, a_destroyed_buffer_can_be_destroyed_again)
{
    struct wire_out out;
    wire_out_init(&out);
    wire_put_uint(&out, 1);
    wire_out_destroy(&out);
    wire_out_destroy(&out);
}

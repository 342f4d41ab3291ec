/* SPDX-License-Identifier: Apache-2.0 */

/* The detail of a process record: packed, read back, refused; and what is unknown is left out. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "schemas/process_record.h"
#include "test_schemas_tools.h"

#define RECORD                                                                                     \
    "'pid': 1, 'command': 'a', 'root': false, 'started': false, 'scope': 'main', 'rss_bytes': 0,"  \
    " 'started_at_ms': 0"

static struct wps_error error;

static const struct listening_port ports[] = {{{"127.0.0.1", 9}, {"inet", 4}, 80},
                                              {{"::", 2}, {"inet6", 5}, 65535}};

/* Bytes with NULs in them. */
#define BYTES(literal) ((struct text){literal, sizeof literal - 1})

static void pack(struct wire_out *out, const struct process_detail *detail)
{
    struct process_record record = {
        .pid = 1, .command = text_of("a"), .scope = text_of("main"), .detail = detail};
    process_record_pack(out, &record);
}

static int read_back(struct process_detail_view *ret, struct wire_doc *ret_doc,
                     const struct wire_out *out)
{
    cr_assert_eq(wire_open(ret_doc, out->bytes.data, out->bytes.size, WIRE_DEPTH_MAX, &error), 0);
    return process_detail_read(ret, &ret_doc->root, "data.processes[3]", &error);
}

Test(process_detail, it_goes_there_and_back)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct process_detail_view seen;
    const struct process_detail detail = {
        .exe = text_of("/bin/a (deleted)"),
        .cwd = text_of("/"),
        .has_uid = true,
        .state = 'S',
        .threads = 3,
        .has_cpu = true,
        .cpu_ms = 40,
        .has_argv = true,
        .argv = BYTES("a\0b c\0"),
        .argv_truncated = true,
        .has_ports = true,
        .ports = ports,
        .n_ports = 2,
    };
    pack(&out, &detail);
    assert_packed(&out,
                  "{" RECORD ", 'exe': '/bin/a (deleted)', 'cwd': '/', 'uid': 0, 'state': 'S',"
                  " 'threads': 3, 'cpu_ms': 40, 'argv': ['a', 'b c'], 'argv_truncated': true,"
                  " 'ports': [{'port': 80, 'address': '127.0.0.1', 'family': 'inet'},"
                  " {'port': 65535, 'address': '::', 'family': 'inet6'}]}");
    cr_assert_eq(read_back(&seen, &doc, &out), 0, "%s", error.message);
    assert_text(seen.exe, "/bin/a (deleted)");
    assert_text(seen.cwd, "/");
    cr_assert(seen.has_uid && seen.uid == 0);
    cr_assert_eq(seen.state, 'S');
    cr_assert_eq(seen.threads, 3);
    cr_assert(seen.has_cpu && seen.cpu_ms == 40);
    cr_assert_eq(seen.argv->via.array.size, 2);
    cr_assert(seen.argv_truncated);
    cr_assert_eq(seen.n_ports, 2);
    cr_assert_eq(seen.ports[1].port, 65535);
    assert_text(seen.ports[1].address, "::");
    assert_text(seen.ports[0].family, "inet");
    free(seen.ports);
    wire_close(&doc);
}

Test(process_detail, what_is_unknown_is_left_out)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct process_detail_view seen;
    const struct process_detail detail = {0};
    pack(&out, &detail);
    assert_packed(&out, "{" RECORD "}");
    cr_assert_eq(read_back(&seen, &doc, &out), 0);
    cr_assert_null(seen.exe.at);
    cr_assert_not(seen.has_uid || seen.has_cpu);
    cr_assert_eq(seen.state, 0);
    cr_assert_null(seen.argv);
    cr_assert_null(seen.ports);
    wire_close(&doc);
}

Test(process_detail, none_is_known_and_differs_from_unknown)
{
    WIRE_OUT(out);
    struct wire_doc doc;
    struct process_detail_view seen;
    const struct process_detail detail = {.has_argv = true, .has_ports = true};
    pack(&out, &detail);
    assert_packed(&out, "{" RECORD ", 'argv': [], 'ports': []}");
    cr_assert_eq(read_back(&seen, &doc, &out), 0);
    cr_assert_not_null(seen.argv);
    cr_assert_not_null(seen.ports);
    cr_assert_eq(seen.n_ports, 0);
    free(seen.ports);
    wire_close(&doc);
}

static void assert_argv(struct text argv, bool cut, const char *expected)
{
    WIRE_OUT(out);
    const struct process_detail detail = {.has_argv = true, .argv = argv, .argv_truncated = cut};
    pack(&out, &detail);
    assert_packed(&out, expected);
}

#define ARGV(list) "{" RECORD ", 'argv': " list "}"
#define CUT(list)  "{" RECORD ", 'argv': " list ", 'argv_truncated': true}"

Test(process_detail, argv_is_split_at_each_nul)
{
    assert_argv(BYTES("a\0"), false, ARGV("['a']"));
    assert_argv(BYTES("a\0b\0"), false, ARGV("['a', 'b']"));
    assert_argv(BYTES("a\0b"), false, ARGV("['a', 'b']"));
    assert_argv(BYTES("a\0\0\0b\0"), false, ARGV("['a', '', '', 'b']"));
    assert_argv(BYTES("a\0\0"), false, ARGV("['a', '']"));
    assert_argv(BYTES("\0"), false, ARGV("['']"));
    assert_argv(BYTES("one argument with spaces\0"), false, ARGV("['one argument with spaces']"));
}

Test(process_detail, odd_bytes_become_replacement_characters)
{
    assert_argv(BYTES("a\xff\0\xc3\0"), false, ARGV("['a\xEF\xBF\xBD', '\xEF\xBF\xBD']"));
    assert_argv(BYTES("gr\xc3\xbc\0"), false, ARGV("['gr\xc3\xbc']"));
}

Test(process_detail, a_character_that_a_cut_broke_is_left_out)
{
    assert_argv(BYTES("a\0b\xe2\x82"), true, CUT("['a', 'b']"));
    assert_argv(BYTES("a\0b\xe2\x82\xac"), true, CUT("['a', 'b\xe2\x82\xac']"));
    assert_argv(BYTES("a\0b\xff"), true, CUT("['a', 'b\xEF\xBF\xBD']"));
    assert_argv(BYTES("\xf0\x9f\x98"), true, CUT("[]"));
    assert_argv(BYTES(""), true, CUT("[]"));
}

Test(process_detail, wrong_values_are_refused_with_their_place)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"{'exe': 1}", "data.processes[3].exe: expected str, got uint"},
        {"{'uid': 4294967296}", "data.processes[3].uid"},
        {"{'argv': [1]}", "data.processes[3].argv[0]: expected str"},
        {"{'ports': {}}", "data.processes[3].ports: expected array"},
        {"{'ports': [1]}", "data.processes[3].ports[0]"},
        {"{'ports': [{'port': 65536, 'address': '', 'family': ''}]}",
         "data.processes[3].ports[0].port"},
        {"{'ports': [{'port': 1, 'family': ''}]}", "data.processes[3].ports[0].address: missing"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        WIRE_OUT(out);
        struct wire_doc doc;
        struct process_detail_view seen;
        pack_text(&out, wrong[i].text);
        cr_assert_eq(read_back(&seen, &doc, &out), -EINVAL, "%s", wrong[i].text);
        cr_assert_eq(strncmp(error.message, wrong[i].says, strlen(wrong[i].says)), 0, "%s",
                     error.message);
        wire_close(&doc);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What becomes of secrets in command lines. In the tables `|` stands between arguments. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/mask.h"
#include "plugin/registry.h"
#include "schemas/command_line.h"

enum { ROOM = 4096 };

static struct mask mask;

struct sample {
    const char *argv, *masked;
};

/* With `|` for NUL; the last argument ends in NUL unless `cut`. */
static const char *masked(const char *argv, bool cut)
{
    static char in[ROOM], out[MASK_ROOM(ROOM)], text[MASK_ROOM(ROOM)];
    size_t size = strlen(argv);
    for (size_t i = 0; i <= size; i++)
        in[i] = argv[i] == '|' ? '\0' : argv[i];
    struct text result = mask_argv(&mask, (struct text){in, size + !cut}, cut, out, NULL);
    size_t shown = result.size - !cut;
    for (size_t i = 0; i < shown; i++)
        text[i] = result.at[i] ? result.at[i] : '|';
    text[shown] = '\0';
    return text;
}

static void expect(const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(masked(samples[i].argv, false), samples[i].masked, "%s\n became %s",
                         samples[i].argv, masked(samples[i].argv, false));
}

#define EXPECT(...)                                                                                \
    do {                                                                                           \
        static const struct sample samples[] = {__VA_ARGS__};                                      \
        expect(samples, sizeof samples / sizeof *samples);                                         \
    } while (0)

#define UNTOUCHED(text)                                                                            \
    {                                                                                              \
        text, text                                                                                 \
    }

/* ---- arguments ---- */

Test(mask, an_option_hides_what_follows_it)
{
    EXPECT({"tool|--token|abc", "tool|--token|***"}, {"tool|--token=abc|x", "tool|--token=***|x"},
           {"tool|-token|abc|x", "tool|-token|***|x"}, {"t|--password|a b|x", "t|--password|***|x"},
           {"t|--password=a b c|x", "t|--password=***|x"}, {"t|--api-key|k", "t|--api-key|***"},
           {"t|--apiKey=k", "t|--apiKey=***"}, {"t|--client_secret|k|x", "t|--client_secret|***|x"},
           {"java|-Dspring.datasource.password=x y|Main",
            "java|-Dspring.datasource.password=***|Main"},
           {"openssl|rsa|-passin|pass:abc|-in|f", "openssl|rsa|-passin|***|-in|f"},
           {"t|--auth|abc", "t|--auth|***"}, {"t|--token|-abc|x", "t|--token|***|x"});
}

Test(mask, an_option_without_its_value_does_not_save_the_next_one)
{
    EXPECT({"t|--password|--token|abc|x", "t|--password|--token|***|x"},
           {"t|--password|--token=abc|x", "t|--password|--token=***|x"}, {"t|--token", "t|--token"},
           {"t|--token=", "t|--token="}, {"t|--token||x", "t|--token||x"});
}

Test(mask, an_assignment_hides_its_value)
{
    EXPECT({"env|API_KEY=abc|cmd", "env|API_KEY=***|cmd"},
           {"env|DB_PASSWORD=a b|cmd", "env|DB_PASSWORD=***|cmd"},
           {"docker|run|-e|GITHUB_TOKEN=a b|image", "docker|run|-e|GITHUB_TOKEN=***|image"},
           {"c|Server=a;Password=p w;Database=x", "c|Server=a;Password=***"},
           {"c|{\"user\": \"u\", \"password\": \"p w\"}", "c|{\"user\": \"u\", \"password\": ***"},
           {"c|http://x/?a=b&access_token=abc&c=d", "c|http://x/?a=b&access_token=***"},
           {"c|https://x/f?X-Amz-Signature=abc", "c|https://x/f?X-Amz-Signature=***"},
           {"psql|-c|ALTER ROLE u PASSWORD 'p w'", "psql|-c|ALTER ROLE u PASSWORD ***"},
           {"python|-c|token = \"a b\"", "python|-c|token = ***"});
}

Test(mask, a_header_hides_all_behind_its_colon)
{
    EXPECT({"curl|-H|Authorization: Bearer abc|http://x", "curl|-H|Authorization: ***|http://x"},
           {"curl|-H|X-Api-Key: abc|u", "curl|-H|X-Api-Key: ***|u"},
           {"curl|-HCookie: a=b; c=d|u", "curl|-HCookie: ***|u"},
           {"git|-c|http.extraHeader=Authorization: Basic a b|fetch",
            "git|-c|http.extraHeader=Authorization: ***|fetch"},
           {"t|x-foo: Bearer abc def", "t|x-foo: Bearer ***"});
}

Test(mask, of_a_url_the_password_alone_is_hidden)
{
    EXPECT({"git|clone|https://u:pw@host/a/b.git", "git|clone|https://u:***@host/a/b.git"},
           {"p|postgres://u:p@s@h:5432/db|x", "p|postgres://u:***@h:5432/db|x"},
           {"p|postgres://u:p/s@h:5432/db|x", "p|postgres://u:***@h:5432/db|x"},
           {"p|a=redis://:pw@h", "p|a=redis://:***@h"},
           {"p|http://a:b@c http://d:e@f", "p|http://a:***@c http://d:***@f"});
}

Test(mask, a_token_is_known_by_its_beginning)
{
    EXPECT(
        {"t|ghp_0123456789abcdef01234567", "t|ghp_***"},
        {"t|x=sk-ant-0123456789abcdef0123456789", "t|x=sk-***"},
        {"t|eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "t|eyJ***"},
        {"git|push|https://ghp_0123456789abcdef01234567@github.com/a", "git|push|https://ghp_***"});
}

Test(mask, short_options_count_behind_their_program_alone)
{
    EXPECT({"curl|-u|me:pw|http://x", "curl|-u|***|http://x"},
           {"/usr/bin/curl|-sume:pw", "/usr/bin/curl|-sume:pw"},
           {"curl|-su|me:pw|x", "curl|-su|***|x"}, {"curl|--user|me:pw", "curl|--user|***"},
           {"curl|--user=me:pw", "curl|--user=***"}, {"mysql|-pabc|db", "mysql|-p***|db"},
           {"sudo|mysqldump|-uroot|-pabc|db", "sudo|mysqldump|-uroot|-p***|db"},
           {"sshpass|-p|abc|ssh|-p|22|h", "sshpass|-p|***|ssh|-p|***|h"}, UNTOUCHED("id|-u|me"),
           UNTOUCHED("docker|run|--user|1000:1000|-p|80:80|image"));
}

/* ---- inside of one argument ---- */

Test(mask, in_shell_text_a_value_ends_with_its_word)
{
    EXPECT({"sh|-c|tool --token=abc --port 3", "sh|-c|tool --token=*** --port 3"},
           {"sh|-c|tool --token abc --port 3", "sh|-c|tool --token *** --port 3"},
           {"bash|-lc|A_KEY='a b' npm run dev", "bash|-lc|A_KEY=*** npm run dev"},
           {"bash|-lc|A_KEY=a\\ b npm run dev", "bash|-lc|A_KEY=*** npm run dev"},
           {"bash|-c|tool --token \"a 'b\" x", "bash|-c|tool --token *** x"},
           {"bash|-c|tool --token \\\n  abc x", "bash|-c|tool --token \\\n  *** x"},
           {"sh|-c|curl -H 'Authorization: Bearer a b' http://x",
            "sh|-c|curl -H 'Authorization: ***' http://x"},
           {"sh|-c|curl -H \"X-Api-Key: a\" http://x", "sh|-c|curl -H \"X-Api-Key: ***\" http://x"},
           {"sh|-c|curl -u me:pw http://x", "sh|-c|curl -u *** http://x"},
           {"docker|exec|c|sh|-c|PGPASSWORD=x psql -h y",
            "docker|exec|c|sh|-c|PGPASSWORD=*** psql -h y"},
           {"sh|-c|git clone https://u:pw@h/x && ls", "sh|-c|git clone https://u:***@h/x && ls"},
           {"sh|-c|\"--token\" \"a b\" x", "sh|-c|\"--token\" *** x"},
           {"sh|-c|echo ${TOKEN:-a b} x", "sh|-c|echo ${TOKEN:*** x"},
           {"sh|-c|tool --token 'a'\\''b c' x", "sh|-c|tool --token *** x"},
           {"sh|-c|it's token='a b' x", "sh|-c|it's token=*** x"},
           {"sh|-c|a ' b token='x y' z", "sh|-c|a ' b token=*** z"},
           {"sh|-c|echo --token|arg", "sh|-c|echo --token|arg"});
}

Test(mask, where_the_language_is_not_known_the_value_ends_with_its_argument)
{
    EXPECT({"ssh|h|TOKEN=a b cmd|x", "ssh|h|TOKEN=***|x"},
           {"watch|curl --token a b|x", "watch|curl --token ***|x"},
           {"git|-c|a.token=a b|x", "git|-c|a.token=***|x"});
}

Test(mask, nested_quotes_hide_too_much_rather_than_too_little)
{
    cr_expect_null(strstr(masked("bash|-c|ssh h \"curl --token 'a Q' u\" && ls", false), "Q"));
    cr_expect_null(strstr(masked("bash|-c|ssh h 'curl --token \"a Q\" u' && ls", false), "Q"));
    cr_expect_null(
        strstr(masked("bash|-c|bash -c \"bash -c \\\"t --token 'a Q'\\\"\"", false), "Q"));
}

Test(mask, what_is_no_secret_stays)
{
    EXPECT(UNTOUCHED("node|server.js|--port|3000"), UNTOUCHED("sort|--key=2|-k|3"),
           UNTOUCHED("t|--max-tokens=100|--tokenizer|bert|--password-file|/x|--password-stdin"),
           UNTOUCHED("docker|login|--username|me"), UNTOUCHED("ls|/run/secrets|token.txt|auth/x"),
           UNTOUCHED("npm|i|https://registry:4873/@scope/pkg"), UNTOUCHED("ssh|git@host:22|ls"),
           UNTOUCHED("curl|http://host:80/a?b=c@d"), UNTOUCHED("a"), UNTOUCHED(""),
           UNTOUCHED("sh|-c|cd /x && exec npm run dev"), UNTOUCHED("t|secret|token"),
           UNTOUCHED("x|sk-short"), UNTOUCHED("auth://x"));
}

Test(mask, nothing_to_hide_returns_the_same_bytes)
{
    char room[64];
    unsigned n = 7;
    struct text argv = {"a\0b", 4};
    struct text result = mask_argv(&mask, argv, false, room, &n);
    cr_assert_eq(result.at, argv.at);
    cr_assert_eq(n, 0);
    cr_assert_eq(mask_argv(&mask, (struct text){NULL, 0}, true, room, &n).size, 0);
}

/* ---- cut off ---- */

Test(mask, a_value_that_is_cut_off_is_hidden_like_a_whole_one)
{
    cr_expect_str_eq(masked("t|--token=ab", true), "t|--token=***");
    cr_expect_str_eq(masked("t|--token|ab", true), "t|--token|***");
    cr_expect_str_eq(masked("t|http://u:p", true), "t|http://u:***");
    cr_expect_str_eq(masked("t|http://u:80", true), "t|http://u:***");
    cr_expect_str_eq(masked("t|http://u:p/q", true), "t|http://u:***");
    cr_expect_str_eq(masked("t|http://u:80/q", true), "t|http://u:80/q");
    cr_expect_str_eq(masked("t|ghp_ab", true), "t|ghp_***");
    cr_expect_str_eq(masked("sh|-c|t --token 'a b", true), "sh|-c|t --token ***");
}

Test(mask, a_command_has_nothing_of_a_secret_where_it_is_cut)
{
    static char argv[COMMAND_MAX + 64];
    for (size_t at = COMMAND_MAX - 40; at < COMMAND_MAX; at++) {
        memset(argv, 'a', sizeof argv);
        memcpy(argv + at, " --token=QQQQQQQQQQQQQQQQ", 25);
        argv[at] = '\0';
        for (int cut = 0; cut < 2; cut++) {
            struct text text = {argv, cut ? COMMAND_MAX : sizeof argv};
            struct command *command = command_new(&mask, text, cut, text_of("a"));
            cr_assert_null(memchr(command->text, 'Q', command->size), "at %zu", at);
            cr_assert(command->truncated || !cut);
            command_release(&command);
        }
    }
}

/* ---- one text everywhere ---- */

Test(mask, commands_that_differ_in_a_secret_alone_are_the_same)
{
    struct command *a = command_new(&mask, (struct text){"t\0--token=1", 12}, false, text_of("t"));
    struct command *b = command_new(&mask, (struct text){"t\0--token=2", 12}, false, text_of("t"));
    cr_assert(command_equal(a, b));
    command_release(&a);
    command_release(&b);
}

Test(mask, the_name_of_a_process_without_arguments_is_masked_too)
{
    struct command *command =
        command_new(&mask, (struct text){NULL, 0}, false, text_of("TOKEN=abc"));
    cr_assert_eq(command->size, strlen("[TOKEN=***]"));
    cr_assert_eq(memcmp(command->text, "[TOKEN=***]", command->size), 0);
    command_release(&command);
}

/* ---- patterns of users ---- */

static int add(const char *pattern)
{
    struct wps_error error;
    return mask_add(&mask, pattern, &error);
}

Test(mask, users_add_patterns)
{
    add("--pin"), add("*_CODE="), add("X-My:"), add("zap-*"), add("tool -x"), add("plain");
    EXPECT({"t|--pin|12|x", "t|--pin|***|x"}, {"t|--pin=12", "t|--pin=***"}, UNTOUCHED("pin=12"),
           {"t|A_CODE=1", "t|A_CODE=***"}, UNTOUCHED("t|--a-code|1"),
           {"curl|-H|X-My: a b", "curl|-H|X-My: ***"}, {"t|zap-12", "t|zap-***"},
           {"tool|-x|1", "tool|-x|***"}, {"tool|-x1", "tool|-x***"}, UNTOUCHED("t|-x|1"),
           {"t|--plain|1|plain=2", "t|--plain|***|plain=***"});
}

Test(mask, users_can_do_without_the_table)
{
    mask.off_defaults = true;
    add("--pin");
    EXPECT(UNTOUCHED("t|--token|a"), {"t|--pin|a", "t|--pin|***"}, UNTOUCHED("curl|-u|a:b"));
}

Test(mask, a_pattern_that_is_none_is_refused)
{
    static const char *const wrong[] = {
        "",
        "--",
        "=",
        "*",
        "a b",
        "a=b",
        "a|b=",
        "*-*=",
        "ab*",
        "x y -z",
        "ä=",
        "tool -",
        "0123456789012345678901234567890123456789012345678901234567"};
    struct wps_error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(mask_add(&mask, wrong[i], &error), -EINVAL, "'%s'", wrong[i]);
        cr_expect(strstr(error.message, "mask"));
    }
    cr_assert_eq(mask.n, 0);
    for (int i = 0; i < MASK_OWN_MAX; i++)
        cr_assert_eq(add("--pin"), 0);
    cr_assert_eq(mask_add(&mask, "--pin", &error), -E2BIG);
}

/* ---- at random: a secret never survives ---- */

/* Secrets are made of letters that nothing else here has. */
static const char secret_letters[] = "QZ";
static unsigned seed = 4711;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

static void add_text(char *text, const char *more)
{
    strncat(text, more, ROOM - 1 - strlen(text));
}

/* `quoted`: it may hold what only quotes make part of a word. */
static void add_secret(char *text, const char *odd)
{
    char secret[40] = "";
    size_t size = 1 + pick(30);
    for (size_t i = 0; i < size; i++)
        secret[i] = *odd && i > 0 && i + 1 < size && pick(4) == 0 ? odd[pick((unsigned)strlen(odd))]
                                                                  : secret_letters[pick(2)];
    add_text(text, secret);
}

static const char *any(const char *const *of)
{
    unsigned n = 0;
    while (of[n])
        n++;
    return of[pick(n)];
}

static const char *const options[] = {"--token",  "--password", "-password",    "--api-key",
                                      "--secret", "--auth",     "--pass",       "--db.passwd",
                                      "--TOKEN",  "--x_secret", "--passphrase", NULL};
static const char *const names[] = {
    "TOKEN=", "MY_API_KEY=", "PGPASSWORD=", "password=", "X_SECRET+=",       "AUTH=",
    "pwd:",   "a.b.secret=", "?token=",     "&sig=",     "\"password\": \"", NULL};
static const char *const headers[] = {
    "Authorization: Bearer ", "authorization:Basic ", "X-Api-Key: ",
    "Cookie: session=",       "X-Y: Bearer ",         NULL};
static const char *const urls[] = {"http://u:", "postgres://me:", "x=redis://:", NULL};
static const char *const plain[] = {"x",  "--port", "3000", "/usr/bin/tool", "a=b",   "-v", "--",
                                    "&&", "||",     "cd",   "'a b'",         "\"c\"", NULL};

/* One secret in an argument of its own: anything may be in it. */
static void add_argument(char *argv)
{
    static const char odd[] = " \t;&'\"\\$`=:,{}()<>";
    switch (pick(5)) {
    case 0:
        add_text(argv, any(options));
        add_text(argv, pick(2) ? "=" : "|");
        add_secret(argv, odd);
        break;
    case 1:
        add_text(argv, any(names));
        add_secret(argv, odd);
        break;
    case 2:
        add_text(argv, any(headers));
        add_secret(argv, odd);
        break;
    case 3:
        add_text(argv, any(urls));
        add_secret(argv, "@$!,;=\\'");
        add_text(argv, "@host/path");
        break;
    default:
        add_text(argv, any(plain));
    }
}

/* A secret as a shell takes it: bare, or in quotes with what these allow. */
static void add_shell_secret(char *text)
{
    switch (pick(4)) {
    case 0:
        add_text(text, "'");
        add_secret(text, " \";$\\&=:");
        add_text(text, "'");
        break;
    case 1:
        add_text(text, "\"");
        add_secret(text, " ';&=:");
        add_text(text, "\"");
        break;
    case 2:
        add_secret(text, "");
        add_text(text, "\\ ");
        add_secret(text, "");
        break;
    default:
        add_secret(text, ":=,./@%+");
    }
}

static void add_shell_word(char *text)
{
    const char *quote = pick(2) ? "'" : "\"";
    switch (pick(5)) {
    case 0:
        add_text(text, any(options));
        add_text(text, pick(2) ? "=" : "   ");
        add_shell_secret(text);
        break;
    case 1:
        add_text(text, names[pick(5)]);
        add_shell_secret(text);
        break;
    case 2:
        add_text(text, quote);
        add_text(text, any(headers));
        add_secret(text, " ;=:");
        add_text(text, quote);
        break;
    case 3:
        add_text(text, any(urls));
        add_secret(text, "");
        add_text(text, "@host/path");
        break;
    default:
        add_text(text, any(plain));
    }
}

static void make_argv(char *argv)
{
    unsigned n = 1 + pick(6);
    *argv = '\0';
    add_text(argv, "tool");
    for (unsigned i = 0; i < n; i++) {
        add_text(argv, "|");
        if (pick(3)) {
            add_argument(argv);
            continue;
        }
        add_text(argv, pick(2) ? "sh|-c|" : "/bin/bash|-lc|");
        for (unsigned words = 1 + pick(6); words; words--) {
            add_shell_word(argv);
            add_text(argv, pick(8) ? " " : "\n");
        }
    }
}

static bool has_secret(const char *text)
{
    return strpbrk(text, secret_letters) != NULL;
}

Test(mask, whatever_it_is_in_a_secret_never_survives)
{
    static char argv[ROOM], part[ROOM];
    for (int i = 0; i < 40000; i++) {
        unsigned this = seed;
        make_argv(argv);
        cr_assert_not(has_secret(masked(argv, false)), "seed %u: %s\n became %s", this, argv,
                      masked(argv, false));
        size_t size = pick((unsigned)strlen(argv));
        memcpy(part, argv, size);
        part[size] = '\0';
        cr_assert_not(has_secret(masked(part, true)), "seed %u, cut: %s\n became %s", this, part,
                      masked(part, true));
    }
}

Test(mask, noise_is_read_within_its_bounds_and_masked_text_stays_as_it_is)
{
    static const char alphabet[] = "-=:'\"\\`{}@/ \n\t|?&ptoken-c_sh.Bearer";
    for (int i = 0; i < 40000; i++) {
        size_t size = pick(60);
        char *in = malloc(size + 1), *out = malloc(MASK_ROOM(size)); /* for the sanitizer */
        for (size_t k = 0; k < size; k++)
            in[k] = pick(20) ? alphabet[pick(sizeof alphabet - 1)] : (char)pick(256);
        for (size_t k = 0; k < size; k++)
            in[k] = in[k] == '|' ? '\0' : in[k];
        struct text once = mask_argv(&mask, (struct text){in, size}, pick(2), out, NULL);
        cr_assert_leq(once.size, MASK_ROOM(size));
        free(in), free(out);
    }
}

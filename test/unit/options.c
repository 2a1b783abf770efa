/* Command lines: every kind of flag, every refusal with its sentence. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <leat/options.h>

#include "net/program/values.h"

struct values {
    bool hello;
    const char *cores;
    struct leat_option_list listen;
    uint64_t count, bytes, time_ns;
};

static int parse(struct values *values, struct leat_command_line *line, struct leat_error *error,
                 const char *const *words)
{
    const struct leat_option options[] = {
        {"l|hello", LEAT_OPTION_FLAG, &values->hello, NULL, "says hello", 0, 0},
        {"cores", LEAT_OPTION_TEXT, &values->cores, "N|LIST", "cores", 0, 0},
        {"listen", LEAT_OPTION_LIST, &values->listen, "ADDR:PORT", "where", 0, 0},
        {"c|count", LEAT_OPTION_COUNT, &values->count, "N", "how many", 2, 10},
        {"bytes", LEAT_OPTION_BYTES, &values->bytes, "SIZE", "how large", 1 << 10, 0},
        {"time", LEAT_OPTION_DURATION, &values->time_ns, "TIME", "how long", LEAT_NS_PER_MS,
         90 * LEAT_NS_PER_S},
    };
    memset(values, 0, sizeof(*values));
    memset(line, 0, sizeof(*line));
    memset(error, 0, sizeof(*error));
    line->name = "prog";
    line->operands = "[DIR]";
    line->operand_count_max = 1;
    line->tables[1] = options;
    line->table_counts[1] = 6;
    char *argv[32] = {(char *)(uintptr_t) "prog"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return leat_command_line_parse(line, argc, argv, error);
}

#define PARSE(...) parse(&values, &line, &error, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSED(said, ...)                                                                         \
    do {                                                                                           \
        assert_int_equal(PARSE(__VA_ARGS__), -EINVAL);                                             \
        assert_string_equal(error.sentence, said);                                                 \
    } while (0)

static void takes_every_kind(void **state)
{
    struct values values;
    struct leat_command_line line;
    struct leat_error error;
    assert_int_equal(PARSE("--hello", "--cores", "0,2-5", "dir", "--listen=a", "--listen", "b",
                           "--count=10", "--bytes", "64k", "--time=1500ms"),
                     LEAT_PARSED_RUN);
    assert_true(values.hello);
    assert_string_equal(values.cores, "0,2-5");
    assert_int_equal(values.listen.count, 2);
    assert_string_equal(values.listen.items[0], "a");
    assert_string_equal(values.listen.items[1], "b");
    assert_int_equal(values.count, 10);
    assert_int_equal(values.bytes, 65536);
    assert_int_equal(values.time_ns, 1500 * LEAT_NS_PER_MS);
    assert_int_equal(line.operand_count, 1);
    assert_string_equal(line.operand_items[0], "dir");
    assert_int_equal(PARSE("--time", "2"), LEAT_PARSED_RUN);
    assert_int_equal(values.time_ns, 2 * LEAT_NS_PER_S);
    assert_int_equal(PARSE("--", "--hello"), LEAT_PARSED_RUN);
    assert_string_equal(line.operand_items[0], "--hello");
    assert_int_equal(PARSE("-"), LEAT_PARSED_RUN);
    assert_string_equal(line.operand_items[0], "-");
}

static void takes_letters(void **state)
{
    struct values values;
    struct leat_command_line line;
    struct leat_error error;
    assert_int_equal(PARSE("-c", "3", "-l"), LEAT_PARSED_RUN);
    assert_true(values.hello);
    assert_int_equal(values.count, 3);
    assert_int_equal(PARSE("-c7", "--", "-c8"), LEAT_PARSED_RUN);
    assert_int_equal(values.count, 7);
    assert_string_equal(line.operand_items[0], "-c8");
}

static void help_and_version_win(void **state)
{
    struct values values;
    struct leat_command_line line;
    struct leat_error error;
    assert_int_equal(PARSE("--hello", "--help", "--nonsense"), LEAT_PARSED_HELP);
    assert_int_equal(PARSE("-h"), LEAT_PARSED_HELP);
    assert_int_equal(PARSE("--version"), LEAT_PARSED_VERSION);
}

static void refuses_with_a_remedy(void **state)
{
    struct values values;
    struct leat_command_line line;
    struct leat_error error;
    REFUSED("unknown flag --core: did you mean --cores? See prog --help", "--core", "2");
    REFUSED("unknown flag --lisen=x: did you mean --listen? See prog --help", "--lisen=x");
    REFUSED("unknown flag --zzzzzzzz: see prog --help", "--zzzzzzzz");
    REFUSED("unknown flag -x: see prog --help", "-x");
    REFUSED("unknown flag -lx: see prog --help", "-lx");
    REFUSED("--count needs a value: --count N", "-c");
    REFUSED("--count takes a whole number, not \"=3\"", "-c=3");
    REFUSED("--hello takes no value: leave out \"=1\"", "--hello=1");
    REFUSED("--cores needs a value: --cores N|LIST", "--cores");
    REFUSED("--cores needs a value: --cores N|LIST", "--cores", "--hello");
    REFUSED("--count takes a whole number, not \"x\"", "--count", "x");
    REFUSED("--count takes a whole number, not \"3k\"", "--count", "3k");
    REFUSED("--count takes a whole number, not \"-1\"", "--count", "-1");
    REFUSED("--count takes a whole number, not \"99999999999999999999\"", "--count",
            "99999999999999999999");
    REFUSED("--count 11 is out of range: give at least 2 and at most 10", "--count", "11");
    REFUSED("--bytes 1023 is too small: give at least 1k", "--bytes", "1023");
    REFUSED("--time 0 is out of range: give at least 1ms and at most 90s", "--time", "0");
    REFUSED("--time 91s is out of range: give at least 1ms and at most 90s", "--time", "91s");
    REFUSED("--bytes takes a size such as 4096, 64k, 1.5G or 256MB, not \"20000000000G\"",
            "--bytes", "20000000000G");
    REFUSED("--time takes a time such as 500ms, 1.5s or 2m, not \"soon\"", "--time", "soon");
    REFUSED("\"b\" is too much: prog takes at most 1 of [DIR]", "a", "b");
}

static void bounds_lists(void **state)
{
    struct values values;
    struct leat_command_line line;
    struct leat_error error;
    const char *words[LEAT_OPTION_LIST_MAX + 2] = {0};
    for (unsigned i = 0; i <= LEAT_OPTION_LIST_MAX; i++)
        words[i] = "--listen=x";
    assert_int_equal(parse(&values, &line, &error, words), -EINVAL);
    assert_string_equal(error.sentence, "--listen is given too often: at most 16 times");
}

/* Values, and UINT64_MAX for what is refused. */
static const struct {
    const char *text;
    uint64_t bytes, time_ns;
} values_table[] = {
    {"0", 0, 0},
    {"1", 1, LEAT_NS_PER_S},
    {"64k", 65536, UINT64_MAX},
    {"64K", 65536, UINT64_MAX},
    {"64KiB", 65536, UINT64_MAX},
    {"64kib", 65536, UINT64_MAX},
    {"64kB", 64000, UINT64_MAX},
    {"64KB", 64000, UINT64_MAX},
    {"256MB", 256000000, UINT64_MAX},
    {"256MiB", UINT64_C(256) << 20, UINT64_MAX},
    {"1G", UINT64_C(1) << 30, UINT64_MAX},
    {"1GB", 1000000000, UINT64_MAX},
    {"2T", UINT64_C(2) << 40, UINT64_MAX},
    {"2TiB", UINT64_C(2) << 40, UINT64_MAX},
    {"2tb", UINT64_C(2000000000000), UINT64_MAX},
    {"7B", 7, UINT64_MAX},
    {"1.5k", 1536, UINT64_MAX},
    {"0.5MiB", 524288, UINT64_MAX},
    {"1.5G", UINT64_C(3) << 29, UINT64_MAX},
    {"1.5", UINT64_MAX, 1500 * LEAT_NS_PER_MS},
    {"1.0", 1, LEAT_NS_PER_S},
    {"1.5B", UINT64_MAX, UINT64_MAX},
    {"1.5s", UINT64_MAX, 1500 * LEAT_NS_PER_MS},
    {"0.25ms", UINT64_MAX, 250000},
    {"1.000000001s", UINT64_MAX, LEAT_NS_PER_S + 1},
    {"1.0000000001s", UINT64_MAX, UINT64_MAX},
    {"10us", UINT64_MAX, 10000},
    {"10ns", UINT64_MAX, 10},
    {"0.5ns", UINT64_MAX, UINT64_MAX},
    {"3m", UINT64_C(3) << 20, 180 * LEAT_NS_PER_S},
    {"3min", UINT64_MAX, 180 * LEAT_NS_PER_S},
    {"2h", UINT64_MAX, 7200 * LEAT_NS_PER_S},
    {"1d", UINT64_MAX, 86400 * LEAT_NS_PER_S},
    {"18446744073709551615", UINT64_MAX, UINT64_MAX},
    {"16777215T", UINT64_C(16777215) << 40, UINT64_MAX},
    {"16777216T", UINT64_MAX, UINT64_MAX},
    {"99999999999999999999", UINT64_MAX, UINT64_MAX},
    {"99999999999s", UINT64_MAX, UINT64_MAX},
    {"", UINT64_MAX, UINT64_MAX},
    {"k", UINT64_MAX, UINT64_MAX},
    {".5k", UINT64_MAX, UINT64_MAX},
    {"1.k", UINT64_MAX, UINT64_MAX},
    {"1,5k", UINT64_MAX, UINT64_MAX},
    {"1..5k", UINT64_MAX, UINT64_MAX},
    {"1 k", UINT64_MAX, UINT64_MAX},
    {" 1k", UINT64_MAX, UINT64_MAX},
    {"1k ", UINT64_MAX, UINT64_MAX},
    {"-1k", UINT64_MAX, UINT64_MAX},
    {"+1", UINT64_MAX, UINT64_MAX},
    {"1e3", UINT64_MAX, UINT64_MAX},
    {"0x10", UINT64_MAX, UINT64_MAX},
    {"1kk", UINT64_MAX, UINT64_MAX},
    {"1kBit", UINT64_MAX, UINT64_MAX},
};

static void reads_sizes_and_times(void **state)
{
    for (size_t i = 0; i < sizeof(values_table) / sizeof(values_table[0]); i++) {
        const char *text = values_table[i].text;
        uint64_t bytes = 0, time_ns = 0;
        if (!value_bytes_parse(text, &bytes))
            bytes = UINT64_MAX;
        if (!value_duration_parse(text, &time_ns))
            time_ns = UINT64_MAX;
        if (bytes != values_table[i].bytes || time_ns != values_table[i].time_ns)
            fail_msg("\"%s\" is %llu bytes, %llu ns", text, (unsigned long long)bytes,
                     (unsigned long long)time_ns);
    }
}

/* What is told can be typed. */
static void writes_what_it_reads(void **state)
{
    static const uint64_t values[] = {0,         1,    1000,       1024,
                                      1 << 20,   1536, 1000000000, UINT64_C(90) * LEAT_NS_PER_S,
                                      UINT64_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[32];
        uint64_t back = 0;
        assert_true(value_bytes_parse(value_format(LEAT_OPTION_BYTES, values[i], text), &back));
        assert_true(back == values[i]);
        assert_true(
            value_duration_parse(value_format(LEAT_OPTION_DURATION, values[i], text), &back));
        assert_true(back == values[i]);
    }
}

static void an_exchange_is_one_edit(void **state)
{
    const char *const words[] = {"ss", "top"};
    assert_string_equal(leat_nearest("tpo", words, 2), "top");
    const char *const pairs[] = {"abcdef"};
    assert_string_equal(leat_nearest("badcfe", pairs, 1), "abcdef"); /* 3 of at most 3 */
    const char *const letters[] = {"ab"};
    assert_string_equal(leat_nearest("ba", letters, 1), "ab");
    const char *const both[] = {"abdx", "acbd"};
    assert_string_equal(leat_nearest("abcd", both, 2), "acbd");
}

static void finds_the_nearest(void **state)
{
    const char *const words[] = {"serve", "doctor", "help"};
    assert_string_equal(leat_nearest("sevre", words, 3), "serve");
    assert_string_equal(leat_nearest("docter", words, 3), "doctor");
    assert_null(leat_nearest("xyzzy", words, 3));
    char huge[300];
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_null(leat_nearest(huge, words, 3));
}

static void helps_with_every_flag(void **state)
{
    struct leat_option options[] = {
        {"cores", LEAT_OPTION_TEXT, NULL, "N|LIST", "first\nsecond", 0, 0},
        {"Rest", LEAT_OPTION_GROUP, NULL, NULL, NULL, 0, 0},
        {"d|duration", LEAT_OPTION_DURATION, NULL, "TIME", "third", 0, 0},
    };
    struct leat_command_line line = {.name = "prog",
                                     .summary = "Does it.",
                                     .tables = {options},
                                     .table_counts = {3}};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    leat_command_line_help(&line, fds[1]);
    close(fds[1]);
    char text[1024] = "";
    size_t used = 0;
    ssize_t n;
    while ((n = read(fds[0], text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)n;
    close(fds[0]);
    assert_string_equal(text, "usage: prog [flags]\nDoes it.\n\n"
                              "  --cores N|LIST              first\n"
                              "                              second\n"
                              "\nRest:\n"
                              "  -d, --duration TIME         third\n"
                              "  --help                      this text\n"
                              "  --version                   the version\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_kind),
        cmocka_unit_test(takes_letters),
        cmocka_unit_test(help_and_version_win),
        cmocka_unit_test(refuses_with_a_remedy),
        cmocka_unit_test(bounds_lists),
        cmocka_unit_test(finds_the_nearest),
        cmocka_unit_test(reads_sizes_and_times),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(an_exchange_is_one_edit),
        cmocka_unit_test(helps_with_every_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

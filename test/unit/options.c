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
    REFUSED("--bytes takes a size such as 4096, 64k or 1G, not \"20000000000G\"", "--bytes",
            "20000000000G");
    REFUSED("--time takes a time such as 500ms, 10s or 2m, not \"soon\"", "--time", "soon");
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
        {"d|duration", LEAT_OPTION_DURATION, NULL, "TIME", "third", 0, 0},
    };
    struct leat_command_line line = {.name = "prog",
                                     .summary = "Does it.",
                                     .tables = {options},
                                     .table_counts = {2}};
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
                              "  -d, --duration TIME         third\n"
                              "  --help                      this text\n"
                              "  --version                   the version\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_kind),      cmocka_unit_test(takes_letters),
        cmocka_unit_test(help_and_version_win),  cmocka_unit_test(refuses_with_a_remedy),
        cmocka_unit_test(bounds_lists),          cmocka_unit_test(finds_the_nearest),
        cmocka_unit_test(helps_with_every_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The log: what lines look like, what is left out or dropped, and that a reader which does not read
 * holds nobody up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/logger.h"

static const struct leat_log_site site = {"../net/x.c", 7, LEAT_LEVEL_WARN};

struct bench {
    int error_fds[2], output_fds[2];
    struct leat_logger *logger;
    struct leat_core core;
};

static void bench_start(struct bench *bench, enum leat_level level, bool json)
{
    memset(bench, 0, sizeof(*bench));
    assert_int_equal(pipe2(bench->error_fds, O_CLOEXEC), 0);
    assert_int_equal(pipe2(bench->output_fds, O_CLOEXEC), 0);
    struct leat_logger_options options = {level, json, bench->error_fds[1], bench->output_fds[1],
                                          0};
    struct leat_error error = {0};
    bench->logger = leat_logger_new(&options, 4, &error);
    assert_non_null(bench->logger);
    bench->core.index = 3;
    bench->core.log = leat_logger_open(bench->logger, 3);
    assert_non_null(bench->core.log);
    leat_core_now = &bench->core;
}

/* Ends the logger and returns all it wrote to fds. */
static char *bench_end(struct bench *bench, char *output, size_t size)
{
    static char text[1 << 20];
    leat_core_now = NULL;
    leat_logger_free(bench->logger);
    close(bench->error_fds[1]);
    close(bench->output_fds[1]);
    size_t used = 0;
    ssize_t n;
    while ((n = read(bench->error_fds[0], text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    if (output != NULL) {
        n = read(bench->output_fds[0], output, size - 1);
        output[n > 0 ? n : 0] = '\0';
    }
    close(bench->error_fds[0]);
    close(bench->output_fds[0]);
    return text;
}

static unsigned lines_in(const char *text)
{
    unsigned count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void formats_text_and_json(void **state)
{
    char line[LEAT_LOG_FORMATTED_BYTES_MAX + 1];
    const char *text = "a \"b\"\n\\ \xc3\xa9 \xff";
    struct leat_log_record record = {UINT64_C(1700000000123000000), &site, text, strlen(text), 2};
    line[leat_log_format(&record, false, line)] = '\0';
    assert_string_equal(line,
                        "2023-11-14T22:13:20.123Z warn  core 2: a \"b\"\\x0a\\ \xc3\xa9 \\xff\n");
    line[leat_log_format(&record, true, line)] = '\0';
    assert_string_equal(line,
                        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"core\":2,"
                        "\"message\":\"a \\\"b\\\"\\u000a\\\\ \xc3\xa9 \\ufffd\","
                        "\"site\":\"net/x.c:7\"}\n");
    record.core = -1;
    record.text_bytes = 1;
    line[leat_log_format(&record, false, line)] = '\0';
    assert_string_equal(line, "2023-11-14T22:13:20.123Z warn  a\n");
}

static void formats_the_longest_line_whole(void **state)
{
    char text[LEAT_LOG_LINE_BYTES_MAX], line[LEAT_LOG_FORMATTED_BYTES_MAX];
    memset(text, 1, sizeof(text));
    struct leat_log_record record = {0, &site, text, sizeof(text), 1023};
    size_t n = leat_log_format(&record, true, line);
    assert_in_range(n, 6 * sizeof(text), sizeof(line));
    assert_memory_equal(line + n - 3, "\"}\n", 3);
}

static void writes_lines_of_its_level_in_order(void **state)
{
    struct bench bench;
    bench_start(&bench, LEAT_LEVEL_INFO, false);
    LEAT_LOG_ERROR("one %d", 1);
    LEAT_LOG_DEBUG("hidden");
    assert_false(leat_log_is_on(LEAT_LEVEL_DEBUG));
    LEAT_LOG_INFO("two");
    assert_true(leat_log_output("GET / 200", 9));
    char output[64];
    const char *text = bench_end(&bench, output, sizeof(output));
    assert_int_equal(lines_in(text), 2);
    assert_non_null(strstr(text, "error core 3: one 1\n"));
    assert_non_null(strstr(text, "info  core 3: two\n"));
    assert_string_equal(output, "GET / 200\n");
}

static void wakes_a_sleeping_writer(void **state)
{
    struct bench bench;
    bench_start(&bench, LEAT_LEVEL_INFO, true);
    for (unsigned i = 0; i < 5; i++) {
        LEAT_LOG_WARN("line %u", i);
        leat_log_flush(bench.core.log);
        char line[512];
        ssize_t n =
            read(bench.error_fds[0], line, sizeof(line) - 1); /* hangs when it is not woken */
        assert_true(n > 0);
        line[n] = '\0';
        assert_int_equal(lines_in(line), 1);
    }
    bench_end(&bench, NULL, 0);
}

static void limits_the_rate_per_site(void **state)
{
    struct bench bench;
    bench_start(&bench, LEAT_LEVEL_INFO, false);
    for (unsigned i = 0; i < 1000; i++)
        LEAT_LOG_WARN("noisy");
    LEAT_LOG_WARN("quiet");
    const char *text = bench_end(&bench, NULL, 0);
    assert_non_null(strstr(text, "quiet"));
    /* A second's worth, or two when the second changed meanwhile. */
    assert_in_range(lines_in(text), LEAT_LOG_SITE_LINES_PER_S + 1,
                    2 * LEAT_LOG_SITE_LINES_PER_S + 1);
}

static void drops_and_counts_when_nobody_reads(void **state)
{
    struct bench bench;
    bench_start(&bench, LEAT_LEVEL_INFO, false);
    char line[1000];
    memset(line, 'x', sizeof(line));
    unsigned accepted = 0, refused = 0;
    for (unsigned i = 0; i < 1000; i++) {
        if (leat_log_output(line, sizeof(line)))
            accepted++;
        else
            refused++;
        leat_log_flush(bench.core.log);
    }
    assert_int_equal(accepted + refused, 1000);
    assert_true(refused > 0);
    assert_int_equal(leat_log_lost_full_count(bench.core.log), refused);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    const char *text = bench_end(&bench, NULL, 0); /* gives up on the reader */
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_in_range(after.tv_sec - before.tv_sec, 0, 10);
    assert_non_null(strstr(text, "log lines were lost: they come faster than they are read"));
}

static void names_levels(void **state)
{
    assert_string_equal(leat_level_name(LEAT_LEVEL_DEBUG), "debug");
    assert_int_equal(leat_level_parse("warn"), LEAT_LEVEL_WARN);
    assert_int_equal(leat_level_parse("loud"), -EINVAL);
}

static void a_core_without_a_log_can_be_hushed(void **state)
{
    struct leat_core core = {0};
    leat_core_now = &core;
    assert_true(leat_log_is_on(LEAT_LEVEL_INFO));
    assert_false(leat_log_is_on(LEAT_LEVEL_DEBUG));
    leat_log_only_errors();
    assert_true(leat_log_is_on(LEAT_LEVEL_ERROR));
    assert_false(leat_log_is_on(LEAT_LEVEL_WARN));
    leat_core_now = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_text_and_json),
        cmocka_unit_test(formats_the_longest_line_whole),
        cmocka_unit_test(writes_lines_of_its_level_in_order),
        cmocka_unit_test(wakes_a_sleeping_writer),
        cmocka_unit_test(limits_the_rate_per_site),
        cmocka_unit_test(drops_and_counts_when_nobody_reads),
        cmocka_unit_test(names_levels),
        cmocka_unit_test(a_core_without_a_log_can_be_hushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

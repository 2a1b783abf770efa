/* Lines out of bytes, however they are cut; lines that are too long; memory that is out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <leat/lines.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

static struct leat_loop *loop;
static char said[4096];

static int setup(void **state)
{
    said[0] = '\0';
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL;
}

static int teardown(void **state)
{
    leat_loop_free(loop);
    return 0;
}

static void say(const char *format, int length, const void *bytes)
{
    size_t at = strlen(said);
    snprintf(said + at, sizeof(said) - at, format, length, (const char *)bytes);
}

static void next(struct leat_stream *lines);

static void got(void *arg, const struct leat_result *result)
{
    struct leat_stream *lines = arg;
    if (result->code == 1) {
        struct leat_buf line = leat_result_buf(result);
        say("[%.*s]", (int)line.length_bytes, line.data);
        next(lines);
        return;
    }
    const char *end = result->code == 0 ? "end" : leat_result_sentence(result);
    say("%.*s", (int)strlen(end), end);
    leat_stream_destroy(lines, leat_nothing()); /* memory for the next line may have been out */
    leat_stream_unref(lines);
}

static void next(struct leat_stream *lines)
{
    leat_call(leat_readable_next(lines), got, lines);
}

/* Feeds text in pieces of that many bytes. */
static const char *lines_of(const char *text, size_t piece_bytes, uint32_t bytes_max)
{
    struct leat_stream *lines = leat_lines(loop, bytes_max);
    said[0] = '\0';
    if (lines == NULL)
        return "none";
    next(lines);
    for (size_t at = 0, left = strlen(text); left > 0; at += piece_bytes) {
        size_t bytes = left < piece_bytes ? left : piece_bytes;
        if (leat_write_bytes(lines, text + at, bytes) < 0)
            break;
        left -= bytes;
    }
    leat_stream_end(lines);
    assert_int_equal(leat_loop_run(loop), 0);
    return said;
}

static void cuts_lines_wherever_the_pieces_end(void **state)
{
    for (size_t piece_bytes = 1; piece_bytes < 24; piece_bytes++) {
        assert_string_equal(lines_of("one\ntwo\r\n\n\r\nthree\nlast", piece_bytes, 0),
                            "[one][two][three][last]end");
        assert_string_equal(lines_of("a\nb\n", piece_bytes, 1), "[a][b]end");
    }
    assert_string_equal(lines_of("", 1, 0), "end");
}

static void refuses_a_line_that_is_too_long(void **state)
{
    const char *end = "line 2 is longer than 4 bytes";
    for (size_t piece_bytes = 1; piece_bytes < 12; piece_bytes++) {
        /* As in Node what waits to be read is dropped with the stream. */
        const char *text = lines_of("ok\n12345\nmore\n", piece_bytes, 4);
        assert_string_equal(strncmp(text, "[ok]", 4) == 0 ? text + 4 : text, end);
    }
}

static void grows_up_to_the_bound(void **state)
{
    static char text[3000];
    memset(text, 'x', sizeof(text) - 2);
    text[sizeof(text) - 2] = '\n';
    assert_int_equal(strlen(lines_of(text, 100, 0)), 2998 + 5);
}

static void every_allocation_fails_once(void **state)
{
    struct leat_heap_stats stats;
    uint64_t refused_count = 0;
    assert_string_equal(lines_of("begun\n", 2, 0), "[begun]end"); /* this core has streams */
    for (uint64_t nth = 1; nth == refused_count + 1; nth++) {
        leat_heap_fail_at(leat_core_now, nth);
        const char *text = lines_of("a line\nanother\n", 3, 0);
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &stats);
        refused_count = stats.refused_count;
        assert_true(strstr(text, "end") != NULL || strstr(text, "memory") != NULL ||
                    strstr(text, "none") != NULL || strstr(text, "ENOMEM") != NULL);
    }
    assert_true(refused_count > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cuts_lines_wherever_the_pieces_end, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_line_that_is_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_up_to_the_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

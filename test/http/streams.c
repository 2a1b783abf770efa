/* Bodies as streams: an echo by pipe, a client that reads slowly, one that goes, bodies that nobody
 * reads, files as ranges. */
#include "test/http/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <leat/http_stream.h>

#define LARGE 1000000

static struct bench bench;
static char said[256];
static char large[LARGE];

static void piped(void *arg, const struct leat_result *result)
{
    snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s:%d ", (char *)arg, result->code);
}

static int echo(struct leat_request *req)
{
    struct leat_stream *streams[] = {leat_request_readable(req), leat_response_writable(req)};
    assert_non_null(streams[0]);
    assert_non_null(streams[1]);
    assert_null(leat_request_readable(req)); /* twice */
    assert_int_equal(leat_loop_error(leat_request_loop(req))->code, -EALREADY);
    struct leat_future *all = leat_pipeline(streams, 2);
    leat_on_settled(all, piped, (void *)(uintptr_t) "echo");
    leat_future_unref(all);
    return 0;
}

/* Answers before it has read, and lets the stream go. */
static int refuse(struct leat_request *req)
{
    struct leat_stream *body = leat_request_readable(req);
    assert_non_null(body);
    struct leat_future *finished = leat_finished(body);
    leat_on_settled(finished, piped, (void *)(uintptr_t) "refuse");
    leat_future_unref(finished);
    leat_stream_unref(body);
    return leat_respond_text(req, 413, "no");
}

/* A reader that drops the body, and an answer behind it. */
static void answer_now(void *arg, const struct leat_result *result)
{
    piped((void *)(uintptr_t) "drop", result);
    (void)leat_respond_text(arg, 200, "dropped");
}

static int drop(struct leat_request *req)
{
    struct leat_stream *body = leat_request_readable(req);
    assert_int_equal(leat_stream_on(body, LEAT_STREAM_CLOSE, answer_now, req), 0);
    leat_stream_destroy(body, leat_nothing());
    leat_stream_unref(body);
    return 0;
}

/* Each kind of write until it is told to stop, and once beyond that. */
enum written { BUFS, BYTES, RANGES };

static enum written written;
static unsigned writable_count, write_count;

static int write_one(struct leat_request *req)
{
    static const char bytes[1500];
    write_count++;
    if (written == BYTES)
        return leat_response_write_bytes(req, bytes, sizeof(bytes));
    if (written == BUFS)
        return leat_response_write(req, leat_buf_from_static(bytes, sizeof(bytes)));
    int fd = memfd_create("range", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, sizeof(bytes)), 0);
    struct leat_file *file = leat_file_new(fd);
    int result = leat_response_write_file(req, file, 0, sizeof(bytes));
    leat_file_unref(file);
    return result;
}

static int write_until_full(struct leat_request *req)
{
    int result = 0;
    while (result == 0)
        result = write_one(req);
    assert_int_equal(result, 1);
    assert_int_equal(write_one(req), -EAGAIN);
    return 0;
}

static int write_more(struct leat_request *req)
{
    return ++writable_count == 1 ? write_until_full(req) : leat_response_end(req);
}

static int fill(struct leat_request *req)
{
    leat_response_on_writable(req, write_more);
    int result = leat_response_begin(req, 200, NULL, LEAT_LENGTH_UNKNOWN);
    return result < 0 ? result : write_until_full(req);
}

static void begin(void)
{
    bench_init(&bench, &(struct leat_http_options){0});
    leat_http_post(bench.http, "/streams/echo", echo);
    leat_http_post(bench.http, "/streams/refuse", refuse);
    leat_http_post(bench.http, "/streams/drop", drop);
    leat_http_get(bench.http, "/streams/fill", fill);
    said[0] = '\0';
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)('a' + i % 26);
}

#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"

static void a_body_is_echoed(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/streams/echo", "5") "hello");
    assert_outcome(conn, "200 hello");
    assert_string_equal(said, "echo:0 ");
    bench_check_rest(&bench);
    bench_fini(&bench);
}

static void an_empty_body_is_echoed(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/streams/echo", "0"));
    assert_outcome(conn, "200");
    assert_string_equal(said, "echo:0 ");
    bench_check_rest(&bench);
    bench_fini(&bench);
}

/* Its window stops the response, that the pipe, that the body, and nothing is lost. */
static void a_client_that_reads_slowly(void **state)
{
    char head[128];
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    conn->window_bytes = 0;
    conn->high_bytes = 20000;
    snprintf(head, sizeof(head), POST("/streams/echo", "%u"), LARGE);
    bench_send(&bench, conn, head);
    for (size_t at = 0; at < LARGE; at += 10000) {
        wire_feed(bench.wire, conn, large + at, 10000);
        wire_settle(bench.wire);
    }
    assert_true(conn->paused);
    assert_string_equal(said, "");
    for (int i = 0; i < 1000 && said[0] == '\0'; i++) {
        wire_take(bench.wire, conn, 5000);
        wire_settle(bench.wire);
    }
    wire_take(bench.wire, conn, SIZE_MAX / 2);
    wire_settle(bench.wire);
    assert_string_equal(said, "echo:0 ");
    size_t letters = 0;
    for (size_t i = 0; i < conn->sent_bytes; i++)
        letters += conn->sent[i] == 'z';
    assert_true(letters >= LARGE / 26);
    bench_check_rest(&bench);
    bench_fini(&bench);
}

static void a_client_that_goes(void **state)
{
    char expected[64];
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/streams/echo", "100") "hello");
    wire_reset(bench.wire, conn);
    wire_settle(bench.wire);
    snprintf(expected, sizeof(expected), "echo:%d ", -ECONNABORTED);
    assert_string_equal(said, expected);
    bench_fini(&bench);
}

static void an_answer_before_the_body(void **state)
{
    char expected[64];
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/streams/refuse", "5") "hello");
    assert_outcome(conn, "413 no");
    snprintf(expected, sizeof(expected), "refuse:%d ", -ECONNABORTED);
    assert_string_equal(said, expected);
    bench_fini(&bench);
}

static void a_body_that_is_dropped(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/streams/drop", "5") "hello" POST("/streams/echo", "2") "hi");
    assert_outcome(conn, "200 dropped | 200 hi");
    assert_string_equal(said, "drop:0 echo:0 ");
    bench_check_rest(&bench);
    bench_fini(&bench);
}

/* In the handler, in on_writable, of each kind: 1 comes in time, and on_writable once for it. */
static void writers_are_told_to_stop(void **state)
{
    for (written = BUFS; written <= RANGES; written++) {
        begin();
        writable_count = write_count = 0;
        struct wire_conn *conn = bench_connect(&bench);
        conn->window_bytes = 0;
        conn->high_bytes = 40000;
        bench_send(&bench, conn, "GET /streams/fill HTTP/1.1\r\nHost: a\r\n\r\n");
        unsigned first_count = write_count; /* one was refused */
        assert_in_range((first_count - 1) * 1500, 40000 - 3000, 40000 + 16384 + 1500);
        assert_int_equal(writable_count, 0);
        wire_take(bench.wire, conn, 20000); /* not yet as little as it must be */
        wire_settle(bench.wire);
        assert_int_equal(writable_count, 0);
        wire_take(bench.wire, conn, 40000);
        wire_settle(bench.wire);
        assert_int_equal(writable_count, 1);
        assert_true(write_count > first_count);
        wire_take(bench.wire, conn, SIZE_MAX / 2);
        wire_settle(bench.wire);
        assert_int_equal(writable_count, 2);
        char text[OUTCOME_BYTES], expected[64];
        snprintf(expected, sizeof(expected), "200 (%u)", (write_count - 2) * 1500);
        assert_string_equal(bench_outcome(conn, 0, text), expected);
        bench_check_rest(&bench);
        bench_fini(&bench);
    }
}

/* Who is told to stop and whose client takes nothing: its deadline is that of writing. */
static void who_waits_at_the_sign_is_cut_off(void **state)
{
    written = BUFS;
    writable_count = 0;
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    conn->window_bytes = 0;
    conn->high_bytes = 20000;
    bench_send(&bench, conn, "GET /streams/fill HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_pass(bench.wire, 30 * LEAT_NS_PER_S);
    assert_true(conn->aborted && conn->gone);
    assert_int_equal(writable_count, 0);
    assert_int_equal(bench_stats(&bench).errors_count[LEAT_HTTP_ERROR_WRITE_TIMEOUT], 1);
    bench_check_rest(&bench);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_echoed),
        cmocka_unit_test(an_empty_body_is_echoed),
        cmocka_unit_test(a_client_that_reads_slowly),
        cmocka_unit_test(a_client_that_goes),
        cmocka_unit_test(an_answer_before_the_body),
        cmocka_unit_test(a_body_that_is_dropped),
        cmocka_unit_test(writers_are_told_to_stop),
        cmocka_unit_test(who_waits_at_the_sign_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

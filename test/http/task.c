/* Handlers that are tasks: awaits within a request, the request that stays until its handler
 * returns, the client that goes meanwhile, room that runs out. Virtual time. */
#include "test/http/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <leat/form.h>
#include <leat/task.h>

#include "runtime/async/tasks.h"

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define SECONDS(n) ((n)*LEAT_NS_PER_S)

static struct bench bench;
static char said[512];
static unsigned attached_count;

static void say_code(const char *word, int code)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof(said) - length, "%s:%s ", word,
             code < 0 ? leat_errno_name(code) : "ok");
}

static struct leat_loop *loop_of(const struct leat_request *req)
{
    return leat_request_loop(req);
}

static int nap(struct leat_request *req, uint64_t ns)
{
    struct leat_result result = leat_await(leat_delay(loop_of(req), ns));
    return result.code;
}

/* ---- handlers ---- */

static int answer_at_once(struct leat_request *req)
{
    return leat_respond_text(req, 200, "at once");
}

/* The parameter is asked for behind the await: the input has gone by then. */
static int answer_later(struct leat_request *req)
{
    int code = nap(req, SECONDS(1));
    say_code("nap", code);
    if (code < 0)
        return code;
    struct leat_view id = leat_request_param(req, "id");
    return leat_respond_bytes(req, 200, "text/plain", id.data, id.length_bytes);
}

static int fail_later(struct leat_request *req)
{
    int code = nap(req, SECONDS(1));
    return code < 0 ? code : -ENOENT;
}

static int forget(struct leat_request *req)
{
    (void)nap(req, SECONDS(1));
    return 0;
}

/* Answers, and goes on working: the next request of the connection waits. */
static int work_on(struct leat_request *req)
{
    (void)leat_respond_text(req, 200, "answered");
    say_code("work", nap(req, SECONDS(1)));
    say_code("again", leat_respond_text(req, 200, "twice"));
    return 0;
}

static void attached_free(void *value)
{
    attached_count++;
}

/* What is left to a handler whose client has gone. */
static int look_at_what_is_left(struct leat_request *req)
{
    static const int key;
    assert_int_equal(leat_request_attach(req, &key, &attached_count, attached_free), 0);
    say_code("nap", nap(req, SECONDS(1)));
    assert_true(leat_view_equal(leat_request_param(req, "id"), "77"));
    assert_true(leat_view_equal(leat_request_header(req, "host"), "a"));
    assert_int_equal(attached_count, 0);
    say_code("text", leat_respond_text(req, 200, "late"));
    say_code("begin", leat_response_begin(req, 200, "text/plain", 3));
    say_code("fail", leat_request_fail(req, 500, "late"));
    leat_task_shield();
    say_code("shielded", nap(req, SECONDS(1)));
    leat_task_unshield();
    return -ECANCELED;
}

/* The body, of 16 bytes at most, comes back behind another await. */
static int echo_body(struct leat_request *req)
{
    int code = leat_request_collect(req, 16, NULL);
    say_code("body", code);
    if (code < 0)
        return code;
    say_code("again", leat_request_collect(req, 16, NULL));
    (void)nap(req, 1);
    struct leat_view body = leat_request_body(req);
    return leat_respond_bytes(req, 200, "text/plain", body.data, body.length_bytes);
}

static int refuse_file(struct leat_request *req, const struct leat_part *part)
{
    return leat_respond_text(req, 409, "no files");
}

static int echo_field(struct leat_request *req)
{
    int code =
        leat_request_read_form(req,
                               &(struct leat_form_options){.on_file = refuse_file, .fields_max = 2},
                               NULL);
    say_code("form", code);
    if (code < 0)
        return code;
    struct leat_view name = leat_request_field(req, "name");
    return leat_respond_bytes(req, 200, "text/plain", name.data, name.length_bytes);
}

static int stream_later(struct leat_request *req)
{
    int code = leat_response_begin(req, 200, "text/plain", LEAT_LENGTH_UNKNOWN);
    for (unsigned i = 0; i < 3 && code == 0; i++) {
        code = nap(req, SECONDS(1));
        if (code == 0)
            code = leat_response_write_bytes(req, "piece ", 6);
    }
    return code < 0 ? code : leat_response_end(req);
}

static void begin(void)
{
    struct leat_http_options options = bench_options();
    bench_init(&bench, &options);
    said[0] = '\0';
    attached_count = 0;
    leat_http_task(bench.http, "GET", "/task/now", answer_at_once);
    leat_http_task(bench.http, "GET", "/task/later/:id", answer_later);
    leat_http_task(bench.http, "GET", "/task/fails", fail_later);
    leat_http_task(bench.http, "GET", "/task/forgets", forget);
    leat_http_task(bench.http, "GET", "/task/works", work_on);
    leat_http_task(bench.http, "GET", "/task/looks/:id", look_at_what_is_left);
    leat_http_task(bench.http, "GET", "/task/streams", stream_later);
    leat_http_task(bench.http, "POST", "/task/echo", echo_body);
    leat_http_task(bench.http, "POST", "/task/form", echo_field);
}

static void end(void)
{
    bench_fini(&bench);
}

static const char *validate(void)
{
    return http_server_validate(bench.http);
}

/* ---- answers ---- */

static void answers_at_once_and_later(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/now"));
    assert_outcome(conn, "200 at once");
    bench_send(&bench, conn, GET("/task/later/42"));
    assert_outcome(conn, "200 at once");
    assert_null(validate());
    wire_pass(bench.wire, SECONDS(2));
    assert_outcome(conn, "200 at once | 200 42");
    bench_check_rest(&bench);
    end();
}

static void pipelined_ones_take_turns(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn,
               GET("/task/now") GET("/task/later/1") GET("/task/later/2") GET("/task/now"));
    assert_outcome(conn, "200 at once");
    wire_pass(bench.wire, SECONDS(1) + SECONDS(1) / 2);
    assert_outcome(conn, "200 at once | 200 1");
    assert_null(validate());
    wire_pass(bench.wire, SECONDS(1));
    assert_outcome(conn, "200 at once | 200 1 | 200 2 | 200 at once");
    end();
}

static void many_wait_at_once(void **state)
{
    enum { MANY = 100 };
    struct wire_conn *conns[MANY];
    begin();
    for (unsigned i = 0; i < MANY; i++) {
        conns[i] = bench_connect(&bench);
        bench_send(&bench, conns[i], GET("/task/later/5"));
    }
    wire_pass(bench.wire, SECONDS(2));
    for (unsigned i = 0; i < MANY; i++)
        assert_outcome(conns[i], "200 5");
    bench_check_rest(&bench);
    end();
}

static void a_code_goes_to_the_error_handler(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/fails"));
    wire_pass(bench.wire, SECONDS(2));
    assert_non_null(strstr((const char *)conn->sent, "HTTP/1.1 404 "));
    end();
}

static void one_without_an_answer_is_a_500(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/forgets"));
    wire_pass(bench.wire, SECONDS(2));
    assert_non_null(strstr((const char *)conn->sent, "HTTP/1.1 500 "));
    assert_int_equal(bench_stats(&bench).errors_count[LEAT_HTTP_ERROR_UNANSWERED], 1);
    end();
}

static void the_next_request_waits_for_the_handler(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/works") GET("/task/now"));
    assert_outcome(conn, "200 answered");
    bench_send(&bench, conn, GET("/task/later/3"));
    assert_null(validate());
    assert_outcome(conn, "200 answered");
    wire_pass(bench.wire, SECONDS(3));
    assert_outcome(conn, "200 answered | 200 at once | 200 3");
    assert_string_equal(said, "work:ok again:EALREADY nap:ok ");
    end();
}

static void pieces_are_written_between_awaits(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/streams"));
    wire_pass(bench.wire, SECONDS(4));
    assert_outcome(conn, "200 piece piece piece ");
    bench_check_rest(&bench);
    end();
}

/* ---- bodies ---- */

#define ECHO(rest)       "POST /task/echo HTTP/1.1\r\nHost: a\r\n" rest
#define CHUNKS(chunks)   ECHO("Transfer-Encoding: chunked\r\n\r\n" chunks)
#define FORM(type, rest) "POST /task/form HTTP/1.1\r\nHost: a\r\nContent-Type: " type "\r\n" rest

/* However the request is cut in two, and once byte by byte, the same comes of it. */
static void check_pieces(const char *text, const char *outcome, const char *codes)
{
    size_t length = strlen(text);
    for (size_t cut = 0; cut <= length; cut++) {
        begin();
        struct wire_conn *conn = bench_connect(&bench);
        char piece[512];
        for (size_t at = 0; at < length;) {
            size_t bytes = cut == length ? 1 : at == 0 && cut > 0 ? cut : length - at;
            snprintf(piece, sizeof(piece), "%.*s", (int)bytes, text + at);
            if (!conn->gone)
                bench_send(&bench, conn, piece);
            at += bytes;
        }
        wire_pass(bench.wire, SECONDS(1));
        assert_outcome(conn, outcome);
        assert_string_equal(said, codes);
        assert_null(validate());
        if (!conn->gone)
            wire_reset(bench.wire, conn);
        wire_settle(bench.wire);
        bench_check_rest(&bench);
        end();
    }
}

static void a_task_waits_for_a_body(void **state)
{
    check_pieces(ECHO("Content-Length: 5\r\n\r\nhello"), "200 hello", "body:ok again:EALREADY ");
    check_pieces(ECHO("Content-Length: 0\r\n\r\n"), "200", "body:ok again:EALREADY ");
    check_pieces(CHUNKS("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), "200 hello",
                 "body:ok again:EALREADY ");
    check_pieces(ECHO("Content-Length: 2\r\n\r\nhi") GET("/task/now"), "200 hi | 200 at once",
                 "body:ok again:EALREADY ");
}

static void a_body_that_never_comes_ends_the_wait(void **state)
{
    check_pieces(ECHO("Content-Length: 17\r\n\r\n"), "413 Content Too Large", "body:EPIPE ");
    check_pieces(ECHO("Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\nhi"),
                 "415 Unsupported Media Type", "body:EPIPE ");
    check_pieces(CHUNKS("11\r\n12345678901234567\r\n0\r\n\r\n"), "413 Content Too Large | close",
                 "body:ECANCELED ");
    check_pieces(CHUNKS("3\r\nhel\r\nX\r\n"), "400 Bad Request | close", "body:ECANCELED ");
}

static void a_client_that_goes_ends_the_wait_for_its_body(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, ECHO("Content-Length: 5\r\n\r\nhe"));
    wire_reset(bench.wire, conn);
    wire_settle(bench.wire);
    assert_string_equal(said, "body:ECANCELED ");
    bench_check_rest(&bench);
    end();
}

static void a_task_waits_for_a_form(void **state)
{
    check_pieces(FORM("application/x-www-form-urlencoded", "Content-Length: 9\r\n\r\nname=leat"),
                 "200 leat", "form:ok ");
    check_pieces(FORM("application/x-www-form-urlencoded", "Content-Length: 11\r\n\r\na=1&b=2&c=3"),
                 "413 Content Too Large", "form:EPIPE ");
    check_pieces(FORM("text/plain", "Content-Length: 2\r\n\r\nhi"), "415 Unsupported Media Type",
                 "form:EPIPE ");
    check_pieces(FORM("multipart/form-data; boundary=x",
                      "Content-Length: 67\r\n\r\n--x\r\nContent-Disposition: form-data; "
                      "name=a; filename=b\r\n\r\n1\r\n--x--"),
                 "409 no files", "form:EPIPE ");
}

/* ---- the client goes ---- */

static void the_request_stays_when_its_client_has_gone(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/looks/77"));
    wire_reset(bench.wire, conn);
    wire_settle(bench.wire);
    assert_true(conn->gone);
    assert_string_equal(said, "nap:ECANCELED text:EPIPE begin:EPIPE fail:EPIPE ");
    assert_int_equal(attached_count, 0);
    wire_pass(bench.wire, SECONDS(2));
    assert_string_equal(said, "nap:ECANCELED text:EPIPE begin:EPIPE fail:EPIPE shielded:ok ");
    assert_int_equal(attached_count, 1);
    bench_check_rest(&bench);
    end();
}

static void one_that_was_answered_is_cancelled_as_well(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/works"));
    wire_reset(bench.wire, conn);
    wire_settle(bench.wire);
    assert_string_equal(said, "work:ECANCELED again:EALREADY ");
    bench_check_rest(&bench);
    end();
}

static void a_client_that_half_closes_gets_its_answer(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench), *works = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/later/8"));
    bench_send(&bench, works, GET("/task/works"));
    wire_end(bench.wire, conn);
    wire_end(bench.wire, works);
    wire_pass(bench.wire, SECONDS(2));
    assert_outcome(conn, "200 8 | close");
    assert_outcome(works, "200 answered | close");
    end();
}

/* The server is freed when the last handler has returned, and not before. */
static void the_server_stays_for_its_handlers(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/looks/77"));
    leat_http_free(bench.http);
    wire_settle(bench.wire);
    assert_true(conn->aborted);
    assert_non_null(leat_core_now->http);
    wire_pass(bench.wire, SECONDS(2));
    assert_null(leat_core_now->http);
    assert_int_equal(attached_count, 1);
    app_fini(&bench.app);
    wire_free(bench.wire);
}

static void a_drain_waits_for_handlers(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/task/later/6"));
    leat_http_drain(bench.http, SECONDS(10), NULL, NULL);
    wire_pass(bench.wire, SECONDS(2));
    assert_outcome(conn, "200 6 | close");
    end();
}

/* ---- room ---- */

static void one_too_many_gets_the_ready_made_503(void **state)
{
    begin();
    struct wire_conn *one = bench_connect(&bench), *two = bench_connect(&bench);
    assert_int_equal(tasks_limit(wire_loop(bench.wire), 1), 0);
    bench_send(&bench, one, GET("/task/later/1"));
    bench_send(&bench, two, GET("/task/later/2"));
    assert_non_null(strstr((const char *)two->sent, "HTTP/1.1 503 "));
    assert_non_null(strstr((const char *)two->sent, "Retry-After: 1\r\n"));
    assert_true(two->closed);
    assert_int_equal(bench_stats(&bench).errors_count[LEAT_HTTP_ERROR_OVERLOAD], 1);
    wire_pass(bench.wire, SECONDS(2));
    assert_outcome(one, "200 1");
    end();
}

static void memory_that_fails_harms_one_client(void **state)
{
    bool has_failed = true;
    for (unsigned nth = 1; has_failed && nth < 5000; nth++) {
        struct leat_heap_stats before, after;
        begin();
        struct wire_conn *conn = bench_connect(&bench);
        leat_heap_stats(leat_core_now, &before);
        leat_heap_fail_at(leat_core_now, nth);
        bench_send(&bench, conn, GET("/task/later/1"));
        wire_pass(bench.wire, SECONDS(2));
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &after);
        has_failed = after.refused_count > before.refused_count;
        struct wire_conn *other = bench_connect(&bench);
        bench_send(&bench, other, GET("/task/now"));
        assert_outcome(other, "200 at once");
        bench_check_rest(&bench);
        end();
    }
    assert_false(has_failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_at_once_and_later),
        cmocka_unit_test(pipelined_ones_take_turns),
        cmocka_unit_test(many_wait_at_once),
        cmocka_unit_test(a_code_goes_to_the_error_handler),
        cmocka_unit_test(one_without_an_answer_is_a_500),
        cmocka_unit_test(the_next_request_waits_for_the_handler),
        cmocka_unit_test(pieces_are_written_between_awaits),
        cmocka_unit_test(a_task_waits_for_a_body),
        cmocka_unit_test(a_body_that_never_comes_ends_the_wait),
        cmocka_unit_test(a_client_that_goes_ends_the_wait_for_its_body),
        cmocka_unit_test(a_task_waits_for_a_form),
        cmocka_unit_test(the_request_stays_when_its_client_has_gone),
        cmocka_unit_test(one_that_was_answered_is_cancelled_as_well),
        cmocka_unit_test(a_client_that_half_closes_gets_its_answer),
        cmocka_unit_test(the_server_stays_for_its_handlers),
        cmocka_unit_test(a_drain_waits_for_handlers),
        cmocka_unit_test(one_too_many_gets_the_ready_made_503),
        cmocka_unit_test(memory_that_fails_harms_one_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

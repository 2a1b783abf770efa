/* What hangs on a request: by key, dropped once, in whatever way the request ends. */
#include "buffers/heap.h"
#include "test/http/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct bench bench;
static char dropped[64]; /* the values that were dropped, in order */
static leat_deferred waiting;
static const char keys[LEAT_REQUEST_ATTACHMENTS_MAX + 2];
#define USER_KEY  (&keys[0])
#define TRACE_KEY (&keys[1])

static void note(void *value)
{
    strcat(dropped, value);
}

static void *text(const char *value)
{
    return (void *)(uintptr_t)value;
}

/* Two middlewares that do not know each other, and a handler that knows both. */
static int add_user(struct leat_request *req)
{
    assert_null(leat_request_attachment(req, USER_KEY));
    assert_int_equal(leat_request_attach(req, USER_KEY, text("u"), note), 0);
    return leat_next(req);
}

static int add_trace(struct leat_request *req)
{
    assert_int_equal(leat_request_attach(req, TRACE_KEY, text("t"), note), 0);
    return leat_next(req);
}

static int answer_both(struct leat_request *req)
{
    char both[8];

    snprintf(both, sizeof(both), "%s%s", (char *)leat_request_attachment(req, USER_KEY),
             (char *)leat_request_attachment(req, TRACE_KEY));
    assert_string_equal(dropped, "");
    return leat_respond_text(req, 200, both);
}

static int replace(struct leat_request *req)
{
    assert_int_equal(leat_request_attach(req, USER_KEY, text("v"), note), 0);
    assert_string_equal(dropped, "u"); /* at once */
    assert_string_equal(leat_request_attachment(req, USER_KEY), "v");
    assert_int_equal(leat_request_attach(req, TRACE_KEY, NULL, NULL), 0);
    assert_string_equal(dropped, "ut");
    assert_null(leat_request_attachment(req, TRACE_KEY));
    assert_int_equal(leat_request_attach(req, &keys[2], text("not dropped"), NULL), 0);
    return leat_respond_text(req, 200, "replaced");
}

static int fill(struct leat_request *req)
{
    for (unsigned i = 2; i < LEAT_REQUEST_ATTACHMENTS_MAX; i++)
        assert_int_equal(leat_request_attach(req, &keys[i], text("."), NULL), 0);
    assert_int_equal(leat_request_attach(req, &keys[LEAT_REQUEST_ATTACHMENTS_MAX], text("x"), note),
                     -ENOSPC);
    assert_string_equal(dropped, "x"); /* it was taken all the same */
    assert_int_equal(leat_request_attach(req, USER_KEY, text("v"), note), 0); /* in its own place */
    assert_string_equal(dropped, "xu");
    return leat_respond_text(req, 200, "full");
}

static int starve(struct leat_request *req)
{
    leat_heap_fail_at(leat_core_now, 1);
    assert_int_equal(leat_request_attach(req, &keys[2], text("x"), note), -ENOMEM);
    leat_heap_fail_at(leat_core_now, 0);
    assert_string_equal(dropped, "x");
    assert_null(leat_request_attachment(req, &keys[2]));
    return leat_respond_text(req, 200, "starved");
}

static int wait_for_ever(struct leat_request *req)
{
    waiting = leat_request_defer(req);
    return 0;
}

/* While it aborts, what hangs on it is there; what is hung on it now goes with the rest. */
static void on_gone(struct leat_request *req)
{
    assert_string_equal(leat_request_attachment(req, USER_KEY), "u");
    assert_int_equal(leat_request_attach(req, &keys[2], text("g"), note), 0);
}

static int wait_and_hear(struct leat_request *req)
{
    leat_request_on_abort(req, on_gone);
    return wait_for_ever(req);
}

static int fail_here(struct leat_request *req)
{
    return -EIO;
}

static void begin(void)
{
    static const struct {
        const char *pattern;
        leat_handler *handler;
    } routes[] = {{"/hung/both", answer_both},   {"/hung/replace", replace},
                  {"/hung/fill", fill},          {"/hung/starve", starve},
                  {"/hung/wait", wait_for_ever}, {"/hung/hear", wait_and_hear},
                  {"/hung/fail", fail_here}};

    bench_init(&bench, &(struct leat_http_options){0});
    leat_http_use(bench.http, "/hung", add_user, NULL);
    leat_http_use(bench.http, "/hung", add_trace, NULL);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        leat_http_get(bench.http, routes[i].pattern, routes[i].handler);
    dropped[0] = '\0';
}

static void check(const char *request, const char *outcome, const char *expected)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, request);
    assert_outcome(conn, outcome);
    assert_string_equal(dropped, expected);
    bench_check_rest(&bench);
    bench_fini(&bench);
    assert_string_equal(dropped, expected); /* once */
}

static void middlewares_do_not_meet(void **state)
{
    check(GET("/hung/both"), "200 ut", "tu");
}

static void the_next_request_has_its_own(void **state)
{
    check(GET("/hung/replace") GET("/"), "200 replaced | 200 hello", "utv");
}

static void there_is_a_limit(void **state)
{
    check(GET("/hung/fill"), "200 full", "xuvt");
}

static void without_memory_nothing_hangs(void **state)
{
    check(GET("/hung/starve"), "200 starved", "xtu");
}

static void a_failure_drops_what_hangs(void **state)
{
    check(GET("/hung/fail"), "500 Internal Server Error", "tu");
}

static void a_client_that_goes_drops_what_hangs(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/hung/hear"));
    assert_string_equal(dropped, "");
    wire_reset(bench.wire, conn);
    wire_settle(bench.wire);
    assert_null(leat_deferred_request(waiting));
    assert_string_equal(dropped, "gtu");
    bench_fini(&bench);
}

static void the_end_of_the_server_drops_what_hangs(void **state)
{
    begin();
    bench_send(&bench, bench_connect(&bench), GET("/hung/wait"));
    assert_string_equal(dropped, "");
    bench_fini(&bench);
    assert_string_equal(dropped, "tu");
}

static void an_answer_that_comes_later_drops_what_hangs(void **state)
{
    begin();
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/hung/wait"));
    struct leat_request *req = leat_deferred_request(waiting);
    assert_int_equal(leat_respond_text(req, 200, "now"), 0);
    wire_settle(bench.wire);
    assert_string_equal(dropped, "tu");
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(middlewares_do_not_meet),
        cmocka_unit_test(the_next_request_has_its_own),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(without_memory_nothing_hangs),
        cmocka_unit_test(a_failure_drops_what_hangs),
        cmocka_unit_test(a_client_that_goes_drops_what_hangs),
        cmocka_unit_test(the_end_of_the_server_drops_what_hangs),
        cmocka_unit_test(an_answer_that_comes_later_drops_what_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

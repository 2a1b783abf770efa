/* What takes time, memory or somebody else: deadlines, backpressure, limits, overload, drain, the
 * vanishing client, upgrade, answers from other threads. Virtual time; nothing sleeps. */
#include "buffers/pools.h"
#include "test/http/bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GET(path)          "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"
#define CHUNKED(path)      "POST " path " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define SECONDS(n)         ((n)*LEAT_NS_PER_S)

static struct bench bench;

static void begin(struct leat_http_options options)
{
    bench_init(&bench, &options);
}

static void end(void)
{
    bench_fini(&bench);
}

static uint64_t errors(enum leat_http_error error)
{
    return bench_stats(&bench).errors_count[error];
}

/* ---- Failing ---- */

/* What the log says, which goes to standard error where a program has no writer of it. */
struct heard {
    int fd, error_fd;
    char text[4096];
};

static void hear(struct heard *heard)
{
    heard->fd = memfd_create("log", MFD_CLOEXEC);
    heard->error_fd = dup(STDERR_FILENO);
    assert_true(heard->fd >= 0 && heard->error_fd >= 0);
    assert_true(dup2(heard->fd, STDERR_FILENO) >= 0);
}

/* Returns how many lines were heard. */
static unsigned heard_end(struct heard *heard)
{
    unsigned lines = 0;

    assert_true(dup2(heard->error_fd, STDERR_FILENO) >= 0);
    ssize_t length = pread(heard->fd, heard->text, sizeof(heard->text) - 1, 0);
    assert_true(length >= 0);
    heard->text[length] = '\0';
    for (const char *at = heard->text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    close(heard->fd);
    close(heard->error_fd);
    return lines;
}

static void a_failure_behind_the_answer_is_logged_once(void **state)
{
    struct heard heard;
    begin((struct leat_http_options){0});
    struct wire_conn *conn = bench_connect(&bench);
    hear(&heard);
    bench_send(&bench, conn, GET("/code-behind/5"));
    assert_int_equal(heard_end(&heard), 1);
    assert_non_null(strstr(heard.text, "GET /code-behind/5: the handler failed with EIO after"));
    assert_outcome(conn, "200 answered");
    assert_int_equal(bench.app.error_count, 0); /* the error handler is for what has no answer */
    end();
}

/* What responding returned is passed on by every second handler: it is said where it happened. */
static void what_is_known_is_not_logged_again(void **state)
{
    struct heard heard;
    begin((struct leat_http_options){0});
    struct wire_conn *conn = bench_connect(&bench);
    hear(&heard);
    bench_send(&bench, conn, GET("/bad-status"));
    assert_int_equal(heard_end(&heard), 1);
    hear(&heard);
    bench_send(&bench, conn, GET("/code-behind/32") GET("/code-behind/12")); /* EPIPE, ENOMEM */
    assert_int_equal(heard_end(&heard), 0);
    assert_outcome(conn, "500 | 200 answered | 200 answered");
    end();
}

static void a_failure_within_the_answer_breaks_it_off(void **state)
{
    struct heard heard;
    begin((struct leat_http_options){0});
    struct wire_conn *conn = bench_connect(&bench);
    hear(&heard);
    bench_send(&bench, conn, GET("/code-begun/5") GET("/"));
    assert_true(heard_end(&heard) >= 1);
    assert_outcome(conn, "abort");
    bench_check_rest(&bench);
    end();
}

static int not_found(struct leat_request *req)
{
    return -EACCES;
}

static void a_code_of_what_answers_without_a_route(void **state)
{
    begin((struct leat_http_options){0});
    leat_http_not_found(bench.http, not_found, NULL);
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/nowhere"));
    assert_outcome(conn, "403 Forbidden");
    assert_int_equal(bench.app.error_count, 1);
    end();
}

/* ---- Deadlines ---- */

static void a_head_has_its_time(void **state)
{
    begin((struct leat_http_options){.header_ns = SECONDS(3)});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, "GET / HTTP/1.1\r\n");
    wire_pass(bench.wire, SECONDS(2));
    bench_send(&bench, conn, "Host"); /* one byte more does not help */
    wire_pass(bench.wire, LEAT_NS_PER_S / 2);
    assert_outcome(conn, "");
    wire_pass(bench.wire, SECONDS(1));
    assert_outcome(conn, "408 Request Timeout | close");
    assert_int_equal(errors(LEAT_HTTP_ERROR_HEADER_TIMEOUT), 1);
    end();
}

/* Larger than the first buffer that heads are gathered in, in pieces larger than it, too. */
static void a_long_head_comes_in_long_pieces(void **state)
{
    static const size_t cuts[] = {1023, 1024, 1025, 4095, 4097, 8192, 16383, 16385, 20000};
    static char head[21000];
    size_t length = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(head + length, 'x', 20000);
    length += 20000;
    memcpy(head + length, "\r\n\r\n", 4);
    length += 4;
    begin((struct leat_http_options){0});
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct wire_conn *conn = bench_connect(&bench);
        wire_feed(bench.wire, conn, head, cuts[i]);
        wire_settle(bench.wire);
        assert_outcome(conn, "");
        wire_feed(bench.wire, conn, head + cuts[i], length - cuts[i]);
        wire_settle(bench.wire);
        assert_outcome(conn, "200 hello");
    }
    end();
}

static void the_time_of_a_second_head_is_its_own(void **state)
{
    begin((struct leat_http_options){.header_ns = SECONDS(3)});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, "GET / HTTP/1.1\r\n");
    wire_pass(bench.wire, SECONDS(2));
    bench_send(&bench, conn, "Host: a\r\n\r\nGET / HT");
    wire_pass(bench.wire, SECONDS(2));
    bench_send(&bench, conn, "TP/1.1\r\nHost: a\r\n\r\n");
    assert_outcome(conn, "200 hello | 200 hello");
    end();
}

static void a_body_goes_on(void **state)
{
    begin((struct leat_http_options){.body_ns = SECONDS(3)});
    struct wire_conn *conn = bench_connect(&bench), *other = bench_connect(&bench);
    bench_send(&bench, conn, POST("/count", "10") "ab");
    bench_send(&bench, other, POST("/echo", "4") "a");
    for (unsigned i = 0; i < 3; i++) {
        wire_pass(bench.wire, SECONDS(2));
        bench_send(&bench, other, "b");
    }
    assert_outcome(conn, "408 Request Timeout | close");
    assert_outcome(other, "200 abbb");
    assert_int_equal(errors(LEAT_HTTP_ERROR_BODY_TIMEOUT), 1);
    assert_int_equal(bench.app.aborted_count, 1); /* who read it was told */
    assert_int_equal(bench.app.freed_count, 1);
    end();
}

static void the_application_has_no_deadline(void **state)
{
    begin((struct leat_http_options){.body_ns = SECONDS(1),
                                     .keepalive_ns = SECONDS(1),
                                     .header_ns = SECONDS(1)});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/forever"));
    wire_pass(bench.wire, SECONDS(10));
    assert_outcome(conn, "");
    end();
}

/* /later answers after 50 ms, /forever never. */
static void a_forgotten_deferral_is_answered(void **state)
{
    struct heard heard;
    begin((struct leat_http_options){.answer_ns = SECONDS(3)});
    struct wire_conn *conn = bench_connect(&bench), *good = bench_connect(&bench);
    bench_send(&bench, conn, GET("/forever"));
    wire_pass(bench.wire, SECONDS(2));
    bench_send(&bench, good, GET("/later"));
    assert_outcome(conn, "");
    hear(&heard);
    wire_pass(bench.wire, SECONDS(1) + LEAT_NS_PER_MS);
    assert_int_equal(heard_end(&heard), 1);
    assert_non_null(strstr(heard.text, "GET /forever: "));
    assert_non_null(strstr(heard.text, " deferred it and did not answer within 3000 ms"));
    assert_outcome(conn, "504 Gateway Timeout | close");
    assert_outcome(good, "200 /later a ");
    assert_int_equal(errors(LEAT_HTTP_ERROR_ANSWER_TIMEOUT), 1);
    assert_int_equal(bench.app.aborted_count, 1); /* whoever was to answer is told */
    assert_int_equal(bench.app.freed_count, 1);
    assert_null(leat_deferred_request(bench.app.last_deferred));
    end();
}

/* Requests on one connection, and handlers of one request, do not share their time. */
static void the_time_to_answer_is_each_deferrals_own(void **state)
{
    begin((struct leat_http_options){.answer_ns = 52 * LEAT_NS_PER_MS});
    struct wire_conn *conn = bench_connect(&bench), *slow = bench_connect(&bench);
    bench_send(&bench, conn, GET("/later") GET("/later") GET("/later") GET("/forever"));
    bench_send(&bench, slow, GET("/slow/later"));
    for (unsigned ms = 0; ms < 180; ms++)
        wire_pass(bench.wire, LEAT_NS_PER_MS);
    assert_outcome(slow, "200 /slow/later a ");
    assert_outcome(conn, "200 /later a  | 200 /later a  | 200 /later a ");
    wire_pass(bench.wire, 60 * LEAT_NS_PER_MS);
    assert_outcome(conn,
                   "200 /later a  | 200 /later a  | 200 /later a  | 504 Gateway Timeout | close");
    end();
}

/* The client's part of the time is body_ns. */
static void the_time_to_answer_is_not_the_bodys(void **state)
{
    begin((struct leat_http_options){.answer_ns = SECONDS(1), .body_ns = SECONDS(3)});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/slow-reader", "4") "a");
    for (unsigned i = 0; i < 3; i++) {
        wire_pass(bench.wire, SECONDS(2));
        bench_send(&bench, conn, "b");
    }
    assert_outcome(conn, "200 abbb");
    end();
}

/* A response that has begun is its writer's. */
static void a_response_that_has_begun_is_not_timed(void **state)
{
    begin((struct leat_http_options){.answer_ns = SECONDS(1), .write_ns = SECONDS(100)});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/begun-later"));
    wire_pass(bench.wire, SECONDS(10));
    assert_outcome(conn, "200 at last");
    end();
}

static void idle_connections_end_in_order(void **state)
{
    begin((struct leat_http_options){.keepalive_ns = SECONDS(10)});
    struct wire_conn *first = bench_connect(&bench), *second = bench_connect(&bench);
    wire_pass(bench.wire, SECONDS(6));
    bench_send(&bench, first, GET("/"));
    wire_pass(bench.wire, SECONDS(6));
    assert_outcome(first, "200 hello");
    assert_outcome(second, "close");
    wire_pass(bench.wire, SECONDS(6));
    assert_outcome(first, "200 hello | close");
    assert_int_equal(bench_stats(&bench).connections_now_count, 0);
    end();
}

static void never_is_never(void **state)
{
    begin((struct leat_http_options){.keepalive_ns = LEAT_HTTP_NEVER});
    struct wire_conn *conn = bench_connect(&bench);
    wire_pass(bench.wire, SECONDS(200));
    bench_send(&bench, conn, GET("/"));
    assert_outcome(conn, "200 hello");
    end();
}

/* ---- Slow readers ---- */

static void who_takes_nothing_is_cut_off(void **state)
{
    begin((struct leat_http_options){.write_ns = SECONDS(5)});
    struct wire_conn *conn = bench_connect(&bench);
    conn->window_bytes = 1000;
    bench_send(&bench, conn, GET("/stream"));
    assert_true(bench.app.writable_count == 1);
    assert_true(bench.app.streamed_count < 30); /* the rest waits in the application */
    wire_pass(bench.wire, SECONDS(11));
    assert_true(conn->aborted && conn->gone);
    assert_int_equal(errors(LEAT_HTTP_ERROR_WRITE_TIMEOUT), 1);
    bench_check_rest(&bench);
    end();
}

static void who_takes_little_is_served(void **state)
{
    begin((struct leat_http_options){.write_ns = SECONDS(5), .write_bytes_min = 1000});
    struct wire_conn *conn = bench_connect(&bench);
    char text[OUTCOME_BYTES];
    conn->window_bytes = 0;
    bench_send(&bench, conn, GET("/stream") GET("/"));
    for (unsigned i = 0; i < 60; i++) {
        wire_take(bench.wire, conn, 40000);
        wire_pass(bench.wire, SECONDS(1));
    }
    assert_string_equal(bench_outcome(conn, 0, text), "200 (2000000) | 200 hello");
    assert_true(bench.app.writable_count > 3);
    end();
}

static void a_large_answer_left_behind_is_cut_off(void **state)
{
    begin((struct leat_http_options){.write_ns = SECONDS(5)});
    struct wire_conn *conn = bench_connect(&bench);
    conn->window_bytes = 10;
    bench_send(&bench, conn, GET("/big"));
    wire_pass(bench.wire, SECONDS(12));
    assert_true(conn->aborted);
    assert_int_equal(errors(LEAT_HTTP_ERROR_WRITE_TIMEOUT), 1);
    end();
}

static void pipelining_without_reading_is_bounded(void **state)
{
    begin((struct leat_http_options){.write_ns = SECONDS(5)});
    struct wire_conn *conn = bench_connect(&bench);
    conn->window_bytes = 0;
    conn->high_bytes = 20000;
    for (unsigned i = 0; i < 2000; i++)
        wire_feed(bench.wire, conn, GET("/"), sizeof(GET("/")) - 1);
    assert_true(conn->paused);
    assert_true(conn->queued_bytes < 40000);
    conn->window_bytes = SIZE_MAX;
    wire_settle(bench.wire);
    char text[OUTCOME_BYTES];
    assert_int_equal(strncmp(bench_outcome(conn, 0, text), "200 hello | 200 hello", 21), 0);
    assert_int_equal(bench_stats(&bench).requests_count, 2000);
    assert_int_equal(bench_stats(&bench).status_counts[2], 2000);
    end();
}

/* ---- Slow handlers ---- */

static void requests_behind_a_slow_one_are_bounded(void **state)
{
    begin((struct leat_http_options){.pipeline_bytes_max = 1000});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/later"));
    for (unsigned i = 0; i < 40; i++)
        bench_send(&bench, conn, GET("/"));
    assert_true(conn->paused);
    assert_int_equal(bench_stats(&bench).requests_count, 1);
    wire_pass(bench.wire, 2 * APP_LATER_NS);
    assert_false(conn->paused);
    assert_int_equal(bench_stats(&bench).requests_count, 41);
    bench_check_rest(&bench);
    end();
}

static void a_body_nobody_reads_yet_stops_the_client(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/slow-reader", "6") "abc");
    assert_true(conn->paused);
    bench_send(&bench, conn, "def");
    wire_pass(bench.wire, 2 * APP_LATER_NS);
    assert_outcome(conn, "200 abcdef");
    end();
}

static void a_paused_reader_stops_the_client(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    wire_feed(bench.wire, conn, POST("/pause", "6") "abc", sizeof(POST("/pause", "6") "abc") - 1);
    assert_true(conn->paused);
    wire_pass(bench.wire, SECONDS(1));
    assert_false(conn->paused);
    bench_send(&bench, conn, "def");
    wire_pass(bench.wire, SECONDS(1));
    assert_outcome(conn, "200 6 bytes");
    end();
}

static void held_pieces_are_given_back_when_the_client_goes(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, POST("/hold", "6") "abc");
    assert_int_equal(conn->held_count, 1);
    wire_reset(bench.wire, conn);
    wire_settle(bench.wire);
    assert_int_equal(bench.app.freed_count, 1);
    bench_check_rest(&bench);
    end();
}

/* ---- Clients that vanish ---- */

static void a_handle_goes_stale_with_the_client(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/forever"));
    leat_deferred deferred = bench.app.last_deferred;
    assert_non_null(leat_deferred_request(deferred));
    assert_int_equal(leat_deferred_core(deferred), 0);
    wire_reset(bench.wire, conn);
    assert_null(leat_deferred_request(deferred));
    assert_int_equal(bench.app.aborted_count, 1);
    assert_int_equal(bench.app.freed_count, 1);
    /* The object serves another request; the old handle does not find it. */
    conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/forever"));
    assert_null(leat_deferred_request(deferred));
    assert_non_null(leat_deferred_request(bench.app.last_deferred));
    assert_null(leat_deferred_request((leat_deferred){0}));
    assert_null(leat_deferred_request((leat_deferred){UINT64_MAX}));
    end();
}

static void an_answer_after_the_client_has_gone_is_dropped(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/later"));
    wire_reset(bench.wire, conn);
    wire_pass(bench.wire, 2 * APP_LATER_NS);
    assert_int_equal(bench.app.aborted_count, 1);
    assert_int_equal(errors(LEAT_HTTP_ERROR_CLIENT_GONE), 1);
    bench_check_rest(&bench);
    end();
}

/* ---- Answers from elsewhere ---- */

struct errand {
    struct leat_loop *loop;
    leat_deferred deferred;
};

static void errand_answer(void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req)
        leat_respond_text(req, 200, "from afar");
}

static void *errand_run(void *arg)
{
    const struct errand *errand = arg;
    struct leat_loop_options options = {.index = 1};
    struct leat_error error;
    struct leat_loop *own = leat_loop_new(&options, &error);

    /* Not this core's: it is no request here. */
    if (!own || leat_deferred_request(errand->deferred))
        return arg;
    while (leat_loop_post(errand->loop, errand_answer, (void *)(uintptr_t)errand->deferred.id))
        sched_yield();
    leat_loop_free(own);
    return NULL;
}

static void another_core_answers(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    pthread_t thread;
    void *result = NULL;
    bench_send(&bench, conn, GET("/forever") GET("/"));
    struct errand errand = {wire_loop(bench.wire), bench.app.last_deferred};
    assert_int_equal(pthread_create(&thread, NULL, errand_run, &errand), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    wire_settle(bench.wire);
    assert_outcome(conn, "200 from afar | 200 hello");
    end();
}

/* ---- Limits and overload ---- */

static void an_idle_connection_costs_64_bytes(void **state)
{
    begin((struct leat_http_options){0});
    for (unsigned i = 0; i < 1000; i++)
        bench_send(&bench, bench_connect(&bench), GET("/"));
    struct leat_http_stats stats = bench_stats(&bench);
    assert_int_equal(stats.connections_now_count, 1000);
    assert_true(stats.connection_bytes <= 64);
    assert_int_equal(stats.requests_now_count, 0);
    /* One object served them all. */
    assert_int_equal(stats.requests_memory_bytes, sizeof(struct leat_request));
    bench_check_rest(&bench);
    end();
}

/* Small responses lie one behind another, whoever they are for. */
static void what_a_response_leaves_of_its_buffer_the_next_one_uses(void **state)
{
    begin((struct leat_http_options){0});
    struct wire_conn *later = bench_connect(&bench);
    bench_send(&bench, later, GET("/later"));
    bench_send(&bench, bench_connect(&bench), GET("/"));
    const struct leat_buf *shared = &bench.http->core->shared;
    for (unsigned i = 0; i < 100; i++) {
        struct leat_buf before = *shared;
        struct wire_conn *conn = bench_connect(&bench);
        bench_send(&bench, conn, GET("/"));
        assert_outcome(conn, "200 hello");
        size_t used_bytes = (conn->sent_bytes + 15) / 16 * 16;
        if (shared->data != before.data + used_bytes) /* it was too little for one more */
            assert_in_range(before.length_bytes, 0, 512 + conn->sent_bytes);
    }
    wire_pass(bench.wire, 2 * APP_LATER_NS);
    assert_outcome(later, "200 /later a ");
    bench_check_rest(&bench);
    end();
}

static void one_connection_too_many_gets_503(void **state)
{
    begin((struct leat_http_options){.connections_max = 2});
    struct wire_conn *conns[3];
    for (unsigned i = 0; i < 3; i++) {
        conns[i] = wire_connect(bench.wire);
        conns[i]->ops = &http_listener_ops;
        http_listener_ops.on_open(wire_handle(conns[i]), bench.http);
    }
    wire_settle(bench.wire);
    assert_outcome(conns[2], "503 | close");
    assert_int_equal(errors(LEAT_HTTP_ERROR_OVERLOAD), 1);
    bench_send(&bench, conns[0], GET("/"));
    assert_outcome(conns[0], "200 hello");
    wire_reset(bench.wire, conns[1]);
    struct wire_conn *next = bench_connect(&bench);
    bench_send(&bench, next, GET("/"));
    assert_outcome(next, "200 hello");
    end();
}

static void one_request_too_many_gets_503(void **state)
{
    begin((struct leat_http_options){.requests_max = 1});
    struct wire_conn *first = bench_connect(&bench), *second = bench_connect(&bench);
    bench_send(&bench, first, GET("/later"));
    bench_send(&bench, second, GET("/"));
    assert_outcome(second, "503 | close");
    wire_pass(bench.wire, 2 * APP_LATER_NS);
    assert_outcome(first, "200 /later a ");
    end();
}

static void a_connection_serves_so_many_requests(void **state)
{
    begin((struct leat_http_options){.keepalive_requests_max = 2});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/") GET("/") GET("/"));
    assert_outcome(conn, "200 hello | 200 hello | close");
    end();
}

/* Without waiting for the client's end: only where it has nothing more to say. */
static void who_has_sent_all_is_not_waited_for(void **state)
{
    static const struct {
        const char *sent, *outcome;
        bool soon;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200 hello | close", true},
        {"GET / HTTP/1.0\r\n\r\n", "200 hello | close", true},
        {"POST /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
         "200 2 bytes | close", true},
        {"POST /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\nab",
         "200 early | close", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/"), "200 hello | close",
         false},
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request | close", false},
    };
    begin((struct leat_http_options){0});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire_conn *conn = bench_connect(&bench);
        bench_send(&bench, conn, rows[i].sent);
        assert_outcome(conn, rows[i].outcome);
        assert_int_equal(conn->soon, rows[i].soon);
    }
    end();
}

static void too_much_to_discard_closes(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench), *other = bench_connect(&bench);
    bench_send(&bench, conn, POST("/early", "1001"));
    assert_outcome(conn, "200 early | close");
    bench_send(&bench, other,
               "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_outcome(other, "200 early");
    char chunk[510];
    snprintf(chunk, sizeof(chunk), "1f4\r\n%0500d\r\n", 0);
    bench_send(&bench, other, chunk);
    bench_send(&bench, other, chunk);
    assert_outcome(other, "200 early");
    bench_send(&bench, other, chunk);
    assert_outcome(other, "200 early | close");
    end();
}

static void a_body_that_is_streamed_has_a_limit(void **state)
{
    begin((struct leat_http_options){.body_bytes_max = 10});
    struct wire_conn *conn = bench_connect(&bench), *other = bench_connect(&bench);
    bench_send(&bench, conn, POST("/count", "10") "0123456789");
    bench_send(&bench, conn, CHUNKED("/count") "5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n");
    assert_outcome(conn, "200 10 bytes | 200 10 bytes");
    assert_int_equal(errors(LEAT_HTTP_ERROR_BODY_TOO_LARGE), 0);
    bench_send(&bench, conn, POST("/count", "11")); /* said beforehand */
    assert_outcome(conn, "200 10 bytes | 200 10 bytes | 413 Content Too Large | close");
    bench_send(&bench, other, CHUNKED("/count") "5\r\n01234\r\n6\r\n012345\r\n");
    assert_outcome(other, "413 Content Too Large | close");
    assert_int_equal(errors(LEAT_HTTP_ERROR_BODY_TOO_LARGE), 2);
    end();
}

static void many_pipelined_ones_take_turns(void **state)
{
    begin((struct leat_http_options){.pipeline_count_max = 4});
    struct wire_conn *conn = bench_connect(&bench);
    char text[40 * sizeof(GET("/"))] = "";
    for (unsigned i = 0; i < 40; i++)
        strcat(text, GET("/"));
    wire_feed(bench.wire, conn, text, strlen(text));
    assert_int_equal(bench_stats(&bench).requests_count, 4);
    wire_settle(bench.wire);
    assert_int_equal(bench_stats(&bench).requests_count, 40);
    assert_int_equal(bench_stats(&bench).status_counts[2], 40);
    end();
}

static const char *const hungry[] = {
    GET("/"),
    GET("/big"),
    GET("/set"),
    GET("/later"),
    GET("/user/a%20b"),
    GET("/query?q=x%20y"),
    GET("/chunked"),
    GET("/stream"),
    GET("/slash?") GET("/slash"),
    POST("/echo", "5") "hello",
    POST("/hold", "5") "hello",
    POST("/slow-reader", "4") "slow",
    CHUNKED("/echo") "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
};

/* Seven eighths of the buffers are out: what is left is for who is being served. */
static void a_new_request_gets_503_before_buffers_are_out(void **state)
{
    struct leat_buf taken[4096];
    unsigned count = 0;
    begin((struct leat_http_options){0});
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/"));
    assert_outcome(conn, "200 hello");
    while (leat_pools_share(leat_core_now) < 224) {
        assert_true(count < sizeof(taken) / sizeof(taken[0]));
        taken[count] = leat_buf_alloc_unsafe(LEAT_BUF_CLASSED_MAX);
        assert_non_null(taken[count++].data);
    }
    wire_pass(bench.wire, 20 * LEAT_NS_PER_MS);
    bench_send(&bench, conn, GET("/"));
    assert_outcome(conn, "200 hello | 503 | close");
    assert_int_equal(bench_stats(&bench).errors_count[LEAT_HTTP_ERROR_OVERLOAD], 1);
    wire_drop(bench.wire, conn);
    while (count > 0)
        leat_buf_unref(taken[--count]);
    wire_pass(bench.wire, 20 * LEAT_NS_PER_MS);
    conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/"));
    assert_outcome(conn, "200 hello");
    wire_drop(bench.wire, conn);
    end();
}

/* The nth allocation fails while one client is served: it is answered, perhaps with 503, or cut
 * off; nothing is left behind, and the next one is served. */
static void survive(const char *request, void (*fail_at)(struct leat_core *core, uint64_t nth),
                    uint64_t nth)
{
    struct wire_conn *conn = wire_connect(bench.wire);
    size_t length = strlen(request);

    fail_at(leat_core_now, nth);
    if (leat_http_serve(bench.http, wire_handle(conn)) == 0) {
        wire_feed(bench.wire, conn, request, length / 2);
        wire_feed(bench.wire, conn, request + length / 2, length - length / 2);
        wire_settle(bench.wire);
        wire_pass(bench.wire, 2 * APP_LATER_NS);
        assert_true(conn->sent_bytes || conn->aborted);
    }
    fail_at(leat_core_now, 0);
    wire_drop(bench.wire, conn);
    wire_settle(bench.wire);
    bench_check_rest(&bench);
    conn = bench_connect(&bench);
    bench_send(&bench, conn, GET("/"));
    assert_outcome(conn, "200 hello");
    wire_drop(bench.wire, conn);
}

static void memory_that_fails_harms_one_client(void **state)
{
    begin((struct leat_http_options){0});
    for (unsigned i = 0; i < sizeof(hungry) / sizeof(hungry[0]); i++)
        for (uint64_t nth = 1; nth < 8; nth++)
            survive(hungry[i], leat_heap_fail_at, nth);
    end();
}

static void buffers_that_fail_harm_one_client(void **state)
{
    begin((struct leat_http_options){0});
    for (unsigned i = 0; i < sizeof(hungry) / sizeof(hungry[0]); i++)
        for (uint64_t nth = 1; nth < 12; nth++)
            survive(hungry[i], leat_pools_fail_at, nth);
    assert_true(errors(LEAT_HTTP_ERROR_NO_MEMORY) > 0);
    end();
}

/* ---- Drain ---- */

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void drain_finishes_what_is_in_flight(void **state)
{
    unsigned done = 0;
    begin(bench_options());
    struct wire_conn *idle = bench_connect(&bench), *busy, *fresh;
    wire_pass(bench.wire, SECONDS(5));
    busy = bench_connect(&bench);
    fresh = bench_connect(&bench);
    bench_send(&bench, busy, GET("/later"));
    leat_http_drain(bench.http, 0, count, &done);
    wire_settle(bench.wire);
    assert_outcome(idle, "close");
    assert_outcome(fresh, ""); /* a request may be on its way */
    bench_send(&bench, fresh, GET("/"));
    assert_outcome(fresh, "200 hello | close");
    assert_non_null(strstr((const char *)fresh->sent, "Connection: close\r\n"));
    assert_int_equal(done, 0);
    wire_pass(bench.wire, 2 * APP_LATER_NS);
    assert_outcome(busy, "200 /later a  | close");
    assert_int_equal(done, 1);
    end();
}

static void drain_has_a_limit(void **state)
{
    unsigned done = 0;
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench), *quiet = bench_connect(&bench);
    bench_send(&bench, conn, GET("/forever"));
    leat_http_drain(bench.http, SECONDS(3), count, &done);
    wire_pass(bench.wire, SECONDS(1));
    assert_outcome(quiet, "close");
    wire_pass(bench.wire, SECONDS(1));
    assert_int_equal(done, 0);
    wire_pass(bench.wire, SECONDS(2));
    assert_true(conn->aborted);
    assert_int_equal(done, 1);
    assert_int_equal(bench.app.aborted_count, 1);
    end();
}

static void freeing_aborts_everything(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench), *idle = bench_connect(&bench);
    bench_send(&bench, conn, GET("/forever"));
    leat_deferred deferred = bench.app.last_deferred;
    leat_http_free(bench.http);
    wire_settle(bench.wire);
    assert_true(conn->aborted && idle->aborted);
    assert_null(leat_deferred_request(deferred));
    assert_int_equal(bench.app.freed_count, 1);
    assert_null(leat_core_now->http);
    app_fini(&bench.app);
    wire_free(bench.wire);
}

/* ---- Upgrade ---- */

#define UPGRADE(path)                                                                              \
    "GET " path " HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo, Echo\r\n\r\n"

static void check_upgraded(struct wire_conn *conn, const char *rest)
{
    const char *body = strstr((const char *)conn->sent, "\r\n\r\n");

    assert_int_equal(strncmp((const char *)conn->sent, "HTTP/1.1 101 ", 13), 0);
    assert_non_null(strstr((const char *)conn->sent, "\r\nConnection: upgrade\r\nUpgrade: echo"));
    assert_non_null(strstr((const char *)conn->sent, "\r\nX-Extra: 1\r\n"));
    assert_non_null(body);
    assert_string_equal(body + 4, rest);
    assert_int_equal(bench_stats(&bench).connections_now_count, 0);
    bench_check_rest(&bench);
}

static void a_connection_is_handed_over(void **state)
{
    static const char request[] = UPGRADE("/upgrade") "first words";
    size_t cuts[3] = {20, sizeof(request) - 5, sizeof(request) - 1};
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    wire_slices(bench.wire, conn, request, cuts, 3);
    wire_settle(bench.wire);
    check_upgraded(conn, "first words");
    bench_send(&bench, conn, ", more");
    check_upgraded(conn, "first words, more");
    wire_reset(bench.wire, conn);
    end();
}

static void a_connection_is_handed_over_later(void **state)
{
    begin(bench_options());
    struct wire_conn *conn = bench_connect(&bench);
    bench_send(&bench, conn, UPGRADE("/upgrade-later") "early");
    wire_pass(bench.wire, APP_LATER_NS);
    check_upgraded(conn, "early");
    bench_send(&bench, conn, " bird");
    check_upgraded(conn, "early bird");
    end();
}

/* ---- Set-up, text ---- */

#define CORRUPT(field, value)                                                                      \
    do {                                                                                           \
        __typeof__(field) kept_ = (field);                                                         \
        (field) = (value);                                                                         \
        assert_non_null(http_server_validate(bench.http));                                         \
        (field) = kept_;                                                                           \
        assert_null(http_server_validate(bench.http));                                             \
    } while (0)

static void a_state_that_cannot_be_is_found(void **state)
{
    begin((struct leat_http_options){0});
    struct wire_conn *idle = bench_connect(&bench);
    bench_send(&bench, bench_connect(&bench), GET("/forever"));
    struct http_conn *conn = bench.http->queues[HTTP_QUEUE_BUSY].first;
    struct leat_request *req = conn->request;
    assert_null(http_server_validate(bench.http));
    CORRUPT(req->x.ended, true);
    CORRUPT(req->x.chunked, true);
    CORRUPT(req->x.no_body, true);
    CORRUPT(req->x.want_writable, true);
    CORRUPT(req->x.is_broken, true);
    CORRUPT(req->x.is_failing, true);
    CORRUPT(req->x.has_failed, true);
    CORRUPT(req->x.reader, HTTP_READER_STREAM);
    CORRUPT(req->x.has_type, true);
    CORRUPT(req->x.has_bufs, false);
    CORRUPT(req->x.is_open, false);
    CORRUPT(req->phase, HTTP_PHASE_HEAD);
    CORRUPT(req->phase, HTTP_PHASE_GONE);
    CORRUPT(req->in_pump, true);
    CORRUPT(req->is_blocked, true);
    CORRUPT(req->more_count, 1);
    CORRUPT(req->conn, NULL);
    CORRUPT(conn->flags, HTTP_CONN_ABORTED);
    CORRUPT(conn->flags, HTTP_CONN_ABORTED | HTTP_CONN_CLOSING);
    CORRUPT(conn->flags, HTTP_CONN_LAST);
    CORRUPT(conn->request, NULL);
    CORRUPT(conn->queue, HTTP_QUEUE_KEEPALIVE);
    CORRUPT(conn->prev, conn);
    CORRUPT(bench.http->queues[HTTP_QUEUE_BUSY].count, 2);
    CORRUPT(bench.http->connections_now, 1);
    req->x.begun = req->x.chunked = true;
    CORRUPT(req->x.has_length, true);
    CORRUPT(req->x.ended, true); /* it has a handle */
    req->x.begun = req->x.chunked = false;
    assert_outcome(idle, "");
    end();
}

static void set_up_errors_stick(void **state)
{
    struct wire *wire = wire_new();
    struct leat_http *http = leat_http_new(wire_loop(wire));
    leat_http_get(http, "no-slash", leat_next);
    leat_http_get(http, "/fine", leat_next);
    assert_int_equal(leat_http_listen(http, "127.0.0.1:0"), -EINVAL);
    assert_non_null(strstr(leat_loop_error(wire_loop(wire))->sentence, "no-slash"));
    leat_http_free(http);
    http = leat_http_new(wire_loop(wire));
    leat_http_get(http, "/a/:x", leat_next);
    leat_http_get(http, "/a/:y", leat_next);
    assert_int_equal(http->error.code, -EEXIST);
    leat_http_free(http);
    http = leat_http_new(wire_loop(wire));
    leat_http_get(http, "/*x/y", leat_next);
    assert_int_equal(http->error.code, -EINVAL);
    leat_http_free(http);
    wire_free(wire);
}

static void dates_are_written(void **state)
{
    static const struct {
        uint64_t unix_s;
        const char *text;
    } dates[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT"},
        {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
    };

    for (unsigned i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        char text[HTTP_DATE_BYTES];
        http_date_format(dates[i].unix_s, text);
        assert_memory_equal(text, dates[i].text, HTTP_DATE_BYTES);
    }
}

static void numbers_are_written(void **state)
{
    static const uint64_t numbers[] = {0, 9, 10, 99, 100, 101, 12345, 999999, UINT64_MAX};

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char expected[32], text[32];
        int length = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)numbers[i]);
        assert_int_equal(http_put_number((uint8_t *)text, numbers[i]), length);
        assert_memory_equal(text, expected, (size_t)length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_behind_the_answer_is_logged_once),
        cmocka_unit_test(what_is_known_is_not_logged_again),
        cmocka_unit_test(a_failure_within_the_answer_breaks_it_off),
        cmocka_unit_test(a_code_of_what_answers_without_a_route),
        cmocka_unit_test(a_head_has_its_time),
        cmocka_unit_test(a_long_head_comes_in_long_pieces),
        cmocka_unit_test(the_time_of_a_second_head_is_its_own),
        cmocka_unit_test(a_body_goes_on),
        cmocka_unit_test(the_application_has_no_deadline),
        cmocka_unit_test(a_forgotten_deferral_is_answered),
        cmocka_unit_test(the_time_to_answer_is_each_deferrals_own),
        cmocka_unit_test(the_time_to_answer_is_not_the_bodys),
        cmocka_unit_test(a_response_that_has_begun_is_not_timed),
        cmocka_unit_test(idle_connections_end_in_order),
        cmocka_unit_test(never_is_never),
        cmocka_unit_test(who_takes_nothing_is_cut_off),
        cmocka_unit_test(who_takes_little_is_served),
        cmocka_unit_test(a_large_answer_left_behind_is_cut_off),
        cmocka_unit_test(pipelining_without_reading_is_bounded),
        cmocka_unit_test(requests_behind_a_slow_one_are_bounded),
        cmocka_unit_test(a_body_nobody_reads_yet_stops_the_client),
        cmocka_unit_test(a_paused_reader_stops_the_client),
        cmocka_unit_test(held_pieces_are_given_back_when_the_client_goes),
        cmocka_unit_test(a_handle_goes_stale_with_the_client),
        cmocka_unit_test(an_answer_after_the_client_has_gone_is_dropped),
        cmocka_unit_test(another_core_answers),
        cmocka_unit_test(an_idle_connection_costs_64_bytes),
        cmocka_unit_test(what_a_response_leaves_of_its_buffer_the_next_one_uses),
        cmocka_unit_test(one_connection_too_many_gets_503),
        cmocka_unit_test(one_request_too_many_gets_503),
        cmocka_unit_test(a_new_request_gets_503_before_buffers_are_out),
        cmocka_unit_test(a_connection_serves_so_many_requests),
        cmocka_unit_test(who_has_sent_all_is_not_waited_for),
        cmocka_unit_test(too_much_to_discard_closes),
        cmocka_unit_test(a_body_that_is_streamed_has_a_limit),
        cmocka_unit_test(many_pipelined_ones_take_turns),
        cmocka_unit_test(memory_that_fails_harms_one_client),
        cmocka_unit_test(buffers_that_fail_harm_one_client),
        cmocka_unit_test(drain_finishes_what_is_in_flight),
        cmocka_unit_test(drain_has_a_limit),
        cmocka_unit_test(freeing_aborts_everything),
        cmocka_unit_test(a_connection_is_handed_over),
        cmocka_unit_test(a_connection_is_handed_over_later),
        cmocka_unit_test(a_state_that_cannot_be_is_found),
        cmocka_unit_test(set_up_errors_stick),
        cmocka_unit_test(dates_are_written),
        cmocka_unit_test(numbers_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

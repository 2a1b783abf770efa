#include "test/http/bench.h"

#include <string.h>

static uint64_t wall(void)
{
    return UINT64_C(1788918400) * LEAT_NS_PER_S;
}

struct leat_http_options bench_options(void)
{
    return (struct leat_http_options){
        .target_bytes_max = 256,
        .head_bytes_max = 1024,
        .header_count_max = 10,
        .discard_bytes_max = 1000,
    };
}

void bench_init(struct bench *bench, const struct leat_http_options *options)
{
    struct leat_buf_stats stats;

    *bench = (struct bench){.wire = wire_new()};
    leat_buf_stats(&stats);
    bench->live_count = stats.live_count;
    bench->http = leat_http_new(wire_loop(bench->wire));
    leat_http_set_options(bench->http, options);
    app_routes(bench->http, &bench->app);
    bench->http->core->wall_ns = wall;
    assert_int_equal(bench->http->error.code, 0);
}

void bench_check_rest(const struct bench *bench)
{
    struct leat_buf_stats stats;

    leat_buf_stats(&stats);
    assert_int_equal(stats.live_count,
                     bench->live_count + (bench->http->core->shared.block != NULL));
    assert_int_equal(bench->http->core->stats.requests_now_count, 0);
}

void bench_fini(struct bench *bench)
{
    struct leat_buf_stats stats;

    leat_http_free(bench->http);
    wire_settle(bench->wire);
    assert_null(leat_core_now->http);
    leat_buf_stats(&stats);
    assert_int_equal(stats.live_count, bench->live_count);
    app_fini(&bench->app);
    wire_free(bench->wire);
}

struct wire_conn *bench_connect(struct bench *bench)
{
    struct wire_conn *conn = wire_connect(bench->wire);

    assert_int_equal(leat_http_serve(bench->http, wire_handle(conn)), 0);
    return conn;
}

void bench_send(struct bench *bench, struct wire_conn *conn, const char *text)
{
    wire_feed(bench->wire, conn, text, strlen(text));
    wire_settle(bench->wire);
    const char *broken = http_server_validate(bench->http);
    if (broken != NULL)
        fail_msg("%s", broken);
}

struct leat_http_stats bench_stats(const struct bench *bench)
{
    struct leat_http_stats stats;

    leat_http_stats(bench->http, &stats);
    return stats;
}

char *bench_outcome(const struct wire_conn *conn, uint32_t heads, char text[OUTCOME_BYTES])
{
    const char *end = "";

    if (conn->aborted)
        end = "abort";
    else if (conn->closed || conn->gone)
        end = "close";
    return outcome_of((const char *)conn->sent, conn->sent_bytes, heads, end, text, OUTCOME_BYTES);
}

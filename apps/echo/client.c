/* The client's side of `leat echo`: round trips, or a stream one way. */
#include "apps/echo/echo_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/why.h"
#include "buffers/heap.h"
#include "runtime/base/output.h"

void echo_core_finish(struct echo_core *core)
{
    if (core->is_over)
        return;
    core->is_over = true;
    leat_timer_stop(&core->stop);
    if (core->end_ns == 0)
        core->end_ns = leat_loop_clock(core->loop);
    for (uint32_t i = 0; i < core->clients_count; i++) {
        struct echo_client *client = &core->clients[i];
        struct leat_conn_info info;
        if (core->echo->is_udp) {
            echo_udp_close(client);
            continue;
        }
        if (core->echo->mode == ECHO_SOURCE && leat_conn_info(client->conn, &info) == 0)
            core->bytes += info.sent_bytes;
        (void)leat_conn_abort(client->conn); /* -ESTALE for those that have ended */
    }
    leat_run_unref(core->loop);
}

static void on_drain(void *arg)
{
    echo_core_finish(arg);
}

static void on_stop(struct leat_timer *timer, void *arg)
{
    echo_core_finish(arg);
}

void echo_client_fail(const struct echo_client *client, int code, const char *what, const char *why)
{
    struct echo_core *core = client->core;
    const struct leat_addr *to = &core->echo->addrs[client->addr_at];
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    core->errors_count++;
    if (core->error.code == 0)
        leat_fail(&core->error, code, "%s %s: %s", what, leat_addr_format(to, text), why);
    leat_run_end(core->loop, 1);
}

void echo_core_begin(struct echo_core *core)
{
    if (core->begin_ns == 0) {
        core->begin_ns = leat_loop_clock(core->loop);
        leat_timer_start(&core->stop, core->echo->duration_ns, 0);
    }
}

void echo_core_leave(struct echo_core *core)
{
    core->open_count--;
    if (core->open_count == 0)
        echo_core_finish(core);
}

/* Sends a message, unless all have been sent. */
static void client_ask(struct echo_client *client, uint64_t now_ns)
{
    struct echo_core *core = client->core;
    if (core->budget_count == 0) {
        echo_core_leave(core);
        return;
    }
    struct leat_buf message = leat_buf_from_static(core->echo->block, core->echo->bytes);
    core->budget_count--;
    client->sent_ns = now_ns;
    client->received_bytes = 0;
    int result = leat_conn_send(client->conn, &message, 1);
    if (result < 0)
        echo_client_fail(client, result, "cannot send to", leat_errno_name(result));
}

static void on_open(leat_conn conn, void *user)
{
    struct echo_client *client = user;
    struct echo_core *core = client->core;
    uint64_t now_ns = leat_loop_clock(core->loop);
    client->conn = conn;
    client->is_open = true;
    echo_core_begin(core);
    if (core->echo->mode == ECHO_BACK)
        client_ask(client, now_ns);
    else if (core->echo->mode == ECHO_SOURCE)
        echo_pour(core->echo, conn);
}

/* Returns whether it is what was sent. */
static bool client_take(struct echo_client *client, const struct leat_buf *slice)
{
    const struct echo *echo = client->core->echo;
    uint64_t at = client->received_bytes;
    client->received_bytes += slice->length_bytes;
    return slice->length_bytes <= echo->bytes - at &&
           memcmp(echo->block + at, slice->data, slice->length_bytes) == 0;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct echo_client *client = user;
    struct echo_core *core = client->core;
    bool is_right = true;
    for (unsigned i = 0; i < count && !core->is_over; i++) {
        core->bytes += slices[i].length_bytes;
        if (core->echo->mode == ECHO_BACK)
            is_right = is_right && client_take(client, &slices[i]);
    }
    if (core->is_over || core->echo->mode != ECHO_BACK)
        return;
    if (!is_right) {
        echo_client_fail(client, -EPROTO, "no echo came from",
                         "the bytes are not those that were sent");
    } else if (client->received_bytes == core->echo->bytes) {
        uint64_t now_ns = leat_loop_clock(core->loop);
        histogram_record(&core->trips, now_ns - client->sent_ns);
        client_ask(client, now_ns);
    }
}

static void on_writable(leat_conn conn, void *user)
{
    struct echo_client *client = user;
    if (client->core->echo->mode == ECHO_SOURCE && !client->core->is_over)
        echo_pour(client->core->echo, conn);
}

static void on_end(leat_conn conn, void *user)
{
    (void)leat_conn_close(conn);
}

static int client_connect(struct echo_client *client);

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct echo_client *client = user;
    if (client->core->is_over)
        return;
    const struct leat_addr *to = &client->core->echo->addrs[client->addr_at];
    if (client->is_open) {
        echo_client_fail(client, -ECONNABORTED, "the connection ended to",
                         leat_close_reason_sentence(reason));
    } else if (client->addr_at + 1 < client->core->echo->addrs_count) {
        client->addr_at++;
        if (client_connect(client) < 0)
            echo_client_fail(client, -ECONNABORTED, "cannot connect to",
                             leat_loop_error(client->core->loop)->sentence);
    } else {
        echo_client_fail(client, -ECONNABORTED, "cannot connect to", why_not_connected(to, reason));
    }
}

static const struct leat_conn_ops client_ops = {on_open, on_data, on_writable, on_end, on_close};

static int client_connect(struct echo_client *client)
{
    const struct leat_conn_options options = {.connect_timeout_ns = ECHO_CONNECT_NS};
    struct echo_core *core = client->core;
    return leat_connect(core->loop, &core->echo->addrs[client->addr_at], NULL, &options,
                        &client_ops, client, &client->conn);
}

static int clients_start(struct echo_core *core)
{
    for (uint32_t i = 0; i < core->clients_count; i++) {
        struct echo_client *client = &core->clients[i];
        client->core = core;
        int result = client_connect(client);
        if (result < 0)
            return result;
    }
    return 0;
}

int echo_client_start(struct leat_loop *loop, struct echo *echo)
{
    uint32_t index = leat_loop_index(loop), cores = leat_run_core_count(loop);
    if (echo->cores == NULL) { /* cores start one after the other */
        echo->cores = calloc(cores, sizeof(void *));
        echo->cores_count = echo->cores != NULL ? cores : 0;
    }
    struct echo_core *core = echo->cores != NULL ? calloc(1, sizeof(*core)) : NULL;
    uint64_t count = echo->connections_count / cores + (index < echo->connections_count % cores);
    if (core == NULL || (core->clients = calloc(count + 1, sizeof(*core->clients))) == NULL) {
        free(core);
        return leat_run_fail(loop, -ENOMEM, "no memory for %llu connections",
                             (unsigned long long)count);
    }
    echo->cores[index] = core;
    core->echo = echo;
    core->loop = loop;
    core->clients_count = (uint32_t)count;
    core->open_count = count;
    core->budget_count = UINT64_MAX;
    if (echo->trips_count != 0)
        core->budget_count = echo->trips_count / cores + (index < echo->trips_count % cores);
    leat_timer_init(&core->stop, loop, on_stop, core);
    int result = leat_run_on_drain(loop, on_drain, core);
    if (result < 0)
        return result;
    leat_run_ref(loop);
    if (count == 0) {
        echo_core_finish(core);
        return 0;
    }
    return echo->is_udp ? echo_udp_clients_start(core) : clients_start(core);
}

static void say_trips(const struct echo *echo, const struct histogram *trips, uint64_t lost_count,
                      double seconds)
{
    static const double percents[] = {50, 90, 99, 99.9, 100};
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
    double rate = seconds > 0 ? (double)trips->count / seconds : 0;
    if (echo->is_json) {
        printf("\"round_trips\": %" PRIu64 ", \"round_trips_per_second\": %.3f, "
               "\"round_trip_us\": {",
               trips->count, rate);
    } else {
        printf("%" PRIu64 " round trips of %" PRIu64 " bytes in %.2f s: %.0f per second\n",
               trips->count, echo->bytes, seconds, rate);
    }
    for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        double us = (double)histogram_percentile(trips, percents[i]) / 1000;
        if (echo->is_json)
            printf("%s\"%s\": %.3f", i > 0 ? ", " : "", names[i], us);
        else
            printf("%s%s %.1f us", i > 0 ? ", " : "", names[i], us);
    }
    printf("%s", echo->is_json ? "}, " : "\n");
    if (echo->is_udp && echo->is_json)
        printf("\"lost\": %" PRIu64 ", ", lost_count);
    else if (echo->is_udp)
        printf("%" PRIu64 " lost\n", lost_count);
}

static void say(const struct echo *echo, const struct echo_core *sum)
{
    double seconds = (double)(sum->end_ns - sum->begin_ns) / (double)LEAT_NS_PER_S;
    double rate = seconds > 0 ? (double)sum->bytes / seconds : 0;
    if (echo->is_json)
        printf("{");
    if (echo->mode == ECHO_BACK)
        say_trips(echo, &sum->trips, sum->lost_count, seconds);
    if (echo->is_json) {
        printf("\"bytes\": %" PRIu64 ", \"bytes_per_second\": %.0f, \"duration_s\": %.6f, "
               "\"message_bytes\": %" PRIu64 ", \"connections\": %" PRIu64 ", \"errors\": %" PRIu64
               "}\n",
               sum->bytes, rate, seconds, echo->bytes, echo->connections_count, sum->errors_count);
    } else {
        printf("%s %.3f MB in %.2f s: %.3f MB per second, %.3f Gbit per second\n",
               echo->mode == ECHO_SOURCE ? "sent" : "received", (double)sum->bytes / 1e6, seconds,
               rate / 1e6, rate * 8 / 1e9);
    }
}

static void core_add(struct echo_core *sum, const struct echo_core *core)
{
    sum->bytes += core->bytes;
    sum->errors_count += core->errors_count;
    sum->lost_count += core->lost_count;
    histogram_merge(&sum->trips, &core->trips);
    if (sum->error.code == 0)
        sum->error = core->error;
    if (core->begin_ns != 0) {
        sum->begin_ns =
            sum->begin_ns == 0 || core->begin_ns < sum->begin_ns ? core->begin_ns : sum->begin_ns;
        sum->end_ns = core->end_ns > sum->end_ns ? core->end_ns : sum->end_ns;
    }
}

int echo_client_report(const struct echo *echo)
{
    struct echo_core *sum = calloc(1, sizeof(*sum));
    for (uint32_t i = 0; sum != NULL && i < echo->cores_count; i++) {
        if (echo->cores[i] != NULL) {
            core_add(sum, echo->cores[i]);
            free(echo->cores[i]->clients);
            free(echo->cores[i]);
        }
    }
    free(echo->cores);
    if (sum == NULL)
        return 1;
    if (sum->begin_ns != 0 || echo->is_json)
        say(echo, sum);
    if (sum->error.code != 0)
        fprintf(stderr, "leat echo: %s\n", sum->error.sentence);
    else if (sum->bytes == 0)
        fprintf(stderr, "leat echo: %s\n",
                sum->begin_ns == 0 ? "ended before any connection was made"
                                   : "not a byte came back: give it longer with --duration, or "
                                     "look at the server");
    int code = sum->bytes == 0 || sum->errors_count > 0;
    free(sum);
    return leat_output_end("leat echo", code);
}

/* HTTP over the stack in virtual time: what lasts longer than the server's limits, and a server
 * that is stopped while requests come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/sim/sim.h"
#include "test/http/lasting.h"

#include <stdlib.h>
#include <string.h>

#define WAITING 100 /* connections that ask while the server stands still: more than a burst */

struct scene {
    struct sim *sim;
    struct sim_host *server, *client;
    struct leat_http *http;
    struct leat_http_options limits;
    struct leat_addr addr;
};

static struct scene scene_open(uint64_t bits_per_second)
{
    struct scene s = {.sim = sim_new(7, NULL, NULL)};
    const struct sim_host_options options = {.kind = SIM_STACK,
                                             .link = {.delay_ns = 200 * LEAT_NS_PER_US,
                                                      .bits_per_second = bits_per_second,
                                                      .queue_bytes_max = 200000}};
    s.server = sim_add_host(s.sim, &options);
    s.client = sim_add_host(s.sim, &options);
    s.addr = sim_addr(s.server, false, 80);
    sim_enter(s.server);
    s.http = leat_http_new(sim_loop(s.server));
    lasting_serve(s.http, 0);
    assert_int_equal(leat_http_listen_addr(s.http, &s.addr), 0);
    s.limits = *leat_http_get_options(s.http);
    sim_leave(s.server);
    return s;
}

static void scene_close(struct scene *s)
{
    sim_enter(s->server);
    leat_http_free(s->http);
    sim_leave(s->server);
    sim_run_for(s->sim, 10 * LEAT_NS_PER_S);
    assert_int_equal(sim_free(s->sim), 0);
}

static bool is_over(void *arg)
{
    return lasting_is_over(arg);
}

static void what_lasts_is_not_cut_off(void **state)
{
    struct scene s = scene_open(10000000);
    (void)state;
    sim_enter(s.client);
    struct lasting *l = lasting_new(sim_loop(s.client), &s.addr, &s.limits, 60000);
    sim_leave(s.client);
    assert_non_null(l);
    assert_true(sim_run_until_done(s.sim, is_over, l, 2000 * LEAT_NS_PER_S));
    if (lasting_sentence(l) != NULL)
        fail_msg("%s", lasting_sentence(l));
    lasting_free(l);
    scene_close(&s);
}

/* ---- a server that is stopped ---- */

struct waiter {
    leat_conn conn;
    unsigned answers, closes;
};

static void waiter_on_data(leat_conn conn, void *user, const struct leat_buf *slices,
                           unsigned count)
{
    struct waiter *w = user;
    (void)conn, (void)count;
    w->answers += memcmp(slices[0].data, "HTTP/1.1 200", 12) == 0;
}

static void waiter_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    (void)conn, (void)reason;
    ((struct waiter *)user)->closes++;
}

static void waiter_on_end(leat_conn conn, void *user)
{
    (void)user;
    (void)leat_conn_end(conn);
}

static const struct leat_conn_ops waiter_ops = {.on_data = waiter_on_data,
                                                .on_end = waiter_on_end,
                                                .on_close = waiter_on_close};

static void say_all(struct scene *s, struct waiter *waiters, const char *text)
{
    sim_enter(s->client);
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(leat_conn_send_bytes(waiters[i].conn, text, strlen(text)), 0);
    sim_leave(s->client);
}

/* Says first, waits until just before the limit, and says second while the server stands still. */
static void play_stop(const char *first, const char *second, uint64_t limit_ns, unsigned answers)
{
    struct scene s = scene_open(0);
    struct waiter waiters[WAITING];
    memset(waiters, 0, sizeof(waiters));
    sim_enter(s.client);
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(leat_connect(sim_loop(s.client), &s.addr, NULL, NULL, &waiter_ops,
                                      &waiters[i], &waiters[i].conn),
                         0);
    sim_leave(s.client);
    sim_run_for(s.sim, LEAT_NS_PER_S / 10);
    say_all(&s, waiters, first);
    sim_run_for(s.sim, limit_ns - LEAT_NS_PER_S / 2);
    sim_stall(s.server, 3 * LEAT_NS_PER_S);
    say_all(&s, waiters, second);
    sim_run_for(s.sim, 4 * LEAT_NS_PER_S);
    for (unsigned i = 0; i < WAITING; i++) {
        assert_int_equal(waiters[i].answers, answers);
        assert_int_equal(waiters[i].closes, 0);
    }
    sim_run_for(s.sim, 200 * LEAT_NS_PER_S); /* the limits have not gone for good */
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(waiters[i].closes, 1);
    scene_close(&s);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void a_stop_loses_no_request(void **state)
{
    (void)state;
    play_stop(GET, GET, 75 * LEAT_NS_PER_S, 2);
}

static void a_stop_loses_no_head(void **state)
{
    (void)state;
    play_stop("GET / HT", "TP/1.1\r\nHost: a\r\n\r\n", 10 * LEAT_NS_PER_S, 1);
}

static void a_stop_loses_no_body(void **state)
{
    (void)state;
    play_stop("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n1234", "5678",
              30 * LEAT_NS_PER_S, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lasts_is_not_cut_off),
        cmocka_unit_test(a_stop_loses_no_request),
        cmocka_unit_test(a_stop_loses_no_head),
        cmocka_unit_test(a_stop_loses_no_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The HTTP server, unchanged, over the stack: requests and answers through a bad link. */
#include <stdlib.h>

#include <leat/conn.h>
#include <leat/http.h>

#include "net/sim/sim.h"
#include "test/script/scripts.h"

#define REQUESTS 200
#define CLIENTS  20

static const char request[] = "GET /hello HTTP/1.1\r\nHost: leat\r\n\r\n";
static const char answer_end[] = "Hello, World!\n";

struct client {
    leat_conn conn;
    unsigned sent, answered;
    char tail[sizeof(answer_end)];
    bool is_open, is_closed;
    enum leat_close_reason reason;
};

static int hello(struct leat_request *req)
{
    return leat_respond_text(req, 200, "Hello, World!\n");
}

static void next_request(struct client *c)
{
    if (c->sent == REQUESTS) {
        assert_int_equal(leat_conn_end(c->conn), 0);
        return;
    }
    assert_int_equal(leat_conn_send_bytes(c->conn, request, sizeof(request) - 1), 0);
    c->sent++;
}

static void on_open(leat_conn conn, void *user)
{
    struct client *c = user;
    c->conn = conn;
    c->is_open = true;
    next_request(c);
}

static void take_byte(struct client *c, char byte)
{
    memmove(c->tail, c->tail + 1, sizeof(c->tail) - 2);
    c->tail[sizeof(c->tail) - 2] = byte;
    if (strcmp(c->tail, answer_end) == 0) {
        c->answered++;
        next_request(c);
    }
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    (void)conn;
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].length_bytes; k++)
            take_byte(user, (char)slices[i].data[k]);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct client *c = user;
    (void)conn;
    c->is_closed = true;
    c->reason = reason;
}

static const struct leat_conn_ops client_ops = {.on_open = on_open,
                                                .on_data = on_data,
                                                .on_close = on_close};

static bool all_closed(void *arg)
{
    const struct client *clients = arg;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!clients[i].is_closed)
            return false;
    return true;
}

static void play(uint32_t loss_ppm, bool v6)
{
    static struct client clients[CLIENTS];
    struct sim *sim = sim_new(loss_ppm + v6, NULL, NULL);
    struct sim_host_options options = {.kind = SIM_STACK,
                                       .link = {.delay_ns = 100000, .loss_ppm = loss_ppm}};
    struct sim_host *server = sim_add_host(sim, &options), *far = sim_add_host(sim, &options);
    struct leat_addr at = sim_addr(server, v6, 80);
    memset(clients, 0, sizeof(clients));
    for (unsigned i = 0; i < CLIENTS; i++)
        memset(clients[i].tail, '.', sizeof(answer_end) - 1);

    sim_enter(server);
    struct leat_http *http = leat_http_new(sim_loop(server));
    leat_http_get(http, "/hello", hello);
    assert_int_equal(leat_http_listen_addr(http, &at), 0);
    sim_leave(server);
    sim_enter(far);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(leat_connect(sim_loop(far), &at, NULL, NULL, &client_ops, &clients[i],
                                      &clients[i].conn),
                         0);
    sim_leave(far);
    assert_true(sim_run_until_done(sim, all_closed, clients, 600 * LEAT_NS_PER_S));
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].answered, REQUESTS);
        assert_int_equal(clients[i].reason, LEAT_CLOSE_DONE);
    }
    sim_enter(server);
    leat_http_free(http);
    sim_leave(server);
    sim_run_for(sim, LEAT_NS_PER_S);
    assert_int_equal(sim_free(sim), 0);
}

static void requests_are_answered_over_the_stack(void **state)
{
    play(0, false);
}

static void requests_are_answered_through_loss(void **state)
{
    play(30000, false);
    play(30000, true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_over_the_stack),
        cmocka_unit_test(requests_are_answered_through_loss),
    };
    return run_scripts(tests, argc, argv);
}

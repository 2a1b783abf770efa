/* A harness of your own, as an example: net/sim/sim.h is all it takes to make hosts, call the
 * transport API, advance time step by step, take frames out and put frames in. */
#include <stdio.h>

#include <leat/conn.h>

#include "net/sim/sim.h"
#include "runtime/base/core.h"

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    uint64_t *echoed = user;
    for (unsigned i = 0; i < count; i++) {
        CHECK(leat_conn_send_bytes(conn, slices[i].data, slices[i].length_bytes) >= 0);
        *echoed += slices[i].length_bytes;
    }
}

static void on_open(leat_conn conn, void *user)
{
    (void)user;
    CHECK(leat_conn_send_bytes(conn, "again", 5) >= 0);
}

int main(void)
{
    static const struct leat_conn_ops ops = {.on_open = on_open, .on_data = on_data};
    static const struct leat_conn_ops echo = {.on_data = on_data};
    struct sim *sim = sim_new(7, NULL, NULL);
    struct sim_host_options options = {.kind = SIM_STACK, .link.delay_ns = LEAT_NS_PER_MS};
    struct sim_host *a = sim_add_host(sim, &options), *b = sim_add_host(sim, &options);
    options.kind = SIM_PUPPET; /* runs nothing: its frames are taken and made by hand */
    struct sim_host *puppet = sim_add_host(sim, &options);
    struct leat_addr at = sim_addr(a, true, 7);
    struct leat_listener *listener;
    struct sim_frame frame;
    uint64_t echoed = 0, steps = 0, back = 0;
    leat_conn conn;

    sim_enter(a); /* what follows runs on host a's core, until sim_leave */
    CHECK(leat_listen(sim_loop(a), &at, &(struct leat_listen_options){0}, &echo, &echoed,
                      &listener) == 0);
    sim_leave(a);
    sim_enter(b);
    CHECK(leat_connect(sim_loop(b), &at, NULL, &(struct leat_conn_options){0}, &ops, &back,
                       &conn) == 0);
    sim_leave(b);
    while (back < 50) { /* the clock jumps from event to event */
        sim_run_until(sim, sim_next(sim));
        steps++;
    }
    while (sim_take(puppet, &frame)) /* what was sent to all: ARP, neighbour discovery */
        sim_inject(a, frame.bytes, frame.length_bytes); /* ... once more, past every link */
    sim_run_for(sim, LEAT_NS_PER_MS);
    sim_check_host(a);
    printf("%llu bytes echoed in %llu steps, %llu frames, at %llu ns\n", (unsigned long long)echoed,
           (unsigned long long)steps, (unsigned long long)sim_frame_count(sim),
           (unsigned long long)sim_now(sim));
    return sim_free(sim) == 0 ? 0 : 1;
}

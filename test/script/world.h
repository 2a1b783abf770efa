/* What scripts below TCP share: a host, a puppet on its link, and frames between them. */
#ifndef TEST_SCRIPT_WORLD_H
#define TEST_SCRIPT_WORLD_H

#include "test/script/frame.h"
#include "test/script/scripts.h"

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends v4, v6;
};

static inline struct world begin(bool probe)
{
    struct world w = {0};
    w.sim = sim_new(1, NULL, NULL);
    w.host = sim_add_host(w.sim,
                          &(struct sim_host_options){.kind = SIM_STACK, .probe_addresses = probe});
    w.peer = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w.v4 = ends_of(w.host, w.peer, false);
    w.v6 = ends_of(w.host, w.peer, true);
    return w;
}

static inline void settle(struct world *w)
{
    struct sim_frame f;
    sim_run_for(w->sim, 10 * LEAT_NS_PER_S);
    while (sim_take(w->peer, &f)) {
    }
}

/* Probes of neighbours may have come meanwhile; the peer does not mind. */
static inline void settle_quietly(struct world *w)
{
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
    }
}

static inline void end(struct world *w)
{
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
}

static inline void say(struct world *w, const struct frame *f)
{
    sim_transmit(w->peer, f->bytes, f->length);
    sim_run_for(w->sim, LEAT_NS_PER_MS);
}

static inline void silence(struct world *w)
{
    struct sim_frame f;
    assert_false(sim_take(w->peer, &f));
}

static inline struct sim_frame hear(struct world *w, uint16_t type)
{
    struct sim_frame f = {0};
    assert_true(sim_take(w->peer, &f));
    assert_true(is_type(&f, type));
    return f;
}

static inline uint64_t dropped(struct world *w, enum stack_drop drop)
{
    return sim_stack(w->host)->count.drops[drop];
}

/* The peer says its MAC, so that answers to it do not wait. */
static inline void introduce(struct world *w)
{
    struct frame f;
    uint8_t ns[32] = {ND_SOLICIT};
    settle(w);
    frame_arp(&f, ARP_REQUEST, &w->v4);
    say(w, &f);
    memcpy(ns + 8, w->v6.host.b, 16);
    ns[24] = ND_OPTION_SOURCE_MAC;
    ns[25] = 1;
    memcpy(ns + 26, w->v6.peer_mac.b, 6);
    icmp_sum(ns, sizeof(ns), &w->v6);
    frame_ip(&f, &w->v6, IP_ICMPV6, ns, sizeof(ns));
    say(w, &f);
    struct sim_frame got;
    while (sim_take(w->peer, &got)) {
    }
}

static inline void ping(struct world *w, const struct ends *e, uint16_t sequence, size_t length)
{
    static uint8_t message[SIM_FRAME_BYTES];
    struct frame f;
    size_t n = icmp_echo(message, e, sequence, length);
    frame_ip(&f, e, ip_addr_is_v4(&e->host) ? IP_ICMP : IP_ICMPV6, message, n);
    say(w, &f);
}

#endif

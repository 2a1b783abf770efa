/* The course of a run. */
#include "net/sim/play.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/sim/play_internal.h"
#include "net/sim/sim_internal.h"
#include "net/stack/tcp/tcp.h"

#define FINISH_NS   (7200 * LEAT_NS_PER_S)
#define FRAMES_MAX  600000 /* of one run: more is no progress */
#define CHECK_EVERY 64     /* instants */
#define STALLS_EACH 8      /* seeds: in one of them cores stand still now and then */

/* Work per packet is bounded: an answer for a frame, and what flows of the run have to say. */
static void check_work(struct play *p)
{
    if (sim_frame_count(p->sim) > FRAMES_MAX)
        sim_violation(p->sim, "%u frames and no end", FRAMES_MAX);
}

static void play_check(struct sim *sim, void *arg)
{
    struct play *p = arg;
    if (++p->instants % CHECK_EVERY != 0)
        return;
    (void)sim;
    for (uint32_t i = 0; i < p->core_count; i++) {
        sim_check_host(sim_core(p->server, i));
        sim_check_host(sim_core(p->client, i));
    }
    check_work(p);
}

/* Who was aborted early may never have been accepted. */
static bool is_over(const struct flow *f)
{
    bool may_be_unknown = f->any_abort || f->may_die;
    return f->client.is_closed &&
           (f->server.is_closed || (!f->server.is_open && may_be_unknown && !f->is_simultaneous));
}

static bool is_done(void *arg)
{
    const struct play *p = arg;
    if (p->closed_count < p->flow_count)
        return false;
    for (unsigned i = 0; i < p->flow_count; i++)
        if (!is_over(&p->flows[i]))
            return false;
    return true;
}

static void check_finished(struct play *p)
{
    for (unsigned i = 0; i < p->flow_count && sim_violation_count(p->sim) == 0; i++) {
        const struct flow *f = &p->flows[i];
        const struct side *s = f->client.is_closed ? &f->server : &f->client;
        if (!is_over(f))
            sim_violation(p->sim,
                          "flow %u, port %u, never finished: %s has received %llu of %llu, sent "
                          "%llu of %llu",
                          f->number, f->port, s->is_client ? "client" : "server",
                          (unsigned long long)s->received, (unsigned long long)s->to_receive,
                          (unsigned long long)s->sent, (unsigned long long)s->to_send);
    }
}

static struct sim_host *make_host(struct play *p, const struct sim_link *named)
{
    struct sim_host_options o = {.kind = SIM_STACK,
                                 .core_count = p->core_count,
                                 .mtu_bytes = p->mtu_bytes,
                                 .buffer_bytes_max = p->shape.buffer_bytes_max};
    if (p->shape.mark_ppm != 0)
        o.ecn = (enum stack_ecn)below(p, 3);
    play_draw_link(p, &o.link);
    play_draw_port(p, &o.port);
    if (p->core_count > 1) {
        o.port.queue_count = 1 + (uint32_t)below(p, p->core_count);
        o.port.rss = (enum sim_rss)below(p, 4);
    }
    if (p->has_named_faults) {
        memcpy(o.link.list, named->list, sizeof(named->list));
        o.link.list_count = named->list_count;
    }
    return sim_add_host(p->sim, &o);
}

static void listen_at(struct play *p, struct sim_host *host)
{
    struct leat_listen_options listen = {.conn = p->options};
    struct leat_addr at = {.family = p->v6 ? LEAT_FAMILY_IPV6 : LEAT_FAMILY_IPV4, .port = PORT};
    struct leat_listener *listener;
    sim_enter(host);
    CHECK(leat_listen(sim_loop(host), &at, &listen, &flow_server_ops, p, &listener) == 0);
    sim_leave(host);
}

static void listen_on_cores(struct play *p, struct sim_host *host)
{
    for (uint32_t i = 0; i < p->core_count; i++)
        listen_at(p, sim_core(host, i));
}

static void draw_pattern(struct play *p)
{
    for (unsigned i = 0; i < PATTERN_PERIOD; i += 8) {
        uint64_t word = sim_random(p->sim);
        memcpy(p->pattern + i, &word, sizeof(word));
    }
    memcpy(p->pattern + PATTERN_PERIOD, p->pattern, PATTERN_BYTES - PATTERN_PERIOD);
}

static void play_begin(struct play *p, const char *faults)
{
    static const uint32_t mtus[] = {576, 1280, 1500, 1500, 1500, 9000};
    struct sim_link client = {0}, server = {0};
    p->has_named_faults = faults != NULL;
    if (faults != NULL)
        CHECK(play_faults_parse(faults, &client, &server));
    p->v6 = sim_chance(p->sim, 400000);
    p->mtu_bytes = mtus[below(p, 6)];
    if (p->v6 && p->mtu_bytes < 1280)
        p->mtu_bytes = 1280;
    draw_pattern(p);
    p->core_count = p->shape.cores_max > 1 ? 2 + (uint32_t)below(p, p->shape.cores_max - 1) : 1;
    p->server = make_host(p, &server);
    p->client = make_host(p, &client);
    p->options = (struct leat_conn_options){.linger_ns = 1000 * LEAT_NS_PER_S,
                                            .connect_timeout_ns = 600 * LEAT_NS_PER_S,
                                            .receive_bytes_max = p->shape.receive_max,
                                            /* who was aborted and heard nothing of it asks */
                                            .keepalive_ns = p->shape.keepalive_ns != 0
                                                                ? p->shape.keepalive_ns
                                                                : 60 * LEAT_NS_PER_S,
                                            .nagle = sim_chance(p->sim, 300000)};
    listen_on_cores(p, p->server);
    listen_on_cores(p, p->client);
    p->flow_count = p->shape.flow_count;
    CHECK(p->flow_count >= PLAY_FLOWS_MIN && p->flow_count <= FLOWS_MAX);
    for (unsigned i = 0; i < p->flow_count; i++)
        flow_init(p, i);
    play_faults_begin(p);
    sim_set_check(p->sim, play_check, p);
}

static void play_collect(struct play *p, struct play_result *r)
{
    for (unsigned i = 0; i < 2 * p->core_count; i++) {
        struct sim_host *host = sim_core(i % 2 ? p->client : p->server, i / 2);
        const struct tcp_counters *n = &sim_stack(host)->tcp->count;
        r->retransmitted += n->retransmitted;
        r->rtos += n->rtos;
        r->undone += n->undone;
        r->predicted += n->predicted;
        r->segments += n->segments_in;
    }
    r->scenario = p->shape.name;
    r->frame_count = sim_frame_count(p->sim);
    r->fault_count = sim_fault_count(p->sim);
    r->flow_count = p->flow_count;
}

/* A world without faults needs no second transmission, one with them has at least ten; who vanishes
 * at once leaves little to be spoilt: attempts end when its neighbours are not answered. */
static void check_faults(struct play *p, const struct play_result *r)
{
    if (p->shape.by_name_only && !p->has_named_faults && r->retransmitted != 0)
        sim_violation(p->sim, "%llu retransmissions where nothing was lost",
                      (unsigned long long)r->retransmitted);
    uint64_t fault_min = p->shape.vanish ? 1 : PLAY_FAULTS_MIN;
    if (!p->shape.by_name_only && !p->has_named_faults && r->fault_count < fault_min)
        sim_violation(p->sim, "only %llu faults", (unsigned long long)r->fault_count);
}

/* Bug 17: TIME_WAIT and embryos pass. Then nothing is left. */
static void play_rest(struct play *p)
{
    sim_set_check(p->sim, NULL, NULL);
    sim_run_for(p->sim, LEAT_NS_PER_S + 2 * TCP_TIME_WAIT_NS);
    for (uint32_t i = 0; i < p->core_count; i++) {
        sim_check_rest(sim_core(p->server, i));
        sim_check_rest(sim_core(p->client, i));
    }
}

static void play_run_flows(struct play *p, struct play_result *r)
{
    bool is_all = sim_run_until_done(p->sim, is_done, p, p->fault_until_ns - sim_now(p->sim));
    if (!is_all && p->shape.vanish)
        check_finished(p); /* that the peer is gone was to be noticed long ago */
    play_faults_end(p);
    if (!is_all)
        (void)sim_run_until_done(p->sim, is_done, p, FINISH_NS);
    check_finished(p);
    play_collect(p, r);
    if (sim_violation_count(p->sim) == 0)
        check_faults(p, r);
    play_rest(p);
}

void play_seed(const struct play_options *options, struct play_result *r)
{
    *r = (struct play_result){0};
    struct play *p = calloc(1, sizeof(*p));
    struct leat_error error = {0};
    CHECK(p != NULL);
    p->has_stalls = options->seed % STALLS_EACH == 0;
    rng_init(&p->stalls, ~options->seed);
    p->sim = sim_new(options->seed, options->pcap_path, &error);
    if (p->sim == NULL) {
        r->violation_count = 1;
        snprintf(r->sentence, sizeof(r->sentence), "%.400s", error.sentence);
        free(p);
        return;
    }
    if (!options->verbose)
        sim_log_only_errors(p->sim);
    play_draw_shape(p, options->scenario);
    play_begin(p, options->faults);
    play_run_flows(p, r);
    snprintf(r->sentence, sizeof(r->sentence), "%s", sim_violation_sentence(p->sim));
    sim_quiet(p->sim);
    r->violation_count = sim_free(p->sim);
    if (r->violation_count > 0 && r->sentence[0] == 0)
        snprintf(r->sentence, sizeof(r->sentence), "at the end: buffers were lost");
    free(p);
}

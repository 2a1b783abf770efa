/* --net sim:SEED: the simulated world as a port of an unmodified program.
 *
 * A module that the library loads (runtime/os/module.h), with a copy of the library of its own
 * inside: the other hosts run on their own loops in the program's thread, and see nothing of the
 * program but its frames. The clock is the world's. The program is infinitely fast: while its loop
 * has work no time passes; when it would sleep, the world runs on to whatever comes next. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/port/module.h"
#include "net/sim/peers.h"
#include "net/sim/sim_internal.h"

#define QUIET_POLLS_MAX 256 /* polls in vain by a loop that never sleeps, then time passes too */
#define REST_NS         (10 * LEAT_NS_PER_MS) /* real: what the world does not know may happen */

struct world {
    const struct sim_module_host *program;
    struct leat_port_ops ops;
    struct sim *sim;
    struct sim_host *guest;
    struct peers peers;
    struct play *play;
    uint64_t seed, began_ns, end_ns;
    unsigned quiet_polls;
    bool has_said_end, is_sound;
    char sentence[SIM_SENTENCE_BYTES]; /* of the first violation */
};

static struct world *world_of(const struct leat_port *port)
{
    const struct sim_host *guest = (const struct sim_host *)(const void *)port;
    return guest->options.user;
}

/* Whatever comes next, here or in the program. False: nothing will. */
static bool pass_time(struct world *w)
{
    uint64_t now = sim_now(w->sim), nap = w->program->nap_ns();
    uint64_t next = sim_next(w->sim), guest = sim_guest_next(w->guest);
    uint64_t own = nap == UINT64_MAX ? UINT64_MAX : now + nap;
    next = own < next ? own : next;
    next = guest < next ? guest : next;
    if (next == UINT64_MAX)
        return false;
    sim_run_until(w->sim, next > now ? next : now);
    return true;
}

/* A violation is remembered, and the world goes on, so that the program can end in order. */
static void note_violation(struct world *w)
{
    if (sim_violation_count(w->sim) > 0 && w->is_sound)
        snprintf(w->sentence, sizeof(w->sentence), "%s", sim_violation_sentence(w->sim));
    w->is_sound &= sim_violation_count(w->sim) == 0;
    w->sim->violation_count = 0;
}

/* The program's work is done: it is asked to end, as a user would ask it. */
static void say_end(struct world *w)
{
    bool is_over = !w->is_sound || (peers_are_done(&w->peers) && w->peers.has_found);
    if (!is_over || w->has_said_end)
        return;
    w->has_said_end = true;
    w->end_ns =
        sim_now(w->sim); /* what comes until the program hears of it depends on its threads */
    kill(getpid(), SIGTERM);
}

static void world_arm(struct leat_port *port, unsigned queue, struct leat_port_nap *nap)
{
    struct world *w = world_of(port);
    (void)queue;
    w->quiet_polls = 0;
    note_violation(w);
    say_end(w);
    bool has_passed = pass_time(w);
    *nap = (struct leat_port_nap){has_passed, -1, has_passed ? UINT64_MAX : REST_NS, false};
}

static unsigned world_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                           unsigned count)
{
    struct world *w = world_of(port);
    unsigned taken = sim_port_ops.poll(port, queue, frames, count);
    w->quiet_polls = taken > 0 ? 0 : w->quiet_polls + 1;
    if (w->quiet_polls > QUIET_POLLS_MAX)
        (void)pass_time(w);
    return taken;
}

static void world_report(const struct world *w)
{
    const struct peers *p = &w->peers;
    uint64_t end_ns = w->has_said_end ? w->end_ns : sim_now(w->sim);
    printf("sim %" PRIu64 ", %s: %.3f s, %" PRIu64 " frames, %" PRIu64
           " faults; visitors asked %" PRIu64 " times and were answered %" PRIu64 ", %" PRIu64
           " with an error; %" PRIu64 " answers were cut off; the program asked %" PRIu64
           " times\n",
           w->seed, w->play->shape.name, (double)(end_ns - w->began_ns) / 1e9,
           sim_frame_count(w->sim), sim_fault_count(w->sim), p->asked, p->answered, p->refused,
           p->cut, p->served);
    fflush(stdout);
    if (!w->is_sound)
        fprintf(stderr, "sim %" PRIu64 ": %s\n", w->seed, w->sentence);
}

static void check_guest(struct world *w)
{
    if (w->guest->lent_count != 0 || w->guest->head_count != 0)
        sim_violation(w->sim, "the program keeps %u frames and %u heads", w->guest->lent_count,
                      w->guest->head_count);
    if (w->peers.has_found && w->peers.answered == 0)
        sim_violation(w->sim, "the program accepted connections and answered nothing");
}

static bool world_is_sound(struct leat_port *port)
{
    return world_of(port)->is_sound;
}

/* What it has found is told before the program knows whether it was well. */
static void world_leave(struct leat_port *port)
{
    struct world *w = world_of(port);
    sim_guest_close(w->guest);
    check_guest(w);
    note_violation(w);
    world_report(w);
}

static void world_close(struct leat_port *port)
{
    struct world *w = world_of(port);
    sim_quiet(w->sim);
    (void)sim_free(w->sim);
    peers_end(&w->peers);
    free(w->play);
    free(w);
}

/* ---- opening ---- */

static bool parse_world(const char *where, uint64_t *seed, uint16_t *port)
{
    char *end;
    errno = 0;
    *seed = strtoull(where, &end, 10);
    *port = 0;
    if (errno != 0 || end == where || *where == '-')
        return false;
    if (strncmp(end, ",port=", 6) == 0) {
        unsigned long number = strtoul(end + 6, &end, 10);
        if (number == 0 || number > 65535)
            return false;
        *port = (uint16_t)number;
    }
    return *end == 0;
}

/* A scenario that is of the network alone, not of what applications do. */
static void draw_world(struct play *p)
{
    do
        play_draw_shape(p, NULL);
    while (p->shape.vanish || p->shape.moves || p->shape.reuse || p->shape.keepalive_ns != 0 ||
           p->shape.rx_buffers_max != 0);
    p->mtu_bytes = 1500;
    p->v6 = true;
}

static void make_hosts(struct world *w)
{
    struct play *p = w->play;
    struct sim_host_options guest = {.kind = SIM_GUEST,
                                     .mtu_bytes = p->mtu_bytes,
                                     .guest_unref = w->program->buf_unref,
                                     .user = w};
    struct sim_host_options peer = {.kind = SIM_STACK, .mtu_bytes = p->mtu_bytes};
    play_draw_link(p, &guest.link);
    play_draw_port(p, &guest.port);
    play_draw_link(p, &peer.link);
    p->server = w->guest = sim_add_host(w->sim, &guest);
    p->client = sim_add_host(w->sim, &peer);
    w->ops = sim_port_ops;
    w->ops.arm = world_arm;
    w->ops.poll = world_poll;
    w->ops.leave = world_leave;
    w->ops.close = world_close;
    w->ops.is_sound = world_is_sound;
    w->guest->port.ops = &w->ops;
    w->guest->port.info.clock = &w->sim->clock;
    w->guest->port.info.seed = w->seed;
}

static struct leat_port *world_open(const struct sim_module_host *program,
                                    const struct port_options *options, struct leat_error *error)
{
    uint64_t seed;
    uint16_t port;
    if (!parse_world(options->where, &seed, &port)) {
        leat_fail(error, -EINVAL,
                  "--net sim:%s: a seed is a number, as in sim:7, or sim:7,port=8080",
                  options->where);
        return NULL;
    }
    struct world *w = calloc(1, sizeof(*w));
    struct play *p = calloc(1, sizeof(*p));
    struct sim *sim = w != NULL && p != NULL ? sim_new(seed, NULL, error) : NULL;
    if (sim == NULL) {
        free(w);
        free(p);
        leat_fail(error, -ENOMEM, "no memory for a simulated world");
        return NULL;
    }
    *w = (struct world){.program = program, .sim = sim, .play = p, .seed = seed, .is_sound = true};
    p->sim = sim;
    sim_log_only_errors(sim); /* the program logs, its peers do not */
    draw_world(p);
    make_hosts(w);
    play_faults_begin(p);
    peers_begin(&w->peers, p, port);
    w->began_ns = sim_now(sim);
    return &w->guest->port;
}

extern const struct sim_module leat_sim_module;
__attribute__((visibility("default"))) const struct sim_module leat_sim_module = {
    .abi = SIM_MODULE_ABI,
    .open = world_open,
};

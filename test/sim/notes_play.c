/* The notes in simulated worlds: a server that is visited, with faults drawn from a seed, or one
 * fault at a place that is asked for. */
#include "test/sim/notes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "buffers/heap.h"
#include "net/sim/sim_internal.h"
#include "runtime/async/tasks.h"
#include "test/sim/notes_rest.h"

#define VISITORS     10
#define LATE         3 /* come when nothing fails any more */
#define QUESTIONS    12
#define FAULTS_NS    (6 * LEAT_NS_PER_S)
#define LIMIT_NS     (600 * LEAT_NS_PER_S)
#define FAULTS_COUNT 30

struct play {
    struct visits visits; /* first */
    struct sim_host *server;
    struct sim_disk *disk;
    struct leat_http *http;
    struct leat_loop *loop; /* the server's */
    unsigned wanted_count;  /* visitors that have to be over */
    bool has_drained;
};

/* ---- the server ---- */

static void server_on_unhandled(void *arg, struct leat_future *future)
{
    char name[200];
    struct play *play = arg;
    sim_violation(play->visits.sim, "a rejection that nobody handles: %s",
                  leat_future_describe(future, name, sizeof(name)));
}

static void server_begin(struct play *play, const struct sim_link *link)
{
    struct sim *sim = play->visits.sim;
    const struct sim_host_options options = {.kind = SIM_STACK, .link = *link};
    play->server = sim_add_host(sim, &options);
    play->loop = sim_loop(play->server);
    play->visits.to = sim_addr(play->server, false, 80);
    sim_set_disk(play->server, play->disk);
    sim_enter(play->server);
    leat_loop_on_unhandled(play->loop, server_on_unhandled, play);
    play->http = notes_program(play->loop, &play->visits.to);
    sim_leave(play->server);
}

/* The power is cut: nothing more is sent or written, and what ran is gone. */
static void server_lose_power(struct play *play)
{
    struct sim_link link = *sim_link(play->server);
    sim_link(play->server)->down = true;
    sim_disk_power_cut(play->disk);
    sim_enter(play->server);
    tasks_stop(play->loop); /* in the order in which a program ends: nobody hears of it */
    leat_loop_turn(play->loop, 0);
    leat_http_free(play->http);
    sim_leave(play->server);
    sim_stop_host(play->server);
    leat_loop_free(play->loop);
    for (unsigned i = 0; i < play->visits.count; i++)
        visitor_forget_blobs(&play->visits.all[i]);
    server_begin(play, &link);
}

static void server_on_drained(void *arg)
{
    ((struct play *)arg)->has_drained = true;
}

static void rest_check(struct play *play)
{
    char text[200];
    sim_enter_quietly(play->server);
    const char *left = notes_left(play->loop, text, sizeof(text));
    if (left != NULL)
        sim_violation(play->visits.sim, "at rest: %s", left);
    sim_leave_quietly(play->server);
    if (sim_disk_open_count(play->disk) != 0)
        sim_violation(play->visits.sim, "%u descriptors are left", sim_disk_open_count(play->disk));
}

static void server_end(struct play *play)
{
    sim_enter(play->server);
    leat_http_drain(play->http, 0, server_on_drained, play);
    sim_leave(play->server);
    sim_run_for(play->visits.sim, 30 * LEAT_NS_PER_S);
    if (!play->has_drained)
        sim_violation(play->visits.sim, "the server does not end");
    rest_check(play);
    sim_enter(play->server);
    leat_http_free(play->http);
    sim_leave(play->server);
    sim_run_for(play->visits.sim, 10 * LEAT_NS_PER_S);
}

/* ---- a world ---- */

static struct play *play_new(uint64_t seed, const struct sim_link *link, unsigned count)
{
    struct play *play = calloc(1, sizeof(*play));
    CHECK(play != NULL);
    struct visits *visits = &play->visits;
    visits->sim = sim_new(seed, NULL, NULL);
    sim_log_only_errors(visits->sim);
    sim_quiet(visits->sim);
    visits->count = count;
    visits->all = calloc(count, sizeof(*visits->all));
    CHECK(visits->all != NULL);
    http_reader_core_init(&visits->reader);
    play->disk = sim_disk_new(seed);
    const struct sim_host_options options = {.kind = SIM_STACK, .link = *link};
    visits->client = sim_add_host(visits->sim, &options);
    server_begin(play, link);
    for (unsigned i = 0; i < count; i++)
        visits->all[i] = (struct visitor){.visits = visits, .number = i, .to_ask = QUESTIONS};
    return play;
}

static void play_free(struct play *play, struct outcome *outcome)
{
    struct visits *visits = &play->visits;
    *outcome = (struct outcome){.trace = visits->trace,
                                .answered_count = visits->answered_count,
                                .failed_count = visits->failed_count,
                                .cut_count = visits->cut_count,
                                .disk_failed_count = play->disk->failed_count,
                                .violation_count = sim_violation_count(visits->sim)};
    snprintf(outcome->sentence, sizeof(outcome->sentence), "%s",
             sim_violation_sentence(visits->sim));
    unsigned count = sim_free(visits->sim);
    if (count > outcome->violation_count && outcome->violation_count == 0)
        snprintf(outcome->sentence, sizeof(outcome->sentence), "buffers or frames never came back");
    outcome->violation_count = count;
    sim_disk_free(play->disk);
    free(visits->all);
    free(play);
}

static bool visits_are_over(void *arg)
{
    struct play *play = arg;
    return play->visits.over_count == play->wanted_count ||
           sim_violation_count(play->visits.sim) > 0;
}

static void visits_finish(struct play *play, unsigned wanted_count)
{
    play->wanted_count = wanted_count;
    if (!sim_run_until_done(play->visits.sim, visits_are_over, play, LIMIT_NS))
        sim_violation(play->visits.sim, "%u of %u visitors have not got their answers",
                      wanted_count - play->visits.over_count, wanted_count);
}

/* Nothing fails any more: what was promised is there. */
static void visits_look(struct play *play)
{
    struct visits *visits = &play->visits;
    sim_run_for(visits->sim, 20 * LEAT_NS_PER_S); /* what is under way, and faults to come */
    sim_heal(visits->sim);
    play->disk->faults = (struct sim_disk_faults){0};
    sim_files(play->server)->delay_ns_max = POOL_PLAY_NS_MAX;
    leat_heap_fail_at(play->server->core, 0);
    visits->has_faults = false;
    for (unsigned i = 0; i < visits->count; i++) {
        struct visitor *visitor = &visits->all[i];
        bool is_late = visitor->asked == 0;
        visitor->to_ask += is_late ? 0 : 1;
        visitor->looks = !is_late;
        visits->over_count -= visitor->is_over;
        visitor->is_over = false;
        visitor_begin(visitor);
    }
    visits_finish(play, visits->count);
}

static void visitor_come(struct sim *sim, void *visitor)
{
    visitor_begin(visitor);
}

/* ---- faults from the seed ---- */

static void visitor_go(struct sim *sim, void *visitor)
{
    visitor_leave(visitor);
}

static void disk_fault(struct sim *sim, void *arg)
{
    static const int codes[] = {-EIO, -ENOSPC, -EDQUOT};
    struct play *play = arg;
    struct sim_disk_faults *faults = &play->disk->faults;
    switch (sim_random_below(sim, 4)) {
    case 0:
        faults->bytes_max = play->disk->used_bytes + sim_random_below(sim, 20000);
        break;
    case 1:
        faults->bytes_max = 0;
        break;
    case 2:
        faults->short_ppm = (uint32_t)sim_random_below(sim, 400000);
        break;
    default:
        faults->fail_at = 1 + sim_random_below(sim, 12);
        faults->fail_code = codes[sim_random_below(sim, 3)];
    }
}

static void faults_plan(struct play *play)
{
    struct visits *visits = &play->visits;
    struct sim *sim = visits->sim;
    visits->has_faults = true;
    if (sim_chance(sim, 300000)) /* slow */
        sim_files(play->server)->delay_ns_max = LEAT_NS_PER_S;
    for (unsigned i = 0; i < FAULTS_COUNT; i++)
        sim_at(sim, sim_now(sim) + sim_random_below(sim, FAULTS_NS), disk_fault, play);
    for (unsigned i = 0; i < visits->count - LATE; i++) {
        uint64_t at_ns = sim_now(sim) + sim_random_below(sim, FAULTS_NS / 2);
        sim_at(sim, at_ns, visitor_come, &visits->all[i]);
        if (sim_chance(sim, 300000))
            sim_at(sim, at_ns + sim_random_below(sim, FAULTS_NS / 2), visitor_go, &visits->all[i]);
    }
}

struct outcome notes_play_seed(uint64_t seed)
{
    struct leat_rng rng;
    rng_init(&rng, seed + 1);
    const struct sim_link link = {.delay_ns = rng_below(&rng, 5 * LEAT_NS_PER_MS),
                                  .loss_ppm = (uint32_t)rng_below(&rng, 20000),
                                  .reorder_ppm = (uint32_t)rng_below(&rng, 20000),
                                  .reorder_ns = LEAT_NS_PER_MS,
                                  .duplicate_ppm = (uint32_t)rng_below(&rng, 10000)};
    struct play *play = play_new(seed, &link, VISITORS + LATE);
    struct sim *sim = play->visits.sim;
    faults_plan(play);
    if (sim_chance(sim, 300000)) {
        sim_run_for(sim, sim_random_below(sim, FAULTS_NS));
        server_lose_power(play);
    }
    visits_finish(play, VISITORS);
    visits_look(play);
    server_end(play);
    struct outcome outcome;
    play_free(play, &outcome);
    return outcome;
}

/* ---- one fault, at every place ---- */

struct place {
    struct play *play;
    enum fault fault;
    uint64_t left; /* events until it happens */
};

static bool place_is_there(void *arg)
{
    struct place *place = arg;
    return visits_are_over(place->play) || place->left-- == 0;
}

static void fault_arm(struct place *place, uint64_t nth)
{
    struct play *play = place->play;
    if (place->fault == FAULT_ALLOCATION) {
        sim_enter_quietly(play->server);
        leat_heap_fail_at(leat_core_now, nth);
        sim_leave_quietly(play->server);
    } else if (place->fault == FAULT_CALL) {
        play->disk->faults.fail_at = nth;
    }
}

static bool fault_happens(struct place *place)
{
    struct play *play = place->play;
    struct leat_heap_stats heap;
    switch (place->fault) {
    case FAULT_LEAVE:
        if (play->visits.over_count > 0)
            return false;
        visitor_leave(&play->visits.all[0]);
        return true;
    case FAULT_POWER:
        if (play->visits.over_count > 0)
            return false;
        server_lose_power(play);
        return true;
    case FAULT_ALLOCATION:
        leat_heap_stats(play->server->core, &heap);
        return heap.refused_count > 0;
    default:
        return play->disk->failed_count > 0;
    }
}

/* One visitor, who asks each kind of question once, in order. */
struct outcome notes_play_place(enum fault fault, uint64_t nth)
{
    const struct sim_link link = {.delay_ns = 100 * LEAT_NS_PER_US};
    struct play *play = play_new(nth, &link, 1);
    struct place place = {play, fault, nth};
    play->wanted_count = 1;
    struct visitor *visitor = &play->visits.all[0];
    visitor->in_order = true;
    visitor->to_ask = ASK_COUNT;
    play->visits.has_faults = true;
    visitor_begin(visitor);
    fault_arm(&place, nth);
    bool is_by_event = fault == FAULT_LEAVE || fault == FAULT_POWER, has_happened = false;
    if (is_by_event) {
        (void)sim_run_until_done(play->visits.sim, place_is_there, &place, LIMIT_NS);
        has_happened = fault_happens(&place);
    }
    visits_finish(play, 1);
    if (!is_by_event)
        has_happened = fault_happens(&place);
    visits_look(play);
    server_end(play);
    struct outcome outcome;
    play_free(play, &outcome);
    outcome.has_happened = has_happened;
    return outcome;
}

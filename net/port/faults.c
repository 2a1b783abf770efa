/* A port that loses, delays, doubles and damages the packets of another. */
#include "net/port/faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/rng.h"

#define MILLION    1000000u
#define COPY_BYTES 65600u /* the longest frame of any port */

enum fate { PASSES, IS_LOST, IS_DOUBLED, IS_HELD };

/* The packets of one direction that are held back, in the order of their coming. */
struct direction {
    struct leat_rng rng;
    uint64_t passed_count;
    unsigned held_count;
    uint64_t until_count[FAULTS_HELD_MAX];
    uint64_t until_ns[FAULTS_HELD_MAX];
};

struct faults_queue {
    const struct leat_core *core; /* that uses it; NULL: none yet */
    struct direction rx, tx;
    struct leat_frame frames[FAULTS_HELD_MAX];   /* of rx */
    struct leat_packet packets[FAULTS_HELD_MAX]; /* of tx */
    bool is_lossy_chain; /* the rest of a frame in several buffers is lost, too */
    bool is_in_chain;
    bool has_fate; /* the first packet that inner refused has been drawn for */
    enum fate fate;
    uint64_t lost_count;
    unsigned copies_free;
    uint8_t *copies[FAULTS_COPIES];
    uint8_t *memory;
} __attribute__((aligned(64)));

struct faults_port {
    struct leat_port port; /* first */
    struct leat_port *inner;
    struct faults_options options;
    unsigned queue_count;
    struct faults_queue queues[];
};

static struct faults_port *faults_of(struct leat_port *port)
{
    return (struct faults_port *)(void *)port;
}

/* ---- what happens to a packet ---- */

static enum fate chance_draw(const struct faults_options *o, struct direction *d, bool is_simple)
{
    uint64_t loss = rng_below(&d->rng, MILLION), duplicate = rng_below(&d->rng, MILLION);
    uint64_t reorder = rng_below(&d->rng, MILLION);
    if (loss < o->loss)
        return IS_LOST;
    if (is_simple && duplicate < o->duplicate)
        return IS_DOUBLED;
    return is_simple && reorder < o->reorder && d->held_count < FAULTS_HELD_MAX ? IS_HELD : PASSES;
}

static unsigned packet_hold(struct direction *d)
{
    unsigned at = d->held_count++;
    d->until_count[at] = d->passed_count + 1 + rng_below(&d->rng, FAULTS_BEHIND_MAX);
    d->until_ns[at] = clock_monotonic() + FAULTS_HOLD_NS;
    return at;
}

/* The first that is held and should not be any more; held_count: there is none. */
static unsigned packet_due(const struct direction *d, uint64_t now_ns)
{
    unsigned at = 0;
    while (at < d->held_count && d->until_count[at] > d->passed_count && d->until_ns[at] > now_ns)
        at++;
    return at;
}

static void packet_forget(struct direction *d, unsigned at)
{
    unsigned rest = --d->held_count - at;
    memmove(&d->until_count[at], &d->until_count[at + 1], rest * sizeof(d->until_count[0]));
    memmove(&d->until_ns[at], &d->until_ns[at + 1], rest * sizeof(d->until_ns[0]));
}

/* ---- receiving ---- */

static bool is_copy(const struct faults_queue *q, const void *handle)
{
    uintptr_t at = (uintptr_t)handle, from = (uintptr_t)q->memory;
    return at >= from && at < from + (size_t)FAULTS_COPIES * COPY_BYTES;
}

/* The same frame once more, in memory of our own; false when there is none. */
static bool copy_frame(struct faults_queue *q, const struct leat_frame *frame,
                       struct leat_frame *copy)
{
    if (q->copies_free == 0 || frame->length_bytes > COPY_BYTES)
        return false;
    *copy = *frame;
    copy->data = copy->handle = q->copies[--q->copies_free];
    memcpy(copy->handle, frame->data, frame->length_bytes);
    return true;
}

static unsigned give_due(struct faults_queue *q, struct leat_frame *frames, unsigned count)
{
    unsigned given = 0, at;
    if (q->rx.held_count == 0)
        return 0;
    uint64_t now_ns = clock_monotonic();
    while (given < count && (at = packet_due(&q->rx, now_ns)) < q->rx.held_count) {
        frames[given++] = q->frames[at];
        packet_forget(&q->rx, at);
        memmove(&q->frames[at], &q->frames[at + 1], (q->rx.held_count - at) * sizeof(q->frames[0]));
    }
    return given;
}

/* Puts what becomes of a frame at out; returns how many that are, at most two. */
static unsigned treat_frame(struct faults_port *p, unsigned queue, const struct leat_frame *frame,
                            struct leat_frame *out)
{
    struct faults_queue *q = &p->queues[queue];
    bool continues = q->is_in_chain, is_simple = !continues && !(frame->flags & LEAT_FRAME_MORE);
    void *handle = frame->handle;
    q->is_in_chain = (frame->flags & LEAT_FRAME_MORE) != 0;
    enum fate fate = continues ? (q->is_lossy_chain ? IS_LOST : PASSES)
                               : chance_draw(&p->options, &q->rx, is_simple);
    q->is_lossy_chain = fate == IS_LOST;
    switch (fate) {
    case IS_LOST:
        q->lost_count += !continues;
        p->inner->ops->release(p->inner, queue, &handle, 1);
        return 0;
    case IS_HELD:
        q->frames[packet_hold(&q->rx)] = *frame;
        return 0;
    default:
        q->rx.passed_count++;
        out[0] = *frame;
        return fate == IS_DOUBLED && copy_frame(q, frame, &out[1]) ? 2 : 1;
    }
}

static void send_due(struct faults_port *p, unsigned queue);

static unsigned faults_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                            unsigned count)
{
    struct faults_port *p = faults_of(port);
    struct faults_queue *q = &p->queues[queue];
    struct leat_frame got[LEAT_PORT_BURST];
    q->core = leat_core_now;
    send_due(p, queue);
    /* Half of the room, because each may come twice; within a chain nothing may come between. */
    unsigned taken = q->is_in_chain ? 0 : give_due(q, frames, count);
    unsigned room = (count - taken) / 2;
    unsigned n = p->inner->ops->poll(p->inner, queue, got, room);
    for (unsigned i = 0; i < n; i++)
        taken += treat_frame(p, queue, &got[i], &frames[taken]);
    return taken + (q->is_in_chain ? 0 : give_due(q, &frames[taken], count - taken));
}

static void faults_release(struct leat_port *port, unsigned queue, void *const *handles,
                           unsigned count)
{
    struct faults_port *p = faults_of(port);
    struct faults_queue *q = &p->queues[queue];
    for (unsigned i = 0; i < count; i++)
        if (is_copy(q, handles[i]))
            q->copies[q->copies_free++] = handles[i];
        else
            p->inner->ops->release(p->inner, queue, &handles[i], 1);
}

/* ---- sending ---- */

static unsigned faults_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                             unsigned count)
{
    struct leat_port *inner = faults_of(port)->inner;
    return inner->ops->grant(inner, queue, packets, count);
}

static void faults_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                          unsigned count)
{
    struct leat_port *inner = faults_of(port)->inner;
    inner->ops->revoke(inner, queue, packets, count);
}

static void lose_packet(struct faults_port *p, unsigned queue, struct leat_packet *packet)
{
    for (unsigned i = 0; i < packet->slice_count; i++)
        leat_buf_unref(packet->slices[i]);
    p->inner->ops->revoke(p->inner, queue, packet, 1);
}

static void send_copy(struct faults_port *p, unsigned queue, const struct leat_packet *packet)
{
    struct leat_packet copy = *packet;
    if (p->inner->ops->grant(p->inner, queue, &copy, 1) != 1)
        return;
    memcpy(copy.head, packet->head, packet->head_bytes);
    for (unsigned i = 0; i < copy.slice_count; i++)
        copy.slices[i] = leat_buf_ref(packet->slices[i]);
    if (p->inner->ops->transmit(p->inner, queue, &copy, 1) == 0)
        lose_packet(p, queue, &copy);
}

static void send_due(struct faults_port *p, unsigned queue)
{
    struct faults_queue *q = &p->queues[queue];
    unsigned at;
    if (q->tx.held_count == 0)
        return;
    uint64_t now_ns = clock_monotonic();
    while ((at = packet_due(&q->tx, now_ns)) < q->tx.held_count) {
        if (p->inner->ops->transmit(p->inner, queue, &q->packets[at], 1) == 0)
            return;
        packet_forget(&q->tx, at);
        memmove(&q->packets[at], &q->packets[at + 1],
                (q->tx.held_count - at) * sizeof(q->packets[0]));
    }
}

/* False when inner refused it. */
static bool treat_packet(struct faults_port *p, unsigned queue, struct leat_packet *packet)
{
    struct faults_queue *q = &p->queues[queue];
    if (!q->has_fate)
        q->fate = chance_draw(&p->options, &q->tx, true);
    q->has_fate = true;
    switch (q->fate) {
    case IS_LOST:
        q->lost_count++;
        lose_packet(p, queue, packet);
        break;
    case IS_HELD:
        q->packets[packet_hold(&q->tx)] = *packet;
        break;
    case IS_DOUBLED:
        send_copy(p, queue, packet);
        q->fate = PASSES;
        __attribute__((fallthrough));
    default:
        if (p->inner->ops->transmit(p->inner, queue, packet, 1) == 0)
            return false;
        q->tx.passed_count++;
    }
    q->has_fate = false;
    return true;
}

static unsigned faults_transmit(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                                unsigned count)
{
    struct faults_port *p = faults_of(port);
    unsigned taken = 0;
    p->queues[queue].core = leat_core_now;
    while (taken < count && treat_packet(p, queue, &packets[taken])) {
        taken++;
        send_due(p, queue);
    }
    return taken;
}

static unsigned faults_reclaim(struct leat_port *port, unsigned queue)
{
    struct faults_port *p = faults_of(port);
    return p->inner->ops->reclaim(p->inner, queue) + p->queues[queue].tx.held_count;
}

/* ---- the rest ---- */

static void bound_nap(const struct direction *d, struct leat_port_nap *nap)
{
    if (d->held_count > 0 && nap->nap_ns_max > FAULTS_HOLD_NS)
        nap->nap_ns_max = FAULTS_HOLD_NS;
}

static void faults_arm(struct leat_port *port, unsigned queue, struct leat_port_nap *nap)
{
    struct faults_port *p = faults_of(port);
    p->inner->ops->arm(p->inner, queue, nap);
    bound_nap(&p->queues[queue].rx, nap);
    bound_nap(&p->queues[queue].tx, nap);
}

static bool faults_disarm(struct leat_port *port, unsigned queue)
{
    struct leat_port *inner = faults_of(port)->inner;
    return inner->ops->disarm(inner, queue);
}

static void faults_link(struct leat_port *port, struct leat_link *link)
{
    struct leat_port *inner = faults_of(port)->inner;
    inner->ops->link(inner, link);
}

static void faults_stats(struct leat_port *port, unsigned queue, struct leat_port_stats *stats)
{
    struct faults_port *p = faults_of(port);
    struct faults_queue *q = &p->queues[queue];
    p->inner->ops->stats(p->inner, queue, stats);
    stats->rx_held_count += FAULTS_COPIES - q->copies_free - q->rx.held_count;
    stats->drops[LEAT_PORT_DROP_FAULT] += q->lost_count;
}

static int faults_enter(struct leat_port *port, struct leat_error *error)
{
    struct leat_port *inner = faults_of(port)->inner;
    return inner->ops->enter != NULL ? inner->ops->enter(inner, error) : 0;
}

/* Nothing is held any more on the queues of this core, whose buffers these are. */
static void let_go(struct faults_port *p, unsigned queue)
{
    struct faults_queue *q = &p->queues[queue];
    for (unsigned i = 0; i < q->rx.held_count; i++)
        faults_release(&p->port, queue, &q->frames[i].handle, 1);
    q->rx.held_count = 0;
    for (unsigned i = 0; i < q->tx.held_count; i++)
        if (p->inner->ops->transmit(p->inner, queue, &q->packets[i], 1) == 0)
            lose_packet(p, queue, &q->packets[i]);
    q->tx.held_count = 0;
    p->inner->ops->reclaim(p->inner, queue);
    q->core = NULL;
}

static void faults_leave(struct leat_port *port)
{
    struct faults_port *p = faults_of(port);
    for (unsigned i = 0; i < p->queue_count; i++)
        if (p->queues[i].core != NULL && p->queues[i].core == leat_core_now)
            let_go(p, i);
    if (p->inner->ops->leave != NULL)
        p->inner->ops->leave(p->inner);
}

static void free_all(struct faults_port *p)
{
    for (unsigned i = 0; i < p->queue_count; i++)
        free(p->queues[i].memory);
    free(p);
}

static void faults_close(struct leat_port *port)
{
    struct faults_port *p = faults_of(port);
    for (unsigned i = 0; i < p->queue_count; i++)
        CHECK(p->queues[i].copies_free == FAULTS_COPIES && p->queues[i].rx.held_count == 0 &&
              p->queues[i].tx.held_count == 0);
    p->inner->ops->close(p->inner);
    free_all(p);
}

static const struct leat_port_ops faults_ops = {
    .enter = faults_enter,
    .leave = faults_leave,
    .poll = faults_poll,
    .release = faults_release,
    .grant = faults_grant,
    .transmit = faults_transmit,
    .revoke = faults_revoke,
    .reclaim = faults_reclaim,
    .arm = faults_arm,
    .disarm = faults_disarm,
    .link = faults_link,
    .stats = faults_stats,
    .close = faults_close,
};

static bool queue_init(struct faults_queue *q, uint64_t seed)
{
    rng_init(&q->rx.rng, seed);
    rng_init(&q->tx.rng, seed + 1);
    q->memory = malloc((size_t)FAULTS_COPIES * COPY_BYTES);
    for (unsigned i = 0; q->memory != NULL && i < FAULTS_COPIES; i++)
        q->copies[q->copies_free++] = q->memory + (size_t)i * COPY_BYTES;
    return q->memory != NULL;
}

struct leat_port *faults_port_new(struct leat_port *inner, const struct faults_options *options,
                                  struct leat_error *error)
{
    unsigned count = inner->info.rx_queue_count > inner->info.tx_queue_count
                         ? inner->info.rx_queue_count
                         : inner->info.tx_queue_count;
    size_t bytes = sizeof(struct faults_port) + count * sizeof(struct faults_queue);
    struct faults_port *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    bool is_whole = p != NULL;
    if (is_whole) {
        memset(p, 0, bytes);
        p->port = (struct leat_port){.ops = &faults_ops, .info = inner->info};
        /* Copies go home on the core of their queue. */
        p->port.info.can &= ~(uint32_t)LEAT_PORT_CAN_RELEASE_ANYWHERE;
        p->inner = inner;
        p->options = *options;
        p->queue_count = count;
        for (unsigned i = 0; i < count; i++)
            is_whole = queue_init(&p->queues[i], options->seed * 1000 + 2 * i) && is_whole;
    }
    if (is_whole)
        return &p->port;
    if (p != NULL)
        free_all(p);
    leat_fail(error, -ENOMEM, "no memory for --net-faults");
    return NULL;
}

/* ---- the flag ---- */

/* "0.5%" as chances in a million; false: it is none. */
static bool chance_of(const char *text, uint32_t *chance)
{
    char *end;
    double percent = strtod(text, &end);
    if (text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0 || !(percent <= 100))
        return false;
    *chance = (uint32_t)(percent * 10000 + 0.5);
    return true;
}

static bool seed_of(const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return text[0] >= '1' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool word_take(struct faults_options *o, char *word)
{
    char *value = strchr(word, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    if (strcmp(word, "loss") == 0)
        return chance_of(value, &o->loss);
    if (strcmp(word, "reorder") == 0)
        return chance_of(value, &o->reorder);
    if (strcmp(word, "duplicate") == 0)
        return chance_of(value, &o->duplicate);
    return strcmp(word, "seed") == 0 && seed_of(value, &o->seed);
}

int faults_parse(struct faults_options *options, const char *text, struct leat_error *error)
{
    char copy[128], *rest = copy, *word;
    *options = (struct faults_options){.seed = 1};
    bool is_valid = strlen(text) < sizeof(copy);
    if (is_valid)
        memcpy(copy, text, strlen(text) + 1);
    while (is_valid && (word = strsep(&rest, ",")) != NULL)
        is_valid = word_take(options, word);
    return is_valid ? 0
                    : leat_fail(error, -EINVAL,
                                "--net-faults takes chances in percent and a seed, such as "
                                "loss=1%%,reorder=1%%,duplicate=0.5%%,seed=7, not \"%s\"",
                                text);
}

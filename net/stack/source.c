/* A stack as a source of its loop. */
#include "net/stack/source.h"

#include <errno.h>

#include <leat/timer.h>

#include "buffers/heap.h"
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#define RETRY_NS (50 * LEAT_NS_PER_US) /* how soon refused output is offered again */

struct stack_source {
    struct leat_source source; /* first */
    struct leat_loop *loop;
    struct leat_timer timer; /* addresses, neighbours, reassembly */
    bool remains, is_shut, has_ended;
    struct stack stack;
};

static struct stack_source *source_of(struct leat_source *source)
{
    return (struct stack_source *)source;
}

/* The timer never moves later by hand: it looks when it fires. */
static void source_set_timer(struct stack_source *ss)
{
    uint64_t next = stack_next_ns(&ss->stack);
    if (next != STACK_NEVER &&
        (!leat_timer_is_started(&ss->timer) || next < ss->timer.deadline_ns)) {
        leat_timer_start_at(&ss->timer, next);
        leat_timer_unref(&ss->timer);
    }
}

static void on_source_timer(struct leat_timer *timer, void *arg)
{
    struct stack_source *ss = arg;
    (void)timer;
    stack_timers(&ss->stack, leat_loop_turn_began(ss->loop)); /* what was polled is no older */
    source_set_timer(ss);
}

static unsigned source_poll(struct leat_source *source)
{
    struct stack_source *ss = source_of(source);
    return stack_poll(&ss->stack, leat_loop_now(ss->loop));
}

static uint64_t stack_sent_count(const struct stack *s)
{
    return s->count.tx_packets - s->tx.queued;
}

static void source_flush(struct leat_source *source)
{
    struct stack_source *ss = source_of(source);
    uint64_t sent = stack_sent_count(&ss->stack);
    ss->remains = stack_flush(&ss->stack, leat_loop_now(ss->loop));
    if (stack_sent_count(&ss->stack) != sent)
        leat_loop_worked(ss->loop);
    source_set_timer(ss);
}

static void source_arm(struct leat_source *source, struct leat_nap *nap)
{
    struct stack_source *ss = source_of(source);
    struct stack *s = &ss->stack;
    struct leat_port_nap port = {.has_work = false, .fd = -1, .nap_ns_max = UINT64_MAX};
    s->port->ops->arm(s->port, s->queue, &port);
    bool is_doubted = wake_armed(&s->wake, &port, leat_loop_clock(ss->loop));
    if (s->stands_in_count > 0 && port.nap_ns_max > WAKE_NAP_NS) {
        port.nap_ns_max = WAKE_NAP_NS; /* the other queues end no sleep of ours */
        is_doubted = true;
    }
    *nap =
        (struct leat_nap){port.has_work || stack_has_work(s), port.fd, port.nap_ns_max, is_doubted};
    if (ss->remains && nap->nap_ns_max > RETRY_NS)
        nap->nap_ns_max = RETRY_NS;
}

static bool source_has_work(struct leat_source *source)
{
    const struct stack *s = &source_of(source)->stack;
    return s->steer != NULL && steer_has_work(s);
}

static void source_disarm(struct leat_source *source)
{
    struct stack_source *ss = source_of(source);
    struct stack *s = &ss->stack;
    bool has_fired = s->port->ops->disarm(s->port, s->queue);
    if (s->wake.is_asleep)
        wake_disarmed(&s->wake, has_fired, leat_loop_clock(ss->loop));
}

static const struct leat_source_ops source_ops = {
    .name = "stack",
    .poll = source_poll,
    .flush = source_flush,
    .arm = source_arm,
    .has_work = source_has_work,
    .disarm = source_disarm,
    .is_polled = true,
};

struct stack_source *stack_source_new(struct leat_loop *loop, const struct stack_options *options,
                                      struct leat_error *error)
{
    struct stack_source *ss = leat_heap_alloc_aligned(sizeof(*ss), 64);
    if (ss == NULL) {
        leat_fail(error, -ENOMEM, "no memory for a network stack");
        return NULL;
    }
    memset(ss, 0, offsetof(struct stack_source, stack));
    ss->loop = loop;
    ss->source.ops = &source_ops;
    if (stack_init(&ss->stack, options, leat_loop_now(loop), error) < 0)
        goto free_source;
    if (tcp_init(&ss->stack, loop, error) < 0)
        goto fini_stack;
    if (udp_init(&ss->stack, loop, error) < 0)
        goto fini_tcp;
    if (leat_source_add(loop, &ss->source) < 0)
        goto fini_udp;
    leat_timer_init(&ss->timer, loop, on_source_timer, ss);
    source_set_timer(ss);
    return ss;

fini_udp:
    udp_fini(&ss->stack);
fini_tcp:
    tcp_fini(&ss->stack);
fini_stack:
    stack_end(&ss->stack);
    stack_fini(&ss->stack);
free_source:
    leat_heap_free(ss);
    return NULL;
}

void stack_source_shut(struct stack_source *ss)
{
    if (ss->is_shut)
        return;
    ss->is_shut = true;
    leat_timer_stop(&ss->timer);
    leat_source_remove(&ss->source);
    ss->stack.tcp->is_shut = ss->stack.udp->is_shut = true; /* before either's callbacks */
    udp_shut(&ss->stack);
    tcp_shut(&ss->stack);
}

void stack_source_end(struct stack_source *ss)
{
    if (ss->has_ended)
        return;
    ss->has_ended = true;
    stack_source_shut(ss);
    udp_fini(&ss->stack);
    tcp_fini(&ss->stack);
    stack_end(&ss->stack);
}

void stack_source_settle(struct stack_source *ss)
{
    stack_settle(&ss->stack);
}

void stack_source_free(struct stack_source *ss)
{
    stack_source_end(ss);
    stack_fini(&ss->stack);
    leat_heap_free(ss);
}

struct stack *stack_source_stack(struct stack_source *ss)
{
    return &ss->stack;
}

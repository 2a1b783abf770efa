/* Timers on the wheel of a loop: started, fired, repeated. */
#include "runtime/loop/loop_internal.h"

/* Deadlines beyond it are never reached; the wheel's arithmetic stays clear of overflow. */
#define TIMER_DEADLINE_MAX (UINT64_MAX - 2 * LEAT_TIMER_TICK_NS)

void leat_timer_init(struct leat_timer *timer, struct leat_loop *loop, leat_timer_fn *fn, void *arg)
{
    *timer = (struct leat_timer){.loop = loop, .fn = fn, .arg = arg};
}

static void timer_arm(struct leat_timer *timer, uint64_t deadline_ns)
{
    struct leat_loop *loop = timer->loop;
    if (unlikely(loop->timer_running == timer))
        loop->timer_running = NULL;
    if ((timer->order & (TIMER_PLACED | TIMER_DUE | TIMER_UNREF)) == 0)
        loop->refs++;
    wheel_start(&loop->wheel, timer,
                deadline_ns < TIMER_DEADLINE_MAX ? deadline_ns : TIMER_DEADLINE_MAX);
}

static uint64_t timer_deadline(struct leat_timer *timer, uint64_t delay_ns)
{
    uint64_t deadline_ns;
    return __builtin_add_overflow(loop_clock(timer->loop), delay_ns, &deadline_ns) ? UINT64_MAX
                                                                                   : deadline_ns;
}

void leat_timer_start(struct leat_timer *timer, uint64_t delay_ns, uint64_t period_ns)
{
    timer->delay_ns = period_ns != 0 ? period_ns : delay_ns;
    timer->order = (timer->order & ~(uint64_t)TIMER_REPEATS) | (period_ns != 0 ? TIMER_REPEATS : 0);
    timer_arm(timer, timer_deadline(timer, delay_ns));
}

void leat_timer_start_at(struct leat_timer *timer, uint64_t deadline_ns)
{
    timer->order &= ~(uint64_t)TIMER_REPEATS;
    timer_arm(timer, deadline_ns);
}

void leat_timer_refresh(struct leat_timer *timer)
{
    timer_arm(timer, timer_deadline(timer, timer->delay_ns));
}

void leat_timer_stop(struct leat_timer *timer)
{
    struct leat_loop *loop = timer->loop;
    if (unlikely(loop->timer_running == timer))
        loop->timer_running = NULL;
    if (!wheel_is_started(timer))
        return;
    if ((timer->order & TIMER_UNREF) == 0)
        loop->refs--;
    wheel_stop(&loop->wheel, timer);
}

bool leat_timer_is_started(const struct leat_timer *timer)
{
    return wheel_is_started(timer) ||
           (timer->loop->timer_running == timer && (timer->order & TIMER_REPEATS) != 0);
}

void leat_timer_ref(struct leat_timer *timer)
{
    if (wheel_is_started(timer) && (timer->order & TIMER_UNREF) != 0)
        timer->loop->refs++;
    timer->order &= ~(uint64_t)TIMER_UNREF;
}

void leat_timer_unref(struct leat_timer *timer)
{
    if (wheel_is_started(timer) && (timer->order & TIMER_UNREF) == 0)
        timer->loop->refs--;
    timer->order |= TIMER_UNREF;
}

static struct loop_timeout *timeout_new(struct leat_loop *loop, leat_timer_fn *fn, void *arg)
{
    struct loop_timeout *timeout =
        loop_slot_take(&loop->timeouts_set, HANDLE_TABLE_TIMEOUTS, sizeof(*timeout));
    if (timeout == NULL)
        return NULL;
    leat_timer_init(&timeout->timer, loop, fn, arg);
    timeout->timer.order = TIMER_OWNED;
    return timeout;
}

static void timeout_free(struct loop_timeout *timeout)
{
    leat_timer_stop(&timeout->timer);
    slots_give(&timeout->timer.loop->timeouts_set, timeout);
}

static struct loop_timeout *timeout_find(leat_timeout id)
{
    return slots_find(&leat_loop_current()->timeouts_set, id);
}

static uint64_t delay_of_ms(uint64_t delay_ms)
{
    if (delay_ms == 0)
        delay_ms = 1;
    return delay_ms < UINT64_MAX / LEAT_NS_PER_MS ? delay_ms * LEAT_NS_PER_MS : UINT64_MAX;
}

leat_timeout leat_set_timeout(struct leat_loop *loop, leat_timer_fn *fn, void *arg,
                              uint64_t delay_ms)
{
    struct loop_timeout *timeout = timeout_new(loop, fn, arg);
    if (timeout == NULL)
        return 0;
    leat_timer_start(&timeout->timer, delay_of_ms(delay_ms), 0);
    return timeout->id;
}

leat_timeout leat_set_interval(struct leat_loop *loop, leat_timer_fn *fn, void *arg,
                               uint64_t period_ms)
{
    struct loop_timeout *timeout = timeout_new(loop, fn, arg);
    if (timeout == NULL)
        return 0;
    leat_timer_start(&timeout->timer, delay_of_ms(period_ms), delay_of_ms(period_ms));
    return timeout->id;
}

void leat_clear_timeout(leat_timeout id)
{
    struct loop_timeout *timeout = timeout_find(id);
    if (timeout != NULL)
        timeout_free(timeout);
}

struct leat_timer *leat_timeout_timer(leat_timeout id)
{
    struct loop_timeout *timeout = timeout_find(id);
    return timeout != NULL ? &timeout->timer : NULL;
}

/* Deadlines stay on start + k * period; those that were missed altogether are skipped. */
static void timer_repeat(struct leat_timer *timer)
{
    uint64_t now_ns = loop_clock(timer->loop), deadline_ns = timer->deadline_ns + timer->delay_ns;
    if (deadline_ns <= now_ns)
        deadline_ns += (now_ns - deadline_ns) / timer->delay_ns * timer->delay_ns + timer->delay_ns;
    timer_arm(timer, deadline_ns);
}

/* After its own callback a timeout that is not started again has gone. */
static void timeout_over(struct leat_loop *loop, uint64_t id)
{
    struct loop_timeout *timeout = slots_find(&loop->timeouts_set, id);
    if (timeout != NULL && !wheel_is_started(&timeout->timer))
        timeout_free(timeout);
}

/* A timer that fires once is not touched after its callback, which may have freed it; one that
 * repeats only while timer_running still names it; a timeout is looked up again. */
static void timer_fire(struct leat_loop *loop, struct leat_timer *timer)
{
    uint64_t flags = timer->order, id = 0;
    if ((flags & TIMER_OWNED) != 0)
        id = container_of(timer, struct loop_timeout, timer)->id;
    if ((flags & TIMER_UNREF) == 0)
        loop->refs--;
    loop->metrics.timer_count++;
    loop->has_worked = true;
    loop->timer_running = timer;
    loop->timer_flags = flags;
    timer->fn(timer, timer->arg);
    if (loop->timer_running == timer && (flags & TIMER_REPEATS) != 0)
        timer_repeat(timer);
    loop->timer_running = NULL;
    if (id != 0)
        timeout_over(loop, id);
    leat_loop_gate(loop);
}

void loop_run_timers(struct leat_loop *loop)
{
    loop->core.phase = "timers";
    loop->now_ns = loop_clock(loop);
    wheel_advance(&loop->wheel, loop->now_ns, LOOP_TIMER_MOVES_PER_TURN);
    struct leat_timer *timer;
    unsigned left = LEAT_TIMERS_PER_TURN;
    for (; left > 0 && (timer = wheel_take(&loop->wheel)) != NULL; left--)
        timer_fire(loop, timer);
    if (left < LEAT_TIMERS_PER_TURN) /* what they took is no part of what is sent from here on */
        loop->now_ns = loop_clock(loop);
}

void loop_fini_timers(struct leat_loop *loop)
{
    while (wheel_take_any(&loop->wheel) != NULL)
        ;
    if (loop->timeouts_set.chunks != NULL)
        slots_fini(&loop->timeouts_set);
}

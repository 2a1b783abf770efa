/* The drain's limit on one core: its loop stops when what came before has been delivered. A request
 * that lay in a socket while the process was stopped, or behind a callback that was long, is
 * answered first (docs/decisions/0033-deadlines-wait.md). */
#include "net/program/run_internal.h"

/* For how long a core may look for what has come: less than the waiting thread gives it to stop,
 * so that a core whose turns are all long is cut off, and not taken for one that hangs. */
#define CUT_HEAR_NS (500 * LEAT_NS_PER_MS)

static void on_cut(struct leat_timer *timer, void *arg)
{
    struct leat_run_core *core = arg;
    struct leat_loop *loop = timer->loop;
    if (core->cut_ns == 0) /* a time that no long callback before it in this turn has made old */
        core->cut_ns = leat_loop_now(loop);
    if (leat_loop_has_heard(loop, core->cut_ns) ||
        leat_loop_now(loop) - core->cut_ns >= CUT_HEAR_NS)
        leat_loop_stop(loop);
    else
        leat_timer_start_at(timer, core->cut_ns);
}

void run_core_cut_open(struct leat_run_core *core)
{
    leat_timer_init(&core->cut_timer, core->loop, on_cut, core);
    leat_timer_unref(&core->cut_timer); /* a loop that is dry ends */
}

void run_core_cut_close(struct leat_run_core *core)
{
    leat_timer_stop(&core->cut_timer);
}

/* The limit is the time at which the timer fires first: on the loop's own clock, which may be one
 * that is played. */
void run_core_cut(void *run_core)
{
    struct leat_run_core *core = run_core;
    leat_timer_start(&core->cut_timer, 0, 0);
}

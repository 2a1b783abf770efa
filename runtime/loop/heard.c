/* Deadlines wait for what came before them.
 *
 * After a turn that was late (a long callback) or a sleep that was interrupted (SIGSTOP, a frozen
 * container) a peer's bytes may lie in a socket or a ring while the deadline that they meet has
 * passed already. So who times a peer asks leat_loop_has_heard(): the loop goes round, without
 * sleeping, until a round begun at the deadline or later has found nothing, but no longer than
 * LOOP_HOLD_ROUNDS rounds and LOOP_HOLD_NS, whichever ends later: a core that has to share its CPU
 * may be paused again within LOOP_HOLD_NS. A round begins when the kernel was asked for what is
 * ready, or when the turn began, whichever was earlier. */
#include "runtime/loop/loop_internal.h"

/* After a poll that found something, while deadlines wait. */
void loop_hold_on(struct leat_loop *loop)
{
    if (++loop->hold_rounds < LOOP_HOLD_ROUNDS || loop->turn_ns - loop->hold_ns < LOOP_HOLD_NS)
        return;
    loop->quiet_turn_ns = loop->quiet_kernel_ns = loop->hold_ns;
    loop->hold_ns = 0;
}

/* A loop that watches nothing of the kernel's has nothing to ask it for. */
uint64_t leat_loop_heard(const struct leat_loop *loop)
{
    bool asks_kernel = loop->waiter != NULL || loop->watch_count > 0;
    return asks_kernel && loop->quiet_kernel_ns < loop->quiet_turn_ns ? loop->quiet_kernel_ns
                                                                      : loop->quiet_turn_ns;
}

bool leat_loop_has_heard(struct leat_loop *loop, uint64_t deadline_ns)
{
    if (deadline_ns <= leat_loop_heard(loop))
        return true;
    if (loop->hold_ns == 0 && deadline_ns <= loop->now_ns) {
        loop->hold_ns = loop->now_ns;
        loop->hold_rounds = 0;
    }
    return false;
}

uint64_t leat_loop_turn_began(const struct leat_loop *loop)
{
    return loop->turn_ns;
}

/* Deadlines wait for what came before them.
 *
 * After a turn that was late (a long callback) or a sleep that was interrupted (SIGSTOP, a frozen
 * container) a peer's bytes may lie in a socket or a ring while the deadline that they meet has
 * passed already. So who times a peer asks leat_loop_has_heard(): the loop goes round, without
 * sleeping, until a round begun at the deadline or later has found nothing, but no longer than
 * LOOP_HOLD_ROUNDS rounds or LOOP_HOLD_NS. A round begins when the kernel was asked for what is
 * ready, or when the turn began, whichever was earlier. */
#include "runtime/loop/loop_internal.h"

/* After a poll that handled count events. */
void loop_note_heard(struct leat_loop *loop, unsigned count)
{
    bool asks_kernel = loop->waiter != NULL || loop->watch_count > 0;
    if (count == 0) {
        loop->heard_ns =
            asks_kernel && loop->kernel_ns < loop->turn_ns ? loop->kernel_ns : loop->turn_ns;
        loop->hold_ns = 0;
    } else if (loop->hold_ns != 0 && (++loop->hold_rounds >= LOOP_HOLD_ROUNDS ||
                                      loop->turn_ns - loop->hold_ns >= LOOP_HOLD_NS)) {
        loop->heard_ns = loop->hold_ns;
        loop->hold_ns = 0;
    }
}

bool leat_loop_has_heard(struct leat_loop *loop, uint64_t deadline_ns)
{
    if (likely(deadline_ns <= loop->heard_ns))
        return true;
    if (loop->hold_ns == 0 && deadline_ns <= loop->now_ns) {
        loop->hold_ns = loop->now_ns;
        loop->hold_rounds = 0;
    }
    return false;
}

uint64_t leat_loop_heard(const struct leat_loop *loop)
{
    return loop->heard_ns;
}

uint64_t leat_loop_turn_began(const struct leat_loop *loop)
{
    return loop->turn_ns;
}

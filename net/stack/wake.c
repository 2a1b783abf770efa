/* Whether a queue's interrupt is believed to come. */
#include "net/stack/wake.h"

#include <leat/log.h>

void wake_init(struct wake *w, const struct leat_port *port)
{
    static const uint8_t states[] = {
        [LEAT_WAKE_NAP] = WAKE_POLLED,
        [LEAT_WAKE_DEVICE] = WAKE_SURE,
        [LEAT_WAKE_INTERRUPT] = WAKE_ON_TRIAL,
    };
    *w = (struct wake){.state = states[port->info.wake], .proofs_wanted = 1};
}

bool wake_armed(struct wake *w, struct leat_port_nap *nap, uint64_t now_ns)
{
    if (!nap->is_claimed)
        return false;
    w->is_asleep = !nap->has_work;
    w->armed_ns = now_ns;
    uint64_t most_ns = w->state == WAKE_BELIEVED ? WAKE_LOOK_NS : WAKE_NAP_NS;
    if (nap->nap_ns_max > most_ns)
        nap->nap_ns_max = most_ns;
    return w->state != WAKE_BELIEVED;
}

void wake_disarmed(struct wake *w, bool has_fired, uint64_t now_ns)
{
    w->is_due = w->is_asleep && (has_fired || now_ns - w->armed_ns >= WAKE_SLEEP_NS);
    w->has_fired = has_fired;
    w->is_asleep = false;
}

static void wake_proved(struct wake *w)
{
    w->misses = 0;
    if (w->state == WAKE_BELIEVED || ++w->proofs < w->proofs_wanted)
        return;
    w->state = WAKE_BELIEVED;
    w->proofs = 0;
}

static void wake_missed(struct wake *w)
{
    w->proofs = 0;
    w->misses++;
    if (w->state == WAKE_BELIEVED && w->proofs_wanted < WAKE_PROOFS_MAX)
        w->proofs_wanted *= 2;
    if (w->state == WAKE_BELIEVED || w->misses >= WAKE_DEAF)
        w->state = WAKE_DISPROVED;
    if (w->misses < WAKE_DEAF || w->has_said)
        return;
    w->has_said = true;
    LEAT_LOG_WARN("the port's driver claims an interrupt for received frames, and frames came "
                  "without one: the loop looks for them every millisecond until it proves itself");
}

void wake_judge(struct wake *w, unsigned frame_count)
{
    if (!w->is_due)
        return;
    w->is_due = false;
    if (frame_count == 0)
        return;
    if (w->has_fired)
        wake_proved(w);
    else
        wake_missed(w);
}

/* What is believed of the port's offloads. */
#include "net/stack/offload.h"

#include <leat/log.h>

#include "net/stack/stack.h"

_Static_assert((LEAT_VERDICT_GOOD & 1) == 1 && (LEAT_VERDICT_NONE & 1) == 1 &&
                   (LEAT_VERDICT_BAD & 1) == 0 && (LEAT_VERDICT_UNKNOWN & 1) == 0,
               "odd verdicts accept");

static const struct {
    uint32_t can; /* enum leat_port_can */
    const char *what;
} offloads[OFFLOAD_COUNT] = {
#define LEAT_X(name, counter, bit, sentence) {bit, sentence},
    OFFLOADS(LEAT_X)
#undef LEAT_X
};

void offload_init(struct stack *s)
{
    for (unsigned i = 0; i < OFFLOAD_COUNT; i++)
        s->offloads[i].state = s->can & offloads[i].can ? OFFLOAD_ON_TRIAL : OFFLOAD_ABSENT;
}

/* Nothing was said of a packet that is right. */
static void note_silence(struct offload_belief *b)
{
    if (b->state == OFFLOAD_ON_TRIAL && ++b->unsaid >= OFFLOAD_TRIAL)
        b->state = OFFLOAD_SILENT;
}

static void offload_give_up(struct stack *s, enum offload which)
{
    s->offloads[which].state = OFFLOAD_GIVEN_UP;
    s->can &= ~offloads[which].can;
    if (which == OFFLOAD_TX_L4 && (s->can & LEAT_PORT_CAN_TSO)) /* which cannot be without it */
        offload_give_up(s, OFFLOAD_TSO);
    LEAT_LOG_WARN("the port's driver %s claims to be right about %s, and is not: software does "
                  "that from now on",
                  s->port->info.driver, offloads[which].what);
}

bool offload_judge(struct stack *s, enum offload which, unsigned verdict, enum offload_sum sum)
{
    struct offload_belief *b = &s->offloads[which];
    bool accepts = sum == SUM_RIGHT || (sum == SUM_PARTIAL && verdict == LEAT_VERDICT_NONE);
    if (verdict == LEAT_VERDICT_UNKNOWN && accepts)
        note_silence(b);
    if (verdict == LEAT_VERDICT_UNKNOWN || b->state == OFFLOAD_ABSENT ||
        b->state == OFFLOAD_GIVEN_UP)
        return accepts;
    b->unsaid = 0;
    if (b->state == OFFLOAD_SILENT)
        b->state = OFFLOAD_ON_TRIAL;
    if (accepts != (verdict != LEAT_VERDICT_BAD))
        offload_give_up(s, which);
    else if (b->state == OFFLOAD_ON_TRIAL && ++b->seen >= OFFLOAD_TRIAL)
        b->state = OFFLOAD_BELIEVED;
    return accepts;
}

void offload_worked(struct stack *s, enum offload which)
{
    struct offload_belief *b = &s->offloads[which];
    b->seen = 0;
    if (b->state == OFFLOAD_ON_TRIAL)
        b->state = OFFLOAD_BELIEVED;
}

void offload_failed(struct stack *s, enum offload which)
{
    struct offload_belief *b = &s->offloads[which];
    bool counts = b->state == OFFLOAD_ON_TRIAL ||
                  (b->state == OFFLOAD_BELIEVED && s->now_ns - b->evidence_ns >= OFFLOAD_APART_NS);
    if (!counts)
        return;
    b->evidence_ns = s->now_ns;
    if (++b->seen >= OFFLOAD_EVIDENCE)
        offload_give_up(s, which);
}

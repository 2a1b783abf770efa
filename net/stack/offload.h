/* What of the port's claims is believed: each feature is measured, and given up by itself.
 *
 * Receiving. The first OFFLOAD_TRIAL frames that the port has judged are summed in software too. A
 * verdict that proves wrong ends the belief in all verdicts of that kind: from then on software
 * judges. So it does at any time for frames that the port calls bad, which are rare unless it lies.
 * A port that claims to judge, and says nothing of OFFLOAD_TRIAL packets that have such a checksum,
 * is silent: software judges until it says something, which is on trial then.
 *
 * Sending. What has no payload (SYN, ACK, RST) is always summed in software, which costs less than
 * a deaf server. Data is summed by the port, and summed in software when it is sent again after a
 * second timeout; segments are cut by software when they are sent again. Where only such copies are
 * acknowledged, OFFLOAD_EVIDENCE times without one success in between, the feature is given up.
 * Evidence counts once in OFFLOAD_APART_NS, unless the feature never worked at all: the end of an
 * outage looks like it for as long as one round trip takes.
 *
 * One core's: another queue of the same port has its own beliefs. */
#ifndef LEAT_OFFLOAD_H
#define LEAT_OFFLOAD_H

#include <leat/defs.h>

#define OFFLOAD_TRIAL    64
#define OFFLOAD_EVIDENCE 3
#define OFFLOAD_APART_NS LEAT_NS_PER_S

#define OFFLOADS(X)                                                                                \
    X(RX_IP, "rx_ip", LEAT_PORT_CAN_RX_IP_CHECKSUM, "IPv4 header checksums of received packets")   \
    X(RX_L4, "rx_l4", LEAT_PORT_CAN_RX_L4_CHECKSUM, "TCP and UDP checksums of received packets")   \
    X(TX_L4, "tx_l4", LEAT_PORT_CAN_TX_L4_CHECKSUM, "TCP checksums of sent packets")               \
    X(TSO, "tso", LEAT_PORT_CAN_TSO, "cutting large segments")

enum offload {
#define LEAT_X(name, counter, can, what) OFFLOAD_##name,
    OFFLOADS(LEAT_X)
#undef LEAT_X
        OFFLOAD_COUNT
};

enum offload_state {
    OFFLOAD_ABSENT,   /* not claimed */
    OFFLOAD_ON_TRIAL, /* claimed */
    OFFLOAD_BELIEVED,
    OFFLOAD_GIVEN_UP,
    OFFLOAD_SILENT, /* claimed, and it never says */
};

struct offload_belief {
    uint8_t state;   /* enum offload_state */
    uint32_t seen;   /* right verdicts in a row; evidence against */
    uint32_t unsaid; /* right packets in a row that it did not judge */
    uint64_t evidence_ns;
};

/* What a checksum proved to be when it was summed. */
enum offload_sum { SUM_RIGHT, SUM_WRONG, SUM_PARTIAL /* it holds the pseudo header's sum */ };

struct stack;

void offload_init(struct stack *s);
/* Whether software must sum what the port has judged so (enum leat_verdict). */
static inline bool offload_doubts(const struct offload_belief *belief, unsigned verdict);
/* Takes note of what software found; returns whether the packet is accepted. */
bool offload_judge(struct stack *s, enum offload which, unsigned verdict, enum offload_sum sum);
/* Data that was sent once, with it, was acknowledged. */
void offload_worked(struct stack *s, enum offload which);
/* Data that was sent with it in vain was acknowledged after it was sent without. */
void offload_failed(struct stack *s, enum offload which);

static inline bool offload_doubts(const struct offload_belief *belief, unsigned verdict)
{
    /* LEAT_VERDICT_GOOD is 1, LEAT_VERDICT_NONE 3: offload.c asserts it */
    return belief->state != OFFLOAD_BELIEVED || (verdict & 1) == 0;
}

#endif

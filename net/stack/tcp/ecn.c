/* Explicit congestion notification, RFC 3168: routers mark (CE) instead of dropping, the receiver
 * echoes (ECE) until the sender says that it sent less (CWR). Agreed on in the handshake. */
#include "net/stack/tcp/tcp.h"

enum { IP_ECT_0 = 2, IP_CE = 3 };

bool tcp_ecn_is_asked(const struct stack_tcp *t, const struct tcp_segment *g)
{
    const uint8_t both = TCP_ECE | TCP_CWR;
    return t->stack->ecn != STACK_ECN_OFF && (g->flags & both) == both;
}

/* 6.1.1: a SYN-ACK answers with ECE alone (some peers send back whatever they got); the other SYN
 * of a simultaneous open asks as ours did. */
void tcp_ecn_on_syn(struct tcp_conn *c, const struct tcp_segment *g)
{
    uint8_t bits = g->flags & (TCP_ECE | TCP_CWR);
    bool is_agreed = bits == (g->flags & TCP_ACK ? TCP_ECE : TCP_ECE | TCP_CWR);
    c->ecn = (c->ecn & ECN_ASKED) && is_agreed ? ECN_ON : 0;
}

uint8_t tcp_ecn_syn_flags(const struct tcp_conn *c)
{
    if (c->state == TCP_SYN_SENT)
        return c->ecn & ECN_ASKED ? TCP_ECE | TCP_CWR : 0;
    return c->ecn & ECN_ON ? TCP_ECE : 0;
}

/* 6.1.2, 6.1.4, 6.1.5: only new text may be marked by routers; ACKs and retransmissions may not. */
uint8_t tcp_ecn_mark(struct tcp_conn *c, bool is_new_text, struct path *path)
{
    uint8_t flags = c->ecn & ECN_ECHO ? TCP_ECE : 0;
    if (is_new_text && (c->ecn & ECN_ON)) {
        path->tos |= IP_ECT_0;
        flags |= c->ecn & ECN_CWR ? TCP_CWR : 0;
        c->ecn &= (uint8_t)~ECN_CWR;
    }
    return flags;
}

/* 6.1.3, for text that lies in the window: CWR ends the echo, unless the same segment is marked. */
void tcp_ecn_on_text(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    if (g->flags & TCP_CWR)
        c->ecn &= (uint8_t)~ECN_ECHO;
    if (g->p->ecn != IP_CE)
        return;
    t->count.ce_received++;
    if (!(c->ecn & ECN_ECHO))
        c->flags |= TCP_ACK_NOW; /* the sooner it is known the shorter the queue */
    c->ecn |= ECN_ECHO;
}

/* 6.1.2: at most once for each window of data, and not for what was answered as a loss. */
void tcp_ecn_on_echo(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    struct tcp_work *w = c->work;
    bool is_answered = (c->ecn & ECN_CWR) || w->in_recovery || w->in_rto_recovery;
    if (!(c->ecn & ECN_ON) || (g->flags & TCP_SYN) || is_answered ||
        (w->has_ecn_end && !seq_gt(g->ack, w->rare.ecn_end)))
        return;
    cc_ecn(t, c);
    tcp_rare(w)->ecn_end = c->snd_nxt;
    w->has_ecn_end = true;
    w->can_undo = false; /* RFC 4015 3.2: this time the network said so itself */
    t->count.ecn_reductions++;
    tcp_ecn_reduced(c);
}

void tcp_ecn_reduced(struct tcp_conn *c)
{
    if (c->ecn & ECN_ON)
        c->ecn |= ECN_CWR;
}

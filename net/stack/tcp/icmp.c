/* ICMP errors about segments of ours, RFC 5927 and RFC 9293 3.9.2.2. */
#include "net/stack/tcp/tcp.h"

static void too_big(struct stack_tcp *t, struct tcp_conn *c, uint32_t mtu_bytes)
{
    struct stack *s = t->stack;
    if (mtu_bytes == 0) /* a router from before RFC 1191 */
        mtu_bytes = c->mtu_bytes > 1492 ? 1492 : c->mtu_bytes > 1006 ? 1006 : 576;
    pmtu_learn(s, &c->remote, mtu_bytes);
    uint16_t mtu = pmtu_of(s, &c->remote), old = c->mss;
    if (mtu >= c->mtu_bytes)
        return;
    c->mtu_bytes = mtu;
    tcp_update_mss(c);
    t->count.icmp_too_big++;
    for (struct tcp_sent *r = c->work->sent_first; r != NULL; r = r->next) {
        if ((r->flags & SENT_SACKED) || (seq_span(r->from, r->to) <= c->mss && old <= c->mss))
            continue;
        r->flags &= ~(uint32_t)(SENT_BY_PORT | SENT_CUT_BY_PORT); /* it is not to blame */
        tcp_mark_lost(c->work, r);
    }
    tcp_dirty(c);
}

void tcp_icmp(struct stack *s, const struct icmp_report *report)
{
    struct stack_tcp *t = s->tcp;
    const struct tcp_header *h = (const void *)report->l4;
    struct tcp_flow flow = {report->src, report->dst, h->src_port, h->dst_port};
    uint32_t hash = table_hash(&t->table, &flow);
    uint32_t reference = table_find(&t->table, hash, &flow, tcp_matches, t);
    struct tcp_conn *c = table_kind(reference) == KIND_CONN
                             ? slots_address(&t->conns, table_index(reference))
                             : NULL;
    seq32 seq = seq_get(h->seq);
    if (c == NULL || c->work == NULL || seq_lt(seq, c->snd_una) || seq_ge(seq, c->snd_nxt)) {
        stack_drop(s, STACK_DROP_ICMP_QUOTE);
        return;
    }
    bool v6 = report->is_v6, is_big = v6 ? report->type == ICMPV6_TOO_BIG
                                         : report->type == ICMP_UNREACHABLE && report->code == 4;
    bool unreachable = v6 ? report->type == ICMPV6_UNREACHABLE : report->type == ICMP_UNREACHABLE;
    if (is_big) {
        too_big(t, c, report->mtu_bytes);
    } else if (unreachable && c->state == TCP_SYN_SENT) {
        bool is_port = report->code == (v6 ? 4 : ICMP_CODE_PORT) ||
                       (!v6 && report->code == ICMP_CODE_PROTOCOL);
        tcp_conn_close(t, c, is_port ? LEAT_CLOSE_REFUSED : LEAT_CLOSE_UNREACHABLE);
    }
    /* on a synchronised connection hard errors are soft: RFC 5927 5.2 */
}

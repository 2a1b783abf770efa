/* Another key for the table of flows, when somebody makes chains in it (table.h). Every flow is
 * hashed anew, at once: only who knows the key can make that happen, and nobody knows the next. */
#include "net/stack/tcp/tcp.h"

#define AGAIN_MS 10000 /* not more often: it costs a pass over all flows */

static void flow_insert(struct stack_tcp *t, uint32_t *hash, const void *flow, uint32_t reference)
{
    struct tcp_flow f;
    memcpy(&f, flow, sizeof(f)); /* local, remote and ports lie together in all three kinds */
    *hash = table_hash(&t->table, &f);
    CHECK(table_insert(&t->table, *hash, reference) == 0);
}

static void insert_all(struct stack_tcp *t)
{
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        if (c != NULL && c->state != TCP_CLOSED)
            flow_insert(t, &c->hash, &c->local, table_reference(KIND_CONN, i));
    }
    for (uint32_t i = 0; i < TCP_EMBRYOS_MAX; i++) {
        struct tcp_embryo *e = &t->embryos[i];
        if (e->listener != NULL)
            flow_insert(t, &e->hash, &e->local, table_reference(KIND_EMBRYO, i));
    }
    for (uint32_t number = t->time_wait_first; number != 0;) {
        struct tcp_time_wait *tw = &t->time_waits[number - 1];
        flow_insert(t, &tw->hash, &tw->local, table_reference(KIND_TIME_WAIT, number - 1));
        number = tw->next;
    }
}

/* Between bursts, whose segments carry hashes. */
void tcp_rekey(struct stack_tcp *t)
{
    uint32_t count = t->table.count;
    uint64_t key[4];
    if (t->count.rekeys > 0 && t->now_ms - t->rekeyed_ms < AGAIN_MS)
        return;
    for (unsigned i = 0; i < 4; i++)
        key[i] = stack_random(t->stack);
    t->rekeyed_ms = t->now_ms;
    t->count.rekeys++;
    if (table_rekey(&t->table, key) < 0)
        return; /* slow, but right */
    insert_all(t);
    CHECK(t->table.count == count);
}

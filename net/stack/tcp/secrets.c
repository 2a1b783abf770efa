/* What only we know of a flow: where its numbers and its timestamps begin. */
#include "net/stack/tcp/tcp.h"

#include "runtime/base/siphash.h"

uint64_t tcp_flow_secret(struct stack_tcp *t, const struct tcp_flow *flow, uint64_t purpose)
{
    const struct siphash_key key = {{t->stack->seed[0], t->stack->seed[1] ^ purpose}};
    return siphash(&key, flow, sizeof(*flow));
}

/* RFC 6528 3: a clock of 4 us and a secret offset for each flow. */
seq32 tcp_initial_seq(struct stack_tcp *t, const struct tcp_flow *flow)
{
    return (seq32){(uint32_t)(tcp_flow_secret(t, flow, 1) + (t->stack->now_ns >> 12))};
}

/* RFC 7323 5.4: timestamps tell nothing of the uptime. */
uint32_t tcp_ts_offset(struct stack_tcp *t, const struct tcp_flow *flow)
{
    return (uint32_t)tcp_flow_secret(t, flow, 2);
}

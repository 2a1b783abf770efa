/* What only we know of a flow: where its numbers and its timestamps begin. */
#include "net/stack/tcp/tcp.h"

#include "runtime/base/siphash.h"

#define ISN_TICK_SHIFT 6 /* of nanoseconds */

uint64_t tcp_flow_secret(struct stack_tcp *t, const struct tcp_flow *flow, uint64_t purpose)
{
    const struct siphash_key key = {{t->stack->seed[0], t->stack->seed[1] ^ purpose}};
    return siphash(&key, flow, sizeof(*flow));
}

/* RFC 6528 3: a clock and a secret offset for each flow. A tick is 64 ns, not the 4 us of RFC 9293
 * 3.4.1: the clock must be ahead of what the flow's last connection sent (decision 19). */
seq32 tcp_initial_seq(struct stack_tcp *t, const struct tcp_flow *flow, uint64_t now_ns)
{
    return (seq32){(uint32_t)(tcp_flow_secret(t, flow, 1) + (now_ns >> ISN_TICK_SHIFT))};
}

/* RFC 7323 5.4: timestamps tell nothing of the uptime. */
uint32_t tcp_ts_offset(struct stack_tcp *t, const struct tcp_flow *flow)
{
    return (uint32_t)tcp_flow_secret(t, flow, 2);
}

/* Path MTUs smaller than the link's (RFC 1191, 8201). */
#include "net/stack/stack.h"

uint16_t pmtu_of(const struct stack *s, const struct ip_addr *dst)
{
    for (unsigned i = 0; i < PMTU_MAX; i++)
        if (s->pmtu[i].mtu_bytes != 0 && s->pmtu[i].until_ns > s->now_ns &&
            ip_addr_equal(&s->pmtu[i].dst, dst))
            return s->pmtu[i].mtu_bytes;
    return s->mtu_bytes;
}

/* RFC 1191 6.3 and RFC 8201 4: never grows by a message, is forgotten after ten minutes. */
void pmtu_learn(struct stack *s, const struct ip_addr *dst, uint32_t mtu_bytes)
{
    uint32_t floor = ip_addr_is_v4(dst) ? PMTU_IPV4_MIN : 1280;
    uint32_t mtu = mtu_bytes < floor ? floor : mtu_bytes;
    if (mtu >= pmtu_of(s, dst))
        return;
    struct pmtu_entry *to = &s->pmtu[0];
    for (unsigned i = 0; i < PMTU_MAX; i++) {
        struct pmtu_entry *e = &s->pmtu[i];
        if (e->mtu_bytes != 0 && ip_addr_equal(&e->dst, dst)) {
            to = e;
            break;
        }
        if (e->until_ns < to->until_ns)
            to = e;
    }
    *to = (struct pmtu_entry){*dst, (uint16_t)mtu, s->now_ns + 600 * LEAT_NS_PER_S};
}

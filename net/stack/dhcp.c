/* The DHCP client: its states and timers (RFC 2131). */
#include "net/stack/dhcp.h"

#include <errno.h>

#include "buffers/heap.h"

#define START_NS_MAX     (250 * LEAT_NS_PER_MS) /* so that a rack does not ask as one */
#define RETRY_NS_FIRST   (4 * LEAT_NS_PER_S)    /* RFC 2131 4.1: doubled, with a second's jitter */
#define RETRY_NS_MAX     (64 * LEAT_NS_PER_S)
#define REQUEST_TRIES    4                    /* then the server is gone: begin anew */
#define REBOOT_TRIES     3                    /* then the lease goes on as it was: RFC 2131 3.2 */
#define EXTEND_NS_MIN    (60 * LEAT_NS_PER_S) /* RFC 2131 4.4.5 */
#define REFUSED_WAIT_NS  LEAT_NS_PER_S /* after a NAK, so that two who disagree do not race */
#define DECLINED_WAIT_NS (10 * LEAT_NS_PER_S) /* RFC 2131 3.1 */
#define MTU_BYTES_MIN_V4 576
#define MTU_BYTES_MIN_V6 1280

/* ---- the address ---- */

static struct ip_addr lease_ip(const struct dhcp_lease *lease)
{
    return ip_addr_v4(lease->ip);
}

static bool stack_has_v6(const struct stack *s)
{
    for (uint32_t i = 0; i < s->addr_count; i++)
        if (!ip_addr_is_v4(&s->addrs[i].ip))
            return true;
    return false;
}

static void lease_mtu_set(struct stack *s, const struct dhcp_lease *lease)
{
    uint16_t floor = stack_has_v6(s) ? MTU_BYTES_MIN_V6 : MTU_BYTES_MIN_V4;
    uint16_t mtu = lease->mtu_bytes < floor ? floor : lease->mtu_bytes;
    s->mtu_leased_bytes = lease->mtu_bytes != 0 ? mtu : 0;
    stack_mtu_update(s);
}

static struct stack_route lease_route(const struct dhcp_route *r)
{
    struct stack_route route = {.net = ip_addr_v4(r->net),
                                .prefix_bits = (uint8_t)(96 + r->prefix_bits),
                                .owners = ROUTE_LEASED};
    if (r->gateway.raw != 0)
        route.gateway = ip_addr_v4(r->gateway);
    return route;
}

static void lease_routes_add(struct stack *s, const struct dhcp_lease *lease)
{
    for (unsigned i = 0; i < lease->route_count; i++) {
        struct stack_route r = lease_route(&lease->routes[i]);
        /* A full table leaves routes out; the address serves all the same. */
        (void)route_add(s, &r);
    }
}

static void lease_routes_remove(struct stack *s, const struct dhcp_lease *lease)
{
    for (unsigned i = 0; i < lease->route_count; i++) {
        struct stack_route r = lease_route(&lease->routes[i]);
        route_remove(s, &r);
    }
}

int dhcp_lease_apply(struct stack *s, const struct dhcp_lease *lease)
{
    struct ip_addr ip = lease_ip(lease);
    int result = stack_add_leased(s, &ip, lease->prefix_bits, ADDR_AT_ONCE);
    const struct stack_addr *a = addr_find(s, &ip);
    if (a == NULL || !a->is_leased) /* no room, or --ip gives it too */
        return result;
    addr_set_lease_end(s, &ip, lease->until_ns);
    lease_routes_add(s, lease);
    lease_mtu_set(s, lease);
    return 0;
}

void dhcp_lease_remove(struct stack *s, const struct dhcp_lease *lease)
{
    struct ip_addr ip = lease_ip(lease);
    const struct stack_addr *a = addr_find(s, &ip);
    lease_routes_remove(s, lease);
    if (a != NULL && a->is_leased)
        stack_remove_address(s, &ip);
    s->mtu_leased_bytes = 0;
    stack_mtu_update(s);
}

/* ---- sending ---- */

static void request_send(struct dhcp *d, const struct dhcp_request *request, struct path *path)
{
    struct stack *s = d->stack;
    struct leat_packet *packet = tx_reserve(s, TX_CONTROL);
    if (packet == NULL)
        return; /* it is sent again */
    struct udp_header h = {
        .src_port = be16_put(DHCP_CLIENT_PORT),
        .dst_port = be16_put(DHCP_SERVER_PORT),
        .length = be16_put((uint16_t)(sizeof(h) + DHCP_REQUEST_BYTES)),
    };
    uint8_t *at = tx_l4(s, packet, &path->dst);
    memcpy(at, &h, sizeof(h));
    dhcp_request_write(request, at + sizeof(h));
    packet->head_bytes = (uint16_t)(at + sizeof(h) + DHCP_REQUEST_BYTES - packet->head);
    s->count.udp_tx++;
    ip_output(s, packet, path, IP_UDP, offsetof(struct udp_header, checksum));
}

_Static_assert(18 + sizeof(struct ipv4_header) + sizeof(struct udp_header) + DHCP_REQUEST_BYTES <=
                   LEAT_PORT_HEAD_BYTES,
               "a request fits into a packet's head");

/* RFC 2131 4.3.6 table 4: which message says what. */
static void server_ask(struct dhcp *d, enum dhcp_type type)
{
    struct stack *s = d->stack;
    static const be32 none;
    bool is_bound = d->state == DHCP_RENEWING || d->state == DHCP_REBINDING;
    bool is_named = type == DHCP_DECLINE || (type == DHCP_REQUEST && !is_bound);
    uint64_t seconds = (s->now_ns - d->began_ns) / LEAT_NS_PER_S;
    struct dhcp_request request = {.type = (uint8_t)type,
                                   .xid = d->xid,
                                   .seconds = (uint16_t)(seconds > 65535 ? 65535 : seconds),
                                   .mac = s->mac,
                                   .client = is_bound ? d->lease.ip : none,
                                   .asked = is_named ? d->lease.ip : none,
                                   .server = is_named && d->state != DHCP_REBOOTING
                                                 ? d->lease.server
                                                 : none,
                                   .broadcast = !is_bound};
    struct ip_addr all = ip_addr_v4(be32_put(UINT32_MAX)), server = ip_addr_v4(d->lease.server);
    struct ip_addr ours = ip_addr_v4(request.client);
    struct path path = {.src = ours,
                        .dst = all,
                        .hop = all,
                        .mtu_bytes = s->mtu_bytes,
                        .hop_limit = s->hop_limit};
    if (d->state == DHCP_RENEWING && path_find(s, &ours, &server, &path) < 0)
        return;
    request_send(d, &request, &path);
}

/* ---- timers ---- */

static void client_due(struct dhcp *d, uint64_t at_ns)
{
    d->next_ns = at_ns;
    if (at_ns < d->stack->slow_next_ns)
        d->stack->slow_next_ns = at_ns;
}

static void client_due_in(struct dhcp *d, uint64_t ns)
{
    client_due(d, d->stack->now_ns + ns);
}

/* RFC 2131 4.1: 4, 8, 16, 32, 64 seconds, each plus or minus up to one. */
static void client_due_retry(struct dhcp *d)
{
    uint64_t ns = RETRY_NS_FIRST << (d->tries < 4 ? d->tries : 4);
    ns = ns < RETRY_NS_MAX ? ns : RETRY_NS_MAX;
    d->tries++;
    client_due_in(d, ns - LEAT_NS_PER_S + stack_random(d->stack) % (2 * LEAT_NS_PER_S));
}

static void client_begin(struct dhcp *d, uint64_t wait_ns)
{
    d->state = DHCP_INIT;
    d->tries = 0;
    client_due_in(d, wait_ns);
}

/* Whatever time was left is counted from when the request was sent (RFC 2131 4.4.5). */
static uint64_t lease_end(const struct dhcp *d, uint32_t seconds)
{
    return seconds == UINT32_MAX ? STACK_NEVER : d->requested_ns + seconds * LEAT_NS_PER_S;
}

static void lease_times_start(struct dhcp *d)
{
    d->renew_ns = lease_end(d, d->lease.renew_s);
    d->rebind_ns = lease_end(d, d->lease.rebind_s);
    d->expires_ns = lease_end(d, d->lease.lease_s);
    struct ip_addr ip = lease_ip(&d->lease);
    d->lease.until_ns = d->expires_ns;
    addr_set_lease_end(d->stack, &ip, d->expires_ns);
    d->state = DHCP_BOUND;
    client_due(d, d->renew_ns);
}

/* The address goes, and what came with it. */
static void lease_lose(struct dhcp *d, uint64_t wait_ns)
{
    bool was_told = d->state >= DHCP_BOUND;
    if (!was_told)
        d->lease.route_count = 0; /* not applied yet */
    dhcp_lease_remove(d->stack, &d->lease);
    if (was_told)
        d->on_change(d->arg, NULL);
    client_begin(d, wait_ns);
}

static void lease_decline(struct dhcp *d)
{
    uint8_t state = d->state;
    d->state = DHCP_PROBING; /* the message is one of a client without an address */
    server_ask(d, DHCP_DECLINE);
    d->state = state;
    lease_lose(d, DECLINED_WAIT_NS);
}

/* RFC 2131 4.4.5: half of what is left, at least a minute, at most until the next state. */
static void lease_extend(struct dhcp *d, enum dhcp_state state, uint64_t until_ns)
{
    uint64_t now = d->stack->now_ns, left = until_ns - now, wait = left / 2;
    if (d->state != state) {
        d->state = (uint8_t)state;
        d->xid = (uint32_t)stack_random(d->stack);
        d->began_ns = d->requested_ns = now;
    }
    server_ask(d, DHCP_REQUEST);
    wait = wait < EXTEND_NS_MIN ? EXTEND_NS_MIN : wait;
    client_due_in(d, wait < left ? wait : left);
}

/* RFC 2131 4.4.2: INIT-REBOOT, by a client that may have come to another network. */
static void lease_verify(struct dhcp *d)
{
    uint64_t now = d->stack->now_ns;
    if (now >= d->expires_ns || d->tries == REBOOT_TRIES) {
        d->state = DHCP_BOUND;
        client_due(d, now < d->renew_ns ? d->renew_ns : now);
        return;
    }
    server_ask(d, DHCP_REQUEST);
    client_due_retry(d);
    if (d->next_ns > d->expires_ns)
        client_due(d, d->expires_ns);
}

static void server_select(struct dhcp *d)
{
    if (d->state == DHCP_INIT) {
        d->state = DHCP_SELECTING;
        d->xid = (uint32_t)stack_random(d->stack);
        d->began_ns = d->stack->now_ns;
    }
    server_ask(d, DHCP_DISCOVER);
    client_due_retry(d);
}

static void lease_request(struct dhcp *d)
{
    if (d->tries == REQUEST_TRIES) {
        client_begin(d, 0);
        return;
    }
    server_ask(d, DHCP_REQUEST);
    client_due_retry(d);
}

/* The probes say whether somebody has the address; addr_tick sends them. */
static void address_look(struct dhcp *d)
{
    struct ip_addr ip = lease_ip(&d->lease);
    const struct stack_addr *a = addr_find(d->stack, &ip);
    if (a != NULL && a->state == ADDR_DUPLICATE) {
        lease_decline(d);
    } else if (d->state == DHCP_PROBING && a != NULL && a->state == ADDR_VALID) {
        lease_routes_add(d->stack, &d->lease);
        lease_mtu_set(d->stack, &d->lease);
        lease_times_start(d);
        d->on_change(d->arg, &d->lease);
    }
}

static void client_step(struct dhcp *d)
{
    uint64_t now = d->stack->now_ns;
    switch ((enum dhcp_state)d->state) {
    case DHCP_INIT:
    case DHCP_SELECTING:
        server_select(d);
        break;
    case DHCP_REQUESTING:
        lease_request(d);
        break;
    case DHCP_PROBING:
        client_due(d, STACK_NEVER);
        break;
    case DHCP_REBOOTING:
        lease_verify(d);
        break;
    case DHCP_BOUND:
    case DHCP_RENEWING:
    case DHCP_REBINDING:
        if (now >= d->expires_ns)
            lease_lose(d, 0);
        else if (now >= d->rebind_ns)
            lease_extend(d, DHCP_REBINDING, d->expires_ns);
        else if (now >= d->renew_ns)
            lease_extend(d, DHCP_RENEWING, d->rebind_ns);
        else
            client_due(d, d->renew_ns);
    }
}

uint64_t dhcp_tick(struct stack *s)
{
    struct dhcp *d = s->dhcp;
    if (d == NULL)
        return STACK_NEVER;
    if (s->now_ns < d->next_ns)
        return d->next_ns;
    if (d->state >= DHCP_PROBING)
        address_look(d);
    if (s->now_ns >= d->next_ns)
        client_step(d);
    return d->next_ns;
}

void dhcp_expire(struct stack *s)
{
    struct dhcp *d = s->dhcp;
    if (d != NULL && d->state >= DHCP_PROBING && s->now_ns >= d->expires_ns)
        lease_lose(d, 0);
}

void dhcp_link_up(struct stack *s)
{
    struct dhcp *d = s->dhcp;
    if (d == NULL || d->state == DHCP_PROBING)
        return;
    if (d->state < DHCP_PROBING) {
        client_begin(d, stack_random(s) % START_NS_MAX);
        return;
    }
    d->state = DHCP_REBOOTING;
    d->tries = 0;
    d->xid = (uint32_t)stack_random(s);
    d->began_ns = d->requested_ns = s->now_ns;
    client_due(d, s->now_ns);
}

void dhcp_address_changed(struct stack *s)
{
    if (s->dhcp != NULL)
        client_due(s->dhcp, s->now_ns);
}

/* ---- receiving ---- */

static void on_offer(struct dhcp *d, const struct dhcp_lease *lease)
{
    d->lease = *lease;
    d->state = DHCP_REQUESTING;
    d->tries = 0;
    d->requested_ns = d->stack->now_ns;
    lease_request(d);
}

static void on_granted(struct dhcp *d, const struct dhcp_lease *lease)
{
    struct ip_addr ip = lease_ip(lease);
    d->lease = *lease;
    d->state = DHCP_PROBING;
    client_due(d, STACK_NEVER);
    d->expires_ns = lease_end(d, lease->lease_s);
    int result = stack_add_leased(d->stack, &ip, lease->prefix_bits, ADDR_PROBED);
    if (result < 0)
        client_begin(d, DECLINED_WAIT_NS); /* no room, or --ip gives it too */
    else
        addr_set_lease_end(d->stack, &ip, d->expires_ns);
}

/* The address stays, or, where the server moves us, another comes. */
static void on_extended(struct dhcp *d, const struct dhcp_lease *lease)
{
    struct dhcp_lease old = d->lease;
    if (!be32_equal(old.ip, lease->ip) || old.prefix_bits != lease->prefix_bits) {
        lease_lose(d, 0);
        d->requested_ns = d->stack->now_ns;
        on_granted(d, lease);
        return;
    }
    lease_routes_remove(d->stack, &old);
    d->lease = *lease;
    lease_routes_add(d->stack, lease);
    lease_mtu_set(d->stack, lease);
    lease_times_start(d);
    d->on_change(d->arg, lease);
}

static void on_reply(struct dhcp *d, const struct dhcp_reply *reply)
{
    bool is_chosen = be32_equal(reply->lease.server, d->lease.server);
    bool is_extending = d->state > DHCP_BOUND;
    if (d->state == DHCP_SELECTING && reply->type == DHCP_OFFER)
        on_offer(d, &reply->lease);
    else if (d->state == DHCP_REQUESTING && reply->type == DHCP_ACK && is_chosen)
        on_granted(d, &reply->lease);
    else if (d->state == DHCP_REQUESTING && reply->type == DHCP_NAK && is_chosen)
        client_begin(d, REFUSED_WAIT_NS);
    else if (is_extending && reply->type == DHCP_ACK)
        on_extended(d, &reply->lease);
    else if (is_extending && reply->type == DHCP_NAK)
        lease_lose(d, REFUSED_WAIT_NS);
}

void dhcp_input(struct stack *s, const struct rx_packet *p)
{
    struct dhcp *d = s->dhcp;
    struct dhcp_reply reply;
    const struct udp_header *h = (const void *)p->data;
    if (be16_get(h->src_port) != DHCP_SERVER_PORT ||
        !dhcp_reply_parse(&reply, p->data + sizeof(*h), p->length_bytes - sizeof(*h))) {
        stack_drop(s, STACK_DROP_DHCP_MALFORMED);
        return;
    }
    if (reply.xid != d->xid || memcmp(&reply.mac, &s->mac, sizeof(s->mac)) != 0) {
        stack_drop(s, STACK_DROP_DHCP_OTHER);
        return;
    }
    on_reply(d, &reply);
}

/* ---- life ---- */

int dhcp_start(struct stack *s, void (*on_change)(void *arg, const struct dhcp_lease *lease),
               void *arg, struct leat_error *error)
{
    if (s->link_kind != LEAT_LINK_ETHERNET)
        return leat_fail(error, -EINVAL, "DHCP needs an Ethernet link: give the address instead");
    struct dhcp *d = leat_heap_calloc(1, sizeof(*d));
    if (d == NULL)
        return leat_fail(error, -ENOMEM, "no memory for a DHCP client");
    d->stack = s;
    d->on_change = on_change;
    d->arg = arg;
    s->dhcp = d;
    client_begin(d, stack_random(s) % START_NS_MAX);
    return 0;
}

void dhcp_stop(struct stack *s)
{
    leat_heap_free(s->dhcp);
    s->dhcp = NULL;
}

/* DHCP messages, read and written (RFC 2131, 2132, 3396, 3442). */
#include "net/stack/dhcp_message.h"

#define MAGIC         UINT32_C(0x63825363)
#define CONCAT_MAX    512 /* bytes of one option in all its parts (RFC 3396) */
#define MTU_BYTES_MIN 68  /* RFC 2132 5.1 */

enum {
    BOOTREQUEST = 1,
    BOOTREPLY = 2,
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ROUTERS = 3,
    OPTION_DNS = 6,
    OPTION_MTU = 26,
    OPTION_ASKED = 50,
    OPTION_LEASE = 51,
    OPTION_OVERLOAD = 52,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_WANTED = 55,
    OPTION_SIZE_MAX = 57,
    OPTION_RENEW = 58,
    OPTION_REBIND = 59,
    OPTION_CLIENT = 61,
    OPTION_ROUTES = 121,
    OPTION_END = 255,
};

/* RFC 2131 figure 1. */
struct header {
    uint8_t op, htype, hlen, hops;
    be32 xid;
    be16 seconds, flags;
    be32 client, your, next, relay;
    uint8_t mac[16], sname[64], file[128];
    be32 magic;
} WIRE_PACKED;

/* ---- options ---- */

struct field {
    const uint8_t *at;
    size_t length;
};

/* The options, and the fields that option 52 lends them (RFC 2132 9.3), in RFC 3396's order. */
struct options {
    struct field fields[3];
    unsigned count;
};

struct value {
    uint8_t bytes[CONCAT_MAX];
    size_t length;
    bool is_there, is_broken;
};

/* Every option lies within the field, and its end is marked. */
static bool field_is_valid(const struct field *f)
{
    for (size_t at = 0; at < f->length;) {
        if (f->at[at] == OPTION_END)
            return true;
        if (f->at[at] == OPTION_PAD) {
            at++;
            continue;
        }
        if (f->length - at < 2 || f->at[at + 1] > f->length - at - 2)
            return false;
        at += 2u + f->at[at + 1];
    }
    return false;
}

static void value_append(struct value *v, const uint8_t *bytes, size_t length)
{
    v->is_there = true;
    if (length > sizeof(v->bytes) - v->length) {
        v->is_broken = true;
        return;
    }
    memcpy(v->bytes + v->length, bytes, length);
    v->length += length;
}

/* All parts of an option, one behind the other. */
static struct value value_of(const struct options *o, uint8_t code)
{
    struct value v = {.length = 0};
    for (unsigned i = 0; i < o->count; i++) {
        const struct field *f = &o->fields[i];
        for (size_t at = 0; f->at[at] != OPTION_END;) {
            if (f->at[at] == OPTION_PAD) {
                at++;
                continue;
            }
            if (f->at[at] == code)
                value_append(&v, f->at + at + 2, f->at[at + 1]);
            at += 2u + f->at[at + 1];
        }
    }
    return v;
}

/* A borrowed field that cannot be read is left out, like an option that is wrong. */
static void options_borrow(struct options *o, const uint8_t *at, size_t length)
{
    const struct field field = {at, length};
    if (field_is_valid(&field))
        o->fields[o->count++] = field;
}

static bool options_find(struct options *o, const struct header *h, size_t length)
{
    o->fields[0] = (struct field){(const uint8_t *)(h + 1), length - sizeof(*h)};
    o->count = 1;
    if (!field_is_valid(&o->fields[0]))
        return false;
    struct value overload = value_of(o, OPTION_OVERLOAD);
    if (overload.length != 1 || overload.bytes[0] > 3)
        return true;
    if (overload.bytes[0] & 1)
        options_borrow(o, h->file, sizeof(h->file));
    if (overload.bytes[0] & 2)
        options_borrow(o, h->sname, sizeof(h->sname));
    return true;
}

enum option_found { OPTION_ABSENT, OPTION_READ, OPTION_WRONG };

/* *to is left as it is unless OPTION_READ. */
static enum option_found read_u32(const struct options *o, uint8_t code, uint32_t *to)
{
    struct value v = value_of(o, code);
    be32 x;
    if (!v.is_there)
        return OPTION_ABSENT;
    if (v.is_broken || v.length != sizeof(x))
        return OPTION_WRONG;
    memcpy(&x, v.bytes, sizeof(x));
    *to = be32_get(x);
    return OPTION_READ;
}

/* The addresses of a list, at most max; 0: there is none, or it is no list. */
static uint8_t read_addresses(const struct options *o, uint8_t code, be32 *to, unsigned max)
{
    struct value v = value_of(o, code);
    uint8_t count = 0;
    if (v.is_broken || v.length % sizeof(*to) != 0)
        return 0;
    for (size_t at = 0; at < v.length && count < max; at += sizeof(*to))
        memcpy(&to[count++], v.bytes + at, sizeof(*to));
    return count;
}

/* ---- what they mean ---- */

static bool is_host_address(uint32_t ip, unsigned prefix_bits)
{
    uint32_t top = ip >> 24, host = prefix_bits < 32 ? UINT32_MAX >> prefix_bits : 0;
    if (top == 0 || top == 127 || top >= 224)
        return false;
    /* RFC 3021: a /31 has no network and no broadcast address */
    return prefix_bits >= 31 || ((ip & host) != 0 && (ip & host) != host);
}

/* RFC 950: without a mask the class of the address decides. */
static void read_prefix(const struct options *o, struct dhcp_lease *lease)
{
    uint32_t ip = be32_get(lease->ip), mask = 0;
    bool is_mask =
        read_u32(o, OPTION_MASK, &mask) == OPTION_READ && mask != 0 && (~mask & (~mask + 1)) == 0;
    lease->prefix_bits = is_mask         ? (uint8_t)__builtin_popcount(mask)
                         : ip >> 31 == 0 ? 8
                         : ip >> 30 == 2 ? 16
                                         : 24;
}

static void lease_add_route(struct dhcp_lease *lease, be32 net, uint8_t prefix_bits, be32 gateway)
{
    if (lease->route_count < DHCP_ROUTES_MAX)
        lease->routes[lease->route_count++] = (struct dhcp_route){net, gateway, prefix_bits};
}

/* RFC 3442: width, as many octets of the net as it needs, router. False: no list of such. */
static bool classless_is_valid(const struct value *v)
{
    size_t at = 0;
    while (at < v->length && v->bytes[at] <= 32)
        at += 1u + (v->bytes[at] + 7u) / 8u + 4u;
    return !v->is_broken && v->length > 0 && at == v->length;
}

static void read_classless(struct dhcp_lease *lease, const struct value *v)
{
    for (size_t at = 0; at < v->length;) {
        uint8_t bits = v->bytes[at], net[4] = {0};
        size_t octets = (bits + 7u) / 8u;
        memcpy(net, v->bytes + at + 1, octets);
        be32 raw, gateway;
        memcpy(&raw, net, sizeof(raw));
        memcpy(&gateway, v->bytes + at + 1 + octets, sizeof(gateway));
        uint32_t kept = bits == 0 ? 0 : be32_get(raw) & ~(bits < 32 ? UINT32_MAX >> bits : 0);
        lease_add_route(lease, be32_put(kept), bits, gateway);
        at += 1 + octets + 4;
    }
}

/* RFC 3442: where classless routes are given the routers are ignored. */
static void read_routes(const struct options *o, struct dhcp_lease *lease)
{
    struct value v = value_of(o, OPTION_ROUTES);
    be32 router;
    if (classless_is_valid(&v))
        read_classless(lease, &v);
    else if (read_addresses(o, OPTION_ROUTERS, &router, 1) > 0 && router.raw != 0)
        lease_add_route(lease, (be32){0}, 0, router);
}

/* RFC 2131 4.4.5: T1 is half of the lease and T2 seven eighths where they are not said, or wrong.
 * False: nobody knows how long the lease is. */
static bool read_times(const struct options *o, struct dhcp_lease *lease)
{
    if (read_u32(o, OPTION_LEASE, &lease->lease_s) != OPTION_READ || lease->lease_s == 0)
        return false;
    if (lease->lease_s == UINT32_MAX) {
        lease->renew_s = lease->rebind_s = UINT32_MAX;
        return true;
    }
    (void)read_u32(o, OPTION_RENEW, &lease->renew_s);
    (void)read_u32(o, OPTION_REBIND, &lease->rebind_s);
    if (lease->rebind_s == 0 || lease->rebind_s >= lease->lease_s)
        lease->rebind_s = (uint32_t)((uint64_t)lease->lease_s * 7 / 8);
    if (lease->renew_s == 0 || lease->renew_s >= lease->rebind_s)
        lease->renew_s =
            lease->lease_s / 2 < lease->rebind_s ? lease->lease_s / 2 : lease->rebind_s / 2;
    return true;
}

static void read_mtu(const struct options *o, struct dhcp_lease *lease)
{
    struct value v = value_of(o, OPTION_MTU);
    be16 mtu;
    if (v.is_broken || v.length != sizeof(mtu))
        return;
    memcpy(&mtu, v.bytes, sizeof(mtu));
    if (be16_get(mtu) >= MTU_BYTES_MIN)
        lease->mtu_bytes = be16_get(mtu);
}

static bool read_lease(const struct options *o, const struct header *h, struct dhcp_lease *lease)
{
    lease->ip = h->your;
    read_prefix(o, lease);
    read_routes(o, lease);
    read_mtu(o, lease);
    lease->dns_count = read_addresses(o, OPTION_DNS, lease->dns, DHCP_DNS_MAX);
    return is_host_address(be32_get(lease->ip), lease->prefix_bits) && read_times(o, lease);
}

bool dhcp_reply_parse(struct dhcp_reply *reply, const uint8_t *bytes, size_t length_bytes)
{
    const struct header *h = (const void *)bytes;
    struct options o;
    if (length_bytes <= sizeof(*h) || h->op != BOOTREPLY || h->htype != 1 || h->hlen != 6 ||
        be32_get(h->magic) != MAGIC || !options_find(&o, h, length_bytes))
        return false;
    *reply = (struct dhcp_reply){.xid = be32_get(h->xid)};
    memcpy(reply->mac.b, h->mac, sizeof(reply->mac.b));
    struct value type = value_of(&o, OPTION_TYPE);
    uint32_t server = 0;
    if (type.length != 1 || read_u32(&o, OPTION_SERVER, &server) != OPTION_READ ||
        !is_host_address(server, 32))
        return false;
    reply->type = type.bytes[0];
    reply->lease.server = be32_put(server);
    if (reply->type == DHCP_NAK)
        return true;
    return (reply->type == DHCP_OFFER || reply->type == DHCP_ACK) &&
           read_lease(&o, h, &reply->lease);
}

/* ---- requests ---- */

static uint8_t *option_put(uint8_t *to, uint8_t code, const void *bytes, uint8_t length)
{
    to[0] = code;
    to[1] = length;
    memcpy(to + 2, bytes, length);
    return to + 2 + length;
}

void dhcp_request_write(const struct dhcp_request *request, uint8_t to[DHCP_REQUEST_BYTES])
{
    static const uint8_t wanted[] = {OPTION_MASK, OPTION_ROUTES, OPTION_ROUTERS, OPTION_DNS,
                                     OPTION_MTU,  OPTION_LEASE,  OPTION_RENEW,   OPTION_REBIND};
    struct header h = {.op = BOOTREQUEST,
                       .htype = 1,
                       .hlen = 6,
                       .xid = be32_put(request->xid),
                       .seconds = be16_put(request->seconds),
                       .flags = be16_put(request->broadcast ? 0x8000 : 0),
                       .client = request->client,
                       .magic = be32_put(MAGIC)};
    uint8_t client[7] = {1}; /* RFC 2132 9.14: hardware type and address */
    be16 size_max = be16_put(1500 - 28);
    memcpy(h.mac, request->mac.b, sizeof(request->mac.b));
    memcpy(client + 1, request->mac.b, sizeof(request->mac.b));
    memset(to, 0, DHCP_REQUEST_BYTES);
    memcpy(to, &h, sizeof(h));
    uint8_t *at = option_put(to + sizeof(h), OPTION_TYPE, &request->type, 1);
    at = option_put(at, OPTION_CLIENT, client, sizeof(client));
    if (request->asked.raw != 0)
        at = option_put(at, OPTION_ASKED, &request->asked, 4);
    if (request->server.raw != 0)
        at = option_put(at, OPTION_SERVER, &request->server, 4);
    if (request->type == DHCP_DISCOVER || request->type == DHCP_REQUEST) {
        at = option_put(at, OPTION_SIZE_MAX, &size_max, 2);
        at = option_put(at, OPTION_WANTED, wanted, sizeof(wanted));
    }
    *at = OPTION_END;
}

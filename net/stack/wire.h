/* What lies on the wire: byte order and sequence numbers as types of their own, header layouts, the
 * Internet checksum. Pure; any thread.
 *
 * A be16 or be32 is a struct, so that a raw comparison or a forgotten swap does not compile; so is
 * a seq32, whose order is that of RFC 9293 3.4, modulo 2^32. Header structs have alignment 1: they
 * are laid over received bytes wherever those begin. */
#ifndef LEAT_WIRE_H
#define LEAT_WIRE_H

#include <string.h>

#include <leat/defs.h>

#define WIRE_PACKED __attribute__((packed))

typedef struct be16 {
    uint16_t raw;
} WIRE_PACKED be16;

typedef struct be32 {
    uint32_t raw;
} WIRE_PACKED be32;

static inline uint16_t be16_get(be16 x)
{
    return __builtin_bswap16(x.raw);
}
static inline be16 be16_put(uint16_t x)
{
    return (be16){__builtin_bswap16(x)};
}
static inline uint32_t be32_get(be32 x)
{
    return __builtin_bswap32(x.raw);
}
static inline be32 be32_put(uint32_t x)
{
    return (be32){__builtin_bswap32(x)};
}
/* Two that lie side by side, as they lie. */
static inline be32 be16_pair(be16 first, be16 second)
{
    return (be32){first.raw | (uint32_t)second.raw << 16};
}
static inline uint64_t be32_pair(be32 first, be32 second)
{
    return first.raw | (uint64_t)second.raw << 32;
}
static inline bool be16_equal(be16 a, be16 b)
{
    return a.raw == b.raw;
}
static inline bool be32_equal(be32 a, be32 b)
{
    return a.raw == b.raw;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "be16 and be32 swap unconditionally");

/* ---- sequence numbers, RFC 9293 3.4 ---- */

typedef struct seq32 {
    uint32_t n;
} seq32;

static inline int32_t seq_diff(seq32 a, seq32 b) /* a - b */
{
    return (int32_t)(a.n - b.n);
}
static inline bool seq_lt(seq32 a, seq32 b)
{
    return seq_diff(a, b) < 0;
}
static inline bool seq_le(seq32 a, seq32 b)
{
    return seq_diff(a, b) <= 0;
}
static inline bool seq_gt(seq32 a, seq32 b)
{
    return seq_diff(a, b) > 0;
}
static inline bool seq_ge(seq32 a, seq32 b)
{
    return seq_diff(a, b) >= 0;
}
static inline bool seq_eq(seq32 a, seq32 b)
{
    return a.n == b.n;
}
static inline seq32 seq_add(seq32 a, uint32_t bytes)
{
    return (seq32){a.n + bytes};
}
static inline seq32 seq_sub(seq32 a, uint32_t bytes)
{
    return (seq32){a.n - bytes};
}
static inline seq32 seq_max(seq32 a, seq32 b)
{
    return seq_lt(a, b) ? b : a;
}
static inline seq32 seq_min(seq32 a, seq32 b)
{
    return seq_lt(a, b) ? a : b;
}
/* The bytes from low up to high; high must not be before low. */
static inline uint32_t seq_span(seq32 low, seq32 high)
{
    return high.n - low.n;
}
static inline seq32 seq_get(be32 x)
{
    return (seq32){be32_get(x)};
}
static inline be32 seq_put(seq32 x)
{
    return be32_put(x.n);
}

/* ---- addresses: one form, IPv4 as ::ffff:a.b.c.d ---- */

struct ip_addr {
    uint8_t b[16];
};

struct mac_addr {
    uint8_t b[6];
};

static inline bool ip_addr_equal(const struct ip_addr *x, const struct ip_addr *y)
{
    return memcmp(x->b, y->b, sizeof(x->b)) == 0;
}
static inline bool ip_addr_is_v4(const struct ip_addr *x)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(x->b, mapped, sizeof(mapped)) == 0;
}
static inline struct ip_addr ip_addr_v4(be32 x)
{
    struct ip_addr a = {{0}};
    uint64_t half = be32_pair(be32_put(0xffff), x);
    memcpy(a.b + 8, &half, sizeof(half));
    return a;
}
static inline be32 ip_addr_get_v4(const struct ip_addr *x)
{
    be32 v4;
    memcpy(&v4, x->b + 12, sizeof(v4));
    return v4;
}
static inline bool ip_addr_is_any(const struct ip_addr *x) /* 0.0.0.0 or :: */
{
    static const struct ip_addr zero;
    return ip_addr_equal(x, &zero) || (ip_addr_is_v4(x) && ip_addr_get_v4(x).raw == 0);
}
static inline bool ip_addr_is_multicast(const struct ip_addr *x)
{
    return ip_addr_is_v4(x) ? (x->b[12] & 0xf0) == 0xe0 : x->b[0] == 0xff;
}
static inline bool ip_addr_is_link_local(const struct ip_addr *x) /* fe80::/10 */
{
    return x->b[0] == 0xfe && (x->b[1] & 0xc0) == 0x80;
}
static inline bool ip_addr_in(const struct ip_addr *x, const struct ip_addr *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(x->b, net->b, whole) != 0)
        return false;
    return rest == 0 || ((x->b[whole] ^ net->b[whole]) >> (8 - rest)) == 0;
}

/* ---- headers ---- */

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_VLAN = 0x8100 };
enum { ETHERTYPE_IPV6 = 0x86dd };

struct eth_header {
    struct mac_addr dst, src;
    be16 type;
} WIRE_PACKED;

struct vlan_tag { /* behind eth_header when its type is ETHERTYPE_VLAN */
    be16 tci;
    be16 type;
} WIRE_PACKED;

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp_packet { /* Ethernet and IPv4 */
    be16 hardware, protocol;
    uint8_t hardware_bytes, protocol_bytes;
    be16 operation;
    struct mac_addr sender_mac;
    be32 sender_ip;
    struct mac_addr target_mac;
    be32 target_ip;
} WIRE_PACKED;

enum { IP_ICMP = 1, IP_IGMP = 2, IP_TCP = 6, IP_UDP = 17, IP_ICMPV6 = 58 };
enum { IPV6_HOP_BY_HOP = 0, IPV6_ROUTING = 43, IPV6_FRAGMENT = 44 };
enum { IPV6_NO_NEXT = 59, IPV6_DESTINATION = 60 };
enum { IPV4_DF = 0x4000, IPV4_MF = 0x2000, IPV4_OFFSET = 0x1fff };
enum { ECN_NOT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

struct ipv4_header {
    uint8_t version_ihl;
    uint8_t tos;
    be16 length;
    be16 id;
    be16 fragment; /* flags and offset in eights */
    uint8_t ttl;
    uint8_t protocol;
    be16 checksum;
    be32 src, dst;
} WIRE_PACKED;

struct ipv6_header {
    be32 version_class_flow;
    be16 length; /* behind this header */
    uint8_t next;
    uint8_t hop_limit;
    struct ip_addr src, dst;
} WIRE_PACKED;

struct ipv6_fragment {
    uint8_t next;
    uint8_t reserved;
    be16 offset; /* in eights in the upper 13 bits, M in the lowest */
    be32 id;
} WIRE_PACKED;

struct icmp_header {
    uint8_t type, code;
    be16 checksum;
    be32 rest; /* identifier and sequence; unused and MTU; pointer */
} WIRE_PACKED;

enum { ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO = 8, ICMP_TIME_EXCEEDED = 11 };
enum { ICMP_CODE_PROTOCOL = 2, ICMP_CODE_PORT = 3, ICMP_CODE_FRAGMENTATION_NEEDED = 4 };
enum { ICMP_PARAMETER = 12 };
enum { ICMPV6_UNREACHABLE = 1, ICMPV6_TOO_BIG = 2, ICMPV6_TIME_EXCEEDED = 3, ICMPV6_PARAMETER = 4 };
enum { ICMPV6_ECHO = 128, ICMPV6_ECHO_REPLY = 129 };
enum { MLD_QUERY = 130, MLD_REPORT = 131 };
enum { ND_ROUTER_SOLICIT = 133, ND_ROUTER_ADVERT = 134, ND_SOLICIT = 135, ND_ADVERT = 136 };
enum { ND_OPTION_SOURCE_MAC = 1, ND_OPTION_TARGET_MAC = 2, ND_OPTION_PREFIX = 3 };
enum { ND_OPTION_MTU = 5 };

struct nd_neighbour { /* solicitation or advertisement; icmp.rest: flags R, S, O on top */
    struct icmp_header icmp;
    struct ip_addr target;
} WIRE_PACKED;

struct udp_header {
    be16 src_port, dst_port, length, checksum;
} WIRE_PACKED;

enum {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_PSH = 8,
    TCP_ACK = 16,
    TCP_URG = 32,
    TCP_ECE = 64,
    TCP_CWR = 128,
};

struct tcp_header {
    be16 src_port, dst_port;
    be32 seq, ack;
    uint8_t offset; /* header length in words, in the upper four bits */
    uint8_t flags;
    be16 window, checksum, urgent;
} WIRE_PACKED;

_Static_assert(sizeof(struct eth_header) == 14 && sizeof(struct arp_packet) == 28, "layout");
_Static_assert(sizeof(struct ipv4_header) == 20 && sizeof(struct ipv6_header) == 40, "layout");
_Static_assert(sizeof(struct icmp_header) == 8 && sizeof(struct tcp_header) == 20, "layout");
_Static_assert(_Alignof(struct tcp_header) == 1, "laid over bytes at any address");

/* What is read again at once, to be summed, is written by the very words that are read: a load from
 * several stores waits until they all have come to the cache. 20 bytes: an IPv4 or TCP header. */
struct wire_words {
    uint64_t a, b;
    be32 c;
};

static inline struct wire_words wire_load(const void *header)
{
    struct wire_words w;
    memcpy(&w.a, header, 8);
    memcpy(&w.b, (const uint8_t *)header + 8, 8);
    memcpy(&w.c, (const uint8_t *)header + 16, 4);
    return w;
}
static inline void wire_store(void *header, struct wire_words w)
{
    memcpy(header, &w.a, 8);
    memcpy((uint8_t *)header + 8, &w.b, 8);
    memcpy((uint8_t *)header + 16, &w.c, 4);
}

/* ---- the Internet checksum, RFC 1071 ---- */

/* A running sum of 16-bit words as they lie in memory (the sum does not depend on byte order),
 * not yet folded. Start with CSUM_ZERO. */
typedef struct csum {
    uint64_t sum;
} csum;

#define CSUM_ZERO ((csum){0})

/* Adds length_bytes at data, which stand at an even offset of what is summed. */
csum csum_add(csum sum, const void *data, size_t length_bytes);

/* Copies length_bytes and sums them on the way. The places do not overlap. */
csum csum_copy(void *to, const void *from, size_t length_bytes);

static inline csum csum_words(struct wire_words w)
{
    return (csum){(w.a & 0xffffffff) + (w.a >> 32) + (w.b & 0xffffffff) + (w.b >> 32) + w.c.raw};
}

/* Adds a sum taken on its own over bytes that stand at offset_bytes, odd ones included. */
csum csum_append(csum sum, csum part, size_t offset_bytes);

/* The pseudo header of RFC 9293 3.1 or RFC 8200 8.1. */
csum csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol,
                 uint32_t length_bytes);

/* Folds to the 16 bits that are written in the header (complemented), or checked: a sum over bytes
 * that include a right checksum finishes as 0. */
static inline be16 csum_finish(csum sum)
{
    uint64_t s = (sum.sum & 0xffffffff) + (sum.sum >> 32);
    s = (s & 0xffff) + ((s >> 16) & 0xffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (be16){(uint16_t)~s};
}

/* The folded sum, not complemented: what a NIC wants to find in the field when it is to finish. */
static inline be16 csum_seed(csum sum)
{
    return (be16){(uint16_t)~csum_finish(sum).raw};
}

/* RFC 1624 equation 3: the checksum after one word of what it covers changed. */
be16 csum_replace16(be16 checksum, be16 from, be16 to);
be16 csum_replace32(be16 checksum, be32 from, be32 to);

#endif

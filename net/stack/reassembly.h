/* Datagrams that come in fragments. */
#ifndef LEAT_STACK_REASSEMBLY_H
#define LEAT_STACK_REASSEMBLY_H

#include "net/stack/wire.h"

#define REASM_MAX        32            /* datagrams; the oldest is dropped for a newer one */
#define REASM_BYTES_MAX  (1024 * 1024) /* buffers of all */
#define REASM_RANGES_MAX 64            /* fragments of one: a 64 KiB datagram at MTU 1280 */

struct rx_packet;
struct stack;

struct reasm_range {
    uint16_t from, to;
};

struct reasm {
    struct ip_addr src, dst;
    uint32_t id;
    uint8_t protocol;
    bool used;
    bool first_seen;
    bool is_marked; /* CE: RFC 3168 5.3 */
    uint16_t range_count;
    uint32_t total_bytes; /* 0: the last fragment has not come */
    uint32_t capacity_bytes;
    uint8_t *bytes; /* heap: IP header of the first fragment's room, then payload */
    uint64_t deadline_ns;
    struct reasm_range ranges[REASM_RANGES_MAX]; /* sorted, disjoint, not adjacent */
    uint8_t quote[80]; /* the first fragment's beginning: header, and for time exceeded messages */
    uint16_t quote_bytes, header_bytes;
};

struct reasm_table {
    struct reasm entries[REASM_MAX];
    uint32_t bytes;
    uint64_t next_ns;
};

struct fragment {
    uint32_t offset_bytes, id;
    uint8_t protocol;
    bool more;
};
/* Takes a fragment whose payload is p->data; true when p has become the whole datagram. */
bool reasm_input(struct stack *s, struct rx_packet *p, const struct fragment *f);
void reasm_fini(struct stack *s);
uint64_t reasm_tick(struct stack *s);

#endif

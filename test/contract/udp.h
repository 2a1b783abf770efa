/* What the tests of U1 to U18 share: a socket of ours that notes all it is told, and its peers. */
#ifndef CONTRACT_UDP_H
#define CONTRACT_UDP_H

#include "contract.h"

#define UDP_NOTED_MAX 4096

struct socket_record {
    struct world *w;
    leat_udp udp;
    struct leat_addr addr;
    unsigned calls, datagrams, writables, errors, closes;
    size_t bytes;
    enum leat_close_reason reason, error_reason;
    struct leat_addr from, to, error_peer; /* of the last */
    uint8_t *last;
    size_t last_length;
    uint32_t lengths[UDP_NOTED_MAX];
    uint64_t hash; /* of all bytes, in order */
    bool is_inside;
    void (*on_datagrams)(struct socket_record *r, const struct leat_datagram *d, unsigned count);
    void (*on_writable)(struct socket_record *r);
    void (*on_close)(struct socket_record *r);
    struct leat_buf held[64];
    unsigned held_count;
};

extern const struct leat_udp_ops socket_record_ops;

struct socket_record *udp_bind(struct world *w, const struct leat_addr *addr,
                               const struct leat_udp_options *options);
struct socket_record *udp_connect(struct world *w, const struct leat_addr *to);
/* Closes it, and waits for on_close. */
void udp_free(struct socket_record *r);

void udp_send_pattern(struct socket_record *r, const struct leat_addr *to, size_t length,
                      unsigned seed);
void udp_peer_send_pattern(struct world *w, struct udp_peer *peer, const struct leat_addr *to,
                           size_t length, unsigned seed);
/* Turns the loop until the peer has a datagram; checks that it is that pattern. */
void udp_peer_expect(struct world *w, struct udp_peer *peer, struct leat_addr *from, size_t length,
                     unsigned seed);
bool udp_is_pattern(const uint8_t *bytes, size_t length, unsigned seed);

#endif

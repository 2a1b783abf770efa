/* A stack alone, below TCP: frames in, frames out, time by hand. For targets that want tens of
 * thousands of runs a second: the loop under it is made once, the stack for each input anew. */
#ifndef TEST_FUZZ_NET_LONE_H
#define TEST_FUZZ_NET_LONE_H

#include "net/stack/stack.h"
#include "test/script/frame.h"

#define LONE_SENT_MAX   128
#define LONE_SENT_BYTES 2048

struct lone_sent {
    uint32_t length;
    uint8_t bytes[LONE_SENT_BYTES];
};

struct lone {
    struct leat_port port; /* first */
    struct stack s;
    struct ends v4, v6;
    uint64_t now_ns;
    const uint8_t *in; /* the frame that poll gives */
    uint32_t in_bytes;
    uint32_t lent_count, head_count;
    uint32_t sent_count; /* since lone_begin; the first LONE_SENT_MAX are kept */
    struct lone_sent sent[LONE_SENT_MAX];
};

/* The host's: 10.0.0.1/24, fd00::1/64, fe80::1/64; the peer's end in .2. */
struct lone *lone_begin(bool autoconfigure, bool probe);
/* One frame, in memory of exactly its size; its answers are in sent. */
void lone_input(struct lone *l, const void *bytes, size_t length_bytes);
/* Time passes, at most 64 timers run. */
void lone_pass(struct lone *l, uint64_t duration_ns);
/* Ends the stack; every buffer must be back. */
void lone_end(struct lone *l);
void lone_validate(struct lone *l);
uint64_t lone_drops(const struct lone *l); /* all reasons together */
/* 0x45 or a plain IPv6 header before it, checksums right. */
void lone_ip(struct lone *l, bool v6, uint8_t protocol, const void *payload, size_t length_bytes);

/* Reads the input from its front; zeros behind its end. */
struct bytes {
    const uint8_t *at;
    size_t left;
};
static inline uint8_t bytes_take(struct bytes *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}
static inline uint16_t bytes_take16(struct bytes *in)
{
    uint8_t high = bytes_take(in);
    return (uint16_t)(high << 8 | bytes_take(in));
}

#endif

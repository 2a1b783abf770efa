/* TCP options: RFC 9293 3.1, 7323, 2018. */
#include "net/stack/tcp/tcp.h"

enum { KIND_END = 0, KIND_NOP = 1, KIND_MSS = 2, KIND_SCALE = 3, KIND_SACK_OK = 4, KIND_SACK = 5 };
enum { KIND_TS = 8 };

static uint32_t read_u32(const uint8_t *at)
{
    be32 x;
    memcpy(&x, at, sizeof(x));
    return be32_get(x);
}

static uint8_t *write_u32(uint8_t *at, uint32_t x)
{
    be32 value = be32_put(x);
    memcpy(at, &value, sizeof(value));
    return at + 4;
}

/* An option of a known kind with another length than its own is skipped, as if unknown. */
static void parse_one(struct tcp_segment *g, const uint8_t *at)
{
    uint8_t length = at[1];
    if (at[0] == KIND_TS && length == 10) {
        g->has_ts = true;
        g->ts_value = read_u32(at + 2);
        g->ts_echo = read_u32(at + 6);
    } else if (at[0] == KIND_SACK && length >= 10 && (length - 2) % 8 == 0) {
        g->sack_count = (uint8_t)((length - 2) / 8 < 4 ? (length - 2) / 8 : 4);
        for (unsigned i = 0; i < g->sack_count; i++) {
            g->sack[i][0].n = read_u32(at + 2 + 8 * i);
            g->sack[i][1].n = read_u32(at + 6 + 8 * i);
        }
    } else if (!(g->flags & TCP_SYN)) {
        return;
    } else if (at[0] == KIND_MSS && length == 4) {
        g->mss = (uint16_t)(at[2] << 8 | at[3]);
    } else if (at[0] == KIND_SCALE && length == 3) {
        g->has_scale = true;
        g->scale = at[2] < TCP_SCALE_MAX ? at[2] : TCP_SCALE_MAX; /* RFC 7323 2.3 */
    } else if (at[0] == KIND_SACK_OK && length == 2) {
        g->sack_ok = true;
    }
}

/* False: truncated, or a length below 2, the classic endless loop. */
bool tcp_parse_options(struct tcp_segment *g)
{
    const uint8_t *at = g->options;
    unsigned left = g->option_bytes;
    while (left > 0 && at[0] != KIND_END) {
        if (at[0] == KIND_NOP) {
            at++;
            left--;
            continue;
        }
        if (left < 2 || at[1] < 2 || at[1] > left)
            return false;
        parse_one(g, at);
        left -= at[1];
        at += at[1];
    }
    return true;
}

static uint8_t *put_ts(uint8_t *at, uint32_t value, uint32_t echo)
{
    *at++ = KIND_TS;
    *at++ = 10;
    return write_u32(write_u32(at, value), echo);
}

unsigned tcp_write_syn_options(uint8_t *to, uint16_t mss, int scale, bool sack, bool ts,
                               uint32_t value, uint32_t echo)
{
    uint8_t *at = to;
    *at++ = KIND_MSS;
    *at++ = 4;
    *at++ = (uint8_t)(mss >> 8);
    *at++ = (uint8_t)mss;
    if (sack || ts) {
        *at++ = sack ? KIND_SACK_OK : KIND_NOP;
        *at++ = sack ? 2 : KIND_NOP;
        if (ts) {
            at = put_ts(at, value, echo);
        } else {
            *at++ = KIND_NOP;
            *at++ = KIND_NOP;
        }
    }
    if (scale >= 0) {
        *at++ = KIND_NOP;
        *at++ = KIND_SCALE;
        *at++ = 3;
        *at++ = (uint8_t)scale;
    }
    return (unsigned)(at - to);
}

static uint8_t *put_block(uint8_t *at, seq32 from, seq32 to)
{
    return write_u32(write_u32(at, from.n), to.n);
}

struct block {
    seq32 from, to;
};

/* Contiguous ranges from *rx on, as one; *rx: what follows them. */
static struct block read_block(const struct tcp_rx **rx)
{
    struct block b = {(*rx)->seq, seq_add((*rx)->seq, (*rx)->length_bytes)};
    while ((*rx = (*rx)->next) != NULL && seq_eq((*rx)->seq, b.to))
        b.to = seq_add(b.to, (*rx)->length_bytes);
    return b;
}

/* Whether a block that has at is known; it is added to those that are there. */
static bool block_add(const struct tcp_work *w, seq32 at, struct block *blocks, unsigned *count)
{
    for (unsigned i = 0; i < *count; i++)
        if (seq_le(blocks[i].from, at) && seq_lt(at, blocks[i].to))
            return false;
    for (const struct tcp_rx *rx = w->ooo_first; rx != NULL && seq_le(rx->seq, at);) {
        struct block b = read_block(&rx);
        if (seq_lt(at, b.to)) {
            blocks[(*count)++] = b;
            return true;
        }
    }
    return false;
}

/* RFC 2018 4 and RFC 2883: the duplicate first, then the ranges that grew last, each in as many
 * ACKs as there is room for blocks, then others. */
static uint8_t *put_sack(struct tcp_work *w, uint8_t *at, unsigned blocks_max)
{
    struct tcp_rare *rare = &w->rare;
    struct block blocks[4];
    unsigned count = 0, kept = 0, most = blocks_max - w->has_dsack;
    for (unsigned i = 0; i < rare->grown_count; i++) /* those that have gone are forgotten */
        if (count == most || block_add(w, rare->grown[i], blocks, &count))
            rare->grown[kept++] = rare->grown[i];
    for (const struct tcp_rx *rx = w->ooo_first; rx != NULL && count < most;) {
        seq32 first = rx->seq;
        (void)read_block(&rx);
        (void)block_add(w, first, blocks, &count);
    }
    rare->grown_count = (uint8_t)kept;
    at[0] = at[1] = KIND_NOP;
    at[2] = KIND_SACK;
    at[3] = (uint8_t)(2 + 8 * (count + w->has_dsack));
    at += 4;
    if (w->has_dsack)
        at = put_block(at, rare->dsack_from, rare->dsack_to);
    for (unsigned i = 0; i < count; i++)
        at = put_block(at, blocks[i].from, blocks[i].to);
    return at;
}

unsigned tcp_write_ts(uint8_t *to, uint32_t value, uint32_t echo)
{
    static const be32 kind = {KIND_NOP | KIND_NOP << 8 | KIND_TS << 16 | 10 << 24};
    uint64_t first = be32_pair(kind, be32_put(value));
    memcpy(to, &first, sizeof(first));
    write_u32(to + sizeof(first), echo);
    return 12;
}

unsigned tcp_write_options(const struct stack_tcp *t, struct tcp_conn *c, uint8_t *to)
{
    uint8_t *at = to;
    if (c->flags & TCP_USES_TS)
        at += tcp_write_ts(at, t->now_ms + c->ts_offset, c->ts_recent);
    struct tcp_work *w = c->work;
    if (unlikely(w != NULL && (w->ooo_first != NULL || w->has_dsack))) {
        if (c->flags & TCP_USES_SACK)
            at = put_sack(w, at, c->flags & TCP_USES_TS ? 3 : 4);
        w->has_dsack = false;
    }
    return (unsigned)(at - to);
}

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

/* RFC 2018 4 and RFC 2883: the duplicate first, then the range that grew last, then others. */
static uint8_t *put_sack(const struct tcp_work *w, uint8_t *at, unsigned blocks_max)
{
    uint8_t *length = at + 3;
    unsigned count = 0;
    at[0] = at[1] = KIND_NOP;
    at[2] = KIND_SACK;
    at += 4;
    if (w->has_dsack) {
        at = put_block(at, w->rare.dsack_from, w->rare.dsack_to);
        count++;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        const struct tcp_rx *rx = w->ooo_first;
        while (rx != NULL && count < blocks_max) {
            seq32 from = rx->seq, to = seq_add(rx->seq, rx->length_bytes);
            for (rx = rx->next; rx != NULL && seq_eq(rx->seq, to); rx = rx->next)
                to = seq_add(to, rx->length_bytes);
            bool is_last = seq_le(from, w->rare.last_ooo) && seq_lt(w->rare.last_ooo, to);
            if (is_last == (pass == 0)) {
                at = put_block(at, from, to);
                count++;
            }
        }
    }
    *length = (uint8_t)(2 + 8 * count);
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
    if (unlikely(w != NULL && (w->ooo_first != NULL || w->has_dsack)) &&
        (c->flags & TCP_USES_SACK)) {
        at = put_sack(w, at, c->flags & TCP_USES_TS ? 3 : 4);
        w->has_dsack = false;
    }
    return (unsigned)(at - to);
}

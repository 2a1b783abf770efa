/* TCP options against a slow reference, which first lists the options and then looks each one up;
 * and what the writer makes, read again. */
#include <leat/check.h>
#include <string.h>

#include "net/stack/tcp/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

struct listed {
    uint8_t kind, length;
    const uint8_t *value;
};

/* RFC 9293 3.1: the list of kinds, or -1: it is broken. */
static int list_options(const uint8_t *data, size_t size, struct listed *to)
{
    int count = 0;
    for (size_t i = 0; i < size;) {
        if (data[i] == 0)
            return count;
        if (data[i] == 1) {
            i++;
            continue;
        }
        if (i + 1 == size)
            return -1;
        size_t length = data[i + 1];
        if (length == 0 || length == 1 || i + length > size)
            return -1;
        to[count++] = (struct listed){data[i], (uint8_t)length, data + i + 2};
        i += length;
    }
    return count;
}

/* The last one of a kind with one of the lengths from min to max in steps counts. */
static const struct listed *last_of(const struct listed *list, int count, uint8_t kind,
                                    unsigned min, unsigned max)
{
    for (int i = count - 1; i >= 0; i--)
        if (list[i].kind == kind && list[i].length >= min && list[i].length <= max &&
            (list[i].length - min) % 8 == 0)
            return &list[i];
    return NULL;
}

static uint32_t number(const uint8_t *at, unsigned bytes)
{
    uint32_t x = 0;
    while (bytes-- > 0)
        x = x * 256 + *at++;
    return x;
}

static void check(const struct tcp_segment *g, const struct listed *list, int count)
{
    bool syn = g->flags & TCP_SYN;
    const struct listed *ts = last_of(list, count, 8, 10, 10);
    const struct listed *mss = syn ? last_of(list, count, 2, 4, 4) : NULL;
    const struct listed *scale = syn ? last_of(list, count, 3, 3, 3) : NULL;
    const struct listed *sack = last_of(list, count, 5, 10, 34);
    LEAT_CHECK(g->has_ts == (ts != NULL) && g->has_scale == (scale != NULL));
    LEAT_CHECK(g->sack_ok == (syn && last_of(list, count, 4, 2, 2) != NULL));
    LEAT_CHECK(ts == NULL ||
               (g->ts_value == number(ts->value, 4) && g->ts_echo == number(ts->value + 4, 4)));
    LEAT_CHECK(g->mss == (mss != NULL ? number(mss->value, 2) : 0));
    LEAT_CHECK(scale == NULL || g->scale == (*scale->value > 14 ? 14 : *scale->value));
    unsigned blocks = sack != NULL ? sack->length / 8u : 0;
    LEAT_CHECK(g->sack_count == blocks);
    for (unsigned i = 0; i < 2 * blocks; i++)
        LEAT_CHECK(g->sack[i / 2][i % 2].n == number(sack->value + 4 * i, 4));
}

/* What we write, our parser and the reference read alike. */
static void check_writer(const uint8_t *data)
{
    uint8_t options[40];
    struct listed list[40];
    int scale = data[0] % 16 - 1;
    bool sack = data[1] & 1, ts = data[1] & 2;
    uint16_t mss = (uint16_t)number(data + 2, 2);
    unsigned bytes = tcp_write_syn_options(options, mss, scale, sack, ts, number(data + 4, 4),
                                           number(data + 8, 4));
    struct tcp_segment g = {.flags = TCP_SYN, .options = options, .option_bytes = (uint8_t)bytes};
    LEAT_CHECK(bytes % 4 == 0 && bytes <= 40 && tcp_parse_options(&g));
    check(&g, list, list_options(options, bytes, list));
    LEAT_CHECK(g.mss == mss && g.sack_ok == sack && g.has_ts == ts && g.has_scale == (scale >= 0));
    LEAT_CHECK(!g.has_scale || g.scale == scale);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    struct listed list[40];
    if (length_bytes >= 12)
        check_writer(data);
    if (length_bytes < 1 || length_bytes > 41)
        return 0;
    size_t size = length_bytes - 1;
    int count = list_options(data + 1, size, list);
    struct tcp_segment g = {.flags = data[0], .options = data + 1, .option_bytes = (uint8_t)size};
    LEAT_CHECK(tcp_parse_options(&g) == (count >= 0));
    if (count >= 0)
        check(&g, list, count);
    return 0;
}

/* UTF-8: validated, decoded in pieces with U+FFFD for what is wrong. */
#include "buffers/codec_internal.h"

#define ASCII_HIGH_BITS UINT64_C(0x8080808080808080)

/* The first byte at or behind at that is not ASCII. */
static const uint8_t *ascii_end(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 16) {
        uint64_t words[2];
        memcpy(words, at, sizeof(words));
        if (((words[0] | words[1]) & ASCII_HIGH_BITS) != 0)
            break;
        at += 16;
    }
    while (at < end && *at < 0x80)
        at++;
    return at;
}

/* What may follow a first byte (RFC 3629 4): how many bytes, and the bounds of the second; those of
 * later ones are 80 to BF. */
struct utf8_lead {
    uint8_t needed, lower, upper;
};

/* needed 0: no sequence begins so. */
static struct utf8_lead lead_of(uint8_t byte)
{
    if (byte < 0xc2 || byte > 0xf4)
        return (struct utf8_lead){0, 0, 0};
    if (byte < 0xe0)
        return (struct utf8_lead){1, 0x80, 0xbf};
    if (byte < 0xf0)
        return (struct utf8_lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    return (struct utf8_lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
}

unsigned utf8_sequence(const uint8_t *at, const uint8_t *end, uint32_t *character)
{
    if (at == end)
        return 0;
    if (*at < 0x80) {
        *character = *at;
        return 1;
    }
    struct utf8_lead lead = lead_of(*at);
    if (lead.needed == 0 || end - at <= lead.needed || at[1] < lead.lower || at[1] > lead.upper)
        return 0;
    uint32_t bits = (uint32_t)(*at & (0x3f >> lead.needed)) << 6 | (at[1] & 0x3fu);
    for (unsigned i = 2; i <= lead.needed; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        bits = bits << 6 | (at[i] & 0x3fu);
    }
    *character = bits;
    return lead.needed + 1u;
}

unsigned utf8_put(uint32_t character, uint8_t *at, const uint8_t *end)
{
    unsigned count = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t marks[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    if ((size_t)(end - at) < count)
        return 0;
    for (unsigned i = count - 1; i > 0; i--, character >>= 6)
        at[i] = (uint8_t)(0x80 | (character & 0x3f));
    at[0] = (uint8_t)(marks[count] | character);
    return count;
}

size_t leat_utf8_validate(const void *bytes, size_t length_bytes)
{
    const uint8_t *first = bytes, *at = first, *end = first + length_bytes;
    uint32_t character;
    for (;;) {
        at = ascii_end(at, end);
        unsigned count = utf8_sequence(at, end, &character);
        if (count == 0)
            return (size_t)(at - first);
        at += count;
    }
}

static bool begun_put(struct leat_utf8 *utf8, uint8_t **to, const uint8_t *end)
{
    if (end - *to < utf8->begun_count)
        return false;
    memcpy(*to, utf8->begun, utf8->begun_count);
    *to += utf8->begun_count;
    utf8->begun_count = 0;
    return true;
}

static bool replacement_put(uint8_t **to, const uint8_t *end)
{
    unsigned count = utf8_put(UTF8_REPLACEMENT, *to, end);
    *to += count;
    return count != 0;
}

/* One byte that begins a sequence, or stands alone. False: no room. */
static bool lead_push(struct leat_utf8 *utf8, uint8_t byte, uint8_t **to, const uint8_t *end)
{
    struct utf8_lead lead = lead_of(byte);
    if (lead.needed == 0)
        return replacement_put(to, end);
    utf8->begun[0] = byte;
    utf8->begun_count = 1;
    utf8->needed_count = lead.needed;
    utf8->lower = lead.lower;
    utf8->upper = lead.upper;
    return true;
}

/* WHATWG Encoding 8.1.1: a byte out of bounds ends the sequence before it with one U+FFFD, and is
 * then looked at anew. Returns the place that was reached; NULL: no room. */
static const uint8_t *sequence_push(struct leat_utf8 *utf8, const uint8_t *at, uint8_t **to,
                                    const uint8_t *end)
{
    if (*at < utf8->lower || *at > utf8->upper) {
        utf8->begun_count = 0;
        return replacement_put(to, end) ? at : NULL;
    }
    utf8->begun[utf8->begun_count++] = *at;
    utf8->lower = 0x80;
    utf8->upper = 0xbf;
    if (--utf8->needed_count == 0 && !begun_put(utf8, to, end))
        return NULL;
    return at + 1;
}

/* A run of ASCII as it is. False: no room. */
static bool ascii_push(const uint8_t **at, const uint8_t *at_end, uint8_t **to, const uint8_t *end)
{
    size_t count = (size_t)(ascii_end(*at, at_end) - *at);
    if ((size_t)(end - *to) < count)
        return false;
    if (count != 0)
        memcpy(*to, *at, count);
    *at += count;
    *to += count;
    return true;
}

static int64_t utf8_repair(struct leat_utf8 *utf8, const uint8_t *at, size_t length_bytes,
                           uint8_t *text, size_t size_bytes)
{
    const uint8_t *at_end = at + length_bytes, *end = text + size_bytes;
    uint8_t *to = text;
    while (at < at_end) {
        if (utf8->begun_count != 0) {
            at = sequence_push(utf8, at, &to, end);
            if (at == NULL)
                return -ERANGE;
            continue;
        }
        if (!ascii_push(&at, at_end, &to, end))
            return -ERANGE;
        if (at < at_end && !lead_push(utf8, *at++, &to, end))
            return -ERANGE;
    }
    return to - text;
}

static int64_t utf8_finish(struct leat_utf8 *utf8, uint8_t *text, size_t size_bytes)
{
    uint8_t *to = text;
    if (utf8->begun_count != 0 && !replacement_put(&to, text + size_bytes))
        return -ERANGE;
    utf8->begun_count = 0;
    return to - text;
}

int64_t leat_utf8_push(struct leat_utf8 *utf8, const void *bytes, size_t length_bytes, char *text,
                       size_t size_bytes)
{
    struct leat_utf8 before = *utf8;
    int64_t count = bytes == NULL
                        ? utf8_finish(utf8, (uint8_t *)text, size_bytes)
                        : utf8_repair(utf8, bytes, length_bytes, (uint8_t *)text, size_bytes);
    if (count < 0)
        *utf8 = before;
    return count;
}

int64_t utf8_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes)
{
    struct leat_utf8 utf8 = {.begun_count = 0};
    int64_t count = utf8_repair(&utf8, bytes, length_bytes, text, size_bytes);
    if (count < 0)
        return count;
    int64_t rest = utf8_finish(&utf8, text + count, size_bytes - (size_t)count);
    return rest < 0 ? rest : count + rest;
}

int64_t utf8_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out)
{
    size_t valid = leat_utf8_validate(text, length_bytes);
    if (valid < length_bytes) {
        out->wrong_at = valid;
        return -EILSEQ;
    }
    if (length_bytes > out->size_bytes)
        return -ERANGE;
    if (length_bytes != 0)
        memcpy(out->bytes, text, length_bytes);
    return (int64_t)length_bytes;
}

/* Forms and queries against a slow version that looks at the whole of them: the same pairs, however
 * they were cut. The first byte says how. */
#include <leat/check.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/urlencoded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { BYTES_MAX = 4096, FIELD_BYTES_MAX = 100, FIELDS_MAX = 20 };

static char slow[BYTES_MAX];

/* Leaves the decoded bytes in slow. */
static size_t slow_decode(const char *from, size_t length)
{
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    size_t out = 0;

    for (size_t i = 0; i < length; i++) {
        char byte = from[i] == '+' ? ' ' : from[i];
        const char *high = i + 2 < length && from[i + 1] ? strchr(hex, from[i + 1]) : NULL;
        const char *low = i + 2 < length && from[i + 2] ? strchr(hex, from[i + 2]) : NULL;
        if (byte == '%' && high != NULL && low != NULL) {
            byte = (char)((high - hex) % 16 * 16 + (low - hex) % 16);
            i += 2;
        }
        slow[out++] = byte;
    }
    return out;
}

/* The next pair that is kept, as it stands; false at the end, or at one past a limit. */
static bool slow_next(const char **at, const char *end, struct leat_view *name,
                      struct leat_view *value, bool *is_large)
{
    while (*at < end) {
        const char *pair = *at, *stop = memchr(pair, '&', (size_t)(end - pair));
        stop = stop != NULL ? stop : end;
        *at = stop < end ? stop + 1 : end;
        if (pair == stop)
            continue;
        const char *equals = memchr(pair, '=', (size_t)(stop - pair));
        *name = (struct leat_view){pair, (size_t)((equals != NULL ? equals : stop) - pair)};
        *value = equals != NULL ? (struct leat_view){equals + 1, (size_t)(stop - equals - 1)}
                                : (struct leat_view){stop, 0};
        size_t name_bytes = slow_decode(name->data, name->length_bytes);
        bool has_nul = memchr(slow, '\0', name_bytes) != NULL;
        size_t value_bytes = slow_decode(value->data, value->length_bytes);
        has_nul |= memchr(slow, '\0', value_bytes) != NULL;
        *is_large = name_bytes + value_bytes > FIELD_BYTES_MAX;
        if (*is_large)
            return false;
        if (!has_nul)
            return true;
    }
    return false;
}

static void check_same(struct leat_view decoded, struct leat_view raw)
{
    LEAT_CHECK(decoded.length_bytes == slow_decode(raw.data, raw.length_bytes));
    LEAT_CHECK(memcmp(decoded.data, slow, decoded.length_bytes) == 0);
}

static void pairs_grow(struct http_pairs *pairs, const struct http_urlencoded *form, size_t bytes)
{
    pairs->capacity_bytes =
        pairs->used_bytes + pairs->open_bytes + http_urlencoded_room(form, bytes);
    pairs->bytes = realloc(pairs->bytes, pairs->capacity_bytes);
    LEAT_CHECK(pairs->bytes != NULL);
}

static int form_read(struct leat_view in, size_t piece_bytes, struct http_pairs *pairs)
{
    struct http_urlencoded form = {.field_bytes_max = FIELD_BYTES_MAX, .fields_max = FIELDS_MAX};
    int status = 0;

    while (in.length_bytes > 0 && status == 0) {
        size_t bytes = in.length_bytes < piece_bytes ? in.length_bytes : piece_bytes;
        pairs_grow(pairs, &form, bytes);
        status = http_urlencoded_push(&form, (struct leat_view){in.data, bytes}, pairs);
        in.data += bytes;
        in.length_bytes -= bytes;
    }
    pairs_grow(pairs, &form, 0);
    return status == 0 ? http_urlencoded_end(&form, pairs) : status;
}

/* The most that one pair less than too large can be as it stands, and a byte: a piece may hold the
 * end of a pair and the begin of one that is too large already. */
static void check_form(struct leat_view in, size_t piece_bytes)
{
    struct http_pairs pairs = {.bytes = NULL};
    struct leat_view name, value, raw_name, raw_value;
    const char *at = in.data, *end = at + in.length_bytes;
    bool is_large = false;
    size_t position = 0;

    int status = form_read(in, piece_bytes, &pairs);
    while (http_pairs_next(&pairs, &position, &name, &value)) {
        LEAT_CHECK(slow_next(&at, end, &raw_name, &raw_value, &is_large));
        check_same(name, raw_name);
        check_same(value, raw_value);
    }
    bool is_more = slow_next(&at, end, &raw_name, &raw_value, &is_large);
    LEAT_CHECK(status == (is_more || is_large ? -413 : 0));
    LEAT_CHECK(!is_more || pairs.count == FIELDS_MAX);
    free(pairs.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    if (length_bytes < 2)
        return 0;
    struct leat_view in = {(const char *)data + 1,
                           length_bytes - 1 < BYTES_MAX ? length_bytes - 1 : BYTES_MAX};
    check_form(in, in.length_bytes);
    check_form(in, data[0] % 37u + 1);
    return 0;
}

/* Decoding against a slow version, in place and not. */
#include <leat/check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { BYTES_MAX = 4096 };
static char out[BYTES_MAX + 1], place[BYTES_MAX + 1], slow[BYTES_MAX + 1];

static ptrdiff_t slow_decode(struct leat_view from)
{
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    ptrdiff_t length = 0;

    for (size_t i = 0; i < from.length_bytes; i++) {
        char byte = from.data[i];
        if (byte == '%') {
            char pair[2] = {i + 1 < from.length_bytes ? from.data[i + 1] : '\0',
                            i + 2 < from.length_bytes ? from.data[i + 2] : '\0'};
            const char *high = pair[0] ? strchr(hex, pair[0]) : NULL;
            const char *low = pair[1] ? strchr(hex, pair[1]) : NULL;
            if (high && low) {
                byte = (char)((high - hex) % 16 * 16 + (low - hex) % 16);
                i += 2;
            } else {
                return -1;
            }
        }
        if (byte == '\0')
            return -1;
        slow[length++] = byte;
    }
    return length;
}

static void check(ptrdiff_t (*fast)(struct leat_view, char *), struct leat_view in,
                  ptrdiff_t expected)
{
    memcpy(place, in.data, in.length_bytes);
    LEAT_CHECK(fast(in, out) == expected);
    LEAT_CHECK(fast((struct leat_view){place, in.length_bytes}, place) == expected);
    if (expected > 0) {
        LEAT_CHECK(memcmp(out, slow, (size_t)expected) == 0);
        LEAT_CHECK(memcmp(place, slow, (size_t)expected) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    struct leat_view in = {(const char *)data, length_bytes < BYTES_MAX ? length_bytes : BYTES_MAX};

    if (in.length_bytes == 0)
        return 0;
    check(http_url_decode, in, slow_decode(in));
    return 0;
}

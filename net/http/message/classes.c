/* The classes of bytes that the scanners stop at, as one table and as vectors. */
#include "net/http/message/parser_internal.h"

/* RFC 9110 5.6.2: tchar. 5.5: field-vchar, SP and HTAB. RFC 9112 3.2 and RFC 3986: a target has
 * visible ASCII only; "#" would begin a fragment, which is never sent, and "?" is stopped at
 * because it splits the target. Other visible bytes that RFC 3986 wants escaped (such as "|") are
 * sent by browsers, and are harmless to framing. RFC 3986 3.2.2: reg-name. */
#define IN(c, a, b) ((c) >= (a) && (c) <= (b))
#define ALNUM(c)    (IN(c, '0', '9') || IN(c, 'a', 'z') || IN(c, 'A', 'Z'))
#define ONE(c, x)   ((c) == (x))
#define SUB(c)      (ONE(c, '!') || ONE(c, '$') || IN(c, '&', ',') || ONE(c, ';') || ONE(c, '='))
#define TOKEN(c)                                                                                   \
    (ALNUM(c) || ONE(c, '!') || IN(c, '#', '\'') || ONE(c, '*') || ONE(c, '+') || ONE(c, '-') ||   \
     ONE(c, '.') || IN(c, '^', '`') || ONE(c, '|') || ONE(c, '~'))
#define VALUE(c)  (ONE(c, '\t') || (IN(c, 0x20, 0xff) && !ONE(c, 0x7f)))
#define TARGET(c) (IN(c, 0x21, 0x7e) && !ONE(c, '#') && !ONE(c, '?'))
#define HOST(c)   (ALNUM(c) || SUB(c) || ONE(c, '-') || ONE(c, '.') || ONE(c, '_') || ONE(c, '~'))
#define C1(c)                                                                                      \
    (uint8_t)((TOKEN(c) ? HTTP_IS_TOKEN : 0) | (VALUE(c) ? HTTP_IS_VALUE : 0) |                    \
              (TARGET(c) ? HTTP_IS_TARGET : 0) | (HOST(c) ? HTTP_IS_HOST : 0))
#define C4(c)  C1(c), C1((c) + 1), C1((c) + 2), C1((c) + 3)
#define C16(c) C4(c), C4((c) + 4), C4((c) + 8), C4((c) + 12)
#define C64(c) C16(c), C16((c) + 16), C16((c) + 32), C16((c) + 48)

const uint8_t http_class[256] = {C64(0), C64(64), C64(128), C64(192)};

#define BIT(in, u, l) (in(16 * (u) + (l)) ? 1 << (u) : 0)
#define ROW(in, l)                                                                                 \
    (uint8_t)(BIT(in, 2, l) | BIT(in, 3, l) | BIT(in, 4, l) | BIT(in, 5, l) | BIT(in, 6, l) |      \
              BIT(in, 7, l))
#define ROWS(in)                                                                                   \
    {                                                                                              \
        ROW(in, 0), ROW(in, 1), ROW(in, 2), ROW(in, 3), ROW(in, 4), ROW(in, 5), ROW(in, 6),        \
            ROW(in, 7), ROW(in, 8), ROW(in, 9), ROW(in, 10), ROW(in, 11), ROW(in, 12),             \
            ROW(in, 13), ROW(in, 14), ROW(in, 15)                                                  \
    }
const uint8_t http_token_rows[16] = ROWS(TOKEN);
const uint8_t http_host_rows[16] = ROWS(HOST);

#define TIMES32(c)                                                                                 \
    {                                                                                              \
        [0 ... 31] = (c)                                                                           \
    }
#define POWERS 1, 2, 4, 8, 16, 32, 64, 128
const struct http_vectors http_vectors = {
    .space = TIMES32(0x20),
    .tab = TIMES32('\t'),
    .del = TIMES32(0x7f),
    .hash = TIMES32('#'),
    .query = TIMES32('?'),
    .control = TIMES32(0x1f),
    .half = TIMES32(15),
    .bits = {POWERS, POWERS, POWERS, POWERS},
};

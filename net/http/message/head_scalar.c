/* The parser of heads, byte by byte: for every CPU, and what the others must agree with. */
#include "net/http/message/parser_internal.h"

#define HTTP_TARGET

static inline const uint8_t *scan_class(const uint8_t *at, const uint8_t *end, unsigned class)
{
    while (at < end && (http_class[*at] & class))
        at++;
    return at;
}
#define scan_token(begin, at, end)  scan_class(at, end, HTTP_IS_TOKEN)
#define scan_value(begin, at, end)  scan_class(at, end, HTTP_IS_VALUE)
#define scan_target(begin, at, end) scan_class(at, end, HTTP_IS_TARGET)
#define scan_host(begin, at, end)   scan_class(at, end, HTTP_IS_HOST)

#include "net/http/message/head_parse.inc"

const struct http_isa http_isa_scalar = {"scalar", head_parse};

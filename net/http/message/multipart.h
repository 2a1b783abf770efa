/* multipart/form-data (RFC 7578, RFC 2046 5.1): a form with files, as a push parser. Bytes come in
 * pieces of any size; what they come to does not depend on how they were cut. Nothing is allocated,
 * and nothing is copied but the heads of parts.
 *
 *     http_multipart_init(&m, content_type, &limits, area, sizeof area);
 *     while ((event = http_multipart_read(&m, &input, &data)) > HTTP_MULTIPART_MORE)
 *         ...
 *
 * Each call moves input forward. PART: a part begins, m.part says which. DATA: data is a piece of
 * it that lies in input's bytes, or in m where a line only began as a delimiter does. PART_END: it
 * is complete. MORE: all of input was used. Negative: -status to answer with, m.reason; it must not
 * be called again. When the body has ended http_multipart_end says whether the form had, too.
 *
 * Who does not want to go on now just does not call: what is left in input is to be given again.
 *
 * Strict where two parsers could take one body for two: a line that begins with the delimiter is
 * one, lines end in CRLF, each part has one Content-Disposition with one name. What stands before
 * the first delimiter and behind the last is ignored (RFC 2046 5.1.1).
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_MULTIPART_H
#define LEAT_HTTP_MULTIPART_H

#include "net/http/message/part.h"

#define HTTP_BOUNDARY_BYTES_MAX 70 /* RFC 2046 5.1.1 */
#define HTTP_PART_FIELDS_MAX    16

enum http_multipart_event {
    HTTP_MULTIPART_MORE,
    HTTP_MULTIPART_PART,
    HTTP_MULTIPART_DATA,
    HTTP_MULTIPART_PART_END,
};

struct http_multipart {
    uint8_t state;
    uint8_t reason; /* enum http_multipart_reason */
    uint8_t delimiter_bytes;
    uint8_t matched_bytes; /* of a delimiter that has begun; implied_bytes of them, its CRLF, belong
                              to what came before */
    uint8_t implied_bytes;
    uint32_t parts_count, parts_max;
    uint32_t area_length, area_bytes_max;
    char *area; /* the head of the part */
    struct http_part part;
    struct http_head head;
    struct http_limits limits;                   /* of heads */
    char delimiter[HTTP_BOUNDARY_BYTES_MAX + 4]; /* CRLF "--" boundary */
};

/* type: the Content-Type with the boundary. area is for the head of a part, and bounds it; at most
 * HTTP_HEAD_BYTES_WALL bytes of it are used. 0, or -400 when type has no valid boundary. */
int http_multipart_init(struct http_multipart *multipart, struct leat_view type, uint32_t parts_max,
                        char *area, size_t area_bytes) LEAT_MUST_CHECK;
int http_multipart_read(struct http_multipart *multipart, struct leat_view *input,
                        struct leat_view *data) LEAT_MUST_CHECK;
int http_multipart_end(struct http_multipart *multipart) LEAT_MUST_CHECK; /* 0, or -400 */

#endif

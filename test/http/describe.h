/* A head as one line of text, so that outcomes can be compared and read:
 *   "37 GET /a ?q=1 1.1 host=x keep-alive | Host: x | ..." or "400 HOST_MISSING". */
#ifndef TEST_HTTP_DESCRIBE_H
#define TEST_HTTP_DESCRIBE_H

#include "net/http/message/parser.h"

#include <leat/check.h>

#define TEXT_BYTES_MAX (1 << 18)
struct text {
    size_t length;
    char bytes[TEXT_BYTES_MAX];
};

void text_add(struct text *text, const char *format, ...) LEAT_PRINTF(2, 3);
/* Bytes in quotes, unprintable ones as \xx. */
void text_add_bytes(struct text *text, const void *bytes, size_t length);

/* used is what http_parse_head returned. */
void describe_head(struct text *text, const struct http_head *head, const uint8_t *bytes, int used);
/* The fields alone, and with names in lower case. */
void describe_fields(struct text *text, const struct http_head *head, const uint8_t *bytes);

#endif

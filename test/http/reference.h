/* A second parser, written from the RFCs without a look at the first: byte by byte, on the whole
 * message, slow, and with nothing in common with net/http but the format of what it reports
 * (describe.h; of an error, the status alone). Limits are the defaults of http_limits_init. */
#ifndef TEST_HTTP_REFERENCE_H
#define TEST_HTTP_REFERENCE_H

#include "test/http/describe.h"

void reference_request(struct text *text, const uint8_t *bytes, size_t length);
void reference_response(struct text *text, const uint8_t *bytes, size_t length);

#define REFERENCE_AREA_BYTES 1024
/* "'payload' END used | trailers", "'payload' 0" when bytes are missing, "'payload' 400": the
 * payload that came before. */
void reference_chunked(struct text *text, const uint8_t *bytes, size_t length);

#endif

/* Our parser against the reference, on the same bytes, in several splits and with every instruction
 * set of this CPU. Each stops the program with both outcomes when they differ. seed chooses the
 * splits. Inputs beyond DIFFERENTIAL_BYTES_MAX are cut. */
#ifndef TEST_HTTP_DIFFERENTIAL_H
#define TEST_HTTP_DIFFERENTIAL_H

#include "test/http/reference.h"

#define DIFFERENTIAL_BYTES_MAX 20000

void differential_request(const uint8_t *bytes, size_t length, uint64_t seed);
void differential_response(const uint8_t *bytes, size_t length, uint64_t seed);
void differential_chunked(const uint8_t *bytes, size_t length, uint64_t seed);

/* What http_chunked_decode makes of bytes in pieces of step bytes (0: of changing lengths), as
 * reference_chunked reports it. */
enum http_reason describe_chunked(struct text *text, const uint8_t *bytes, size_t length,
                                  size_t step, uint64_t *seed);

uint64_t test_random(uint64_t *seed);

#endif

/* Heads and what becomes of them. Every one is also delivered in pieces, compared with the
 * reference parser, and mutated (test/unit/http_parser.c). bytes may hold NULs, so it comes with
 * its length. */
#ifndef TEST_HTTP_CASES_H
#define TEST_HTTP_CASES_H

#include "net/http/message/parser.h"

struct http_case {
    const char *bytes;
    size_t length;
    const char *outcome; /* as describe_head writes it */
};

extern const struct http_case http_request_cases[], http_response_cases[];
extern const unsigned http_request_case_count, http_response_case_count;

#endif

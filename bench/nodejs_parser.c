/* http-parser, which Node.js had before llhttp: for bench/http_parser.c. */
#include "bench/harness.h"

#include <http_parser.h>
#include <stdlib.h>

void nodejs_parse(const char *bytes, size_t length, uint64_t iterations);

static int on_bytes(http_parser *parser, const char *at, size_t length)
{
    bench_keep(at);
    return 0;
}

void nodejs_parse(const char *bytes, size_t length, uint64_t iterations)
{
    static const http_parser_settings settings = {.on_url = on_bytes,
                                                  .on_header_field = on_bytes,
                                                  .on_header_value = on_bytes};
    http_parser parser;

    for (uint64_t i = 0; i < iterations; i++) {
        http_parser_init(&parser, HTTP_REQUEST);
        if (http_parser_execute(&parser, &settings, bytes, length) != length)
            abort();
        bench_keep(&parser);
    }
}

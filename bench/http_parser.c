/* Parsing request heads, beside memchr looking for the line ends of the same bytes, and the parsers
 * that h2o and (in its day) Node.js stand on. */
#include "bench/harness.h"

#include "net/http/message/parser.h"

#include <stdlib.h>
#include <string.h>

#define WRK "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
#define CURL                                                                                       \
    "GET /index.html HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n"              \
    "Accept: */*\r\n\r\n"
#define BROWSER                                                                                    \
    "GET /articles/2024/05/how-leats-work?ref=front&page=2 HTTP/1.1\r\n"                           \
    "Host: www.example.com\r\n"                                                                    \
    "Connection: keep-alive\r\n"                                                                   \
    "Cache-Control: max-age=0\r\n"                                                                 \
    "Upgrade-Insecure-Requests: 1\r\n"                                                             \
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "          \
    "Chrome/124.0.0.0 Safari/537.36\r\n"                                                           \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"         \
    "*/*;q=0.8\r\n"                                                                                \
    "Referer: https://www.example.com/articles/\r\n"                                               \
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"                                                 \
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"                                                 \
    "Cookie: session=9f86d081884c7d659a2feaa0c55ad015; theme=dark; consent=1\r\n"                  \
    "If-None-Match: \"65f0c3a2-1d4b\"\r\n"                                                         \
    "If-Modified-Since: Tue, 12 Mar 2024 21:06:42 GMT\r\n\r\n"
#define API                                                                                        \
    "POST /api/v2/orders/8812/items HTTP/1.1\r\n"                                                  \
    "Host: api.example.com\r\n"                                                                    \
    "X-Forwarded-For: 203.0.113.7, 198.51.100.2\r\n"                                               \
    "X-Forwarded-Proto: https\r\n"                                                                 \
    "X-Request-Id: 3b241101-e2bb-4255-8caf-4136c566a962\r\n"                                       \
    "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."      \
    "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U\r\n"                                              \
    "Content-Type: application/json\r\n"                                                           \
    "Content-Length: 214\r\n"                                                                      \
    "Accept: application/json\r\n"                                                                 \
    "Idempotency-Key: 0d7c1f3e-7c1b-4f29-9d4c-5f0a1b2c3d4e\r\n"                                    \
    "Cookie: sid=s%3A4fzSq0mXb1k7xJq; _ga=GA1.2.1183948291.1710278802; ab=v3; locale=en_GB\r\n"    \
    "User-Agent: shop-client/4.11.0 (linux)\r\n\r\n"

static const char *const requests[] = {WRK, CURL, BROWSER, API};

enum { SCALAR_OR_BEST = 4 }; /* argument: index of the request, plus this for the scalar scanner */

struct parse {
    struct http_limits limits;
    struct http_head head;
    size_t length;
    uint8_t bytes[2048];
};

static void *setup(uint64_t argument)
{
    struct parse *state = calloc(1, sizeof(*state));

    if (!state)
        return NULL;
    http_limits_init(&state->limits);
    if (argument >= SCALAR_OR_BEST)
        state->limits.isa = http_isa_at(0);
    const char *request = requests[argument % SCALAR_OR_BEST];
    state->length = strlen(request);
    memcpy(state->bytes, request, state->length);
    return state;
}

static void parse(void *memory, uint64_t iterations)
{
    struct parse *state = memory;

    for (uint64_t i = 0; i < iterations; i++) {
        http_head_init(&state->head, HTTP_REQUEST);
        int used = http_parse_head(&state->head, state->bytes, state->length, &state->limits);
        if (used != (int)state->length)
            abort();
        bench_keep(state);
    }
}

static void find_line_ends(void *memory, uint64_t iterations)
{
    struct parse *state = memory;

    for (uint64_t i = 0; i < iterations; i++) {
        const uint8_t *at = state->bytes, *end = at + state->length;
        while ((at = memchr(at, '\n', (size_t)(end - at))))
            at++;
        bench_keep(state);
    }
}

#if BENCH_HAVE_PICOHTTPPARSER
/* Debian's libh2o exports picohttpparser and has no header for it. */
struct phr_header {
    const char *name;
    size_t name_bytes;
    const char *value;
    size_t value_bytes;
};
int phr_parse_request(const char *bytes, size_t length, const char **method, size_t *method_bytes,
                      const char **path, size_t *path_bytes, int *minor, struct phr_header *headers,
                      size_t *header_count, size_t last_length);

static void parse_pico(void *memory, uint64_t iterations)
{
    struct parse *state = memory;
    struct phr_header headers[64];
    const char *method, *path;
    size_t method_bytes, path_bytes;
    int minor;

    for (uint64_t i = 0; i < iterations; i++) {
        size_t count = 64;
        int used = phr_parse_request((const char *)state->bytes, state->length, &method,
                                     &method_bytes, &path, &path_bytes, &minor, headers, &count, 0);
        if (used != (int)state->length)
            abort();
        bench_keep(headers);
    }
}
#endif

#if BENCH_HAVE_HTTP_PARSER
/* In nodejs_parser.c: its header and ours give things the same names. */
void nodejs_parse(const char *bytes, size_t length, uint64_t iterations);

static void parse_node(void *memory, uint64_t iterations)
{
    const struct parse *state = memory;

    nodejs_parse((const char *)state->bytes, state->length, iterations);
}
#endif

#define CASE(label, function, number, request)                                                     \
    {                                                                                              \
        .name = label, .setup = setup, .run = function, .teardown = free, .argument = number,      \
        .bytes_per_iteration = sizeof(request) - 1, .items_per_iteration = 1                       \
    }

#define ALTERNATIVE(label, function, number, request)                                              \
    {                                                                                              \
        .name = label, .setup = setup, .run = function, .teardown = free, .argument = number,      \
        .bytes_per_iteration = sizeof(request) - 1, .items_per_iteration = 1,                      \
        .is_alternative = true                                                                     \
    }

static const struct bench_case cases[] = {
    CASE("wrk", parse, 0, WRK),
    CASE("curl", parse, 1, CURL),
    CASE("browser", parse, 2, BROWSER),
    CASE("api", parse, 3, API),
    CASE("browser scalar", parse, 2 + SCALAR_OR_BEST, BROWSER),
    ALTERNATIVE("browser memchr", find_line_ends, 2, BROWSER),
    ALTERNATIVE("api memchr", find_line_ends, 3, API),
#if BENCH_HAVE_PICOHTTPPARSER
    ALTERNATIVE("browser picohttpparser", parse_pico, 2, BROWSER),
    ALTERNATIVE("api picohttpparser", parse_pico, 3, API),
#endif
#if BENCH_HAVE_HTTP_PARSER
    ALTERNATIVE("browser http-parser", parse_node, 2, BROWSER),
#endif
};
BENCH_GROUP(http_parser, cases);

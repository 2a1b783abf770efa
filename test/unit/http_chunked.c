#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "test/http/differential.h"

struct row {
    const char *bytes;
    size_t length;
    const char *outcome, *reason;
};
#define GOOD(text, outcome)                                                                        \
    {                                                                                              \
        text, sizeof(text) - 1, outcome, "NONE"                                                    \
    }
#define BAD(text, outcome, reason)                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, outcome, #reason                                                   \
    }

static const struct row rows[] = {
    GOOD("", "' 0"),
    GOOD("0\r\n\r\n", "'' END 5"),
    GOOD("0\r\n\r\nGET", "'' END 5"),
    GOOD("5\r\nhello\r\n0\r\n\r\n", "'hello' END 15"),
    GOOD("a\r\n0123456789\r\nB\r\n0123456789a\r\n000\r\n\r\n", "'01234567890123456789a' END 38"),
    GOOD("3\r\na\r\n\r\n0\r\n\r\n", "'a\\0d\\0a' END 13"),
    GOOD("1;a\r\nx\r\n0;b=\"c;d\" ;e\r\n\r\n", "'x' END 24"),
    GOOD("1 \t;a=b\r\nx\r\n0\r\n\r\n", "'x' END 17"),
    GOOD("1; a = b ; c\r\nx\r\n0\r\n\r\n", "'x' END 22"),
    GOOD("1;a=\"\\\"\\\\\t\xe9\";b;c=d\r\nx\r\n0\r\n\r\n", "'x' END 28"),
    GOOD("0000000000000001\r\nx\r\n0\r\n\r\n", "'x' END 26"),
    GOOD("5\r\nhel", "'hel' 0"),
    GOOD("5\r\nhello", "'hello' 0"),
    GOOD("0\r\n", "'' 0"),
    GOOD("0\r\nX-Sum: 1 \r\nY:\r\n\r\n0", "'' END 20 | X-Sum: 1 | Y: "),
    GOOD("0\r\nCookie: a\r\nX: 1\r\nDate: b\r\n\r\n", "'' END 31 | X: 1"),
    BAD("\r\n", "'' 400", CHUNK_SIZE),
    BAD(";a\r\n", "'' 400", CHUNK_SIZE),
    BAD(" 5\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("+5\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("-1\r\n", "'' 400", CHUNK_SIZE),
    BAD("0x5\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("5h\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("5_0\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("5 \r\nhello", "'' 400", CHUNK_SIZE),
    BAD("5 5\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("5,5\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("8000000000000000\r\n", "'' 400", CHUNK_SIZE),
    BAD("ffffffffffffffff\r\n", "'' 400", CHUNK_SIZE),
    BAD("10000000000000005\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("00000000000000005\r\nhello", "'' 400", CHUNK_SIZE),
    BAD("1\r\nx\r\n7fffffffffffffff\r\n", "'x' 400", CHUNK_SIZE),
    BAD("5\nhello\r\n", "'' 400", BARE_LF),
    BAD("5\rhello\r\n", "'' 400", BARE_CR),
    BAD("5;a\nhello\r\n", "'' 400", BARE_LF),
    BAD("5;a\rb\r\nhello\r\n", "'' 400", BARE_CR),
    BAD("5;a\x01\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a\0\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;;a\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;=a\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a=\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a=b=c\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a b\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a \r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a=b \r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a,b\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a=\"b\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a=\"b\\\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;a=\"b\"c\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5;\xe9\r\nhello\r\n", "'' 400", CHUNK_EXT),
    BAD("5\r\nhelloX", "'hello' 400", CHUNK_END),
    BAD("5\r\nhello\n", "'hello' 400", BARE_LF),
    BAD("5\r\nhello\rX", "'hello' 400", BARE_CR),
    BAD("5\r\nhello0\r\n\r\n", "'hello' 400", CHUNK_END),
    BAD("5\r\nhello\r\n\r\n", "'hello' 400", CHUNK_SIZE),
    BAD("0\r\nX : 1\r\n\r\n", "'' 400", FIELD_SPACE),
    BAD("0\r\n X: 1\r\n\r\n", "'' 400", FOLD),
    BAD("0\r\nGET / HTTP/1.1\r\n\r\n", "'' 400", FIELD_SPACE),
    BAD("0\r\n\rX", "'' 400", BARE_CR),
    BAD("0\r\n\n", "'' 400", BARE_LF),
    BAD("0\r\nContent-Length: 5\r\n\r\n", "'' 400", TRAILER_FIELD),
    BAD("0\r\nTransfer-Encoding: chunked\r\n\r\n", "'' 400", TRAILER_FIELD),
    BAD("0\r\nhost: b\r\n\r\n", "'' 400", TRAILER_FIELD),
};

static void bodies_have_their_outcome_however_they_are_split(void **state)
{
    static struct text text;
    uint64_t seed = 1;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (size_t step = 0; step <= rows[i].length; step++) {
            text.length = 0;
            enum http_reason reason = describe_chunked(&text, (const uint8_t *)rows[i].bytes,
                                                       rows[i].length, step, &seed);
            assert_string_equal(text.bytes, rows[i].length ? rows[i].outcome : "'' 0");
            assert_string_equal(http_reason_name(reason), rows[i].reason);
        }
        differential_chunked((const uint8_t *)rows[i].bytes, rows[i].length, seed);
    }
}

/* A body of before, then length bytes of fill, then after. */
static void check_long(const char *before, size_t length, const char *after, const char *outcome,
                       enum http_reason expected)
{
    static char bytes[DIFFERENTIAL_BYTES_MAX];
    static struct text text;
    size_t front = strlen(before), back = strlen(after);
    uint64_t seed = length;

    memcpy(bytes, before, front);
    memset(bytes + front, 'x', length);
    memcpy(bytes + front + length, after, back);
    length += front + back;
    for (size_t step = 0; step < 3; step++) {
        text.length = 0;
        enum http_reason reason =
            describe_chunked(&text, (const uint8_t *)bytes, length, step, &seed);
        assert_int_equal(reason, expected);
        if (outcome)
            assert_string_equal(text.bytes, outcome);
    }
    differential_chunked((const uint8_t *)bytes, length, seed);
}

static void extensions_and_trailers_are_bounded(void **state)
{
    check_long("0;", 4095, "\r\n\r\n", "'' END 4101", HTTP_REASON_NONE);
    check_long("0;", 4096, "\r\n\r\n", "'' 413", HTTP_REASON_CHUNK_EXT_LARGE);
    check_long("1;aaaaaaaaa\r\nx\r\n0;", 4085, "\r\n\r\n", "'x' END 4107", HTTP_REASON_NONE);
    check_long("1;aaaaaaaaa\r\nx\r\n0;", 4086, "\r\n\r\n", "'x' 413", HTTP_REASON_CHUNK_EXT_LARGE);
    check_long("0\r\nX:", REFERENCE_AREA_BYTES - 6, "\r\n\r\n", NULL, HTTP_REASON_NONE);
    check_long("0\r\nX:", REFERENCE_AREA_BYTES - 5, "\r\n\r\n", "'' 431",
               HTTP_REASON_TRAILER_LARGE);
    check_long("0\r\nX:", 5000, "\r\n\r\n", "'' 431", HTTP_REASON_TRAILER_LARGE);
}

/* 2^63 - 1 bytes in one chunk are allowed: what bounds a body is its reader's business. */
static void a_chunk_may_be_as_large_as_the_numbers_go(void **state)
{
    static const char bytes[] = "7fffffffffffffff\r\nab";
    struct leat_view input = {bytes, sizeof(bytes) - 1}, payload;
    struct http_chunked chunked;
    struct http_limits limits;
    struct http_head trailers;
    uint8_t area[2];

    http_limits_init(&limits);
    http_chunked_init(&chunked, &limits, &trailers, area, sizeof(area));
    assert_int_equal(http_chunked_decode(&chunked, &input, &payload), HTTP_CHUNK_DATA);
    assert_int_equal(payload.length_bytes, 2);
    assert_ptr_equal(payload.data, bytes + 18);
    assert_int_equal(chunked.body_bytes, 2);
    assert_int_equal(chunked.chunk_bytes, INT64_MAX - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_have_their_outcome_however_they_are_split),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(a_chunk_may_be_as_large_as_the_numbers_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/parser.h"
#include "test/http/cases.h"
#include "test/http/describe.h"

/* A copy that ends where its allocation ends, so that the sanitizer sees a byte read beyond. */
static uint8_t *exact(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

/* Delivers growing pieces: the first at[0] bytes, then at[1] bytes, ... at other addresses. */
static void parse_pieces(struct text *text, enum http_kind kind, const struct http_limits *limits,
                         const struct http_case *c, size_t first, size_t step)
{
    struct http_head head;
    int used = 0;

    http_head_init(&head, kind);
    memset(head.fields, 0xa5, sizeof(head.fields));
    for (size_t length = first;; length += step) {
        if (length > c->length)
            length = c->length;
        uint8_t *bytes = exact(c->bytes, length);
        used = http_parse_head(&head, bytes, length, limits);
        free(bytes);
        if (used != 0 || length == c->length)
            break;
    }
    describe_head(text, &head, (const uint8_t *)c->bytes, used);
}

static void check_case(enum http_kind kind, const struct http_case *c)
{
    const struct http_isa *isa;
    struct http_limits limits;
    struct text text;

    http_limits_init(&limits);
    for (unsigned i = 0; (isa = http_isa_at(i)); i++) {
        limits.isa = isa;
        for (size_t first = 0; first <= c->length; first++) {
            text.length = 0;
            parse_pieces(&text, kind, &limits, c, first, c->length);
            assert_string_equal(text.bytes, c->outcome);
        }
        text.length = 0;
        parse_pieces(&text, kind, &limits, c, 1, 1);
        assert_string_equal(text.bytes, c->outcome);
    }
}

static void requests_have_their_outcome_however_they_are_split(void **state)
{
    for (unsigned i = 0; i < http_request_case_count; i++)
        check_case(HTTP_REQUEST, &http_request_cases[i]);
}

static void responses_have_their_outcome_however_they_are_split(void **state)
{
    for (unsigned i = 0; i < http_response_case_count; i++)
        check_case(HTTP_RESPONSE, &http_response_cases[i]);
}

/* A request line, padding, and a Host: of exactly length bytes. */
static struct http_case padded(char *bytes, size_t length, const char *before, const char *after)
{
    size_t front = strlen(before), back = strlen(after);

    memcpy(bytes, before, front);
    memset(bytes + front, 'x', length - front - back);
    memcpy(bytes + length - back, after, back);
    return (struct http_case){bytes, length, NULL};
}

static void a_head_may_be_as_large_as_its_limit_and_no_larger(void **state)
{
    static char bytes[70000];
    static const char field[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ", query[] = "GET /";
    static const char end[] = "\r\n\r\n", version[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_limits limits;
    struct {
        uint32_t head_max, target_max;
        size_t length;
        const char *before, *after, *outcome;
    } rows[] = {
        {4096, 100, 4096, field, end, "4096 GET"},
        {4096, 100, 4097, field, end, "431 HEAD_LARGE"},
        {4096, 100, 5000, field, end, "431 HEAD_LARGE"},
        {1u << 30, 100, 65535, field, end, "65535 GET"},
        {1u << 30, 100, 65536, field, end, "431 HEAD_LARGE"},
        {4096, 100, 104 + 22, query, version, "126 GET"},
        {4096, 100, 104 + 23, query, version, "414 TARGET_LONG"},
        {4096, 8192, 5000, query, version, "414 TARGET_LONG"},
        {64, 100, 100, query, version, "414 TARGET_LONG"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct http_case c = padded(bytes, rows[i].length, rows[i].before, rows[i].after);
        size_t steps[] = {c.length, 1, 7, c.length - 1};

        http_limits_init(&limits);
        limits.head_bytes_max = rows[i].head_max;
        limits.target_bytes_max = rows[i].target_max;
        for (unsigned j = c.length > 10000 ? 2 : 0; j < 4; j++) {
            static struct text text;
            struct http_head head;
            int used = 0;
            http_head_init(&head, HTTP_REQUEST);
            for (size_t n = steps[j]; used == 0 && n < c.length + steps[j]; n += steps[j])
                used = http_parse_head(&head, (const uint8_t *)bytes, n < c.length ? n : c.length,
                                       &limits);
            text.length = 0;
            text_add(&text, "%d %s", abs(used),
                     used > 0 ? "GET" : http_reason_name((enum http_reason)head.reason));
            assert_string_equal(text.bytes, rows[i].outcome);
        }
    }
}

static void known_fields_are_found_in_any_case_and_one_load_gives_their_place(void **state)
{
    char name[64];

    for (unsigned i = 1; i < HTTP_KNOWN_COUNT; i++) {
        const char *lower = http_known_name((enum http_known)i);
        size_t length = strlen(lower);

        assert_int_equal(http_known_find((const uint8_t *)lower, length), i);
        for (size_t j = 0; j < length; j++) {
            memcpy(name, lower, length);
            name[j] = (char)(name[j] >= 'a' ? name[j] - 32 : name[j]);
            assert_int_equal(http_known_find((uint8_t *)name, length), i);
            name[j] = 'q';
            if (lower[j] != 'q')
                assert_int_not_equal(http_known_find((uint8_t *)name, length), i);
        }
        assert_int_not_equal(http_known_find((const uint8_t *)lower, length - 1), i);
    }
    assert_int_equal(http_known_find((const uint8_t *)"", 0), HTTP_UNKNOWN);
    assert_int_equal(http_known_find((const uint8_t *)"if\rmatch", 8), HTTP_UNKNOWN);
}

static void fields_are_looked_up(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\nX-Y: 1\r\naccept: y\r\n"
                               "x-y: 2\r\n\r\n";
    const uint8_t *bytes = (const uint8_t *)text;
    struct http_limits limits;
    struct http_head head;

    http_limits_init(&limits);
    http_head_init(&head, HTTP_REQUEST);
    assert_int_equal(http_parse_head(&head, bytes, sizeof(text) - 1, &limits), sizeof(text) - 1);
    assert_true(leat_view_equal(http_field_value(&head, bytes, HTTP_ACCEPT), "x"));
    assert_null(http_field_value(&head, bytes, HTTP_COOKIE).data);
    assert_true(head.repeated >> HTTP_ACCEPT & 1);
    assert_false(head.repeated >> HTTP_HOST & 1);
    assert_int_equal(http_field_next(&head, HTTP_ACCEPT, 0), 1);
    assert_int_equal(http_field_next(&head, HTTP_ACCEPT, 2), 3);
    assert_int_equal(http_field_next(&head, HTTP_ACCEPT, 4), -1);
    assert_int_equal(http_field_find(&head, bytes, "X-y", 0), 2);
    assert_int_equal(http_field_find(&head, bytes, "X-y", 3), 4);
    assert_int_equal(http_field_find(&head, bytes, "X-", 0), -1);
}

/* Every byte at every place of a port of every length. */
static void a_port_has_digits_alone(void **state)
{
    const struct http_isa *isa;
    struct http_limits limits;

    http_limits_init(&limits);
    for (unsigned i = 0; (isa = http_isa_at(i)); i++) {
        limits.isa = isa;
        for (size_t count = 1; count <= 5; count++) {
            for (size_t place = 0; place < count; place++) {
                for (unsigned byte = 33; byte < 256; byte++) {
                    char text[] = "GET / HTTP/1.1\r\nHost: example.org:11111\r\n\r\n";
                    size_t port = strlen(text) - 4 - 5, length = port + count + 4;
                    struct http_head head;
                    bool is_digit = byte >= '0' && byte <= '9';

                    memcpy(text + port + count, "\r\n\r\n", 4);
                    text[port + place] = (char)byte;
                    if (is_digit && count == 5 && place == 0 && byte > '6')
                        continue; /* beyond 65535 */
                    http_head_init(&head, HTTP_REQUEST);
                    int used = http_parse_head(&head, (const uint8_t *)text, length, &limits);
                    assert_int_equal(used, is_digit ? (int)length : -400);
                }
            }
        }
    }
}

static void a_response_is_framed_by_its_request_and_status(void **state)
{
    struct http_head head = {.kind = HTTP_RESPONSE, .status = 200};

    assert_int_equal(http_framing_of(&head, LEAT_METHOD_GET), HTTP_BODY_UNTIL_CLOSE);
    head.has_length = true;
    head.content_length = 5;
    assert_int_equal(http_framing_of(&head, LEAT_METHOD_GET), HTTP_BODY_LENGTH);
    assert_int_equal(http_framing_of(&head, LEAT_METHOD_HEAD), HTTP_BODY_NONE);
    assert_int_equal(http_framing_of(&head, LEAT_METHOD_CONNECT), HTTP_BODY_NONE);
    head.status = 304;
    assert_int_equal(http_framing_of(&head, LEAT_METHOD_GET), HTTP_BODY_NONE);
    head = (struct http_head){.kind = HTTP_RESPONSE, .status = 200, .chunked = true};
    assert_int_equal(http_framing_of(&head, LEAT_METHOD_GET), HTTP_BODY_CHUNKED);
    head = (struct http_head){.kind = HTTP_REQUEST};
    assert_int_equal(http_framing_of(&head, LEAT_METHOD_POST), HTTP_BODY_NONE);
}

static void every_reason_has_a_name_a_status_and_a_sentence(void **state)
{
    for (unsigned i = 1; i < HTTP_REASON_COUNT; i++) {
        assert_in_range(http_reason_status((enum http_reason)i), 400, 599);
        assert_true(strlen(http_reason_name((enum http_reason)i)) > 0);
        assert_true(strlen(http_reason_sentence((enum http_reason)i)) > 10);
    }
    assert_int_equal(http_reason_status(HTTP_REASON_COUNT), 0);
}

static void methods_are_found_by_name(void **state)
{
    for (unsigned i = 1; i < LEAT_METHOD_COUNT; i++) {
        const char *name = leat_method_name((enum leat_method)i);
        assert_int_equal(leat_method_find(name, strlen(name)), i);
        assert_int_equal(leat_method_find(name, strlen(name) - 1), LEAT_METHOD_OTHER);
    }
    assert_int_equal(leat_method_find("get", 3), LEAT_METHOD_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_their_outcome_however_they_are_split),
        cmocka_unit_test(responses_have_their_outcome_however_they_are_split),
        cmocka_unit_test(a_head_may_be_as_large_as_its_limit_and_no_larger),
        cmocka_unit_test(known_fields_are_found_in_any_case_and_one_load_gives_their_place),
        cmocka_unit_test(fields_are_looked_up),
        cmocka_unit_test(a_port_has_digits_alone),
        cmocka_unit_test(a_response_is_framed_by_its_request_and_status),
        cmocka_unit_test(every_reason_has_a_name_a_status_and_a_sentence),
        cmocka_unit_test(methods_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

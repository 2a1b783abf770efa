/* Responses of one connection: every framing, in one piece and split everywhere, with one outcome.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/http/message/reader.h"

#define PLAIN "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\nhello, world, and all"
#define CHUNKED                                                                                    \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"                                        \
    "7\r\nhello, \r\n1;x=\"y\"\r\nw\r\nd\r\norld, and all\r\n0\r\nT: u\r\n\r\n"
#define INTERIM "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
#define EMPTY   "HTTP/1.1 204 No Content\r\n\r\n"
#define CLOSING "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
#define UNTIL   "HTTP/1.0 404 No\r\n\r\nhello, world, and all"

struct outcome {
    unsigned count;
    char
        text[512]; /* "STATUS BYTES DIGEST keep|close;" for each response, then "end" or a reason */
};

static void note(struct outcome *outcome, const struct http_reader *reader)
{
    size_t used = strlen(outcome->text);
    snprintf(outcome->text + used, sizeof(outcome->text) - used, "%u %llu %016llx %s;",
             reader->status, (unsigned long long)reader->body_bytes,
             (unsigned long long)http_reader_digest(reader),
             reader->is_keep_alive ? "keep" : "close");
    outcome->count++;
}

/* Reads text in pieces that end at the places given, and what is left; then the connection ends. */
static void read_in_pieces(struct outcome *outcome, enum leat_method method, const char *text,
                           const size_t *places, unsigned places_count)
{
    struct http_reader_core core;
    struct http_reader reader;
    size_t begin = 0, length = strlen(text);
    enum http_read event = HTTP_READ_MORE;
    memset(outcome, 0, sizeof(*outcome));
    http_reader_core_init(&core);
    http_reader_init(&reader);
    for (unsigned i = 0; i <= places_count && event >= 0; i++) {
        size_t end = i < places_count ? places[i] : length;
        struct leat_view input = {text + begin, end - begin};
        while ((event = http_reader_next(&reader, &core, method, &input)) == HTTP_READ_END)
            note(outcome, &reader);
        begin = end;
    }
    size_t used = strlen(outcome->text);
    if (event < 0) {
        snprintf(outcome->text + used, sizeof(outcome->text) - used, "%s",
                 http_reason_name((enum http_reason)reader.reason));
    } else if ((event = http_reader_finish(&reader)) == HTTP_READ_END) {
        note(outcome, &reader);
    } else {
        snprintf(outcome->text + used, sizeof(outcome->text) - used, "%s",
                 event == HTTP_READ_MORE ? "end" : "cut");
    }
    http_reader_fini(&reader);
}

/* Whole, at each two-way split, and byte by byte. */
static void assert_same_however_split(struct outcome *whole, enum leat_method method,
                                      const char *text)
{
    static size_t every[4096];
    size_t length = strlen(text);
    struct outcome split;
    assert_true(length < 4096);
    read_in_pieces(whole, method, text, NULL, 0);
    for (size_t place = 0; place <= length; place++) {
        every[place] = place;
        read_in_pieces(&split, method, text, &place, 1);
        assert_string_equal(split.text, whole->text);
    }
    read_in_pieces(&split, method, text, every, (unsigned)length);
    assert_string_equal(split.text, whole->text);
}

static void reads_every_framing(void **state)
{
    struct outcome outcome, plain, chunked, until;
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              PLAIN CHUNKED INTERIM EMPTY INTERIM INTERIM PLAIN CLOSING);
    assert_int_equal(outcome.count, 5);
    assert_non_null(strstr(outcome.text, "204 0 "));
    assert_non_null(strstr(outcome.text, " close;end"));
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              PLAIN PLAIN CHUNKED CHUNKED INTERIM INTERIM EMPTY EMPTY CLOSING);
    assert_int_equal(outcome.count, 7);
    assert_same_however_split(&plain, LEAT_METHOD_GET, PLAIN);
    assert_same_however_split(&chunked, LEAT_METHOD_GET, CHUNKED);
    assert_string_equal(plain.text, chunked.text);
    assert_memory_equal(plain.text, "200 21 ", 7);
    assert_same_however_split(&until, LEAT_METHOD_GET, PLAIN UNTIL);
    assert_int_equal(until.count, 2);
    assert_memory_equal(plain.text + 4, strstr(until.text, "404") + 4, 19); /* length and digest */
}

static void a_head_request_has_no_body(void **state)
{
    struct outcome outcome;
    assert_same_however_split(&outcome, LEAT_METHOD_HEAD,
                              "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n"
                              "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n" EMPTY);
    assert_int_equal(outcome.count, 3);
    assert_memory_equal(outcome.text, "200 0 ", 6);
}

static void says_what_is_wrong(void **state)
{
    struct outcome outcome;
    assert_same_however_split(&outcome, LEAT_METHOD_GET, PLAIN "HTTP/2.0 200 OK\r\n\r\n");
    assert_int_equal(outcome.count, 1);
    assert_non_null(strstr(outcome.text, "VERSION_MAJOR"));
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    assert_string_equal(outcome.text, "CHUNK_SIZE");
    read_in_pieces(&outcome, LEAT_METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
                   NULL, 0);
    assert_string_equal(outcome.text, "cut");
    read_in_pieces(&outcome, LEAT_METHOD_GET, "HTTP/1.1 200", NULL, 0);
    assert_string_equal(outcome.text, "cut");
}

static void refuses_a_head_without_end(void **state)
{
    static char text[HTTP_READER_HEAD_BYTES + 100];
    static const char begin[] = "HTTP/1.1 200 OK\r\nX: ";
    struct outcome outcome;
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, begin, sizeof(begin) - 1);
    for (size_t place = 0; place < 2; place++) {
        size_t places[2] = {100, HTTP_READER_HEAD_BYTES};
        read_in_pieces(&outcome, LEAT_METHOD_GET, text, places, (unsigned)(2 * place));
        assert_string_equal(outcome.text, "HEAD_LARGE");
    }
}

/* RFC 9112 5.2: in place of a fold stand spaces. */
static void unfolds_lines(void **state)
{
    static const char folded[] = "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\t \r\n c\r\nContent-\r\n Length"
                                 ": 1\r\n\r\n";
    struct outcome outcome, plain;
    assert_same_however_split(&plain, LEAT_METHOD_GET, PLAIN PLAIN);
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\t \r\n\tc\r\n"
                              "Content-Length:\r\n 21\r\n\r\nhello, world, and all" PLAIN);
    assert_string_equal(outcome.text, plain.text);
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n \r\n\r\n"
                              "2\r\n\r\n\r\n0\r\n\r\n" PLAIN);
    assert_int_equal(outcome.count, 2); /* what is no head stays as it is */
    assert_same_however_split(&outcome, LEAT_METHOD_GET, folded);
    assert_string_equal(outcome.text, "FIELD_NAME");
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(outcome.text, "FOLD");
}

/* RFC 9112 6.3, 3: the coding overrides the length, and nothing follows. */
static void reads_both_framings_by_the_coding(void **state)
{
    struct outcome outcome;
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"
                              "\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_memory_equal(outcome.text, "200 3 ", 6);
    assert_non_null(strstr(outcome.text, " close;end"));
}

static void an_invalid_status_is_read(void **state)
{
    struct outcome outcome;
    assert_same_however_split(&outcome, LEAT_METHOD_GET,
                              "HTTP/1.1 999 Denied\r\nContent-Length: 1\r\n\r\nx"
                              "HTTP/1.1 600 \r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(outcome.count, 2);
    assert_memory_equal(outcome.text, "999 1 ", 6);
}

static void switching_is_only_for_who_asked(void **state)
{
    static const char text[] =
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    struct outcome outcome;
    struct http_reader_core core;
    struct http_reader reader;
    struct leat_view input = {text, sizeof(text) - 1};
    assert_same_however_split(&outcome, LEAT_METHOD_GET, text);
    assert_string_equal(outcome.text, "SWITCHED");
    http_reader_core_init(&core);
    http_reader_init(&reader);
    core.may_switch = true;
    assert_int_equal(http_reader_next(&reader, &core, LEAT_METHOD_GET, &input), HTTP_READ_END);
    assert_int_equal(reader.status, 101);
    assert_false(reader.is_keep_alive);
    http_reader_fini(&reader);
}

/* In one piece and in two, of the length that is allowed and one more. */
static void the_limit_of_a_head_may_be_raised(void **state)
{
    static char text[40000];
    static const uint32_t limits[] = {HTTP_READER_HEAD_BYTES, 30000, 30001};
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ");
    memset(text + strlen(text), 'x', 30001 - 4 - strlen(text));
    memcpy(text + 30001 - 4, "\r\n\r\n", 5);
    for (unsigned i = 0; i < 6; i++) {
        struct http_reader_core core;
        struct http_reader reader;
        struct leat_view input = {text, i % 2 == 0 ? 30001 : 20};
        http_reader_core_init(&core);
        http_reader_init(&reader);
        core.limits.head_bytes_max = limits[i / 2];
        enum http_read event = http_reader_next(&reader, &core, LEAT_METHOD_GET, &input);
        input = i % 2 == 0 ? input : (struct leat_view){text + 20, 30001 - 20};
        if (event == HTTP_READ_MORE)
            event = http_reader_next(&reader, &core, LEAT_METHOD_GET, &input);
        assert_int_equal(event, i / 2 == 2 ? HTTP_READ_END : HTTP_READ_BAD);
        assert_int_equal(reader.reason, i / 2 == 2 ? HTTP_REASON_NONE : HTTP_REASON_HEAD_LARGE);
        http_reader_fini(&reader);
    }
}

/* One byte changed, two exchanged, one more or less: another digest. */
static void the_digest_tells_bodies_apart(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct outcome first, other;
    char text[128];
    for (size_t length = 1; length < 40; length++) {
        snprintf(text, sizeof(text), "%s%.*s", head, (int)length,
                 "0123456789abcdefghijklmnopqrstuvwxyzABCD");
        read_in_pieces(&first, LEAT_METHOD_GET, text, NULL, 0);
        for (size_t i = 0; i < length; i++) {
            text[strlen(head) + i] ^= 1;
            read_in_pieces(&other, LEAT_METHOD_GET, text, NULL, 0);
            assert_string_not_equal(first.text, other.text);
            text[strlen(head) + i] ^= 1;
        }
    }
    read_in_pieces(&first, LEAT_METHOD_GET, "HTTP/1.1 200 OK\r\n\r\nabcdefghABCDEFGH", NULL, 0);
    read_in_pieces(&other, LEAT_METHOD_GET, "HTTP/1.1 200 OK\r\n\r\nABCDEFGHabcdefgh", NULL, 0);
    assert_string_not_equal(first.text, other.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_framing),
        cmocka_unit_test(a_head_request_has_no_body),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_a_head_without_end),
        cmocka_unit_test(unfolds_lines),
        cmocka_unit_test(reads_both_framings_by_the_coding),
        cmocka_unit_test(an_invalid_status_is_read),
        cmocka_unit_test(switching_is_only_for_who_asked),
        cmocka_unit_test(the_limit_of_a_head_may_be_raised),
        cmocka_unit_test(the_digest_tells_bodies_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
    static char text[HTTP_READER_HEAD_BYTES_MAX + 100];
    static const char begin[] = "HTTP/1.1 200 OK\r\nX: ";
    struct outcome outcome;
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, begin, sizeof(begin) - 1);
    for (size_t place = 0; place < 2; place++) {
        size_t places[2] = {100, HTTP_READER_HEAD_BYTES_MAX};
        read_in_pieces(&outcome, LEAT_METHOD_GET, text, places, (unsigned)(2 * place));
        assert_string_equal(outcome.text, "HEAD_LARGE");
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
        cmocka_unit_test(the_digest_tells_bodies_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

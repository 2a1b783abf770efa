/* Buffer's operations: encodings by their RFCs' examples and against slow versions, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <leat/codec.h>

#include "buffers/heap.h"
#include "buffers/pools.h"
#include "runtime/base/rng.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct leat_core core_of_test;

static int setup(void **state)
{
    core_of_test = (struct leat_core){.index = 0};
    leat_core_now = &core_of_test;
    assert_int_equal(leat_heap_init(&core_of_test, NULL), 0);
    assert_int_equal(leat_pools_init(&core_of_test, 64 << 20, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(leat_pools_fini(&core_of_test), 0);
    leat_heap_fini(&core_of_test);
    leat_core_now = NULL;
    return 0;
}

/* Both directions, in memory of exactly the size. */
static void check_both(enum leat_encoding encoding, const char *bytes, size_t bytes_count,
                       const char *text)
{
    size_t text_count = strlen(text);
    char *to_text = malloc(text_count + 1);
    uint8_t *to_bytes = malloc(bytes_count + 1);
    assert_true(leat_bytes_to_text_max(encoding, bytes_count) >= text_count);
    assert_true(leat_text_to_bytes_max(encoding, text_count) >= bytes_count);
    assert_int_equal(leat_bytes_to_text(encoding, bytes, bytes_count, to_text, text_count),
                     text_count);
    assert_memory_equal(to_text, text, text_count);
    struct leat_bytes_out out = {to_bytes, bytes_count, 0};
    assert_int_equal(leat_text_to_bytes(encoding, text, text_count, &out), bytes_count);
    assert_memory_equal(to_bytes, bytes, bytes_count);
    if (text_count != 0)
        assert_int_equal(leat_bytes_to_text(encoding, bytes, bytes_count, to_text, text_count - 1),
                         -ERANGE);
    out.size_bytes = bytes_count - 1;
    if (bytes_count != 0)
        assert_int_equal(leat_text_to_bytes(encoding, text, text_count, &out), -ERANGE);
    free(to_text);
    free(to_bytes);
}

static void check_wrong(enum leat_encoding encoding, const char *text, size_t wrong_at)
{
    uint8_t bytes[64];
    struct leat_bytes_out out = {bytes, sizeof(bytes), 999};
    assert_int_equal(leat_text_to_bytes(encoding, text, strlen(text), &out), -EILSEQ);
    assert_int_equal(out.wrong_at, wrong_at);
}

static void test_vectors_of_rfc4648(void **state)
{
    static const char *const base64[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                         "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    static const char *const url[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
    static const char *const hex[] = {"",         "66",         "666f",        "666f6f",
                                      "666f6f62", "666f6f6261", "666f6f626172"};
    for (size_t i = 0; i < LENGTH(base64); i++) {
        check_both(LEAT_BASE64, "foobar", i, base64[i]);
        check_both(LEAT_BASE64URL, "foobar", i, url[i]);
        check_both(LEAT_HEX, "foobar", i, hex[i]);
    }
    check_both(LEAT_BASE64, "\xfb\xff\xbf", 3, "+/+/");
    check_both(LEAT_BASE64URL, "\xfb\xff\xbf", 3, "-_-_");
}

static void test_text_that_is_none_is_refused_where_it_is_wrong(void **state)
{
    check_wrong(LEAT_HEX, "0", 1);
    check_wrong(LEAT_HEX, "g", 0);
    check_wrong(LEAT_HEX, "00 1", 2);
    check_wrong(LEAT_HEX, "0g", 1);
    check_wrong(LEAT_HEX, "0011:", 4);
    check_wrong(LEAT_BASE64, "Zg", 2);
    check_wrong(LEAT_BASE64, "Zg=", 2);
    check_wrong(LEAT_BASE64, "Zg===", 2);
    check_wrong(LEAT_BASE64, "Z", 1);
    check_wrong(LEAT_BASE64, "Z===", 1);
    check_wrong(LEAT_BASE64, "=", 0);
    check_wrong(LEAT_BASE64, "Zm9v=", 4);
    check_wrong(LEAT_BASE64, "Zh==", 1); /* a bit behind the last byte */
    check_wrong(LEAT_BASE64, "Zm9=", 2); /* the same */
    check_wrong(LEAT_BASE64, "Zm-v", 2); /* the other alphabet */
    check_wrong(LEAT_BASE64, "Zm9v\nYmFy", 4);
    check_wrong(LEAT_BASE64, "Zg==Zg==", 2);
    check_wrong(LEAT_BASE64URL, "Zm+v", 2);
    check_wrong(LEAT_BASE64URL, "Zh", 1);
    check_wrong(LEAT_LATIN1, "a\xc4\x80", 1); /* U+0100 */
    check_wrong(LEAT_LATIN1, "ab\xff", 2);
    check_wrong(LEAT_UTF8, "ab\xc3", 2);
    check_wrong(LEAT_UTF16LE, "a\xed\xa0\x80", 1);
    uint8_t bytes[8];
    struct leat_bytes_out out = {bytes, sizeof(bytes), 0};
    assert_int_equal(leat_text_to_bytes(LEAT_BASE64URL, "Zg==", 4, &out), 1); /* permitted */
    assert_int_equal(leat_text_to_bytes(LEAT_BASE64URL, "Zg=", 3, &out), -EILSEQ);
}

static void test_latin1_and_utf16(void **state)
{
    check_both(LEAT_LATIN1, "caf\xe9", 4, "caf\xc3\xa9");
    check_both(LEAT_LATIN1, "\x80\xff", 2, "\xc2\x80\xc3\xbf");
    check_both(LEAT_UTF16LE, "a\0\xe9\0\xac\x20\x3d\xd8\x00\xde", 10,
               "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    static const struct {
        const char *bytes;
        size_t count;
        const char *text;
    } broken[] = {
        {"a", 1, "\xef\xbf\xbd"},                            /* half a unit */
        {"\x3d\xd8", 2, "\xef\xbf\xbd"},                     /* a high surrogate at the end */
        {"\x3d\xd8z\0", 4, "\xef\xbf\xbdz"},                 /* before something else */
        {"\x00\xde\x3d\xd8", 4, "\xef\xbf\xbd\xef\xbf\xbd"}, /* the wrong way round */
    };
    for (size_t i = 0; i < LENGTH(broken); i++) {
        char text[16];
        int64_t count =
            leat_bytes_to_text(LEAT_UTF16LE, broken[i].bytes, broken[i].count, text, sizeof(text));
        assert_int_equal(count, strlen(broken[i].text));
        assert_memory_equal(text, broken[i].text, (size_t)count);
    }
}

/* RFC 3629 4 as it is written there: the table of UTF8-1 to UTF8-4. The length, or 0. */
static size_t slow_sequence(const uint8_t *at, size_t left)
{
    static const uint8_t rows[][9] = {
        {1, 0x00, 0x7f},
        {2, 0xc2, 0xdf, 0x80, 0xbf},
        {3, 0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
        {3, 0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
        {3, 0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
        {3, 0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };
    for (size_t row = 0; row < LENGTH(rows); row++) {
        size_t i = 0;
        while (i < rows[row][0] && i < left && at[i] >= rows[row][1 + 2 * i] &&
               at[i] <= rows[row][2 + 2 * i])
            i++;
        if (i == rows[row][0])
            return i;
    }
    return 0;
}

static size_t slow_validate(const uint8_t *bytes, size_t count)
{
    size_t at = 0, length;
    while (at < count && (length = slow_sequence(bytes + at, count - at)) != 0)
        at += length;
    return at;
}

static void test_every_sequence_of_utf8_up_to_three_bytes(void **state)
{
    for (uint32_t word = 0; word < 1u << 24; word += 1) {
        uint8_t bytes[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
        if (bytes[0] < 0x80 && bytes[1] != 0) /* the rest says nothing new */
            continue;
        assert_int_equal(leat_utf8_validate(bytes, 3), slow_validate(bytes, 3));
    }
}

static void random_bytes_fill(struct leat_rng *rng, uint8_t *bytes, size_t count)
{
    /* Bytes that sequences are made of, so that valid and almost valid ones come often. */
    static const uint8_t likely_ones[] = {'a',  'b',  0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                          0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1,
                                          0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
    for (size_t i = 0; i < count; i++)
        bytes[i] = rng_below(rng, 8) == 0 ? (uint8_t)rng_next(rng)
                                          : likely_ones[rng_below(rng, sizeof(likely_ones))];
}

static void test_random_utf8_behind_ascii_of_any_length(void **state)
{
    struct leat_rng rng;
    rng_init(&rng, 7);
    for (unsigned round = 0; round < 20000; round++) {
        size_t ascii = rng_below(&rng, 40), count = ascii + rng_below(&rng, 12);
        uint8_t *bytes = malloc(count + 1);
        memset(bytes, 'x', ascii);
        random_bytes_fill(&rng, bytes + ascii, count - ascii);
        assert_int_equal(leat_utf8_validate(bytes, count), slow_validate(bytes, count));
        free(bytes);
    }
}

/* In pieces of any size the decoder says what it says of the whole, and what it says is valid. */
static void test_pieces_of_utf8_decode_as_the_whole(void **state)
{
    struct leat_rng rng;
    rng_init(&rng, 8);
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[16];
        char whole[LEAT_UTF8_TEXT_MAX(16)], pieces[LEAT_UTF8_TEXT_MAX(16)];
        size_t count = rng_below(&rng, sizeof(bytes) + 1), at = 0;
        random_bytes_fill(&rng, bytes, count);
        int64_t expected = leat_bytes_to_text(LEAT_UTF8, bytes, count, whole, sizeof(whole)),
                got = 0;
        assert_in_range(expected, 0, LEAT_UTF8_TEXT_MAX(count));
        assert_int_equal(leat_utf8_validate(whole, (size_t)expected), expected);
        struct leat_utf8 utf8 = {.begun_count = 0};
        while (at < count) {
            size_t piece = 1 + rng_below(&rng, count - at);
            int64_t more = leat_utf8_push(&utf8, bytes + at, piece, pieces + got,
                                          sizeof(pieces) - (size_t)got);
            assert_true(more >= 0 && (size_t)more <= LEAT_UTF8_TEXT_MAX(piece));
            got += more;
            at += piece;
        }
        got += leat_utf8_push(&utf8, NULL, 0, pieces + got, sizeof(pieces) - (size_t)got);
        assert_int_equal(got, expected);
        assert_memory_equal(pieces, whole, (size_t)got);
    }
}

static void test_replacement_is_by_maximal_part(void **state)
{
    /* The example of the Unicode standard 3.9, table 3-11, and its kin. */
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
         "A",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
         "A"},
        {"\xc0\xaf\xe0\x80\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98", "\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[64];
        int64_t count =
            leat_bytes_to_text(LEAT_UTF8, cases[i].bytes, strlen(cases[i].bytes), text, 64);
        assert_int_equal(count, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, (size_t)count);
    }
}

static void test_a_push_that_does_not_fit_changes_nothing(void **state)
{
    struct leat_utf8 utf8 = {.begun_count = 0};
    char text[16];
    assert_int_equal(leat_utf8_push(&utf8, "\xf0\x9f", 2, text, 0), 0);
    struct leat_utf8 before = utf8;
    assert_int_equal(leat_utf8_push(&utf8, "\x98\x80z", 3, text, 4), -ERANGE);
    assert_memory_equal(&utf8, &before, sizeof(utf8));
    assert_int_equal(leat_utf8_push(&utf8, "\x98\x80z", 3, text, 5), 5);
    assert_memory_equal(text, "\xf0\x9f\x98\x80z", 5);
    assert_int_equal(leat_utf8_push(&utf8, "\xe2", 1, text, 0), 0);
    assert_int_equal(leat_utf8_push(&utf8, NULL, 0, text, 2), -ERANGE);
    assert_int_equal(leat_utf8_push(&utf8, NULL, 0, text, 3), 3);
    assert_int_equal(leat_utf8_push(&utf8, NULL, 0, text, 3), 0);
}

static void test_overlap_is_refused(void **state)
{
    char both[64] = "666f";
    struct leat_bytes_out out = {both + 2, 8, 0};
    assert_int_equal(leat_text_to_bytes(LEAT_HEX, both, 4, &out), -EINVAL);
    assert_int_equal(leat_bytes_to_text(LEAT_HEX, both, 4, both + 3, 8), -EINVAL);
    assert_int_equal(leat_bytes_to_text(LEAT_HEX, both, 4, both + 4, 8), 8);
    assert_memory_equal(both + 4, "36363666", 8);
}

static void test_new_buffers(void **state)
{
    struct leat_error error = {.code = 1};
    struct leat_buf buf = leat_buf_from_text(LEAT_BASE64, "Zm9vYg==", 8, &error);
    assert_int_equal(buf.length_bytes, 4);
    assert_memory_equal(buf.data, "foob", 4);
    struct leat_buf text = leat_buf_to_text(buf, LEAT_HEX);
    assert_int_equal(text.length_bytes, 8);
    assert_memory_equal(text.data, "666f6f62", 8);
    leat_buf_unref(text);
    leat_buf_unref(buf);
    assert_null(leat_buf_from_text(LEAT_HEX, "", 0, &error).data);
    assert_int_equal(error.code, 0);
    assert_null(leat_buf_from_text(LEAT_HEX, "0", 1, &error).data);
    assert_int_equal(error.code, -EILSEQ);
    assert_null(leat_buf_from_text(LEAT_UTF8, "ab\xff", 3, &error).data);
    assert_string_equal(error.sentence, "not utf8: the byte at 2 of 3 cannot stand there");
    leat_pools_fail_at(&core_of_test, 1);
    assert_null(leat_buf_from_text(LEAT_UTF8, "ab", 2, &error).data);
    assert_int_equal(error.code, -ENOMEM);
    leat_pools_fail_at(&core_of_test, 1);
    assert_null(leat_buf_to_text(leat_buf_from_static("ab", 2), LEAT_UTF8).data);
    text = leat_buf_to_text(leat_buf_from_static("a\xff", 2), LEAT_UTF8);
    assert_int_equal(text.length_bytes, 4);
    leat_buf_unref(text);
}

static struct leat_buf as_buf(const char *string)
{
    return leat_buf_from_static(string, strlen(string));
}

static void test_compare_equal_and_find(void **state)
{
    assert_true(leat_buf_compare(as_buf("a"), as_buf("b")) < 0);
    assert_true(leat_buf_compare(as_buf("b"), as_buf("ab")) > 0);
    assert_true(leat_buf_compare(as_buf("a"), as_buf("ab")) < 0);
    assert_true(leat_buf_compare(as_buf("\xff"), as_buf("a")) > 0);
    assert_int_equal(leat_buf_compare(as_buf("ab"), as_buf("ab")), 0);
    assert_int_equal(leat_buf_compare(as_buf(""), (struct leat_buf){NULL, 0, NULL}), 0);
    assert_true(leat_buf_is_equal(as_buf("ab"), as_buf("ab")));
    assert_false(leat_buf_is_equal(as_buf("ab"), as_buf("abc")));
    assert_true(leat_buf_is_equal_secret(as_buf("secret"), as_buf("secret")));
    assert_false(leat_buf_is_equal_secret(as_buf("secret"), as_buf("secreT")));
    assert_false(leat_buf_is_equal_secret(as_buf("secret"), as_buf("Secret")));
    assert_false(leat_buf_is_equal_secret(as_buf("secret"), as_buf("secrets")));
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "l", 1, 0), 2);
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "l", 1, 3), 3);
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "lo", 2, 4), LEAT_NOT_FOUND);
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "", 0, 5), 5);
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "", 0, 6), LEAT_NOT_FOUND);
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "hello!", 6, 0), LEAT_NOT_FOUND);
    assert_int_equal(leat_buf_index_of(as_buf("hello"), "h", 1, SIZE_MAX), LEAT_NOT_FOUND);
}

static void test_fill_copy_concat(void **state)
{
    struct leat_buf buf = leat_buf_alloc(10);
    assert_int_equal(leat_buf_fill(buf, 1, 8, "abc", 3), 0);
    assert_memory_equal(buf.data, "\0abcabcab\0", 10);
    assert_int_equal(leat_buf_fill(buf, 0, 10, "-", 1), 0);
    assert_memory_equal(buf.data, "----------", 10);
    assert_int_equal(leat_buf_fill(buf, 3, 8, "-", 1), -ERANGE);
    assert_int_equal(leat_buf_fill(buf, 11, 0, "-", 1), -ERANGE);
    assert_int_equal(leat_buf_fill(buf, 2, SIZE_MAX, "-", 1), -ERANGE);
    assert_int_equal(leat_buf_fill(buf, 0, 10, "", 0), -EINVAL);
    assert_int_equal(leat_buf_fill(buf, 10, 0, "", 0), 0);
    assert_int_equal(leat_buf_fill(buf, 0, 5, buf.data + 4, 2), -EINVAL);
    assert_int_equal(leat_buf_copy(buf, 8, as_buf("xy")), 0);
    assert_int_equal(leat_buf_copy(buf, 9, as_buf("xy")), -ERANGE);
    assert_memory_equal(buf.data, "--------xy", 10);
    struct leat_buf part = leat_buf_slice(buf, 6, 4);
    assert_int_equal(leat_buf_copy(buf, 5, part), 0); /* over itself */
    assert_memory_equal(buf.data, "-------xyy", 10);
    leat_buf_unref(part);
    struct leat_buf bufs[] = {as_buf("ab"), as_buf(""), buf, {NULL, 0, NULL}};
    struct leat_buf all = leat_buf_concat(bufs, LENGTH(bufs));
    assert_int_equal(all.length_bytes, 12);
    assert_memory_equal(all.data, "ab-------xyy", 12);
    assert_null(leat_buf_concat(bufs + 3, 1).data);
    leat_buf_unref(all);
    leat_buf_unref(buf);
}

/* Every width, order, offset and edge value against shifting by hand. */
static void test_whole_numbers_in_bytes(void **state)
{
    uint8_t memory[12] = {0};
    struct leat_buf buf = leat_buf_from_static(memory, sizeof(memory));
    for (unsigned width = 1; width <= 8; width++)
        for (unsigned little = 0; little < 2; little++)
            for (unsigned bit = 0; bit <= 8 * width; bit++)
                for (int below = -1; below <= 1; below++) {
                    leat_layout layout = little ? LEAT_LE(width) : LEAT_BE(width);
                    uint64_t mask = UINT64_MAX >> (64 - 8 * width), got = 0;
                    uint64_t value = (bit == 64 ? 0 : UINT64_C(1) << bit) + (uint64_t)below;
                    size_t offset = bit % (sizeof(memory) - width + 1);
                    memset(memory, 0xa5, sizeof(memory));
                    int code = leat_buf_write_uint(&buf, offset, layout, value);
                    assert_int_equal(code, (value & ~mask) == 0 ? 0 : -ERANGE);
                    for (size_t i = 0; i < sizeof(memory); i++) {
                        unsigned at = (unsigned)(i - offset);
                        uint8_t byte = 0xa5; /* nothing around it was touched */
                        if (code == 0 && at < width)
                            byte = (uint8_t)(value >> 8 * (little ? at : width - 1 - at));
                        assert_int_equal(memory[i], byte);
                    }
                    if (code != 0)
                        continue;
                    assert_int_equal(leat_buf_read_uint(&buf, offset, layout, &got), 0);
                    assert_true(got == value);
                    int64_t sign_bit = (int64_t)(value >> (8 * width - 1)), read = 0;
                    assert_int_equal(leat_buf_read_int(&buf, offset, layout, &read), 0);
                    assert_true((uint64_t)read == (value | (sign_bit ? ~mask : 0)));
                    assert_int_equal(leat_buf_write_int(&buf, offset, layout, read), 0);
                    assert_int_equal(leat_buf_read_uint(&buf, offset, layout, &got), 0);
                    assert_true(got == value);
                }
}

static void test_numbers_out_of_bounds_change_nothing(void **state)
{
    uint8_t memory[4] = {1, 2, 3, 4};
    struct leat_buf buf = leat_buf_from_static(memory, 4), none = {NULL, 0, NULL};
    uint64_t value = 77;
    int64_t number = 77;
    double real = 77;
    assert_int_equal(leat_buf_read_uint(&buf, 1, LEAT_BE(4), &value), -ERANGE);
    assert_int_equal(leat_buf_read_uint(&buf, SIZE_MAX, LEAT_LE(1), &value), -ERANGE);
    assert_int_equal(leat_buf_read_uint(&none, 0, LEAT_BE(1), &value), -ERANGE);
    assert_int_equal(leat_buf_read_uint(&buf, 0, LEAT_BE(0), &value), -EINVAL);
    assert_int_equal(leat_buf_read_uint(&buf, 0, LEAT_LE(9), &value), -EINVAL);
    assert_int_equal(leat_buf_read_uint(&buf, 0, 33, &value), -EINVAL);
    assert_int_equal(leat_buf_read_int(&buf, 0, LEAT_LE(5), &number), -ERANGE);
    assert_int_equal(leat_buf_read_float(&buf, 0, LEAT_LE(8), &real), -ERANGE);
    assert_int_equal(leat_buf_read_float(&buf, 0, LEAT_LE(2), &real), -EINVAL);
    assert_int_equal(leat_buf_write_uint(&buf, 4, LEAT_BE(1), 0), -ERANGE);
    assert_int_equal(leat_buf_write_int(&buf, 0, LEAT_BE(1), 128), -ERANGE);
    assert_int_equal(leat_buf_write_int(&buf, 0, LEAT_BE(1), -129), -ERANGE);
    assert_int_equal(leat_buf_write_int(&buf, 0, LEAT_BE(9), 0), -EINVAL);
    assert_int_equal(leat_buf_write_float(&buf, 1, LEAT_BE(4), 1), -ERANGE);
    assert_int_equal(leat_buf_write_float(&buf, 0, LEAT_BE(3), 1), -EINVAL);
    assert_true(value == 77 && number == 77 && real == 77);
    assert_memory_equal(memory, "\1\2\3\4", 4);
}

static void test_floats_in_bytes(void **state)
{
    uint8_t memory[8] = {0};
    struct leat_buf buf = leat_buf_from_static(memory, 8);
    double value;
    assert_int_equal(leat_buf_write_float(&buf, 0, LEAT_BE(8), 1.5), 0);
    assert_memory_equal(memory, "\x3f\xf8\0\0\0\0\0\0", 8);
    assert_int_equal(leat_buf_read_float(&buf, 0, LEAT_BE(8), &value), 0);
    assert_true(value == 1.5);
    assert_int_equal(leat_buf_write_float(&buf, 2, LEAT_LE(4), -0.1), 0);
    assert_memory_equal(memory + 2, "\xcd\xcc\xcc\xbd", 4);
    assert_int_equal(leat_buf_read_float(&buf, 2, LEAT_LE(4), &value), 0);
    assert_true(value == (double)-0.1f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_of_rfc4648),
        cmocka_unit_test(test_text_that_is_none_is_refused_where_it_is_wrong),
        cmocka_unit_test(test_latin1_and_utf16),
        cmocka_unit_test(test_every_sequence_of_utf8_up_to_three_bytes),
        cmocka_unit_test(test_random_utf8_behind_ascii_of_any_length),
        cmocka_unit_test(test_pieces_of_utf8_decode_as_the_whole),
        cmocka_unit_test(test_replacement_is_by_maximal_part),
        cmocka_unit_test(test_a_push_that_does_not_fit_changes_nothing),
        cmocka_unit_test(test_overlap_is_refused),
        cmocka_unit_test_setup_teardown(test_new_buffers, setup, teardown),
        cmocka_unit_test(test_compare_equal_and_find),
        cmocka_unit_test_setup_teardown(test_fill_copy_concat, setup, teardown),
        cmocka_unit_test(test_whole_numbers_in_bytes),
        cmocka_unit_test(test_numbers_out_of_bounds_change_nothing),
        cmocka_unit_test(test_floats_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

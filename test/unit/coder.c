/* Coders: every coding there and back in any pieces, cut, damaged, too large, without memory. What
 * others make of the same bytes is compared in test/codec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <leat/coder.h>

#include "buffers/heap.h"
#include "leat_config.h"
#include "runtime/base/rng.h"

enum { TEXT_BYTES = 40000, PACKED_BYTES_MAX = 2 * TEXT_BYTES };

static struct leat_core core_of_test;
static struct leat_rng rng;
static uint8_t text[TEXT_BYTES];
static const bool is_built[] = {
    [LEAT_GZIP] = LEAT_HAVE_ZLIB,        [LEAT_DEFLATE] = LEAT_HAVE_ZLIB,
    [LEAT_DEFLATE_RAW] = LEAT_HAVE_ZLIB, [LEAT_BROTLI] = LEAT_HAVE_BROTLI,
    [LEAT_ZSTD] = LEAT_HAVE_ZSTD,
};
/* For each coding that this build has. */
#define EACH_CODING(coding)                                                                        \
    for (enum leat_coding coding = LEAT_GZIP; coding <= LEAT_ZSTD; coding++)                       \
        if (is_built[coding])

static int setup(void **state)
{
    core_of_test = (struct leat_core){.index = 0};
    leat_core_now = &core_of_test;
    assert_int_equal(leat_heap_init(&core_of_test, NULL), 0);
    rng_init(&rng, 12);
    for (size_t i = 0; i < sizeof(text); i++) /* words that come again, and some that do not */
        text[i] = i % 97 < 80 && i > 500 ? text[i - 500 + i % 7 % 2]
                                         : (uint8_t)(rng_below(&rng, 60) + 40);
    return 0;
}

/* Nothing is left, in the account and in the heap. */
static int teardown(void **state)
{
    struct leat_heap_stats stats;
    leat_heap_stats(&core_of_test, &stats);
    assert_int_equal(core_of_test.codec_bytes, 0);
    assert_int_equal(stats.allocated_count, stats.freed_count);
    leat_heap_fini(&core_of_test);
    leat_core_now = NULL;
    return 0;
}

static struct leat_coder *coder_of(enum leat_coding coding, bool is_decoder)
{
    struct leat_error error = {.code = 0};
    struct leat_coder_options options = {.coding = coding};
    struct leat_coder *coder =
        is_decoder ? leat_decoder_new(&options, &error) : leat_encoder_new(&options, &error);
    if (coder == NULL)
        fail_msg("%s", error.sentence);
    return coder;
}

/* All of in through the coder, in pieces and into room of at most those sizes; the last step. */
static enum leat_coder_step run_through(struct leat_coder *coder, const uint8_t *in,
                                        size_t in_bytes, uint8_t *out, size_t *out_bytes,
                                        size_t piece_bytes)
{
    size_t fed = 0, written = 0, room = *out_bytes;
    enum leat_coder_step step = LEAT_CODER_IN;
    while (step == LEAT_CODER_IN) {
        size_t count = in_bytes - fed < piece_bytes ? in_bytes - fed : piece_bytes;
        uint8_t *piece = malloc(count + 1); /* exactly the bytes, so that others are seen */
        memcpy(piece, in + fed, count);
        fed += count;
        struct leat_coder_io io = {piece, count, NULL, 0,
                                   fed == in_bytes ? LEAT_CODER_FINISH : LEAT_CODER_GO};
        do {
            size_t most = room - written < piece_bytes ? room - written : piece_bytes;
            assert_true(most > 0);
            io.out = out + written;
            io.out_bytes = most;
            step = leat_coder_run(coder, &io);
            written += most - io.out_bytes;
        } while (step == LEAT_CODER_OUT);
        if (step == LEAT_CODER_IN)
            assert_int_equal(io.in_bytes, 0);
        free(piece);
    }
    *out_bytes = written;
    return step;
}

static uint8_t packed[PACKED_BYTES_MAX], unpacked[TEXT_BYTES + 1];

static size_t packed_of(enum leat_coding coding, const uint8_t *in, size_t in_bytes)
{
    size_t bytes = sizeof(packed);
    struct leat_coder *encoder = coder_of(coding, false);
    assert_int_equal(run_through(encoder, in, in_bytes, packed, &bytes, SIZE_MAX), LEAT_CODER_DONE);
    leat_coder_free(encoder);
    return bytes;
}

static void test_there_and_back_in_any_pieces(void **state)
{
    static const size_t lengths[] = {0, 1, 100, 5000, TEXT_BYTES};
    static const size_t pieces[] = {1, 7, 1000, SIZE_MAX};
    EACH_CODING(coding)
    {
        struct leat_coder *encoder = coder_of(coding, false), *decoder = coder_of(coding, true);
        for (size_t i = 0; i < 5; i++)
            for (size_t j = 0; j < 4; j++) {
                size_t bytes = sizeof(packed), back = sizeof(unpacked);
                if (lengths[i] > 5000 && pieces[j] < 1000)
                    continue;
                leat_coder_reset(encoder);
                leat_coder_reset(decoder);
                assert_int_equal(run_through(encoder, text, lengths[i], packed, &bytes, pieces[j]),
                                 LEAT_CODER_DONE);
                assert_int_equal(run_through(decoder, packed, bytes, unpacked, &back, pieces[j]),
                                 LEAT_CODER_DONE);
                assert_int_equal(back, lengths[i]);
                assert_memory_equal(unpacked, text, back);
                assert_true(lengths[i] < 5000 || bytes < lengths[i] * 3 / 4);
            }
        leat_coder_free(encoder);
        leat_coder_free(decoder);
    }
}

static void test_what_was_flushed_can_be_read(void **state)
{
    EACH_CODING(coding)
    {
        struct leat_coder *encoder = coder_of(coding, false), *decoder = coder_of(coding, true);
        for (size_t at = 0; at < 1000; at += 100) {
            struct leat_coder_io io = {text + at, 100, packed, sizeof(packed), LEAT_CODER_FLUSH};
            assert_int_equal(leat_coder_run(encoder, &io), LEAT_CODER_IN);
            struct leat_coder_io back = {packed, sizeof(packed) - io.out_bytes, unpacked, 200,
                                         LEAT_CODER_GO};
            assert_int_equal(leat_coder_run(decoder, &back), LEAT_CODER_IN);
            assert_int_equal(200 - back.out_bytes, 100);
            assert_memory_equal(unpacked, text + at, 100);
        }
        leat_coder_free(encoder);
        leat_coder_free(decoder);
    }
}

/* Cut off anywhere it is never taken for whole. */
static void test_cut_off_is_said(void **state)
{
    EACH_CODING(coding)
    {
        size_t bytes = packed_of(coding, text, 300);
        struct leat_coder *decoder = coder_of(coding, true);
        for (size_t cut = 0; cut < bytes; cut++) {
            size_t back = sizeof(unpacked);
            struct leat_error error;
            leat_coder_reset(decoder);
            assert_int_equal(run_through(decoder, packed, cut, unpacked, &back, 64),
                             LEAT_CODER_WRONG);
            assert_int_equal(leat_coder_error(decoder, &error), -EBADMSG);
            assert_non_null(strstr(error.sentence, "cut off"));
        }
        leat_coder_free(decoder);
    }
}

/* Any byte changed: an error, or the same bytes where the change was in what says nothing; other
 * bytes only in the codings that have no checksum. */
static void test_damage_is_found_where_a_checksum_stands(void **state)
{
    EACH_CODING(coding)
    {
        bool has_sum = coding == LEAT_GZIP || coding == LEAT_DEFLATE;
        size_t bytes = packed_of(coding, text, 300), errors = 0;
        struct leat_coder *decoder = coder_of(coding, true);
        for (size_t at = 0; at < bytes; at++) {
            size_t back = sizeof(unpacked);
            packed[at] ^= (uint8_t)(1 + rng_below(&rng, 255));
            leat_coder_reset(decoder);
            enum leat_coder_step step = run_through(decoder, packed, bytes, unpacked, &back, 64);
            errors += step == LEAT_CODER_WRONG;
            if (step == LEAT_CODER_DONE && has_sum) {
                assert_int_equal(back, 300);
                assert_memory_equal(unpacked, text, 300);
            }
            bytes = packed_of(coding, text, 300);
        }
        assert_true(errors > (has_sum ? bytes * 9 / 10 : 0));
        leat_coder_free(decoder);
    }
}

static void test_output_is_bounded(void **state)
{
    EACH_CODING(coding)
    {
        size_t bytes = packed_of(coding, text, 5000);
        struct leat_coder_options options = {.coding = coding, .bytes_max = 5000};
        struct leat_error error;
        for (int is_less = 0; is_less < 2; is_less++) {
            size_t back = sizeof(unpacked);
            options.bytes_max -= (uint64_t)is_less;
            struct leat_coder *decoder = leat_decoder_new(&options, &error);
            assert_int_equal(run_through(decoder, packed, bytes, unpacked, &back, 1000),
                             is_less ? LEAT_CODER_WRONG : LEAT_CODER_DONE);
            assert_int_equal(leat_coder_error(decoder, &error), is_less ? -EMSGSIZE : 0);
            leat_coder_free(decoder);
        }
    }
}

/* 8 MiB of zeros, which become a few KiB, or less. */
static void test_a_bomb_is_put_out(void **state)
{
    enum { ZEROS = 8 << 20 };
    uint8_t *zeros = calloc(1, ZEROS), *back = malloc(ZEROS);
    EACH_CODING(coding)
    {
        size_t bytes = packed_of(coding, zeros, ZEROS), back_bytes = ZEROS;
        struct leat_coder_options options = {.coding = coding};
        struct leat_error error;
        assert_true(bytes < ZEROS / 500);
        struct leat_coder *decoder = leat_decoder_new(&options, &error);
        assert_int_equal(run_through(decoder, packed, bytes, back, &back_bytes, 65536),
                         LEAT_CODER_WRONG);
        assert_int_equal(leat_coder_error(decoder, &error), -EMSGSIZE);
        assert_true(back_bytes <= bytes * 100 + 65536 * 2); /* and soon */
        leat_coder_free(decoder);
        options.ratio_max = UINT32_MAX;
        decoder = leat_decoder_new(&options, &error);
        back_bytes = ZEROS;
        assert_int_equal(run_through(decoder, packed, bytes, back, &back_bytes, SIZE_MAX),
                         LEAT_CODER_DONE);
        assert_int_equal(back_bytes, ZEROS);
        leat_coder_free(decoder);
    }
    free(zeros);
    free(back);
}

static void test_streams_may_follow_each_other(void **state)
{
    EACH_CODING(coding)
    {
        bool may_follow = coding == LEAT_GZIP || coding == LEAT_ZSTD;
        size_t one = packed_of(coding, text, 300), pieces[] = {1, 64, SIZE_MAX};
        memcpy(packed + one, packed, one);
        memcpy(packed + 2 * one, "junk", 4);
        struct leat_coder *decoder = coder_of(coding, true);
        for (size_t i = 0; i < 3; i++) {
            size_t back = sizeof(unpacked);
            leat_coder_reset(decoder);
            assert_int_equal(run_through(decoder, packed, 2 * one, unpacked, &back, pieces[i]),
                             LEAT_CODER_DONE);
            assert_int_equal(back, may_follow ? 600 : 300);
        }
        struct leat_coder_io io = {packed, 2 * one + 4, unpacked, sizeof(unpacked),
                                   LEAT_CODER_FINISH};
        leat_coder_reset(decoder);
        assert_int_equal(leat_coder_run(decoder, &io), LEAT_CODER_DONE);
        assert_int_equal(io.in_bytes, may_follow ? 4 : one + 4); /* what is not the stream's */
        assert_int_equal(leat_coder_run(decoder, &io), LEAT_CODER_DONE); /* once more: the same */
        leat_coder_free(decoder);
    }
}

static void test_frames_of_zstd_before_1_0_are_refused(void **state)
{
    static const char *const frames[] = {"\x27\xb5\x2f\xfd\0\0\0\0\0\0\0\x64",
                                         "\x22\xb5\x2f\xfd\0\0\0\0\0\0\0\x64",
                                         "\x1e\xb5\x2f\xfd\0\0\0\0\0\0\0\x64"};
    for (size_t i = 0; i < 3 && is_built[LEAT_ZSTD]; i++) {
        struct leat_coder *decoder = coder_of(LEAT_ZSTD, true);
        for (size_t piece_bytes = 1; piece_bytes <= 12; piece_bytes++) {
            struct leat_error error;
            size_t back = sizeof(unpacked);
            leat_coder_reset(decoder);
            assert_int_equal(run_through(decoder, (const uint8_t *)frames[i], 12, unpacked, &back,
                                         piece_bytes),
                             LEAT_CODER_WRONG);
            assert_int_equal(leat_coder_error(decoder, &error), -EBADMSG);
        }
        leat_coder_free(decoder);
    }
}

/* Whole frames, of which a decoder that sees all at once could say more or less than otherwise. */
static void test_a_frame_of_zstd_is_the_same_however_it_is_cut(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
        enum leat_coder_step step;
    } rows[] = {
        {"\x28\xb5\x2f\xfd\x20\x04\x21\0\0leat", 13, LEAT_CODER_DONE},
        /* 16 bytes announced, none in its only block */
        {"\x28\xb5\x2f\xfd\x20\x10\x01\0\0", 9, LEAT_CODER_DONE},
        {"\x28\x25\xb5\x2f\xfd\x04\0\0\0\0", 10, LEAT_CODER_WRONG}, /* 0.5, a byte too late */
        {"\x28\xb5\x2f\xfd\x80\xa0\x04\0\0\0\x21\0\0leat", 17, LEAT_CODER_WRONG}, /* 1 GiB window */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && is_built[LEAT_ZSTD]; i++) {
        struct leat_coder *decoder = coder_of(LEAT_ZSTD, true);
        for (size_t piece_bytes = 1; piece_bytes <= rows[i].count + 8; piece_bytes++) {
            size_t back = sizeof(unpacked);
            leat_coder_reset(decoder);
            assert_int_equal(run_through(decoder, (const uint8_t *)rows[i].bytes, rows[i].count,
                                         unpacked, &back, piece_bytes),
                             rows[i].step);
        }
        leat_coder_free(decoder);
    }
}

static void test_options_that_cannot_be(void **state)
{
    for (enum leat_coding coding = LEAT_GZIP; coding <= LEAT_ZSTD; coding++) {
        struct leat_error error = {.code = 0};
        struct leat_coder_options options = {.coding = coding, .level = is_built[coding] ? 99 : 1};
        assert_null(leat_encoder_new(&options, &error));
        assert_int_equal(error.code, is_built[coding] ? -EINVAL : -ENOTSUP);
        options.level = -1;
        assert_null(leat_encoder_new(&options, &error));
        if (!is_built[coding])
            assert_null(leat_decoder_new(&options, &error));
    }
    struct leat_error error;
    assert_null(leat_decoder_new(&(struct leat_coder_options){.coding = 9}, &error));
    assert_int_equal(error.code, -EINVAL);
    leat_coder_free(NULL);
}

/* There and back; 0, or the code with which it failed. */
static int tried(enum leat_coding coding)
{
    struct leat_error error = {.code = 0};
    struct leat_coder_options options = {.coding = coding};
    struct leat_coder *coders[2] = {leat_encoder_new(&options, &error), NULL};
    if (coders[0] != NULL)
        coders[1] = leat_decoder_new(&options, &error);
    uint8_t *ins[2] = {text, packed}, *outs[2] = {packed, unpacked};
    size_t bytes = 5000;
    for (int i = 0; i < 2 && coders[1] != NULL && error.code == 0; i++) {
        size_t out_bytes = i == 0 ? sizeof(packed) : sizeof(unpacked);
        if (run_through(coders[i], ins[i], bytes, outs[i], &out_bytes, 1000) != LEAT_CODER_DONE)
            leat_coder_error(coders[i], &error);
        bytes = out_bytes;
    }
    leat_coder_free(coders[0]);
    leat_coder_free(coders[1]);
    return error.code;
}

static void test_each_allocation_fails_once(void **state)
{
    EACH_CODING(coding)
    {
        unsigned failed = 0;
        for (uint64_t nth = 1; nth <= 40; nth++) {
            leat_heap_fail_at(&core_of_test, nth);
            int code = tried(coding);
            leat_heap_fail_at(&core_of_test, 0);
            assert_true(code == 0 || code == -ENOMEM);
            failed += code != 0;
            assert_int_equal(core_of_test.codec_bytes, 0);
        }
        assert_in_range(failed, 4, 39); /* some failed, and some came after the last allocation */
        assert_int_equal(tried(coding), 0);
    }
}

static void test_codec_memory_is_bounded(void **state)
{
    EACH_CODING(coding)
    {
        unsigned failed = 0;
        for (uint64_t max = 1024; max <= 64 << 20; max *= 2) {
            core_of_test.codec_bytes_max = max;
            int code = tried(coding);
            assert_true(code == 0 || code == -EAGAIN);
            failed += code != 0;
        }
        assert_in_range(failed, 4, 14);
        core_of_test.codec_bytes_max = 0;
    }
}

static void test_a_coder_off_the_cores_is_not_counted(void **state)
{
    leat_core_now = NULL;
    EACH_CODING(coding)
    {
        assert_int_equal(tried(coding), 0);
    }
    leat_core_now = &core_of_test;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back_in_any_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_flushed_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_found_where_a_checksum_stands, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_output_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_bomb_is_put_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_may_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frames_of_zstd_before_1_0_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_frame_of_zstd_is_the_same_however_it_is_cut, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_options_that_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_allocation_fails_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_codec_memory_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_coder_off_the_cores_is_not_counted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SHA-1 and SHA-256 by NIST's examples, in any pieces; random bytes, and those of a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <leat/codec.h>
#include <leat/digest.h>
#include <leat/random.h>

#include "runtime/base/rng.h"

static void check_digest(enum leat_digest_kind kind, const char *bytes, size_t count, size_t times,
                         const char *expected)
{
    struct leat_digest digest;
    uint8_t sum[LEAT_DIGEST_BYTES_MAX];
    char hex[2 * LEAT_DIGEST_BYTES_MAX + 1] = "";
    leat_digest_init(&digest, kind);
    for (int again = 0; again < 2; again++) { /* finish begins anew */
        for (size_t i = 0; i < times; i++)
            leat_digest_update(&digest, bytes, count);
        size_t sum_bytes = leat_digest_finish(&digest, sum);
        assert_int_equal(leat_bytes_to_text(LEAT_HEX, sum, sum_bytes, hex, sizeof(hex) - 1),
                         strlen(expected));
        assert_string_equal(hex, expected);
    }
}

#define TWO_BLOCKS "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

static void test_examples_of_nist(void **state)
{
    check_digest(LEAT_SHA1, "", 0, 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check_digest(LEAT_SHA1, "abc", 3, 1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check_digest(LEAT_SHA1, TWO_BLOCKS, 56, 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check_digest(LEAT_SHA1, "aaaaaaaaaa", 10, 100000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    check_digest(LEAT_SHA256, "", 0, 1,
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest(LEAT_SHA256, "abc", 3, 1,
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_digest(LEAT_SHA256, TWO_BLOCKS, 56, 1,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_digest(LEAT_SHA256, "aaaaaaaaaa", 10, 100000,
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the block's, cut everywhere, is what it is in one piece. */
static void test_pieces_make_no_difference(void **state)
{
    uint8_t bytes[200], whole[LEAT_DIGEST_BYTES_MAX], pieces[LEAT_DIGEST_BYTES_MAX];
    struct leat_digest digest;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (enum leat_digest_kind kind = LEAT_SHA1; kind <= LEAT_SHA256; kind++) {
        leat_digest_init(&digest, kind);
        for (size_t count = 0; count <= sizeof(bytes); count++)
            for (size_t cut = 0; cut <= count; cut += 1 + count / 40) {
                leat_digest_update(&digest, bytes, count);
                size_t sum_bytes = leat_digest_finish(&digest, whole);
                leat_digest_update(&digest, bytes, cut);
                leat_digest_update(&digest, bytes + cut, count - cut);
                assert_int_equal(leat_digest_finish(&digest, pieces), sum_bytes);
                assert_memory_equal(whole, pieces, sum_bytes);
            }
    }
}

static void test_random_bytes_repeat_with_a_seed_only(void **state)
{
    struct leat_core core = {.index = 0};
    struct leat_rng rng;
    uint8_t a[40], b[40];
    core.rng = &rng;
    leat_core_now = &core;
    for (int is_seeded = 0; is_seeded < 2; is_seeded++) {
        memset(a, 0xa5, sizeof(a));
        memset(b, 0xa5, sizeof(b));
        rng_init(&rng, is_seeded ? 99 : 0);
        leat_random_bytes(a, 37);
        rng_init(&rng, is_seeded ? 99 : 0);
        leat_random_bytes(b, 37);
        assert_int_equal(memcmp(a, b, 37) == 0, is_seeded);
        assert_memory_equal(a + 37, "\xa5\xa5\xa5", 3);
    }
    leat_core_now = NULL;
    leat_random_bytes(a, 37);
    assert_memory_not_equal(a, b, 37);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_nist),
        cmocka_unit_test(test_pieces_make_no_difference),
        cmocka_unit_test(test_random_bytes_repeat_with_a_seed_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

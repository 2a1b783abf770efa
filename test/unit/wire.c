#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "net/stack/wire.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* RFC 1071, 16 bits at a time: the reference. */
static uint16_t reference(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i += 2) {
        sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static void example_of_rfc_1071(void **state)
{
    const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(be16_get(csum_finish(csum_add(CSUM_ZERO, bytes, 8))), 0x220d);
}

static void every_length_and_alignment_equals_the_reference(void **state)
{
    uint8_t bytes[700], copy[701];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)next_random(&seed);
    for (size_t at = 0; at < 33; at++) {
        for (size_t n = 0; n + at <= sizeof(bytes); n++) {
            uint16_t right = reference(bytes + at, n);
            assert_int_equal(be16_get(csum_finish(csum_add(CSUM_ZERO, bytes + at, n))), right);
            copy[n] = 0xa5;
            assert_int_equal(be16_get(csum_finish(csum_copy(copy, bytes + at, n))), right);
            assert_memory_equal(copy, bytes + at, n);
            assert_int_equal(copy[n], 0xa5);
        }
    }
}

static void all_ones_do_not_overflow(void **state)
{
    static uint8_t bytes[1 << 17];
    memset(bytes, 0xff, sizeof(bytes));
    csum sum = {UINT64_C(0xffffffff00000000)};
    sum = csum_add(sum, bytes, sizeof(bytes));
    assert_int_equal(csum_finish(sum).raw, 0);
}

static void parts_at_odd_offsets_add_up(void **state)
{
    uint8_t bytes[257];
    uint64_t seed = 2;
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)next_random(&seed);
        size_t a = next_random(&seed) % 257, b = a + next_random(&seed) % (258 - a);
        csum sum = csum_add(CSUM_ZERO, bytes, a);
        sum = csum_append(sum, csum_add(CSUM_ZERO, bytes + a, b - a), a);
        sum = csum_append(sum, csum_add(CSUM_ZERO, bytes + b, 257 - b), b);
        assert_int_equal(be16_get(csum_finish(sum)), reference(bytes, 257));
    }
}

static void incremental_update_equals_a_fresh_sum(void **state)
{
    uint8_t bytes[40];
    uint64_t seed = 3;
    for (int round = 0; round < 5000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = round % 3 == 0 ? 0 : round % 3 == 1 ? 0xff : (uint8_t)next_random(&seed);
        bytes[0] = 1; /* RFC 1624 section 5: the sum over all zeros alone is ambiguous */
        be16 before = csum_finish(csum_add(CSUM_ZERO, bytes, 40));
        size_t at = 2 + next_random(&seed) % 36 / 4 * 4;
        be32 from, to = {(uint32_t)next_random(&seed)};
        memcpy(&from, bytes + at, 4);
        memcpy(bytes + at, &to, 4);
        assert_int_equal(csum_replace32(before, from, to).raw,
                         csum_finish(csum_add(CSUM_ZERO, bytes, 40)).raw);
    }
}

static void pseudo_headers_of_both_families(void **state)
{
    uint8_t v4[12] = {10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 1, 2};
    struct ip_addr a = ip_addr_v4(be32_put(0x0a000001)), b = ip_addr_v4(be32_put(0x0a000002));
    assert_int_equal(be16_get(csum_finish(csum_pseudo(&a, &b, 6, 0x102))), reference(v4, 12));
    uint8_t v6[40] = {0xfe, 0x80, [15] = 1, 0xfe, 0x80, [31] = 2, 0, 1, 2, 3, 0, 0, 0, 58};
    memcpy(a.b, v6, 16);
    memcpy(b.b, v6 + 16, 16);
    assert_int_equal(be16_get(csum_finish(csum_pseudo(&a, &b, 58, 0x10203))), reference(v6, 40));
}

/* Bug 3: comparing at 2^31 and 2^32. */
static void sequence_order_wraps(void **state)
{
    const uint32_t starts[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    for (size_t i = 0; i < 6; i++) {
        seq32 a = {starts[i]};
        const uint32_t ahead[] = {1, 2, 1000, 0x7fffffff};
        for (size_t k = 0; k < 4; k++) {
            seq32 b = seq_add(a, ahead[k]);
            assert_true(seq_lt(a, b) && seq_le(a, b) && !seq_gt(a, b) && !seq_ge(a, b));
            assert_true(seq_gt(b, a) && seq_ge(b, a) && !seq_eq(a, b));
            assert_int_equal(seq_span(a, b), ahead[k]);
            assert_int_equal(seq_max(a, b).n, b.n);
            assert_int_equal(seq_min(b, a).n, a.n);
        }
        assert_true(seq_le(a, a) && seq_ge(a, a) && !seq_lt(a, a) && seq_eq(a, a));
    }
}

static void prefixes_match_bit_by_bit(void **state)
{
    struct ip_addr net = ip_addr_v4(be32_put(0xc0a80180)), in = ip_addr_v4(be32_put(0xc0a801ff)),
                   out = ip_addr_v4(be32_put(0xc0a8017f));
    assert_true(ip_addr_in(&in, &net, 96 + 25));
    assert_false(ip_addr_in(&out, &net, 96 + 25));
    assert_true(ip_addr_in(&out, &net, 96 + 24));
    assert_true(ip_addr_in(&out, &net, 0));
    assert_true(ip_addr_in(&net, &net, 128));
    assert_false(ip_addr_in(&in, &net, 128));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_of_rfc_1071),
        cmocka_unit_test(every_length_and_alignment_equals_the_reference),
        cmocka_unit_test(all_ones_do_not_overflow),
        cmocka_unit_test(parts_at_odd_offsets_add_up),
        cmocka_unit_test(incremental_update_equals_a_fresh_sum),
        cmocka_unit_test(pseudo_headers_of_both_families),
        cmocka_unit_test(sequence_order_wraps),
        cmocka_unit_test(prefixes_match_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

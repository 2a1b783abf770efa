/* The small things of runtime/base: bits, rings, random numbers, SipHash, histograms, the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/histogram.h"
#include "runtime/base/list.h"
#include "runtime/base/ring.h"
#include "runtime/base/rng.h"
#include "runtime/base/siphash.h"

static void test_bits(void **state)
{
    assert_int_equal(bits_first(8), 3);
    assert_int_equal(bits_last(9), 3);
    assert_int_equal(bits_round_up_power_of_two(1), 1);
    assert_int_equal(bits_round_up_power_of_two(64), 64);
    assert_int_equal(bits_round_up_power_of_two(65), 128);
    assert_false(bits_is_power_of_two(0));
    assert_true(bits_rotate_left(UINT64_C(1) << 63, 1) == 1);
}

static void test_lists(void **state)
{
    struct list a, b, links[4];
    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 4; i++)
        list_push(i < 2 ? &a : &b, &links[i]);
    list_take(&a, &b);
    assert_true(list_is_empty(&b));
    list_unlink(&links[1]);
    list_unlink(&links[1]);
    assert_ptr_equal(list_pull(&a), &links[0]);
    assert_ptr_equal(list_pull(&a), &links[2]);
    assert_ptr_equal(list_pull(&a), &links[3]);
    assert_null(list_pull(&a));
}

/* Vectors of the reference implementation: key 00 .. 0f, input 00 01 02 ... */
static void test_siphash_vectors(void **state)
{
    struct siphash_key key;
    uint8_t bytes[64];
    for (uint8_t i = 0; i < 64; i++)
        bytes[i] = i;
    memcpy(&key, bytes, sizeof(key));
    assert_true(siphash(&key, bytes, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash(&key, bytes, 1) == UINT64_C(0x74f839c593dc67fd));
    assert_true(siphash(&key, bytes, 8) == UINT64_C(0x93f5f5799a932462));
    assert_true(siphash(&key, bytes, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void test_random_numbers(void **state)
{
    struct leat_rng a, b;
    rng_init(&a, 42);
    rng_init(&b, 42);
    unsigned counts[10] = {0};
    for (int i = 0; i < 100000; i++) {
        assert_true(rng_next(&a) == rng_next(&b));
        counts[rng_below(&a, 10)]++;
        (void)rng_next(&b);
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 9500, 10500);
    rng_init(&a, 0);
    rng_init(&b, 0);
    assert_true(rng_next(&a) != rng_next(&b));
}

static void test_histogram_error_is_as_stated(void **state)
{
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t max = histogram_bucket_max(bucket);
        assert_int_equal(histogram_bucket(max), bucket);
        if (max != UINT64_MAX)
            assert_int_equal(histogram_bucket(max + 1), bucket + 1);
    }
    static struct histogram histogram;
    for (uint64_t value = 1; value < UINT64_C(1) << 62; value += value / 3 + 1) {
        histogram_reset(&histogram);
        histogram_record(&histogram, value);
        histogram_record(&histogram, UINT64_MAX >> 1);
        uint64_t read = histogram_percentile(&histogram, 50);
        assert_true(read >= value);
        assert_true(read - value <= value / 128);
    }
}

static void test_histogram_percentiles_and_merge(void **state)
{
    static struct histogram histogram, other;
    assert_int_equal(histogram_percentile(&histogram, 99), 0);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(value % 2 == 0 ? &histogram : &other, value);
    histogram_merge(&histogram, &other);
    assert_int_equal(histogram.count, 100);
    assert_int_equal(histogram.sum, 5050);
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram_percentile(&histogram, 50), 50);
    assert_int_equal(histogram_percentile(&histogram, 99), 99);
    assert_int_equal(histogram_percentile(&histogram, 99.5), 100);
    assert_int_equal(histogram_percentile(&histogram, 100), 100);
}

#define RING_SLOTS 8
#define RING_TOTAL 200000
struct ring_pair {
    struct ring ring;
    uint32_t slots[RING_SLOTS];
};

static void *produce(void *arg)
{
    struct ring_pair *pair = arg;
    for (uint32_t next = 0; next < RING_TOTAL;) {
        uint32_t room = ring_room(&pair->ring), count = 0;
        while (count < room && next < RING_TOTAL)
            pair->slots[(pair->ring.tail_local + count++) & pair->ring.mask] = next++;
        if (count == 0)
            sched_yield();
        else
            ring_publish(&pair->ring, count);
    }
    return NULL;
}

static void test_ring_between_threads(void **state)
{
    static struct ring_pair pair;
    ring_init(&pair.ring, RING_SLOTS);
    /* Positions wrap during the test. */
    pair.ring.tail_local = pair.ring.head_local = pair.ring.head_seen = pair.ring.tail_seen =
        UINT32_MAX - RING_TOTAL / 2;
    atomic_store(&pair.ring.tail, pair.ring.tail_local);
    atomic_store(&pair.ring.head, pair.ring.head_local);
    assert_int_equal(ring_room(&pair.ring), RING_SLOTS);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, &pair), 0);
    for (uint32_t next = 0; next < RING_TOTAL;) {
        uint32_t count = ring_ready(&pair.ring);
        assert_in_range(count, 0, RING_SLOTS);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(pair.slots[(pair.ring.head_local + i) & pair.ring.mask], next++);
        if (count == 0)
            sched_yield();
        else
            ring_release(&pair.ring, count);
    }
    pthread_join(thread, NULL);
    assert_int_equal(ring_ready(&pair.ring), 0);
}

/* Long enough to be calibrated and anchored anew; against the kernel's clock all the while. */
static void test_clock_follows_the_kernel(void **state)
{
    struct clock_machine clock;
    clock_machine_init(&clock);
    uint64_t start_ns = clock_monotonic(), last_ns = 0;
    for (;;) {
        uint64_t before_ns = clock_monotonic(), now_ns = clock_machine_now(&clock),
                 after_ns = clock_monotonic();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
        assert_true(now_ns + 20000 >= before_ns);
        assert_true(now_ns <= after_ns + 20000);
        if (after_ns - start_ns > 700 * LEAT_NS_PER_MS)
            break;
    }
    if (clock.has_tsc)
        assert_true(clock.tsc_age_max > 0);
}

static void test_clock_that_lost_its_counter_recovers(void **state)
{
    struct clock_machine clock;
    clock_machine_init(&clock);
    if (clock_tsc() == 0) {
        print_message("skip: no time-stamp counter is known on this architecture\n");
        skip();
    }
    clock.has_tsc = true; /* by whatever the kernel keeps time */
    clock.first_tsc -= 1000000000;
    clock.first_ns -= LEAT_NS_PER_S;
    (void)clock_machine_now(&clock);
    assert_true(clock.tsc_age_max > 0);
    uint64_t last_ns = clock_machine_now(&clock);
    clock.anchor_tsc += UINT64_C(1) << 40; /* as if the counter had been set back */
    uint64_t now_ns = clock_machine_now(&clock);
    assert_true(now_ns >= last_ns);
    assert_true(clock.tsc_age_max == 0);
}

static void test_clock_without_a_counter_is_the_kernels(void **state)
{
    struct clock_machine clock;
    clock_machine_init(&clock);
    clock.has_tsc = false;
    clock.first_ns -= LEAT_NS_PER_S;
    for (int i = 0; i < 1000; i++) {
        uint64_t before_ns = clock_monotonic(), now_ns = clock_machine_now(&clock);
        assert_in_range(now_ns, before_ns, clock_monotonic());
    }
    assert_true(clock.tsc_age_max == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_siphash_vectors),
        cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_histogram_error_is_as_stated),
        cmocka_unit_test(test_histogram_percentiles_and_merge),
        cmocka_unit_test(test_ring_between_threads),
        cmocka_unit_test(test_clock_follows_the_kernel),
        cmocka_unit_test(test_clock_without_a_counter_is_the_kernels),
        cmocka_unit_test(test_clock_that_lost_its_counter_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Settling with drivers that refuse: every set of features that one may list and not take, and
 * every two that it does not take beside each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "net/port/dpdk/features.h"

#define ALL ((1u << DPDK_FEATURE_COUNT) - 1)

struct driver {
    uint32_t refuses; /* any of these */
    uint32_t pair;    /* all of these at a time; 0: none */
    bool is_broken;   /* and everything else */
    uint32_t last;
    unsigned attempts;
};

static bool driver_takes(const struct driver *d, uint32_t features)
{
    return !d->is_broken && (features & d->refuses) == 0 &&
           (d->pair == 0 || (features & d->pair) != d->pair);
}

static int driver_attempt(void *arg, uint32_t features)
{
    struct driver *d = arg;
    d->last = features;
    d->attempts++;
    assert_int_equal(features_fit(features), features);
    return driver_takes(d, features) ? 0 : -EINVAL;
}

static void check_settled(struct driver d, uint32_t wanted)
{
    uint32_t got = 0;
    assert_int_equal(features_settle(wanted, 0, driver_attempt, &d, &got), 0);
    assert_int_equal(got, d.last); /* the device is as the last attempt left it */
    assert_true(driver_takes(&d, got));
    assert_int_equal(got & ~wanted, 0);
    assert_int_equal(features_fit(got), got);
    assert_true(d.attempts <= 2 * DPDK_FEATURE_COUNT + 2);
    if (driver_takes(&d, features_fit(wanted)))
        assert_int_equal(d.attempts, 1);
    for (unsigned i = 0; i < DPDK_FEATURE_COUNT; i++) { /* nothing was given up in vain */
        uint32_t more = got | 1u << i;
        bool is_possible = more != got && (more & ~features_fit(wanted)) == 0;
        assert_false(is_possible && features_fit(more) == more && driver_takes(&d, more));
    }
}

static void whatever_a_driver_refuses_the_rest_is_had(void **state)
{
    for (uint32_t refuses = 0; refuses <= ALL; refuses++)
        check_settled((struct driver){.refuses = refuses}, ALL);
}

static void whatever_a_driver_offers_it_is_settled_with(void **state)
{
    for (uint32_t wanted = 0; wanted <= ALL; wanted++)
        for (unsigned i = 0; i < DPDK_FEATURE_COUNT; i++)
            check_settled((struct driver){.refuses = 1u << i}, wanted);
}

static void of_two_that_do_not_go_together_one_is_had(void **state)
{
    for (unsigned a = 0; a < DPDK_FEATURE_COUNT; a++)
        for (unsigned b = a + 1; b < DPDK_FEATURE_COUNT; b++)
            for (uint32_t refuses = 0; refuses <= ALL; refuses += 61)
                check_settled((struct driver){.pair = 1u << a | 1u << b, .refuses = refuses}, ALL);
}

/* vmxnet3 with one queue: "RSS_HASH offload is requested" without RSS. */
static void what_needs_another_is_not_asked_for_alone(void **state)
{
    assert_int_equal(features_fit(DPDK_FEATURE_RSS_HASH | DPDK_FEATURE_RX_L4), DPDK_FEATURE_RX_L4);
    assert_int_equal(features_fit(DPDK_FEATURE_RSS_HASH | DPDK_FEATURE_RSS), 0);
    assert_int_equal(features_fit(ALL & ~(uint32_t)DPDK_FEATURE_QUEUES) &
                         (DPDK_FEATURE_RSS | DPDK_FEATURE_RSS_HASH),
                     0);
}

static void a_driver_that_takes_nothing_fails_with_its_reason(void **state)
{
    struct driver d = {.is_broken = true};
    uint32_t got;
    assert_int_equal(features_settle(ALL, 0, driver_attempt, &d, &got), -EINVAL);
    assert_int_equal(d.last, 0);
    assert_int_equal(d.attempts, DPDK_FEATURE_COUNT + 1);
}

static void what_the_user_asked_for_is_not_given_up(void **state)
{
    struct driver d = {.refuses = DPDK_FEATURE_QUEUES};
    uint32_t got;
    assert_int_equal(features_settle(ALL, DPDK_FEATURE_QUEUES, driver_attempt, &d, &got), -EINVAL);
    assert_int_equal(d.last, DPDK_FEATURE_QUEUES);
}

static void features_have_words(void **state)
{
    char text[16];
    assert_string_equal(features_format(DPDK_FEATURE_TSO | DPDK_FEATURE_RSS_HASH, text, 16),
                        "rss-hash, tso");
    assert_string_equal(features_format(0, text, 16), "");
    assert_int_equal(strlen(features_format(ALL, text, 16)), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_driver_refuses_the_rest_is_had),
        cmocka_unit_test(whatever_a_driver_offers_it_is_settled_with),
        cmocka_unit_test(of_two_that_do_not_go_together_one_is_had),
        cmocka_unit_test(what_needs_another_is_not_asked_for_alone),
        cmocka_unit_test(a_driver_that_takes_nothing_fails_with_its_reason),
        cmocka_unit_test(what_the_user_asked_for_is_not_given_up),
        cmocka_unit_test(features_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

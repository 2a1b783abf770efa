/* What --ip, --gateway and --mac take, and the sentence for each that they do not. */
#include "net/program/bypass_flags.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int parse(struct bypass_flags *flags, struct leat_error *error, const char *ip,
                 const char *gateway, const char *mac)
{
    struct leat_net_options options = {.net = "tun:x", .mac = mac};
    if (ip != NULL)
        options.ips = (struct leat_option_list){{ip}, 1};
    if (gateway != NULL)
        options.gateways = (struct leat_option_list){{gateway}, 1};
    *error = (struct leat_error){0};
    return bypass_flags_parse(flags, &options, error);
}

static void formats_what_it_takes(void **state)
{
    static const char *const texts[] = {"10.0.0.2/24",        "10.0.0.2-10.0.0.9/24", "fd00::2/64",
                                        "192.0.2.1/31",       "192.0.2.1/32",         "fe80::1/64",
                                        "fd00::2-fd00::ff/64"};
    (void)state;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct bypass_flags flags;
        struct leat_error error;
        char text[128];
        assert_int_equal(parse(&flags, &error, texts[i], NULL, NULL), 0);
        assert_string_equal(bypass_range_format(&flags.ranges[0], text, sizeof(text)), texts[i]);
    }
}

static void counts_ranges_up(void **state)
{
    struct bypass_flags flags;
    struct leat_error error;
    (void)state;
    assert_int_equal(parse(&flags, &error, "10.0.0.2-10.0.0.9/24", NULL, NULL), 0);
    assert_int_equal(flags.ranges[0].count, 8);
    struct ip_addr last = bypass_range_at(&flags.ranges[0], 7);
    assert_int_equal(last.b[15], 9);
    assert_true(ip_addr_is_v4(&last));
}

static void takes_what_the_network_gives(void **state)
{
    struct bypass_flags flags;
    struct leat_error error;
    (void)state;
    assert_int_equal(parse(&flags, &error, "dhcp", "10.0.0.1", NULL), 0);
    assert_true(flags.is_dhcp && !flags.is_slaac);
    assert_int_equal(flags.range_count, 0);
    assert_int_equal(parse(&flags, &error, "slaac", NULL, NULL), 0);
    assert_true(flags.is_slaac && !flags.is_dhcp);
    assert_int_equal(parse(&flags, &error, "slaac", "10.0.0.1", NULL), -EINVAL);
}

static void refuses_with_the_remedy(void **state)
{
    static const struct {
        const char *ip, *gateway, *mac, *words;
    } cases[] = {
        {NULL, NULL, NULL, "needs an address"},
        {"10.0.0.2", NULL, NULL, "write 10.0.0.2/24"},
        {"fd00::2", NULL, NULL, "write fd00::2/64"},
        {"10.0.0.2/33", NULL, NULL, "1 to 32"},
        {"10.0.0.2/0", NULL, NULL, "1 to 32"},
        {"10.0.0.2/24x", NULL, NULL, "1 to 32"},
        {"fd00::2/129", NULL, NULL, "1 to 128"},
        {"10.0.0/24", NULL, NULL, "not \"10.0.0/24\""},
        {"10.0.0.0/24", NULL, NULL, "broadcast"},
        {"10.0.0.255/24", NULL, NULL, "broadcast"},
        {"10.0.0.250-10.0.0.255/24", NULL, NULL, "broadcast"},
        {"10.0.0.9-10.0.0.2/24", NULL, NULL, "no range"},
        {"10.0.0.9-10.0.1.9/16", NULL, NULL, "last byte"},
        {"224.0.0.1/24", NULL, NULL, "no address that a host can have"},
        {"ff02::1/64", NULL, NULL, "no address that a host can have"},
        {"0.0.0.0/8", NULL, NULL, "no address that a host can have"},
        {"10.0.0.2/24", "10.0.1.1", NULL, "none of the networks"},
        {"10.0.0.2/24", "fd00::1", NULL, "none of the networks"},
        {"10.0.0.2/24", "router", NULL, "--gateway takes"},
        {"10.0.0.2/24", NULL, "02:00:00:00:00", "six bytes"},
        {"10.0.0.2/24", NULL, "02:00:00:00:00:01:02", "six bytes"},
        {"10.0.0.2/24", NULL, "01:00:00:00:00:01", "must be even"},
        {"10.0.0.2/24", NULL, "00:00:00:00:00:00", "no address of a card"},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bypass_flags flags;
        struct leat_error error;
        int result = parse(&flags, &error, cases[i].ip, cases[i].gateway, cases[i].mac);
        if (result >= 0 || strstr(error.sentence, cases[i].words) == NULL)
            fail_msg("case %u: %d \"%s\"", i, result, error.sentence);
    }
}

static void takes_a_gateway_of_each_family(void **state)
{
    struct bypass_flags flags;
    struct leat_error error;
    struct leat_net_options options = {.net = "tun:x",
                                       .ips = {{"10.0.0.2/24", "fd00::2/64"}, 2},
                                       .gateways = {{"10.0.0.1", "fe80::1"}, 2},
                                       .mac = "02:00:00:00:00:0a"};
    (void)state;
    assert_int_equal(bypass_flags_parse(&flags, &options, &error), 0);
    assert_int_equal(flags.gateway_count, 2);
    assert_int_equal(flags.mac.b[5], 10);
    options.gateways.items[1] = "10.0.0.3";
    assert_int_equal(bypass_flags_parse(&flags, &options, &error), -EINVAL);
    assert_non_null(strstr(error.sentence, "second of its family"));
}

static void wants_room_for_ipv6(void **state)
{
    struct bypass_flags flags;
    struct leat_error error;
    struct leat_net_options options = {.net = "tun:x",
                                       .ips = {{"fd00::2/64"}, 1},
                                       .mtu_bytes = 1279};
    (void)state;
    assert_int_equal(bypass_flags_parse(&flags, &options, &error), -EINVAL);
    assert_non_null(strstr(error.sentence, "1280"));
    options.mtu_bytes = 1280;
    assert_int_equal(bypass_flags_parse(&flags, &options, &error), 0);
}

/* As clouds give it: RFC 3442's routes of a lease do the same. */
static void takes_a_gateway_beside_a_lone_address(void **state)
{
    static const char *const pairs[][2] = {{"192.0.2.7/32", "10.0.0.1"},
                                           {"2001:db8::7/128", "2001:db8:1::1"},
                                           {"192.0.2.7-192.0.2.9/32", "10.0.0.1"}};
    struct bypass_flags flags;
    struct leat_error error;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(parse(&flags, &error, pairs[i][0], pairs[i][1], NULL), 0);
        assert_int_equal(flags.gateway_count, 1);
    }
    assert_int_equal(parse(&flags, &error, "192.0.2.7/31", "10.0.0.1", NULL), -EINVAL);
    assert_int_equal(parse(&flags, &error, "192.0.2.7/32", "fd00::1", NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_what_it_takes),
        cmocka_unit_test(counts_ranges_up),
        cmocka_unit_test(takes_what_the_network_gives),
        cmocka_unit_test(refuses_with_the_remedy),
        cmocka_unit_test(takes_a_gateway_of_each_family),
        cmocka_unit_test(takes_a_gateway_beside_a_lone_address),
        cmocka_unit_test(wants_room_for_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

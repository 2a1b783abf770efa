/* DHCP messages: what a reply may be, what is refused, and what requests say. */
#include "net/stack/dhcp_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define HEADER_BYTES 240

struct message {
    uint8_t bytes[2048];
    size_t length;
};

static void put(struct message *m, uint8_t code, unsigned length, ...)
{
    va_list args;
    va_start(args, length);
    m->bytes[m->length++] = code;
    m->bytes[m->length++] = (uint8_t)length;
    for (unsigned i = 0; i < length; i++)
        m->bytes[m->length++] = (uint8_t)va_arg(args, int);
    va_end(args);
}

/* An ACK from 10.9.0.1 for 10.9.0.57, without its end; lease and mask are the caller's. */
static struct message start(uint8_t type)
{
    static const uint8_t head[] = {2, 1, 6, 0, 0x12, 0x34, 0x56, 0x78};
    static const uint8_t your[] = {10, 9, 0, 57}, mac[] = {2, 0, 0, 0, 0, 1};
    static const uint8_t magic[] = {0x63, 0x82, 0x53, 0x63};
    struct message m = {.length = HEADER_BYTES};
    memcpy(m.bytes, head, sizeof(head));
    memcpy(m.bytes + 16, your, sizeof(your));
    memcpy(m.bytes + 28, mac, sizeof(mac));
    memcpy(m.bytes + 236, magic, sizeof(magic));
    put(&m, 53, 1, type);
    put(&m, 54, 4, 10, 9, 0, 1);
    return m;
}

static struct message whole(void)
{
    struct message m = start(DHCP_ACK);
    put(&m, 51, 4, 0, 0, 0x0e, 0x10);
    put(&m, 1, 4, 255, 255, 255, 0);
    return m;
}

static void end(struct message *m)
{
    m->bytes[m->length++] = 255;
}

/* In memory of exactly its size, so that reading on is found out. */
static bool parse(const struct message *m, struct dhcp_reply *reply)
{
    uint8_t *copy = malloc(m->length);
    assert_non_null(copy);
    memcpy(copy, m->bytes, m->length);
    bool is_valid = dhcp_reply_parse(reply, copy, m->length);
    free(copy);
    return is_valid;
}

static void refused(struct message m)
{
    struct dhcp_reply reply;
    end(&m);
    assert_false(parse(&m, &reply));
}

static struct dhcp_lease taken(struct message m)
{
    struct dhcp_reply reply;
    end(&m);
    assert_true(parse(&m, &reply));
    return reply.lease;
}

static void a_plain_ack_is_read(void **state)
{
    struct message m = whole();
    struct dhcp_reply reply;
    put(&m, 3, 8, 10, 9, 0, 1, 10, 9, 0, 2);
    put(&m, 6, 16, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4);
    put(&m, 26, 2, 0x05, 0x78);
    put(&m, 99, 0); /* unknown, and empty */
    m.bytes[m.length++] = 0;
    end(&m);
    assert_true(parse(&m, &reply));
    assert_int_equal(reply.type, DHCP_ACK);
    assert_int_equal(reply.xid, 0x12345678);
    assert_int_equal(reply.mac.b[5], 1);
    const struct dhcp_lease *l = &reply.lease;
    assert_int_equal(be32_get(l->ip), 0x0a090039);
    assert_int_equal(be32_get(l->server), 0x0a090001);
    assert_int_equal(l->prefix_bits, 24);
    assert_int_equal(l->lease_s, 3600);
    assert_int_equal(l->renew_s, 1800);
    assert_int_equal(l->rebind_s, 3150);
    assert_int_equal(l->route_count, 1);
    assert_int_equal(be32_get(l->routes[0].gateway), 0x0a090001);
    assert_int_equal(l->routes[0].prefix_bits, 0);
    assert_int_equal(l->dns_count, 3);
    assert_int_equal(l->mtu_bytes, 1400);
}

static void the_head_must_be_a_reply_on_ethernet(void **state)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } changes[] = {{0, 1}, {1, 6}, {2, 8}, {236, 0}, {16, 0}, {16, 127}, {16, 224}, {16, 255}};
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct message m = whole();
        m.bytes[changes[i].at] = changes[i].value;
        refused(m);
    }
    struct message m = whole();
    for (m.length = 0; m.length < HEADER_BYTES; m.length++) {
        struct dhcp_reply reply;
        assert_false(parse(&m, &reply));
    }
    m = whole();
    m.bytes[19] = 0; /* the network itself */
    refused(m);
    m.bytes[19] = 255;
    refused(m);
}

static void every_truncation_is_refused(void **state)
{
    struct message m = whole();
    struct dhcp_reply reply;
    put(&m, 3, 4, 10, 9, 0, 1);
    end(&m);
    size_t length = m.length;
    assert_true(parse(&m, &reply));
    for (m.length = HEADER_BYTES; m.length < length; m.length++)
        assert_false(parse(&m, &reply));
}

/* What is offered beside the address counts as absent when it is wrong. */
static void a_wrong_option_is_as_none(void **state)
{
    static const uint8_t codes[] = {1, 3, 6, 26, 52, 58, 59, 121};
    struct dhcp_lease plain = taken(whole());
    for (unsigned i = 0; i < sizeof(codes); i++) {
        struct message m = whole(), n = whole();
        put(&m, codes[i], 3, 1, 2, 3);
        struct dhcp_lease l = taken(m);
        if (codes[i] == 1) /* the class of the address decides */
            l.prefix_bits = plain.prefix_bits;
        assert_memory_equal(&l, &plain, sizeof(l));
        put(&n, codes[i], 0);
        l = taken(n);
        assert_memory_equal(&l, &plain, sizeof(l));
    }
    struct message m = whole();
    put(&m, 26, 2, 0, 67); /* RFC 2132 5.1: at least 68 */
    assert_int_equal(taken(m).mtu_bytes, 0);
}

static void without_type_server_or_time_it_is_no_offer(void **state)
{
    static const uint8_t codes[] = {51, 53, 54};
    for (unsigned i = 0; i < sizeof(codes); i++) {
        struct message m = whole();
        put(&m, codes[i], 3, 1, 2, 3);
        refused(m);
    }
    struct message m = start(DHCP_ACK);
    put(&m, 1, 4, 255, 255, 255, 0);
    refused(m);
    put(&m, 51, 4, 0, 0, 0, 0);
    refused(m);
    m = start(DHCP_ACK);
    put(&m, 51, 0);
    refused(m);
}

static void masks_must_be_prefixes(void **state)
{
    struct message m = start(DHCP_OFFER);
    put(&m, 51, 4, 0, 0, 1, 0);
    assert_int_equal(taken(m).prefix_bits, 8); /* class A, RFC 950 */
    struct message n = m;
    put(&n, 1, 4, 255, 255, 255, 254);
    assert_int_equal(taken(n).prefix_bits, 31);
    n = m;
    put(&n, 1, 4, 255, 255, 255, 255);
    assert_int_equal(taken(n).prefix_bits, 32);
    n = m;
    put(&n, 1, 4, 255, 0, 255, 0);
    assert_int_equal(taken(n).prefix_bits, 8);
    n = m;
    put(&n, 1, 4, 0, 0, 0, 0);
    assert_int_equal(taken(n).prefix_bits, 8);
}

static void times_are_in_order(void **state)
{
    struct message m = whole();
    put(&m, 58, 4, 0, 0, 0, 10);
    put(&m, 59, 4, 0, 0, 0, 20);
    assert_int_equal(taken(m).renew_s, 10);
    assert_int_equal(taken(m).rebind_s, 20);
    m = whole();
    put(&m, 58, 4, 0, 0, 0x0e, 0x10); /* as long as the lease */
    put(&m, 59, 4, 0, 0, 0x0f, 0);    /* longer */
    assert_int_equal(taken(m).renew_s, 1800);
    assert_int_equal(taken(m).rebind_s, 3150);
    m = start(DHCP_ACK);
    put(&m, 51, 4, 255, 255, 255, 255);
    assert_int_equal(taken(m).renew_s, UINT32_MAX);
    m = start(DHCP_ACK);
    put(&m, 51, 4, 0, 0, 0, 1);
    assert_true(taken(m).renew_s <= taken(m).rebind_s);
}

static void rfc3442_classless_routes_go_before_routers(void **state)
{
    struct message m = whole();
    put(&m, 3, 4, 10, 9, 0, 9);
    put(&m, 121, 19, 0, 10, 9, 0, 1, 20, 172, 16, 0x1f, 10, 9, 0, 2, 8, 11, 0, 0, 0, 0);
    struct dhcp_lease l = taken(m);
    assert_int_equal(l.route_count, 3);
    assert_int_equal(l.routes[0].prefix_bits, 0);
    assert_int_equal(be32_get(l.routes[0].gateway), 0x0a090001);
    assert_int_equal(l.routes[1].prefix_bits, 20);
    assert_int_equal(be32_get(l.routes[1].net), 0xac101000); /* bits beyond the width are cleared */
    assert_int_equal(be32_get(l.routes[2].net), 0x0b000000);
    assert_int_equal(l.routes[2].gateway.raw, 0); /* on the link */
    m = whole();
    put(&m, 3, 4, 10, 9, 0, 9);
    struct message n = m;
    put(&n, 121, 5, 33, 1, 2, 3, 4);
    assert_int_equal(taken(n).route_count, 1);
    assert_int_equal(be32_get(taken(n).routes[0].gateway), 0x0a090009); /* the router counts */
    put(&m, 121, 8, 32, 1, 2, 3, 4, 10, 9, 0);
    assert_int_equal(taken(m).route_count, 1);
    m = whole();
    for (unsigned i = 0; i < DHCP_ROUTES_MAX + 4; i++)
        put(&m, 121, 6, 8, i + 1, 10, 9, 0, 1); /* RFC 3396: the parts are one option */
    assert_int_equal(taken(m).route_count, DHCP_ROUTES_MAX);
}

static void rfc2132_9_3_options_overflow_into_file_and_sname(void **state)
{
    struct message m = start(DHCP_ACK);
    static const uint8_t mask[] = {1, 4, 255, 255, 0, 0, 255}, lease[] = {51, 4, 0, 0, 1, 0, 255};
    put(&m, 52, 1, 3);
    memcpy(m.bytes + 108, mask, sizeof(mask));
    memcpy(m.bytes + 44, lease, sizeof(lease));
    assert_int_equal(taken(m).prefix_bits, 16);
    assert_int_equal(taken(m).lease_s, 256);
    struct message n = m;
    memset(n.bytes + 108, 7, 128); /* no end: nothing of the field counts */
    assert_int_equal(taken(n).prefix_bits, 8);
    assert_int_equal(taken(n).lease_s, 256);
    n = m;
    n.bytes[44 + 1] = 200; /* beyond the field: the lease time was there */
    refused(n);
    n = start(DHCP_ACK);
    put(&n, 51, 4, 0, 0, 1, 0);
    put(&n, 52, 1, 4);
    assert_int_equal(taken(n).lease_s, 256);
}

static void a_nak_needs_its_server_only(void **state)
{
    struct message m = start(DHCP_NAK);
    struct dhcp_reply reply;
    memset(m.bytes + 16, 0, 4);
    end(&m);
    assert_true(parse(&m, &reply));
    assert_int_equal(reply.type, DHCP_NAK);
    m = whole();
    m.bytes[HEADER_BYTES + 2] = DHCP_DISCOVER;
    refused(m);
    m = whole();
    memset(m.bytes + HEADER_BYTES + 5, 0, 4); /* server 0.0.0.0 */
    refused(m);
}

static void a_request_says_who_asks_for_what(void **state)
{
    uint8_t bytes[DHCP_REQUEST_BYTES];
    struct dhcp_request r = {.type = DHCP_REQUEST,
                             .xid = 7,
                             .seconds = 9,
                             .mac = {{2, 3, 4, 5, 6, 7}},
                             .asked = be32_put(0x0a090039),
                             .server = be32_put(0x0a090001),
                             .broadcast = true};
    dhcp_request_write(&r, bytes);
    static const uint8_t head[] = {1, 1, 6, 0, 0, 0, 0, 7, 0, 9, 0x80, 0};
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 3,  61,   7,  1,  2,  3,
                                      4,    5,    6,    7,    50, 4, 10, 9,    0,  57, 54, 4,
                                      10,   9,    0,    1,    57, 2, 5,  0xc0, 55, 8};
    assert_memory_equal(bytes, head, sizeof(head));
    assert_memory_equal(bytes + 28, r.mac.b, 6);
    assert_memory_equal(bytes + 236, options, sizeof(options));
    assert_int_equal(bytes[236 + sizeof(options) + 8], 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_ack_is_read),
        cmocka_unit_test(the_head_must_be_a_reply_on_ethernet),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_wrong_option_is_as_none),
        cmocka_unit_test(without_type_server_or_time_it_is_no_offer),
        cmocka_unit_test(masks_must_be_prefixes),
        cmocka_unit_test(times_are_in_order),
        cmocka_unit_test(rfc3442_classless_routes_go_before_routers),
        cmocka_unit_test(rfc2132_9_3_options_overflow_into_file_and_sname),
        cmocka_unit_test(a_nak_needs_its_server_only),
        cmocka_unit_test(a_request_says_who_asks_for_what),
    };
    return cmocka_run_group_tests_name("dhcp_message", tests, NULL, NULL);
}

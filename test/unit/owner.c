/* The hash against the values that Microsoft publishes for it ("Verifying the RSS hash
 * calculation"), and how flows are shared by queues and cores. */
#include "net/stack/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <leat/addr.h>

static const uint8_t published_key[OWNER_KEY_BYTES] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e,
                                                       0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                                       0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae,
                                                       0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                                       0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7,
                                                       0x3b, 0xbe, 0xac, 0x01, 0xfa};

struct vector {
    const char *dst, *src;
    uint32_t pair, flow;
};

static const struct vector vectors[] = {
    {"161.142.100.80:1766", "66.9.149.187:2794", 0x323e8fc2, 0x51ccc178},
    {"65.69.140.83:4739", "199.92.111.2:14230", 0xd718262a, 0xc626b0ea},
    {"12.22.207.184:38024", "24.19.198.95:12898", 0xd2d0a5de, 0x5c2b394a},
    {"209.142.163.6:2217", "38.27.205.30:48228", 0x82989176, 0xafc7327f},
    {"202.188.127.2:1303", "153.39.163.191:44251", 0x5d1809c5, 0x10e828a2},
    {"[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x2cc18cd5, 0x40207d3d},
    {"[ff02::1]:4739", "[3ffe:501:8:0:260:97ff:fe40:efab]:14230", 0x0f0c461c, 0xdde51bbf},
    {"[fe80::200:f8ff:fe21:67cf]:38024", "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", 0x4b61e985,
     0x02d1feef},
};

static struct ip_addr parse(const char *text, be16 *port)
{
    struct leat_addr addr;
    struct ip_addr ip;
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), 0);
    *port = be16_put(addr.port);
    if (addr.family == LEAT_FAMILY_IPV6) {
        memcpy(ip.b, addr.ip, 16);
        return ip;
    }
    be32 v4;
    memcpy(&v4, addr.ip, 4);
    return ip_addr_v4(v4);
}

static struct owner_map *map_new(const struct leat_port_info *info, uint32_t cores)
{
    struct owner_map *map = malloc(sizeof(*map));
    assert_non_null(map);
    owner_init(map, info, cores, published_key);
    return map;
}

static void hashes_as_published(void **state)
{
    const struct leat_port_info info = {.rx_queue_count = 1};
    struct owner_map *map = map_new(&info, 2);
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        be16 ports[2];
        uint8_t bytes[4];
        struct ip_addr src = parse(vectors[i].src, &ports[0]);
        struct ip_addr dst = parse(vectors[i].dst, &ports[1]);
        memcpy(bytes, ports, sizeof(bytes));
        assert_int_equal(owner_hash_pair(map, &src, &dst), vectors[i].pair);
        assert_int_equal(owner_hash(map, &src, &dst, bytes), vectors[i].flow);
    }
    free(map);
}

static void count_owners(const struct owner_map *map, uint32_t counts[8])
{
    for (uint32_t i = 0; i < 8; i++)
        counts[i] = 0;
    for (uint32_t hash = 0; hash <= map->mask; hash++) {
        uint32_t core = owner_of(map, hash);
        assert_true(core < map->core_count);
        assert_int_equal(core, owner_of(map, hash + 7 * (map->mask + 1)));
        counts[core]++;
    }
}

static void spreads_evenly_in_software(void **state)
{
    const struct leat_port_info info = {.rx_queue_count = 2};
    (void)state;
    for (uint32_t cores = 2; cores <= 7; cores++) {
        struct owner_map *map = map_new(&info, cores);
        uint32_t counts[8];
        count_owners(map, counts);
        for (uint32_t i = 0; i < cores; i++)
            assert_in_range(counts[i], OWNER_TABLE_MAX / cores, OWNER_TABLE_MAX / cores + 1);
        assert_false(map->is_hashed);
        free(map);
    }
}

/* Core 0 and those behind it share queue 0: half of what comes needs no passing on. */
static void shares_what_a_queue_gets(void **state)
{
    enum { ENTRIES = 128 };
    uint16_t table[ENTRIES];
    struct leat_port_info info = {.can = LEAT_PORT_CAN_RSS,
                                  .rx_queue_count = 2,
                                  .rss_table_count = ENTRIES,
                                  .rss_table = table};
    (void)state;
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = i % 3 == 0; /* uneven, as a card may have it */
    memcpy(info.rss_key, published_key, sizeof(published_key));
    for (uint32_t cores = 2; cores <= 5; cores++) {
        struct owner_map *map = map_new(&info, cores);
        uint32_t counts[8];
        count_owners(map, counts);
        assert_true(map->is_hashed);
        for (uint32_t i = 0; i < ENTRIES; i++)
            assert_int_equal(owner_of(map, i) % 2, table[i]);
        for (uint32_t i = 0; i < cores; i++)
            assert_true(counts[i] > 0);
        free(map);
    }
}

/* What a port says that cannot be: then the flows are spread in software. */
static void believes_no_impossible_table(void **state)
{
    uint16_t table[1024] = {0};
    struct leat_port_info info = {.can = LEAT_PORT_CAN_RSS,
                                  .rx_queue_count = 2,
                                  .rss_table_count = 1024,
                                  .rss_table = table};
    const uint16_t counts[] = {0, 96, 1024};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        info.rss_table_count = counts[i];
        struct owner_map *map = map_new(&info, 2);
        assert_false(map->is_hashed);
        assert_int_equal(owner_of(map, 1), 1);
        free(map);
    }
}

static bool has_port(const struct owner_map *map, const struct ip_addr *peer, uint32_t core)
{
    for (uint32_t port = 32768; port < 61000; port++) {
        const uint8_t ports[4] = {0, 80, (uint8_t)(port >> 8), (uint8_t)port};
        if (owner_of(map, owner_hash(map, peer, peer, ports)) == core)
            return true;
    }
    return false;
}

static void has_ports_for_all(const struct owner_map *map)
{
    for (uint32_t n = 0; n < 16; n++) {
        struct ip_addr v4 = ip_addr_v4(be32_put(0x0a000000u + n * 0x1357u)), v6 = {{0xfd}};
        v6.b[15] = (uint8_t)n;
        for (uint32_t core = 0; core < map->core_count; core++)
            assert_true(has_port(map, &v4, core) && has_port(map, &v6, core));
    }
}

/* A key whose bits repeat leads all local ports to a few entries, in which a core may have none. */
static void gives_each_core_ports_for_every_peer(void **state)
{
    enum { ENTRIES = 128, CORES = 4 };
    static const uint8_t zeros[OWNER_KEY_BYTES];
    uint16_t table[ENTRIES];
    struct leat_port_info info = {.can = LEAT_PORT_CAN_RSS,
                                  .rx_queue_count = CORES,
                                  .rss_table_count = ENTRIES,
                                  .rss_table = table};
    struct owner_map *map = malloc(sizeof(*map));
    (void)state;
    assert_non_null(map);
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = (uint16_t)(i % CORES);
    memset(info.rss_key, 0xff, sizeof(info.rss_key)); /* an entry or its complement */
    owner_init(map, &info, CORES, published_key);
    assert_false(map->is_hashed);
    assert_memory_equal(map->key, published_key, sizeof(map->key));
    has_ports_for_all(map);
    owner_init(map, &info, CORES, zeros);
    assert_memory_not_equal(map->key, zeros, sizeof(map->key));
    has_ports_for_all(map);
    memcpy(info.rss_key, published_key, sizeof(published_key));
    owner_init(map, &info, CORES, zeros);
    assert_true(map->is_hashed);
    has_ports_for_all(map);
    free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_as_published),
        cmocka_unit_test(spreads_evenly_in_software),
        cmocka_unit_test(shares_what_a_queue_gets),
        cmocka_unit_test(believes_no_impossible_table),
        cmocka_unit_test(gives_each_core_ports_for_every_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which core a packet belongs to: the Toeplitz hash by half bytes, and bit by bit, as it
 * is defined. */
#include "bench/harness.h"

#include "net/stack/owner.h"

#include <stdlib.h>

struct owner_bench {
    struct owner_map map;
    struct ip_addr src, dst;
    uint32_t sum; /* what the compiler must not throw away */
};

/* As the hash is defined: for each bit of the input that is set, the 32 bits of the key that begin
 * at the same place. input: addresses and ports of IPv4. */
static uint32_t by_bits(const uint8_t *key, const uint8_t input[12])
{
    uint32_t hash = 0;
    for (unsigned bit = 0; bit < 96; bit++) {
        uint64_t window = 0;
        for (unsigned i = 0; i < 5; i++)
            window = window << 8 | key[bit / 8 + i];
        if (input[bit / 8] & 0x80 >> bit % 8)
            hash ^= (uint32_t)(window >> (8 - bit % 8));
    }
    return hash;
}

static void *setup(uint64_t is_ipv6)
{
    static const uint8_t key[OWNER_KEY_BYTES] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2};
    static const struct leat_port_info info = {.rx_queue_count = 1};
    struct owner_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    owner_init(&bench->map, &info, 2, key);
    bench->src = ip_addr_v4(be32_put(0x0a000001));
    bench->dst = ip_addr_v4(be32_put(0x0a000002));
    static const uint8_t flow[12] = {10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4};
    if (by_bits(bench->map.key, flow) !=
        owner_hash(&bench->map, &bench->src, &bench->dst, flow + 8))
        abort();
    if (is_ipv6 != 0)
        bench->src.b[0] = bench->dst.b[0] = 0xfd;
    return bench;
}

static void teardown(void *state)
{
    free(state);
}

static void put_ports(uint8_t ports[4], uint64_t number)
{
    ports[0] = (uint8_t)(number >> 8);
    ports[1] = (uint8_t)number;
    ports[2] = 0;
    ports[3] = 80;
}

static void toeplitz(void *state, uint64_t iterations)
{
    struct owner_bench *bench = state;
    uint8_t ports[4];
    for (uint64_t i = 0; i < iterations; i++) {
        put_ports(ports, i);
        bench->sum +=
            owner_of(&bench->map, owner_hash(&bench->map, &bench->src, &bench->dst, ports));
    }
}

static void bit_by_bit(void *state, uint64_t iterations)
{
    struct owner_bench *bench = state;
    uint8_t input[12] = {10, 0, 0, 1, 10, 0, 0, 2};
    for (uint64_t i = 0; i < iterations; i++) {
        put_ports(input + 8, i);
        bench->sum += owner_of(&bench->map, by_bits(bench->map.key, input));
    }
}

#define OWNER_CASE(label, function, is_ipv6)                                                       \
    {                                                                                              \
        .name = label, .setup = setup, .run = function, .teardown = teardown, .argument = is_ipv6  \
    }

static const struct bench_case cases[] = {
    OWNER_CASE("of a flow over IPv4", toeplitz, 0),
    OWNER_CASE("of a flow over IPv6", toeplitz, 1),
    {.name = "of a flow over IPv4 bit by bit",
     .setup = setup,
     .run = bit_by_bit,
     .teardown = teardown,
     .is_alternative = true},
};
BENCH_GROUP(owner, cases);

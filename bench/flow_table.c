/* The table of flows at 1,000 to 10 million connections, one at a time and as the stack looks a
 * burst up; its hash; what opening and closing a connection costs in it. The flows' own memory is a
 * cache line each, as much as a look-up touches of a connection. DPDK's table beside it is in
 * rte_hash.c. */
#include "bench/flows.h"
#include "bench/harness.h"

#include "runtime/base/core.h"
#include "runtime/base/siphash.h"
#include "buffers/heap.h"

#include <stdlib.h>
#include <string.h>

struct flow_line {
    struct tcp_flow flow;
    uint8_t rest[64 - sizeof(struct tcp_flow)];
};

struct flows {
    struct leat_core core;
    struct tcp_table table;
    struct flow_line *lines;
    uint64_t count, random;
};

static bool matches(void *owner, uint32_t reference, const struct tcp_flow *flow)
{
    const struct flow_line *lines = owner;
    return memcmp(&lines[table_index(reference)].flow, flow, sizeof(*flow)) == 0;
}

static void *setup(uint64_t count)
{
    static const uint64_t key[4] = {11, 22, 33, 44};
    struct flows *flows = calloc(1, sizeof(*flows));
    if (flows == NULL)
        return NULL;
    leat_core_now = &flows->core;
    if (leat_heap_init(&flows->core, NULL) != 0 || table_init(&flows->table, key) != 0)
        abort();
    flows->lines = aligned_alloc(64, count * sizeof(*flows->lines));
    if (flows->lines == NULL)
        abort();
    flows->count = count;
    flows->random = 1;
    for (uint64_t i = 0; i < count; i++) {
        flows->lines[i].flow = flow_of(i);
        uint32_t hash = table_hash(&flows->table, &flows->lines[i].flow);
        if (table_insert(&flows->table, hash, table_reference(KIND_CONN, (uint32_t)i)) != 0)
            abort();
    }
    return flows;
}

static void teardown(void *state)
{
    struct flows *flows = state;
    table_fini(&flows->table);
    leat_heap_fini(&flows->core);
    leat_core_now = NULL;
    free(flows->lines);
    free(flows);
}

static void find(void *state, uint64_t iterations)
{
    struct flows *flows = state;
    for (uint64_t i = 0; i < iterations; i++) {
        struct tcp_flow flow = flow_of(bench_random(&flows->random) % flows->count);
        uint32_t hash = table_hash(&flows->table, &flow);
        if (table_find(&flows->table, hash, &flow, matches, flows->lines) == 0)
            abort();
    }
}

static void find_burst(void *state, uint64_t iterations)
{
    struct flows *flows = state;
    struct tcp_flow wanted[BURST];
    uint32_t hashes[BURST], guesses[BURST];
    for (uint64_t i = 0; i < iterations; i += BURST) {
        for (unsigned n = 0; n < BURST; n++) {
            wanted[n] = flow_of(bench_random(&flows->random) % flows->count);
            hashes[n] = table_hash(&flows->table, &wanted[n]);
            table_prefetch(&flows->table, hashes[n]);
        }
        for (unsigned n = 0; n < BURST; n++) {
            guesses[n] = table_guess(&flows->table, hashes[n]);
            __builtin_prefetch(&flows->lines[table_index(guesses[n])]);
        }
        for (unsigned n = 0; n < BURST; n++)
            if (!matches(flows->lines, guesses[n], &wanted[n]) &&
                table_find(&flows->table, hashes[n], &wanted[n], matches, flows->lines) == 0)
                abort();
    }
}

/* A connection that has gone, and a new one in its place. */
static void replace(void *state, uint64_t iterations)
{
    struct flows *flows = state;
    for (uint64_t i = 0; i < iterations; i++) {
        uint32_t index = (uint32_t)(bench_random(&flows->random) % flows->count);
        uint32_t reference = table_reference(KIND_CONN, index);
        uint32_t hash = table_hash(&flows->table, &flows->lines[index].flow);
        table_remove(&flows->table, hash, reference);
        if (table_insert(&flows->table, hash, reference) != 0)
            abort();
    }
}

static void hash(void *state, uint64_t iterations)
{
    struct flows *flows = state;
    for (uint64_t i = 0; i < iterations; i++) {
        bench_keep(flows->lines);
        bench_keep_value(table_hash(&flows->table, &flows->lines[0].flow));
    }
}

static void hash_siphash(void *state, uint64_t iterations)
{
    struct flows *flows = state;
    const struct siphash_key key = {{1, 2}};
    for (uint64_t i = 0; i < iterations; i++) {
        bench_keep(flows->lines);
        bench_keep_value(siphash(&key, &flows->lines[0].flow, sizeof(struct tcp_flow)));
    }
}

#define TABLE_CASE(label, function, number)                                                        \
    {                                                                                              \
        .name = label, .setup = setup, .run = function, .teardown = teardown, .argument = number,  \
        .counted_argument = 1000                                                                   \
    }
/* More flows cost more cache misses, and no more instructions. */
#define LARGE_CASE(label, function, number)                                                        \
    {                                                                                              \
        .name = label, .setup = setup, .run = function, .teardown = teardown, .argument = number,  \
        .is_uncounted = true                                                                       \
    }

static const struct bench_case cases[] = {
    TABLE_CASE("find one of 1k", find, 1000),
    LARGE_CASE("find one of 10k", find, 10000),
    LARGE_CASE("find one of 100k", find, 100000),
    LARGE_CASE("find one of 1M", find, 1000000),
    LARGE_CASE("find one of 10M", find, 10000000),
    TABLE_CASE("find a burst of 1k", find_burst, 1000),
    LARGE_CASE("find a burst of 10k", find_burst, 10000),
    LARGE_CASE("find a burst of 100k", find_burst, 100000),
    LARGE_CASE("find a burst of 1M", find_burst, 1000000),
    LARGE_CASE("find a burst of 10M", find_burst, 10000000),
    TABLE_CASE("remove and insert in 1k", replace, 1000),
    LARGE_CASE("remove and insert in 1M", replace, 1000000),
    TABLE_CASE("hash", hash, 1),
    {.name = "hash siphash",
     .setup = setup,
     .run = hash_siphash,
     .teardown = teardown,
     .argument = 1,
     .is_alternative = true},
};
BENCH_GROUP(flow_table, cases);

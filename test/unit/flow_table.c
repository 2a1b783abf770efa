#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "net/stack/tcp/table.h"
#include "runtime/base/rng.h"

static const uint64_t key[4] = {1, 2, 3, 4};

static bool match_index(void *owner, uint32_t reference, const struct tcp_flow *flow)
{
    (void)owner;
    return table_index(reference) == be16_get(flow->local_port);
}

/* Against an array as the model: insertions, removals and look-ups in random order, through many
 * resizes, with hashes that collide on purpose. */
static void play(uint32_t hash_mask)
{
    struct tcp_table t;
    struct leat_rng rng;
    static uint32_t hashes[20000];
    static bool present[20000];
    uint32_t live = 0;
    rng_init(&rng, hash_mask);
    assert_int_equal(table_init(&t, key), 0);
    for (unsigned i = 0; i < 20000; i++) {
        hashes[i] = (uint32_t)rng_next(&rng) & hash_mask;
        present[i] = false;
    }
    unsigned steps = hash_mask < 1000 ? 20000 : 200000;
    for (unsigned step = 0; step < steps; step++) {
        uint32_t span = step < steps / 2 ? 20000 : 500, i = (uint32_t)rng_below(&rng, span);
        uint32_t reference = table_reference(KIND_CONN, i);
        struct tcp_flow flow = {.local_port = be16_put((uint16_t)i)};
        uint32_t found = table_find(&t, hashes[i], &flow, match_index, NULL);
        assert_int_equal(found, present[i] ? reference : 0);
        if (present[i])
            table_remove(&t, hashes[i], reference);
        else
            assert_int_equal(table_insert(&t, hashes[i], reference), 0);
        present[i] = !present[i];
        live += present[i] ? 1 : UINT32_MAX;
        assert_int_equal(t.count, live);
        if (step % 5000 == 0)
            assert_int_equal(table_recount(&t), live);
    }
    table_fini(&t);
}

static void a_table_finds_what_was_inserted(void **state)
{
    play(UINT32_MAX);
}

static void collisions_make_chains_and_lose_nothing(void **state)
{
    play(255);
}

static void replacing_keeps_the_place(void **state)
{
    struct tcp_table t;
    struct tcp_flow flow = {.local_port = be16_put(7)};
    assert_int_equal(table_init(&t, key), 0);
    uint32_t hash = table_hash(&t, &flow);
    assert_int_equal(table_insert(&t, hash, table_reference(KIND_EMBRYO, 7)), 0);
    table_replace(&t, hash, table_reference(KIND_EMBRYO, 7), table_reference(KIND_CONN, 7));
    uint32_t found = table_find(&t, hash, &flow, match_index, NULL);
    assert_int_equal(table_kind(found), KIND_CONN);
    table_fini(&t);
}

static void every_field_of_the_flow_and_the_key_change_the_hash(void **state)
{
    struct tcp_table t, other;
    const uint64_t second[4] = {1, 2, 3, 5};
    assert_int_equal(table_init(&t, key), 0);
    assert_int_equal(table_init(&other, second), 0);
    struct tcp_flow flow = {0};
    uint32_t base = table_hash(&t, &flow);
    assert_int_not_equal(base, table_hash(&other, &flow));
    for (unsigned i = 0; i < sizeof(flow); i++) {
        ((uint8_t *)&flow)[i] = 1;
        assert_int_not_equal(table_hash(&t, &flow), base);
        ((uint8_t *)&flow)[i] = 0;
    }
    table_fini(&t);
    table_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_finds_what_was_inserted),
        cmocka_unit_test(collisions_make_chains_and_lose_nothing),
        cmocka_unit_test(replacing_keeps_the_place),
        cmocka_unit_test(every_field_of_the_flow_and_the_key_change_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The pools from inside: zeroing seen through whole blocks, bounds, foreign frees, validators. */
#include "buffers/heap.h"
#include "buffers/pools_internal.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define SECRET 0xa5

static struct leat_core core_a, core_b;

static void start(struct leat_core *core, uint32_t index, uint64_t bytes_max)
{
    *core = (struct leat_core){.index = index};
    leat_core_now = core;
    assert_int_equal(leat_heap_init(core, NULL), 0);
    assert_int_equal(leat_pools_init(core, bytes_max, NULL), 0);
}

static void end(struct leat_core *core)
{
    leat_core_now = core;
    assert_int_equal(leat_pools_fini(core), 0);
    leat_heap_fini(core);
    leat_core_now = NULL;
}

static struct leat_buf_stats stats_now(void)
{
    struct leat_buf_stats stats;
    leat_buf_stats(&stats);
    assert_int_equal(stats.granted_count, stats.freed_count + stats.live_count);
    return stats;
}

/* Slack is poisoned for everybody else. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static bool is_zero(
    const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Every class comes up as often as every other; now and then a large one. */
static size_t random_length(uint64_t *seed)
{
    unsigned class = (unsigned)(random_next(seed) % (LEAT_BUF_CLASSES + 1));
    if (class == LEAT_BUF_CLASSES)
        return LEAT_BUF_CLASSED_MAX + random_next(seed) % (3 << 20);
    return 1 + random_next(seed) % leat_buf_class_bytes(class);
}

static struct leat_buf random_new(uint64_t *seed, uint64_t *zeroed_count)
{
    size_t length = random_length(seed);
    struct leat_buf buf;
    switch (random_next(seed) % 4) {
    case 0:
        buf = leat_buf_alloc_unsafe(length);
        break;
    case 1: {
        uint8_t bytes[300];
        memset(bytes, SECRET, sizeof(bytes));
        buf = leat_buf_from_bytes(bytes, length % sizeof(bytes) + 1);
        break;
    }
    default:
        buf = leat_buf_alloc(length);
        if (buf.data != NULL) {
            assert_true(is_zero(buf.block->memory, buf.block->capacity_bytes));
            ++*zeroed_count;
        }
    }
    return buf;
}

/* Grows a buffer, and proves that what this adds is zero unless it was asked for dirty. */
static void random_resize(uint64_t *seed, struct leat_buf *buf)
{
    size_t before = buf->length_bytes, capacity = leat_buf_capacity(buf);
    size_t after = random_next(seed) % (capacity + 2);
    bool is_clean = (buf->block->flags & BLOCK_SLACK_CLEAR) != 0;
    bool is_own = buf->block->refs == 1;
    bool is_done = leat_buf_resize(buf, after);
    assert_int_equal(is_done, is_own && after <= capacity);
    if (is_done && after > before && is_clean)
        assert_true(is_zero(buf->data + before, after - before));
}

static void test_no_byte_of_an_earlier_user_is_seen(void **state)
{
    enum { SLOTS = 48, STEPS = 60000 };
    struct leat_buf bufs[SLOTS] = {0};
    uint64_t seed = 0x9e3779b97f4a7c15u, zeroed_count = 0;
    start(&core_a, 0, 96 << 20);
    for (int step = 0; step < STEPS; step++) {
        struct leat_buf *buf = &bufs[random_next(&seed) % SLOTS];
        if (buf->data == NULL) {
            *buf = random_new(&seed, &zeroed_count);
            continue;
        }
        switch (random_next(&seed) % 4) {
        case 0:
            random_resize(&seed, buf);
            break;
        case 1: {
            struct leat_buf slice = leat_buf_slice(*buf, random_next(&seed) % 512, 1 << 16);
            leat_buf_unref(*buf);
            *buf = slice;
            break;
        }
        default:
            memset(buf->data, SECRET, buf->length_bytes);
            leat_buf_unref(*buf);
            *buf = (struct leat_buf){0};
        }
        if (step % 64 == 0)
            leat_pools_turn(&core_a);
        if (step % 4096 == 0)
            leat_pools_validate(&core_a);
    }
    assert_true(zeroed_count > STEPS / 10);
    for (int i = 0; i < SLOTS; i++)
        leat_buf_unref(bufs[i]);
    end(&core_a);
}

static void test_clears_the_dirty_extent_and_no_more(void **state)
{
    start(&core_a, 0, 16 << 20);
    leat_buf_unref(leat_buf_alloc_unsafe(1000));
    leat_buf_unref(leat_buf_alloc(900));
    assert_int_equal(stats_now().cleared_bytes, 1000);
    struct leat_buf buf = leat_buf_alloc(1024);
    assert_int_equal(stats_now().cleared_bytes, 1900);
    leat_buf_unref(buf);
    buf = leat_buf_alloc(897);
    assert_int_equal(stats_now().cleared_bytes, 1900 + 1024);
    assert_true(leat_buf_resize(&buf, 950));
    leat_buf_unref(buf);
    leat_buf_unref(leat_buf_alloc(1024));
    assert_int_equal(stats_now().cleared_bytes, 1900 + 1024 + 950);
    end(&core_a);
}

static unsigned fill(struct leat_buf *bufs, unsigned max, size_t length)
{
    unsigned count = 0;
    while (count < max && (bufs[count] = leat_buf_alloc(length)).data != NULL)
        count++;
    return count;
}

static void empty(struct leat_buf *bufs, unsigned count)
{
    while (count > 0)
        leat_buf_unref(bufs[--count]);
}

static void test_exhaustion_is_counted_and_passes(void **state)
{
    struct leat_buf bufs[600];
    start(&core_a, 0, 128 << 10);
    assert_int_equal(fill(bufs, 600, 256), 512);
    assert_int_equal(stats_now().exhausted_count, 1);
    assert_int_equal(stats_now().live_bytes, 128 << 10);
    assert_null(leat_buf_wrap(bufs, 1, NULL, NULL).data);
    assert_null(leat_buf_alloc(2 << 20).data);
    assert_int_equal(stats_now().exhausted_count, 3);
    leat_buf_unref(bufs[511]);
    bufs[511] = leat_buf_alloc(200);
    assert_non_null(bufs[511].data);
    empty(bufs, 512);
    leat_pools_validate(&core_a);
    /* What one class left serves another. */
    assert_int_equal(fill(bufs, 600, 16 << 10), 8);
    empty(bufs, 8);
    end(&core_a);

    start(&core_a, 0, 1);
    assert_null(leat_buf_alloc(1).data);
    assert_null(leat_buf_alloc_unsafe(0).data);
    assert_int_equal(stats_now().exhausted_count, 1);
    end(&core_a);
}

static void test_all_classes_share_the_bound(void **state)
{
    struct leat_buf bufs[70000];
    start(&core_a, 0, 16 << 20);
    for (int round = 0; round < 3; round++) {
        unsigned count = fill(bufs, 70000, 256);
        assert_int_equal(count, (16 << 20) / 256);
        empty(bufs, count);
        count = fill(bufs, 70000, 1 << 20);
        assert_int_equal(count, 16);
        empty(bufs, count);
        count = fill(bufs, 70000, 16 << 20);
        assert_int_equal(count, 1);
        empty(bufs, count);
        leat_pools_validate(&core_a);
    }
    end(&core_a);
}

static void test_large_blocks(void **state)
{
    start(&core_a, 0, 64 << 20);
    assert_null(leat_buf_alloc((size_t)LEAT_BUF_BYTES_MAX + 1).data);
    struct leat_buf buf = leat_buf_alloc((5 << 20) + 1);
    assert_int_equal(leat_buf_capacity(&buf), (5 << 20) + (64 << 10));
    memset(buf.data, SECRET, buf.length_bytes);
    assert_true(stats_now().arena_bytes >= 5 << 20);
    leat_buf_unref(buf);
    assert_int_equal(stats_now().arena_bytes, 0);
    buf = leat_buf_alloc(6 << 20);
    assert_true(is_zero(buf.data, 6 << 20));
    leat_buf_unref(buf);
    end(&core_a);
}

static void test_what_is_not_needed_goes_back(void **state)
{
    struct leat_buf bufs[64];
    start(&core_a, 0, 64 << 20);
    assert_int_equal(fill(bufs, 40, 1 << 20), 40);
    assert_true(core_a.pools->arena.committed_count >= 20);
    empty(bufs, 40);
    for (int i = 0; i < 6 * POOLS_TRIM_TURNS; i++)
        leat_pools_turn(&core_a);
    assert_true(core_a.pools->arena.committed_count < 20); /* a little at a time under load */
    assert_int_equal(stats_now().arena_bytes, 0);
    int trims = 0;
    while (leat_pools_trim(&core_a))
        assert_true(++trims < 10);
    assert_int_equal(core_a.pools->arena.committed_count, 1);
    leat_pools_validate(&core_a);
    assert_int_equal(fill(bufs, 40, 1 << 20), 40);
    empty(bufs, 40);
    end(&core_a);
}

static unsigned resident_pages(const struct arena *arena)
{
    unsigned char pages[LEAT_CHUNK_BYTES / 4096];
    unsigned count = 0;
    assert_int_equal(mincore(arena->base, LEAT_CHUNK_BYTES, pages), 0);
    for (size_t i = 0; i < sizeof(pages); i++)
        count += pages[i] & 1;
    return count;
}

static void test_at_rest_only_what_was_used_is_resident(void **state)
{
    if (sysconf(_SC_PAGESIZE) != 4096) {
        print_message("skip: pages are not of 4 KiB\n");
        skip();
    }
    start(&core_a, 0, 64 << 20);
    for (unsigned class = 0; class < 20; class ++) {
        struct leat_buf buf = leat_buf_alloc(leat_buf_class_bytes(class));
        memset(buf.data, SECRET, 100);
        leat_buf_unref(buf);
    }
    assert_in_range(resident_pages(&core_a.pools->arena), 20, 60);
    end(&core_a);
}

static void test_the_nth_allocation_fails_on_demand(void **state)
{
    start(&core_a, 0, 16 << 20);
    leat_pools_fail_at(&core_a, 2);
    struct leat_buf first = leat_buf_alloc(10), second = leat_buf_alloc(10);
    struct leat_buf third = leat_buf_alloc(10);
    assert_non_null(first.data);
    assert_null(second.data);
    assert_non_null(third.data);
    assert_int_equal(stats_now().exhausted_count, 1);
    leat_buf_unref(first);
    leat_buf_unref(third);
    leat_heap_fail_at(&core_a, 1);
    assert_null(leat_heap_alloc(10));
    leat_heap_fail_at(&core_a, 1);
    assert_null(leat_buf_alloc(100000).data); /* the header of a new span */
    end(&core_a);
}

static uint8_t *reserve_none(const struct leat_pages *pages, uint64_t *bytes,
                             struct leat_error *error)
{
    leat_fail(error, -12, "none");
    return NULL;
}

static bool commit_none(const struct leat_pages *pages, uint8_t *chunk, bool is_first)
{
    return false;
}

static void test_a_provider_may_refuse(void **state)
{
    struct leat_pages pages = *leat_pages_default();
    struct leat_error error;
    pages.commit = commit_none;
    core_a = (struct leat_core){0};
    leat_core_now = &core_a;
    assert_int_equal(leat_heap_init(&core_a, NULL), 0);
    assert_int_equal(leat_pools_init_on(&core_a, 16 << 20, &pages, NULL), 0);
    assert_null(leat_buf_alloc(1).data);
    assert_null(leat_buf_alloc(3 << 20).data);
    assert_int_equal(stats_now().exhausted_count, 2);
    assert_int_equal(leat_pools_fini(&core_a), 0);
    pages.reserve = reserve_none;
    assert_int_equal(leat_pools_init_on(&core_a, 16 << 20, &pages, &error), -12);
    assert_string_equal(error.sentence, "none");
    leat_heap_fini(&core_a);
    leat_core_now = NULL;
}

static void test_hugetlb_pages(void **state)
{
    const struct leat_pages *pages = leat_pages_hugetlb();
    if (pages == NULL) {
        print_message("skip: no huge pages are reserved\n");
        skip();
    }
    core_a = (struct leat_core){0};
    leat_core_now = &core_a;
    assert_int_equal(leat_heap_init(&core_a, NULL), 0);
    assert_int_equal(leat_pools_init_on(&core_a, 16 << 20, pages, NULL), 0);
    struct leat_buf buf = leat_buf_alloc(6 << 20); /* more than may be free: the rest is plain */
    assert_true(is_zero(buf.data, 6 << 20));
    assert_string_equal(stats_now().pages, "hugetlb");
    leat_buf_unref(buf);
    end(&core_a);
}

/* Whoever maps these addresses next must not be thought to use freed buffers. */
static void test_a_sanitizer_forgets_addresses_that_are_given_back(void **state)
{
    start(&core_a, 0, 64 << 20);
    struct leat_buf buf = leat_buf_alloc(30 << 20);
    uint8_t *data = buf.data;
    assert_non_null(data);
    leat_buf_unref(buf);
#if defined(POOLS_ASAN)
    assert_non_null(__asan_region_is_poisoned(data, 30 << 20));
#endif
    end(&core_a);
#if defined(POOLS_ASAN)
    assert_null(__asan_region_is_poisoned(data, 30 << 20));
#endif
}

static void test_foreign_blocks_go_home_in_batches(void **state)
{
    struct leat_buf bufs[100];
    start(&core_b, 1, 16 << 20);
    start(&core_a, 0, 16 << 20);
    assert_int_equal(fill(bufs, 100, 2000), 100);
    leat_core_now = &core_b;
    empty(bufs, 60);
    leat_core_now = NULL; /* a thread without a core sends at once */
    empty(bufs + 60, 40);
    leat_core_now = &core_a;
    leat_pools_turn(&core_a);
    assert_int_equal(stats_now().foreign_count, 40);
    leat_core_now = &core_b;
    leat_pools_turn(&core_b);
    leat_core_now = &core_a;
    assert_int_equal(stats_now().live_count, 60);
    leat_pools_turn(&core_a);
    assert_int_equal(stats_now().foreign_count, 100);
    assert_int_equal(stats_now().live_count, 0);
    end(&core_b);
    end(&core_a);
}

static struct leat_buf late; /* keeps what leaks reachable */

static void test_leaks_are_reported_and_a_late_unref_is_harmless(void **state)
{
    start(&core_a, 7, 16 << 20);
    late = leat_buf_alloc(300);
    int pipes[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    uint64_t leaked = leat_pools_fini(&core_a);
    dup2(saved, STDERR_FILENO);
    char text[256] = "";
    assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
    close(saved);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(leaked, 1);
    assert_string_equal(text, "leat: core 7: 1 buffers were never freed: 1 of 320 bytes\n");
    leat_heap_fini(&core_a);
    leat_core_now = NULL;
    memset(late.data, 1, 300);
    leat_buf_unref(late);
}

/* Two cores on threads of their own hand each other buffers through a lock-protected slot. */
struct trade {
    pthread_mutex_t lock;
    struct leat_buf slots[64];
    unsigned count;
    unsigned running;
};

struct trader {
    struct trade *out, *in;
    struct leat_core core;
    pthread_barrier_t *barrier;
};

static bool trade_put(struct trade *trade, struct leat_buf buf)
{
    pthread_mutex_lock(&trade->lock);
    bool is_put = trade->count < 64;
    if (is_put)
        trade->slots[trade->count++] = buf;
    pthread_mutex_unlock(&trade->lock);
    return is_put;
}

static bool trade_take(struct trade *trade, struct leat_buf *buf)
{
    pthread_mutex_lock(&trade->lock);
    bool is_there = trade->count > 0;
    if (is_there)
        *buf = trade->slots[--trade->count];
    pthread_mutex_unlock(&trade->lock);
    return is_there;
}

static void *trader_run(void *arg)
{
    struct trader *self = arg;
    uint64_t seed = self->core.index + 1;
    leat_core_now = &self->core;
    CHECK(leat_heap_init(&self->core, NULL) == 0);
    CHECK(leat_pools_init(&self->core, 32 << 20, NULL) == 0);
    for (int i = 0; i < 20000; i++) {
        struct leat_buf buf = leat_buf_alloc(1 + random_next(&seed) % 5000);
        CHECK(buf.data != NULL && is_zero(buf.data, buf.length_bytes));
        memset(buf.data, SECRET, buf.length_bytes);
        if (!trade_put(self->out, buf))
            leat_buf_unref(buf);
        if (trade_take(self->in, &buf)) {
            CHECK(buf.data[0] == SECRET);
            leat_buf_unref(leat_buf_slice(buf, 10, 20));
            leat_buf_unref(buf);
        }
        if (i % 16 == 0)
            leat_pools_turn(&self->core);
    }
    pthread_barrier_wait(self->barrier);
    struct leat_buf buf;
    while (trade_take(self->in, &buf))
        leat_buf_unref(buf);
    leat_pools_turn(&self->core);
    pthread_barrier_wait(self->barrier);
    leat_pools_turn(&self->core);
    CHECK(stats_now().foreign_count > 0);
    CHECK(leat_pools_fini(&self->core) == 0);
    leat_heap_fini(&self->core);
    return NULL;
}

static void test_threads_trade_buffers(void **state)
{
    struct trade trades[2] = {{.lock = PTHREAD_MUTEX_INITIALIZER},
                              {.lock = PTHREAD_MUTEX_INITIALIZER}};
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    struct trader traders[2];
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        traders[i] = (struct trader){&trades[i], &trades[1 - i], {.index = i}, &barrier};
        assert_int_equal(pthread_create(&threads[i], NULL, trader_run, &traders[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&barrier);
}

/* Breaks something in a child, which must end in a dump. */
static void assert_stops(void (*break_it)(struct leat_pools *pools))
{
    start(&core_a, 0, 16 << 20);
    struct leat_buf bufs[3] = {leat_buf_alloc(300), leat_buf_alloc(5000), leat_buf_alloc(4 << 20)};
    leat_buf_unref(leat_buf_alloc(300));
    leat_buf_unref(leat_buf_alloc(90000));
    leat_pools_validate(&core_a);
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        break_it(core_a.pools);
        leat_pools_validate(&core_a);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    /* By our own dump, or by ASan's. */
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : WEXITSTATUS(status) != 0);
    empty(bufs, 3);
    end(&core_a);
}

static void break_count(struct leat_pools *pools)
{
    pools->classes[leat_buf_class_of(300)].granted_count++;
}

static void break_bytes(struct leat_pools *pools)
{
    pools->arena_bytes -= 1;
}

static void break_units(struct leat_pools *pools)
{
    pools->arena.units_used++;
}

static void break_list(struct leat_pools *pools)
{
    pools->arena.chunks[0].free_units ^= 1u << 31;
}

static void break_refs(struct leat_pools *pools)
{
    pools->classes[leat_buf_class_of(300)].shelf->refs = 1;
}

static void break_empties(struct leat_pools *pools)
{
    spans_flush(pools);
    pools->empties_oldest->out_count = 1;
}

static void break_dirty(struct leat_pools *pools)
{
    struct leat_block *block = pools->classes[leat_buf_class_of(300)].shelf;
    block->dirty_bytes = block->capacity_bytes + 1;
}

static void test_validators_see_what_is_broken(void **state)
{
    assert_stops(break_count);
    assert_stops(break_bytes);
    assert_stops(break_units);
    assert_stops(break_list);
    assert_stops(break_refs);
    assert_stops(break_empties);
    assert_stops(break_dirty);
}

#if LEAT_DCHECK_ON
static void unref_twice(struct leat_pools *pools)
{
    struct leat_buf buf = leat_buf_alloc(300);
    leat_buf_unref(buf);
    leat_buf_unref(buf);
}

static void write_after_free(struct leat_pools *pools)
{
    struct leat_buf buf = leat_buf_alloc(300);
    leat_buf_unref(buf);
    buf.data[0] = 1; /* where ASan watches, it stops here */
    leat_buf_unref(leat_buf_alloc(300));
}

static void test_use_after_free_is_caught(void **state)
{
    assert_stops(unref_twice);
    assert_stops(write_after_free);
}
#else
static void test_use_after_free_is_caught(void **state)
{
    print_message("skip: needs a build with DCHECK\n");
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_byte_of_an_earlier_user_is_seen),
        cmocka_unit_test(test_clears_the_dirty_extent_and_no_more),
        cmocka_unit_test(test_exhaustion_is_counted_and_passes),
        cmocka_unit_test(test_all_classes_share_the_bound),
        cmocka_unit_test(test_large_blocks),
        cmocka_unit_test(test_what_is_not_needed_goes_back),
        cmocka_unit_test(test_at_rest_only_what_was_used_is_resident),
        cmocka_unit_test(test_the_nth_allocation_fails_on_demand),
        cmocka_unit_test(test_a_provider_may_refuse),
        cmocka_unit_test(test_hugetlb_pages),
        cmocka_unit_test(test_a_sanitizer_forgets_addresses_that_are_given_back),
        cmocka_unit_test(test_foreign_blocks_go_home_in_batches),
        cmocka_unit_test(test_leaks_are_reported_and_a_late_unref_is_harmless),
        cmocka_unit_test(test_threads_trade_buffers),
        cmocka_unit_test(test_validators_see_what_is_broken),
        cmocka_unit_test(test_use_after_free_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Granting and freeing one buffer, zeroed and not, next to what a user would take instead. */
#include "bench/harness.h"
#include "buffers/heap.h"
#include "buffers/pools.h"

#include <stdlib.h>
#include <string.h>

struct bench_core {
    struct leat_core core;
    size_t bytes;
};

static void *core_setup(uint64_t argument)
{
    struct bench_core *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    bench->bytes = argument;
    leat_core_now = &bench->core;
    if (leat_heap_init(&bench->core, NULL) != 0 || leat_pools_init(&bench->core, 0, NULL) != 0)
        return NULL;
    return bench;
}

static void core_teardown(void *state)
{
    struct bench_core *bench = state;
    leat_pools_fini(&bench->core);
    leat_heap_fini(&bench->core);
    leat_core_now = NULL;
    free(bench);
}

static void grant_unsafe(void *state, uint64_t iterations)
{
    size_t bytes = ((struct bench_core *)state)->bytes;
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_buf buf = leat_buf_alloc_unsafe(bytes);
        bench_keep(buf.data);
        leat_buf_unref(buf);
    }
}

static void grant_zeroed(void *state, uint64_t iterations)
{
    size_t bytes = ((struct bench_core *)state)->bytes;
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_buf buf = leat_buf_alloc(bytes);
        bench_keep(buf.data);
        leat_buf_unref(buf);
    }
}

/* More than a shelf holds at a time, so that spans take part. */
static void grant_many(void *state, uint64_t iterations)
{
    enum { MANY = 512 };
    struct leat_buf bufs[MANY];
    size_t bytes = ((struct bench_core *)state)->bytes;
    for (uint64_t i = 0; i < iterations; i += MANY) {
        for (int j = 0; j < MANY; j++)
            bufs[j] = leat_buf_alloc_unsafe(bytes);
        for (int j = 0; j < MANY; j++)
            leat_buf_unref(bufs[j]);
    }
}

static void slice_unref(void *state, uint64_t iterations)
{
    struct leat_buf buf = leat_buf_alloc(((struct bench_core *)state)->bytes);
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_buf slice = leat_buf_slice(buf, 16, 64);
        bench_keep(slice.data);
        leat_buf_unref(slice);
    }
    leat_buf_unref(buf);
}

static void heap_alloc(void *state, uint64_t iterations)
{
    size_t bytes = ((struct bench_core *)state)->bytes;
    for (uint64_t i = 0; i < iterations; i++) {
        void *memory = leat_heap_alloc(bytes);
        bench_keep(memory);
        leat_heap_free(memory);
    }
}

static void heap_alloc_zeroed(void *state, uint64_t iterations)
{
    size_t bytes = ((struct bench_core *)state)->bytes;
    for (uint64_t i = 0; i < iterations; i++) {
        void *memory = leat_heap_calloc(1, bytes);
        bench_keep(memory);
        leat_heap_free(memory);
    }
}

/* What a response is: a head and a body in, then out as they were acknowledged. */
static void chain_through(void *state, uint64_t iterations)
{
    struct leat_chain chain;
    struct leat_buf head = leat_buf_alloc(((struct bench_core *)state)->bytes);
    struct leat_buf body = leat_buf_from_static("Hello, World!", 13);
    leat_chain_init(&chain);
    for (uint64_t i = 0; i < iterations; i++) {
        if (leat_chain_push(&chain, leat_buf_slice(head, 0, 128)) != 0 ||
            leat_chain_push(&chain, body) != 0)
            abort();
        leat_chain_pull(&chain, 100);
        leat_chain_pull(&chain, 41);
    }
    leat_chain_fini(&chain);
    leat_buf_unref(head);
}

/* The same bytes through one buffer, moved to its front when some were taken. */
static void chain_memcpy(void *state, uint64_t iterations)
{
    static const char body[] = "Hello, World!";
    size_t bytes = *(size_t *)state;
    char *head = calloc(2, bytes), *queue = head + bytes;
    for (uint64_t i = 0; i < iterations; i++) {
        memcpy(queue, head, 128);
        memcpy(queue + 128, body, 13);
        bench_keep(queue);
        memmove(queue, queue + 100, 41);
        bench_keep(queue);
    }
    free(head);
}

static void *bytes_setup(uint64_t argument)
{
    size_t *bytes = malloc(sizeof(*bytes));
    if (bytes != NULL)
        *bytes = argument;
    return bytes;
}

static void malloc_alone(void *state, uint64_t iterations)
{
    size_t bytes = *(size_t *)state;
    for (uint64_t i = 0; i < iterations; i++) {
        void *memory = malloc(bytes);
        bench_keep(memory);
        free(memory);
    }
}

static void malloc_memset(void *state, uint64_t iterations)
{
    size_t bytes = *(size_t *)state;
    for (uint64_t i = 0; i < iterations; i++) {
        void *memory = malloc(bytes);
        memset(memory, 0, bytes);
        bench_keep(memory);
        free(memory);
    }
}

#define OURS(label, function, size)                                                                \
    {                                                                                              \
        .name = label, .setup = core_setup, .run = function, .teardown = core_teardown,            \
        .argument = size                                                                           \
    }
#define THEIRS(label, function, size)                                                              \
    {                                                                                              \
        .name = label, .setup = bytes_setup, .run = function, .teardown = free, .argument = size,  \
        .is_alternative = true                                                                     \
    }

static const struct bench_case cases[] = {
    OURS("grant 1 KiB", grant_unsafe, 1024),
    OURS("grant 1 KiB through spans", grant_many, 1024),
    THEIRS("grant 1 KiB malloc", malloc_alone, 1024),
    OURS("grant 1 KiB heap", heap_alloc, 1024),
    OURS("grant 1 KiB zeroed", grant_zeroed, 1024),
    THEIRS("grant 1 KiB zeroed malloc", malloc_memset, 1024),
    OURS("grant 64 KiB", grant_unsafe, 65536),
    THEIRS("grant 64 KiB malloc", malloc_alone, 65536),
    {.name = "grant 64 KiB zeroed",
     .setup = core_setup,
     .run = grant_zeroed,
     .teardown = core_teardown,
     .argument = 65536,
     .is_uncounted = true}, /* memset's own loop, by "rep stos" or by vectors */
    THEIRS("grant 64 KiB zeroed malloc", malloc_memset, 65536),
    OURS("grant 1 KiB zeroed heap", heap_alloc_zeroed, 1024),
    OURS("slice", slice_unref, 1024),
    OURS("chain of head and body", chain_through, 1024),
    THEIRS("chain of head and body memcpy", chain_memcpy, 1024),
};
BENCH_GROUP(buffers, cases);

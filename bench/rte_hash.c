/* DPDK's rte_hash with the flows of flow_table.c, as one core's table: without locks. The key is a
 * struct tcp_flow; the hash is DPDK's default, on x86 CRC32C, which has no secret. Made for a third
 * more flows than it gets, the table has as many buckets as ours, of a cache line and eight entries
 * each. Keys lie in the table: a look-up touches nothing of the connection, where ours brings a
 * line of it into the cache.
 *
 * The table lies in a mapping that asks for transparent hugepages, as DPDK's memory is on hugepages
 * where it serves; the counter huge_MiB is what the kernel gave. Ours has its memory from mimalloc,
 * which asks for none: at 10 million flows, too, buckets and connections are on pages of 4 KiB. So
 * is this table in the cases with "4 KiB pages". */
#include "bench/flows.h"
#include "bench/harness.h"

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_malloc.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAP       "bench"
#define PAGE_BYTES UINT64_C(4096)
/* The key with its value, and of the next power of two a bucket's eighth and a ring's entry. */
#define ENTRY_BYTES_MAX (48 + 2 * (8 + 4))
#define OTHER_BYTES     (UINT64_C(4) << 20)

struct table {
    struct rte_hash *hash;
    void *memory;
    size_t memory_bytes;
    uint64_t count, random;
};

/* Once in a process, and on this thread alone, which keeps its cores. Leaves no files: without
 * hugepages DPDK refuses --in-memory, and --no-shconf does as much. */
static bool start(void)
{
    static bool was_tried, is_started;
    char line[256], *rest, *words[16];
    int count = 0;
    cpu_set_t allowed;
    if (was_tried)
        return is_started;
    was_tried = true;
    if (pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed) != 0)
        return false;
    snprintf(line, sizeof(line),
             "micro --no-huge --no-shconf --no-pci --no-telemetry --iova-mode=va "
             "--log-level=error --lcores 0@%d --file-prefix=leat-bench-%d",
             sched_getcpu(), (int)getpid());
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    words[count] = NULL;
    is_started = rte_eal_init(count, words) >= 0;
    pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed);
    rmdir(rte_eal_get_runtime_dir());
    return is_started;
}

/* What DPDK takes for the table comes from a heap of DPDK's that has this memory alone. */
static bool make_heap(struct table *table, uint64_t entries, int advice)
{
    uint64_t page_count = (entries * ENTRY_BYTES_MAX + OTHER_BYTES) / PAGE_BYTES;
    table->memory_bytes = page_count * PAGE_BYTES;
    table->memory = mmap(NULL, table->memory_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table->memory == MAP_FAILED)
        return false;
    (void)madvise(table->memory, table->memory_bytes, advice); /* a kernel may have none */
    return rte_malloc_heap_create(HEAP) == 0 &&
           rte_malloc_heap_memory_add(HEAP, table->memory, table->memory_bytes, NULL,
                                      (unsigned)page_count, PAGE_BYTES) == 0;
}

static void *setup_advised(uint64_t count, int advice)
{
    struct rte_hash_parameters parameters = {.name = "flows",
                                             .entries = (uint32_t)(count + count / 3),
                                             .key_len = sizeof(struct tcp_flow)};
    struct table *table = start() ? calloc(1, sizeof(*table)) : NULL;
    if (table == NULL)
        return NULL;
    if (!make_heap(table, parameters.entries, advice))
        abort();
    parameters.socket_id = rte_malloc_heap_get_socket(HEAP);
    table->hash = rte_hash_create(&parameters);
    if (table->hash == NULL)
        abort();
    table->count = count;
    table->random = 1;
    for (uint64_t i = 0; i < count; i++) {
        struct tcp_flow flow = flow_of(i);
        if (rte_hash_add_key_data(table->hash, &flow, (void *)(uintptr_t)i) != 0)
            abort();
    }
    return table;
}

static void *setup(uint64_t count)
{
    return setup_advised(count, MADV_HUGEPAGE);
}

static void *setup_small_pages(uint64_t count)
{
    return setup_advised(count, MADV_NOHUGEPAGE);
}

static void teardown(void *state)
{
    struct table *table = state;
    rte_hash_free(table->hash);
    if (rte_malloc_heap_memory_remove(HEAP, table->memory, table->memory_bytes) != 0 ||
        rte_malloc_heap_destroy(HEAP) != 0)
        abort();
    munmap(table->memory, table->memory_bytes);
    free(table);
}

static void report(void *state, struct bench_report *report)
{
    const struct table *table = state;
    uintptr_t at = (uintptr_t)table->memory;
    unsigned long start, end, kib, huge_kib = 0;
    bool is_inside = false;
    char line[256];
    FILE *maps = fopen("/proc/self/smaps", "re");
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            is_inside = start <= at && at < end;
        else if (is_inside && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
            huge_kib = kib;
    if (maps != NULL)
        fclose(maps);
    bench_counter(report, "huge_MiB", (double)huge_kib / 1024);
}

static void find(void *state, uint64_t iterations)
{
    struct table *table = state;
    void *value;
    for (uint64_t i = 0; i < iterations; i++) {
        struct tcp_flow flow = flow_of(bench_random(&table->random) % table->count);
        if (rte_hash_lookup_data(table->hash, &flow, &value) < 0)
            abort();
    }
}

static void find_burst(void *state, uint64_t iterations)
{
    struct table *table = state;
    struct tcp_flow wanted[BURST];
    const void *keys[BURST];
    void *values[BURST];
    uint64_t hits;
    for (unsigned n = 0; n < BURST; n++)
        keys[n] = &wanted[n];
    for (uint64_t i = 0; i < iterations; i += BURST) {
        for (unsigned n = 0; n < BURST; n++)
            wanted[n] = flow_of(bench_random(&table->random) % table->count);
        if (rte_hash_lookup_bulk_data(table->hash, keys, BURST, &hits, values) != BURST)
            abort();
    }
}

static void replace(void *state, uint64_t iterations)
{
    struct table *table = state;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t index = bench_random(&table->random) % table->count;
        struct tcp_flow flow = flow_of(index);
        if (rte_hash_del_key(table->hash, &flow) < 0 ||
            rte_hash_add_key_data(table->hash, &flow, (void *)(uintptr_t)index) != 0)
            abort();
    }
}

/* More flows cost more cache misses, and no more instructions. */
#define CASE(label, function, number) CASE_MADE_BY(setup, label, function, number)
#define CASE_MADE_BY(made_by, label, function, number)                                             \
    {                                                                                              \
        .name = label, .setup = made_by, .run = function, .teardown = teardown, .report = report,  \
        .argument = number, .is_alternative = true, .is_uncounted = (number) > 1000                \
    }

static const struct bench_case cases[] = {
    CASE("find one of 1k rte_hash", find, 1000),
    CASE("find one of 10k rte_hash", find, 10000),
    CASE("find one of 100k rte_hash", find, 100000),
    CASE("find one of 1M rte_hash", find, 1000000),
    CASE("find one of 10M rte_hash", find, 10000000),
    CASE_MADE_BY(setup_small_pages, "find one of 10M rte_hash 4 KiB pages", find, 10000000),
    CASE("find a burst of 1k rte_hash", find_burst, 1000),
    CASE("find a burst of 10k rte_hash", find_burst, 10000),
    CASE("find a burst of 100k rte_hash", find_burst, 100000),
    CASE("find a burst of 1M rte_hash", find_burst, 1000000),
    CASE("find a burst of 10M rte_hash", find_burst, 10000000),
    CASE_MADE_BY(setup_small_pages, "find a burst of 10M rte_hash 4 KiB pages", find_burst,
                 10000000),
    CASE("remove and insert in 1k rte_hash", replace, 1000),
    CASE("remove and insert in 1M rte_hash", replace, 1000000),
};
/* Beside the cases of flow_table.c. */
const struct bench_group bench_rte_hash = {"flow_table", cases, sizeof(cases) / sizeof(cases[0])};

/* The table of flows: buckets of eight, a chain where one overflows, resized in steps. */
#include "net/stack/tcp/table.h"

#include <errno.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "buffers/heap.h"
#include "runtime/base/core.h"

#define BUCKETS_MIN 64
/* Index 0 of kind NONE is an empty place; any other index is a link to overflow[index - 1]. */
#define IS_LINK(reference) ((reference) != 0 && (reference) >> 30 == KIND_NONE)

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold over secret-masked words: not linear, unlike CRC32 or Toeplitz. */
uint32_t table_hash(const struct tcp_table *t, const struct tcp_flow *flow)
{
    uint64_t w[4], ports = be16_pair(flow->local_port, flow->remote_port).raw;
    for (unsigned i = 0; i < 4; i++) /* a load wider than the stores before it would wait */
        memcpy(&w[i], (const uint8_t *)flow + 8 * i, 8);
    uint64_t h =
        hash_mix(w[0] ^ t->key[0], w[2] ^ t->key[1]) ^ hash_mix(w[1] ^ t->key[2], w[3] ^ t->key[3]);
    h = hash_mix(h ^ t->key[1], ports ^ t->key[0]);
    return (uint32_t)(h ^ h >> 32);
}

static struct table_bucket *new_buckets(uint32_t count)
{
    return leat_heap_calloc_aligned(count * sizeof(struct table_bucket), 64);
}

static void set_key(struct tcp_table *t, const uint64_t key[4])
{
    memcpy(t->key, key, sizeof(t->key));
    t->key[0] |= 1;
}

int table_init(struct tcp_table *t, const uint64_t key[4])
{
    *t = (struct tcp_table){.mask = BUCKETS_MIN - 1};
    set_key(t, key);
    t->buckets = new_buckets(BUCKETS_MIN);
    return t->buckets == NULL ? -ENOMEM : 0;
}

void table_fini(struct tcp_table *t)
{
    leat_heap_free(t->buckets);
    leat_heap_free(t->old);
    leat_heap_free(t->overflow);
}

static struct table_bucket *bucket_linked(const struct tcp_table *t, const struct table_bucket *b)
{
    uint32_t r = b->references[7];
    return IS_LINK(r) ? &t->overflow[r - 1] : NULL;
}

/* Where the hash lives now: buckets of old below moved were emptied. */
static struct table_bucket *bucket_home(const struct tcp_table *t, uint32_t hash)
{
    if (unlikely(t->old != NULL) && (hash & t->old_mask) >= t->moved)
        return &t->old[hash & t->old_mask];
    return &t->buckets[hash & t->mask];
}

/* A bit for each of eight values that is the wanted one: where it is cannot be foreseen, so nothing
 * branches on it. */
static inline unsigned equal_to(const uint32_t values[8], uint32_t wanted)
{
#if defined(__SSE2__)
    __m128i all = _mm_set1_epi32((int)wanted);
    __m128i low = _mm_cmpeq_epi32(_mm_load_si128((const void *)values), all);
    __m128i high = _mm_cmpeq_epi32(_mm_load_si128((const void *)(values + 4)), all);
    __m128i words = _mm_packs_epi32(low, high);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(words, _mm_setzero_si128()));
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < 8; i++)
        bits |= (unsigned)(values[i] == wanted) << i;
    return bits;
#endif
}

/* Where the reference is. */
static uint32_t *find_place(const struct tcp_table *t, uint32_t hash, uint32_t reference)
{
    for (struct table_bucket *b = bucket_home(t, hash); b != NULL; b = bucket_linked(t, b)) {
        unsigned places = equal_to(b->hashes, hash) & equal_to(b->references, reference);
        if (places != 0)
            return &b->references[__builtin_ctz(places)];
    }
    return NULL;
}

uint32_t table_find(const struct tcp_table *t, uint32_t hash, const struct tcp_flow *flow,
                    table_match *match, void *owner)
{
    for (const struct table_bucket *b = bucket_home(t, hash); b != NULL; b = bucket_linked(t, b)) {
        unsigned places = equal_to(b->hashes, hash);
        for (; places != 0; places &= places - 1) {
            uint32_t r = b->references[__builtin_ctz(places)];
            if (r >> 30 != KIND_NONE && match(owner, r, flow))
                return r;
        }
    }
    return 0;
}

uint32_t table_guess(const struct tcp_table *t, uint32_t hash)
{
    for (const struct table_bucket *b = bucket_home(t, hash); b != NULL; b = bucket_linked(t, b)) {
        unsigned places = equal_to(b->hashes, hash);
        for (; places != 0; places &= places - 1) {
            uint32_t r = b->references[__builtin_ctz(places)];
            if (r >> 30 != KIND_NONE)
                return r;
        }
    }
    return 0;
}

/* A free overflow bucket's number (index + 1), or 0. */
static uint32_t overflow_new(struct tcp_table *t)
{
    uint32_t number = t->overflow_free;
    if (number == 0 && t->overflow_used == t->overflow_capacity) {
        uint32_t capacity = t->overflow_capacity == 0 ? 16 : t->overflow_capacity * 2;
        struct table_bucket *grown = new_buckets(capacity);
        if (grown == NULL)
            return 0;
        if (t->overflow != NULL)
            memcpy(grown, t->overflow, t->overflow_used * sizeof(*grown));
        leat_heap_free(t->overflow);
        t->overflow = grown;
        t->overflow_capacity = capacity;
    }
    CHECK(t->overflow != NULL);
    if (number != 0)
        t->overflow_free = t->overflow[number - 1].hashes[0];
    else
        number = ++t->overflow_used;
    t->overflow[number - 1] = (struct table_bucket){0};
    return number;
}

static void entry_set(struct table_bucket *b, unsigned place, uint32_t hash, uint32_t reference)
{
    b->hashes[place] = hash;
    b->references[place] = reference;
}

static bool entry_put(struct tcp_table *t, struct table_bucket *b, uint32_t hash,
                      uint32_t reference)
{
    for (uint32_t depth = 0;; depth++) {
        unsigned empty = equal_to(b->references, 0);
        if (empty != 0) {
            entry_set(b, (unsigned)__builtin_ctz(empty), hash, reference);
            return true;
        }
        struct table_bucket *next = bucket_linked(t, b);
        if (next == NULL) {
            bool in_overflow =
                t->overflow != NULL && b >= t->overflow && b < t->overflow + t->overflow_capacity;
            size_t at = in_overflow ? (size_t)(b - t->overflow) : 0;
            uint32_t number = overflow_new(t);
            if (number == 0)
                return false;
            if (in_overflow) /* it may have moved */
                b = &t->overflow[at];
            next = &t->overflow[number - 1];
            entry_set(next, 0, b->hashes[7], b->references[7]);
            entry_set(b, 7, 0, number);
            if (depth + 1 > t->chain_longest)
                t->chain_longest = depth + 1;
        }
        b = next;
    }
}

/* Empties one bucket of old with its chain. False: no memory, to be tried again. */
static bool move_bucket(struct tcp_table *t)
{
    struct table_bucket *b = &t->old[t->moved];
    struct table_bucket whole = *b;
    *b = (struct table_bucket){0};
    t->moved++;
    uint32_t number = 0;
    for (;;) {
        uint32_t link = IS_LINK(whole.references[7]) ? whole.references[7] : 0;
        for (unsigned i = 0; i < 8; i++) {
            uint32_t hash = whole.hashes[i], r = whole.references[i];
            if (r >> 30 != KIND_NONE)
                CHECK(entry_put(t, &t->buckets[hash & t->mask], hash, r));
        }
        if (number != 0) {
            t->overflow[number - 1] = (struct table_bucket){0};
            t->overflow[number - 1].hashes[0] = t->overflow_free;
            t->overflow_free = number;
        }
        if (link == 0)
            return true;
        number = link;
        whole = t->overflow[number - 1];
    }
}

static void resize_step(struct tcp_table *t)
{
    if (likely(t->old == NULL)) {
        if (t->count < (t->mask + 1) * 6)
            return;
        struct table_bucket *grown = new_buckets((t->mask + 1) * 2);
        if (grown == NULL)
            return; /* chains grow instead */
        t->old = t->buckets;
        t->old_mask = t->mask;
        t->moved = 0;
        t->buckets = grown;
        t->mask = t->mask * 2 + 1;
    }
    for (unsigned i = 0; i < 2 && t->moved <= t->old_mask; i++)
        move_bucket(t);
    if (t->moved > t->old_mask) {
        leat_heap_free(t->old);
        t->old = NULL;
    }
}

int table_insert(struct tcp_table *t, uint32_t hash, uint32_t reference)
{
    resize_step(t);
    if (!entry_put(t, bucket_home(t, hash), hash, reference))
        return -ENOMEM;
    t->count++;
    t->change_count++;
    return 0;
}

/* Overflow buckets stay in their chain until the bucket moves: a hole is filled by the next. */
void table_remove(struct tcp_table *t, uint32_t hash, uint32_t reference)
{
    uint32_t *place = find_place(t, hash, reference);
    CHECK(place != NULL);
    *place = 0;
    t->count--;
    t->change_count++;
}

void table_replace(struct tcp_table *t, uint32_t hash, uint32_t from, uint32_t to)
{
    uint32_t *place = find_place(t, hash, from);
    CHECK(place != NULL);
    t->change_count++;
    *place = to;
}

int table_rekey(struct tcp_table *t, const uint64_t key[4])
{
    /* an overflow bucket is made for at least seven references */
    uint32_t overflow_count = t->count / 7 + 1;
    struct table_bucket *buckets = new_buckets(t->mask + 1);
    struct table_bucket *overflow = new_buckets(overflow_count);
    if (buckets == NULL || overflow == NULL) {
        leat_heap_free(buckets);
        leat_heap_free(overflow);
        return -ENOMEM;
    }
    table_fini(t);
    *t = (struct tcp_table){.buckets = buckets,
                            .overflow = overflow,
                            .overflow_capacity = overflow_count,
                            .mask = t->mask,
                            .change_count = t->change_count + 1};
    set_key(t, key);
    return 0;
}

static uint32_t recount_bucket(const struct tcp_table *t, const struct table_bucket *b)
{
    uint32_t count = 0;
    for (; b != NULL; b = bucket_linked(t, b))
        for (unsigned i = 0; i < 8; i++)
            count += b->references[i] >> 30 != KIND_NONE;
    return count;
}

uint32_t table_recount(const struct tcp_table *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i <= t->mask; i++)
        count += recount_bucket(t, &t->buckets[i]);
    for (uint32_t i = t->moved; t->old != NULL && i <= t->old_mask; i++)
        count += recount_bucket(t, &t->old[i]);
    return count;
}

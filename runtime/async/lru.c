/* Caches that are bounded: a table of chains, a list by use, a list by age. */
#include <leat/lru.h>
#include <leat/error.h>
#include <leat/loop.h>
#include <leat/timer.h>

#include <errno.h>
#include <string.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/base/rng.h"
#include "runtime/base/siphash.h"

#define LRU_COUNT_MAX (UINT32_C(1) << 24)

/* By use: newest .. oldest through newer and older. By age, with a time to live: last .. first
 * through later and sooner; all live equally long, so that appending keeps that list in order. */
struct leat_lru {
    struct leat_loop *loop;
    struct leat_lru_options options;
    struct leat_lru_info info;
    struct leat_lru_entry *newest, *oldest, *last, *first;
    struct leat_timer timer; /* of first */
    struct siphash_key key;  /* keys may be chosen by a peer */
    uint32_t mask;
    struct leat_lru_entry *chains[];
};

static struct leat_lru_entry **chain_of(struct leat_lru *lru, uint64_t hash)
{
    return &lru->chains[hash & lru->mask];
}

/* ---- the lists ---- */

static void use_link(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    entry->newer = NULL;
    entry->older = lru->newest;
    *(lru->newest != NULL ? &lru->newest->newer : &lru->oldest) = entry;
    lru->newest = entry;
}

static void use_unlink(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &lru->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &lru->oldest) = entry->newer;
}

static void age_arm(struct leat_lru *lru)
{
    if (lru->first == NULL)
        leat_timer_stop(&lru->timer);
    else
        leat_timer_start_at(&lru->timer, lru->first->deadline_ns);
}

static void age_link(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    if (lru->options.ttl_ns == 0)
        return;
    entry->deadline_ns = leat_loop_now(lru->loop) + lru->options.ttl_ns;
    entry->later = NULL;
    entry->sooner = lru->last;
    *(lru->last != NULL ? &lru->last->later : &lru->first) = entry;
    lru->last = entry;
    if (lru->first == entry)
        age_arm(lru);
}

static void age_unlink(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    if (lru->options.ttl_ns == 0)
        return;
    bool was_first = lru->first == entry;
    *(entry->later != NULL ? &entry->later->sooner : &lru->last) = entry->sooner;
    *(entry->sooner != NULL ? &entry->sooner->later : &lru->first) = entry->later;
    if (was_first)
        age_arm(lru);
}

/* ---- entries ---- */

/* Out of the cache first, so that drop may use it. */
static void entry_drop(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    struct leat_lru_entry **at = chain_of(lru, entry->hash);
    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    use_unlink(lru, entry);
    age_unlink(lru, entry);
    lru->info.count--;
    lru->info.bytes -= entry->length_bytes;
    if (lru->options.drop != NULL)
        lru->options.drop(entry);
}

static struct leat_lru_entry *entry_find(struct leat_lru *lru, const void *key, size_t key_bytes,
                                         uint64_t hash)
{
    struct leat_lru_entry *entry = *chain_of(lru, hash);
    while (entry != NULL && (entry->hash != hash || entry->key_bytes != key_bytes ||
                             memcmp(entry->key, key, key_bytes) != 0))
        entry = entry->chain;
    return entry;
}

static void lru_expire(struct leat_timer *timer, void *arg)
{
    struct leat_lru *lru = arg;
    uint64_t now_ns = leat_loop_now(lru->loop);
    for (int i = 0; i < LEAT_TIMERS_PER_TURN && lru->first != NULL; i++) {
        if (lru->first->deadline_ns > now_ns)
            break;
        lru->info.expired_count++;
        entry_drop(lru, lru->first);
    }
    age_arm(lru);
}

static bool is_over(const struct leat_lru *lru)
{
    return lru->info.count > lru->options.count_max ||
           (lru->options.bytes_max != 0 && lru->info.bytes > lru->options.bytes_max);
}

int leat_lru_put(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    LEAT_CHECK(lru->loop == leat_loop_current());
    if (lru->options.bytes_max != 0 && entry->length_bytes > lru->options.bytes_max)
        return -EFBIG;
    entry->hash = siphash(&lru->key, entry->key, entry->key_bytes);
    struct leat_lru_entry *same = entry_find(lru, entry->key, entry->key_bytes, entry->hash);
    LEAT_CHECK(same != entry); /* it is there already */
    struct leat_lru_entry **chain = chain_of(lru, entry->hash);
    entry->chain = *chain;
    *chain = entry;
    use_link(lru, entry);
    age_link(lru, entry);
    lru->info.count++;
    lru->info.bytes += entry->length_bytes;
    if (same != NULL)
        entry_drop(lru, same);
    while (is_over(lru)) {
        lru->info.evicted_count++;
        entry_drop(lru, lru->oldest);
    }
    return 0;
}

struct leat_lru_entry *leat_lru_find(struct leat_lru *lru, const void *key, size_t key_bytes)
{
    LEAT_CHECK(lru->loop == leat_loop_current());
    struct leat_lru_entry *entry =
        entry_find(lru, key, key_bytes, siphash(&lru->key, key, key_bytes));
    bool is_old =
        entry != NULL && lru->options.ttl_ns != 0 && entry->deadline_ns <= leat_loop_now(lru->loop);
    if (entry == NULL || is_old) {
        lru->info.missed_count++;
        return NULL;
    }
    lru->info.found_count++;
    use_unlink(lru, entry);
    use_link(lru, entry);
    return entry;
}

void leat_lru_remove(struct leat_lru *lru, struct leat_lru_entry *entry)
{
    LEAT_CHECK(lru->loop == leat_loop_current());
    entry_drop(lru, entry);
}

void leat_lru_info(const struct leat_lru *lru, struct leat_lru_info *info)
{
    *info = lru->info;
}

/* ---- made and freed ---- */

struct leat_lru *leat_lru_new(struct leat_loop *loop, const struct leat_lru_options *options)
{
    LEAT_CHECK(options->count_max > 0 && options->count_max <= LRU_COUNT_MAX);
    uint32_t chain_count = 8;
    while (chain_count < options->count_max)
        chain_count *= 2;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the chains are pointers */
    struct leat_lru *lru = leat_heap_calloc(1, sizeof(*lru) + chain_count * sizeof(*lru->chains));
    if (lru == NULL) {
        (void)leat_fail(&leat_core_now->error, -ENOMEM, "memory is out: no cache of %u entries",
                        options->count_max);
        return NULL;
    }
    lru->loop = loop;
    lru->options = *options;
    lru->mask = chain_count - 1;
    rng_secret(&lru->key, sizeof(lru->key));
    leat_timer_init(&lru->timer, loop, lru_expire, lru);
    leat_timer_unref(&lru->timer);
    return lru;
}

void leat_lru_free(struct leat_lru *lru)
{
    if (lru == NULL)
        return;
    while (lru->oldest != NULL)
        entry_drop(lru, lru->oldest);
    leat_timer_stop(&lru->timer);
    leat_heap_free(lru);
}

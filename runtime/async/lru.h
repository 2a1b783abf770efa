/* Caches that are bounded: by entries, by bytes, by time. The one that was used longest ago goes
 * first.
 *
 *     struct page { struct leat_lru_entry entry; char path[64]; struct leat_buf body; };
 *
 *     page->entry = (struct leat_lru_entry){.key = page->path, .key_bytes = strlen(page->path),
 *                                           .length_bytes = page->body.length_bytes};
 *     leat_lru_put(pages, &page->entry);
 *     struct leat_lru_entry *found = leat_lru_find(pages, path, strlen(path));
 *
 * An entry is embedded in what is cached, which is the cache's from leat_lru_put until drop was
 * called for it, once: when it is evicted, replaced, removed, too old, or the cache is freed. In
 * drop the entry has left the cache, which may be used again from there. Finding, putting and
 * removing are O(1) and allocate nothing.
 *
 * A cache belongs to the core that made it. It does not keep the loop alive. */
#ifndef LEAT_LRU_H
#define LEAT_LRU_H

#include <leat/defs.h>

LEAT_BEGIN

struct leat_loop;
struct leat_lru;

struct leat_lru_entry {
    const void *key; /* in what is cached; must not change */
    uint32_t key_bytes;
    uint64_t length_bytes; /* what it counts for, beside itself */
    /* The cache's own: */
    struct leat_lru_entry *chain, *newer, *older, *later, *sooner;
    uint64_t hash, deadline_ns;
};

struct leat_lru_options {
    uint32_t count_max; /* of entries: 1 .. 2^24 */
    uint64_t bytes_max; /* sum of length_bytes; 0: no bound but count_max */
    uint64_t ttl_ns;    /* from put on; 0: for ever */
    void (*drop)(struct leat_lru_entry *entry);
};

struct leat_lru_info {
    uint64_t bytes, found_count, missed_count, evicted_count, expired_count;
    uint32_t count;
};

/* NULL: memory is out, with a sentence in leat_loop_error. */
LEAT_API struct leat_lru *leat_lru_new(struct leat_loop *loop,
                                       const struct leat_lru_options *options) LEAT_MUST_CHECK;
LEAT_API void leat_lru_free(struct leat_lru *lru); /* drops all entries */

/* Takes entry; one with the same key is dropped, and as many of the longest unused as must go. 0;
 * or -EFBIG, and nothing happened: it alone is larger than bytes_max. */
LEAT_API int leat_lru_put(struct leat_lru *lru, struct leat_lru_entry *entry) LEAT_MUST_CHECK;
/* The entry, now the one used last; NULL: none. It stays the cache's: valid until the next call for
 * this cache, or the end of the callback. */
LEAT_API struct leat_lru_entry *leat_lru_find(struct leat_lru *lru, const void *key,
                                              size_t key_bytes);
/* Drops an entry of this cache. */
LEAT_API void leat_lru_remove(struct leat_lru *lru, struct leat_lru_entry *entry);
LEAT_API void leat_lru_info(const struct leat_lru *lru, struct leat_lru_info *info);

LEAT_END
#endif

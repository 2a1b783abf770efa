/* The table of flows: four-tuple -> connection, embryo or TIME_WAIT record.
 *
 * Buckets of one cache line hold eight references and their hashes, which are compared at once; a
 * full bucket's last place becomes a link to an overflow bucket. The table doubles when it is three
 * quarters full, two buckets a step, so that no insertion pays for all. The hash is keyed: who does
 * not know the key cannot make chains. One that grows past TABLE_CHAIN_MAX buckets all the same
 * shows that somebody does: the owner gives the table another key. One core's. */
#ifndef LEAT_TCP_TABLE_H
#define LEAT_TCP_TABLE_H

#include "net/stack/wire.h"

#define TABLE_CHAIN_MAX 8

struct tcp_flow {
    struct ip_addr local, remote;
    be16 local_port, remote_port;
};

enum tcp_kind { KIND_NONE, KIND_CONN, KIND_EMBRYO, KIND_TIME_WAIT };

struct table_bucket {
    uint32_t hashes[8];
    uint32_t references[8]; /* 0: empty; kind in the upper two bits, index below */
} __attribute__((aligned(64)));

struct tcp_table {
    struct table_bucket *buckets, *old; /* old: being emptied from index moved on */
    uint32_t mask, old_mask, moved;
    struct table_bucket *overflow;
    uint32_t overflow_capacity, overflow_used, overflow_free; /* index + 1 */
    uint32_t count;
    uint32_t change_count; /* a reference that was found is still right while this stays */
    uint32_t chain_longest;
    uint64_t key[4];
};

int table_init(struct tcp_table *table, const uint64_t key[4]);
void table_fini(struct tcp_table *table);

uint32_t table_hash(const struct tcp_table *table, const struct tcp_flow *flow);
static inline void table_prefetch(const struct tcp_table *table, uint32_t hash)
{
    __builtin_prefetch(&table->buckets[hash & table->mask]);
}

static inline uint32_t table_reference(enum tcp_kind kind, uint32_t index)
{
    return (uint32_t)kind << 30 | index;
}
static inline enum tcp_kind table_kind(uint32_t reference)
{
    return (enum tcp_kind)(reference >> 30);
}
static inline uint32_t table_index(uint32_t reference)
{
    return reference & 0x3fffffff;
}

/* Calls match for each reference of that hash until it returns true; the reference, or 0. */
typedef bool table_match(void *owner, uint32_t reference, const struct tcp_flow *flow);
uint32_t table_find(const struct tcp_table *table, uint32_t hash, const struct tcp_flow *flow,
                    table_match *match, void *owner);
/* The first reference of that hash, most likely the one that is looked for, without a look at it;
 * 0: there is none, and table_find finds none. */
uint32_t table_guess(const struct tcp_table *table, uint32_t hash);
/* Returns 0, or -ENOMEM. The flow must not be in it. */
int table_insert(struct tcp_table *table, uint32_t hash, uint32_t reference);
/* reference must be in it. */
void table_remove(struct tcp_table *table, uint32_t hash, uint32_t reference);
/* Another reference takes its place. */
void table_replace(struct tcp_table *table, uint32_t hash, uint32_t from, uint32_t to);
/* Whether the hashes no longer spread. */
static inline bool table_is_clumped(const struct tcp_table *table)
{
    return table->chain_longest > TABLE_CHAIN_MAX && table->count < (table->mask + 1) * 8;
}
/* Empties the table and gives it another key. As many references as it had can be inserted again
 * without failing. Returns 0, or -ENOMEM: all is as it was. */
int table_rekey(struct tcp_table *table, const uint64_t key[4]);
/* Counts by walking over all. */
uint32_t table_recount(const struct tcp_table *table);

#endif

/* Which job begins next: lanes by their limits, cores in turn. */
#include "runtime/os/pool_internal.h"

static const struct lane_row {
    const char *name;
    uint32_t share;  /* of the threads it gets one in so many at most */
    bool leaves_one; /* counts among those that leave a thread to files */
} lane_rows[POOL_LANES] = {
    [LEAT_LANE_FS] = {"fs", 1, false},
    [LEAT_LANE_DNS] = {"dns", 2, true},
    [LEAT_LANE_CPU] = {"cpu", 1, true},
    [LEAT_LANE_USER] = {"user", 1, true},
};

const char *pool_lane_name(enum leat_lane lane)
{
    return lane_rows[lane].name;
}

void pool_lanes_init(struct pool *pool)
{
    uint32_t threads = pool->threads_max;
    pool->slow_max = threads > 1 ? threads - 1 : 1;
    for (unsigned i = 0; i < POOL_LANES; i++) {
        uint32_t most = threads / lane_rows[i].share;
        pool->lanes[i] = (struct pool_lane){.running_max = most > 0 ? most : 1,
                                            .is_slow = lane_rows[i].leaves_one};
    }
}

static struct pool_queue *queue_of(struct pool *pool, uint32_t core, unsigned lane)
{
    return atomic_load_explicit(&pool->cores[core]->queues[lane], memory_order_acquire);
}

/* The next core after the one served last that has a job in lane; false: none has. */
static bool core_find(struct pool *pool, unsigned lane, uint32_t *found)
{
    for (uint32_t i = 0; i < pool->cores_count; i++) {
        uint32_t core = (pool->lanes[lane].turn + i) % pool->cores_count;
        struct pool_queue *queue = queue_of(pool, core, lane);
        if (queue != NULL && ring_ready(&queue->ring) > 0) {
            *found = core;
            return true;
        }
    }
    return false;
}

/* With a thread alone the slow lanes go only while no file waits. */
static bool lane_may_run(struct pool *pool, unsigned lane)
{
    const struct pool_lane *l = &pool->lanes[lane];
    uint32_t core;
    if (l->running_count >= l->running_max || (l->is_slow && pool->slow_count >= pool->slow_max))
        return false;
    return !l->is_slow || pool->threads_max > 1 || !core_find(pool, LEAT_LANE_FS, &core);
}

static bool ready_find(struct pool *pool, unsigned *lane, uint32_t *core)
{
    for (unsigned i = 0; i < POOL_LANES; i++) {
        *lane = (pool->lane_turn + i) % POOL_LANES;
        if (lane_may_run(pool, *lane) && core_find(pool, *lane, core))
            return true;
    }
    return false;
}

bool pool_has_ready(struct pool *pool)
{
    unsigned lane;
    uint32_t core;
    return ready_find(pool, &lane, &core);
}

struct op *pool_pull(struct pool *pool)
{
    unsigned lane;
    uint32_t core;
    if (!ready_find(pool, &lane, &core))
        return NULL;
    struct ring *ring = &queue_of(pool, core, lane)->ring;
    struct op *op = queue_of(pool, core, lane)->slots[ring->head_local & ring->mask];
    ring_release(ring, 1);
    pool->lane_turn = lane + 1;
    pool->lanes[lane].turn = core + 1;
    pool->lanes[lane].running_count++;
    pool->slow_count += pool->lanes[lane].is_slow;
    pool->cores[core]->running_count++;
    return op;
}

void pool_account(struct pool *pool, struct pool_core *core, enum leat_lane lane)
{
    pool->lanes[lane].running_count--;
    pool->slow_count -= pool->lanes[lane].is_slow;
    if (--core->running_count == 0)
        pthread_cond_broadcast(&pool->changed);
}

/* The pool and a core's part in it: begun with the first job, ended with the last loop; a core's
 * queues, and how what it left there is announced at the end of its turn. */
#include "runtime/os/pool_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buffers/heap.h"
#include "runtime/os/fs_ring.h"
#include "runtime/os/fs_sys.h"
#include "runtime/os/watch_internal.h"

/* ---- the pool ---- */

/* Returns 0 for what is no number from 1 to LEAT_POOL_THREADS_MAX. */
static uint32_t threads_wanted(void)
{
    const char *text = getenv("LEAT_THREADPOOL_SIZE");
    if (text == NULL || *text == '\0')
        return LEAT_POOL_THREADS;
    char *end;
    unsigned long count = strtoul(text, &end, 10);
    bool is_number = *text >= '0' && *text <= '9' && *end == '\0';
    return is_number && count <= LEAT_POOL_THREADS_MAX ? (uint32_t)count : 0;
}

static int pool_new(struct loop_common *common, struct leat_error *error)
{
    uint32_t threads_max = threads_wanted();
    if (threads_max == 0)
        return leat_fail(error, -EINVAL, "LEAT_THREADPOOL_SIZE takes 1 to %d threads, not \"%s\"",
                         LEAT_POOL_THREADS_MAX, getenv("LEAT_THREADPOOL_SIZE"));
    struct pool *pool = aligned_alloc(RING_LINE_BYTES, sizeof(*pool));
    if (pool == NULL)
        return leat_fail(error, -ENOMEM, "no memory for the pool of threads");
    memset(pool, 0, sizeof(*pool));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool->common = common;
    pool->threads_max = threads_max;
    pool_lanes_init(pool);
    common->pool = pool;
    return 0;
}

/* The last core has left: no job is there any more. */
static void pool_free(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    uint32_t count = pool->threads_count;
    pthread_mutex_unlock(&pool->lock);
    ring_fence();
    pool_wake(pool, count);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* ---- a core's part ---- */

struct pool_core *pool_core_existing(const struct leat_loop *loop)
{
    return leat_core_now != NULL && leat_core_now->loop == loop ? leat_core_now->pool : NULL;
}

static int pool_join(struct pool_core *core)
{
    struct loop_common *common = loop_common(core->loop);
    int result = 0;
    pthread_mutex_lock(&common->lock);
    if (common->pool == NULL)
        result = pool_new(common, &core->error);
    struct pool *pool = common->pool;
    if (pool != NULL) {
        pthread_mutex_lock(&pool->lock);
        if (pool->threads_count == 0)
            result = pool_worker_start(pool);
        if (result == 0) {
            pool->cores[pool->cores_count++] = core;
            core->pool = pool;
        } else {
            leat_fail(&core->error, -EAGAIN,
                      "cannot start a thread for what blocks (%s): raise the limit on threads "
                      "(ulimit -u)",
                      leat_errno_name(result));
        }
        pthread_mutex_unlock(&pool->lock);
    }
    bool is_unused = pool != NULL && pool->cores_count == 0;
    if (is_unused)
        common->pool = NULL;
    pthread_mutex_unlock(&common->lock);
    if (is_unused)
        pool_free(pool);
    return result == 0 ? 0 : core->error.code;
}

/* What waits in the core's queues is passed over; the threads see it no more. */
static struct async_node *queues_empty(struct pool_core *core)
{
    struct async_node *passed = NULL;
    for (unsigned lane = 0; lane < POOL_LANES; lane++) {
        struct pool_queue *queue = core->queues[lane];
        while (queue != NULL && ring_ready(&queue->ring) > 0) {
            struct op *op = queue->slots[queue->ring.head_local & queue->ring.mask];
            ring_release(&queue->ring, 1);
            op_pass(op);
            op->node.next = passed;
            passed = &op->node;
        }
    }
    return passed;
}

static void lines_empty(struct pool_core *core, struct async_node **passed)
{
    for (unsigned lane = 0; lane < POOL_LANES; lane++) {
        struct pool_line *line = &core->lines[lane];
        for (struct async_node *node; (node = line->first) != NULL;) {
            line->first = node->next;
            op_pass(container_of(node, struct op, node));
            node->next = *passed;
            *passed = node;
        }
    }
    core->in_line_count = 0;
}

#define SETTLE_ROUNDS_MAX 100 /* a program may begin anew each time: that is not waited for */

/* The core's jobs that run are waited for (P7), and those that wait are passed over. */
static void jobs_settle(struct pool_core *core)
{
    struct pool *pool = core->pool;
    struct async_node *passed = NULL;
    if (pool != NULL) {
        pthread_mutex_lock(&pool->lock);
        passed = queues_empty(core);
        while (core->running_count > 0)
            pthread_cond_wait(&pool->changed, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
    }
    fs_ring_settle(core);
    lines_empty(core, &passed);
    pool_play_fini(core);
    for (struct async_node *next; passed != NULL; passed = next) {
        next = passed->next;
        passed->run(passed);
    }
    async_hear(core->loop);
}

void pool_settle(struct leat_loop *loop)
{
    struct pool_core *core = pool_core_existing(loop);
    for (unsigned i = 0; core != NULL && core->open_count > 0 && i < SETTLE_ROUNDS_MAX; i++) {
        jobs_settle(core);
        leat_loop_turn(loop, 0);
    }
}

static void pool_leave(struct pool_core *core)
{
    struct pool *pool = core->pool;
    struct loop_common *common = pool->common;
    pthread_mutex_lock(&common->lock);
    pthread_mutex_lock(&pool->lock);
    uint32_t at = 0;
    while (pool->cores[at] != core)
        at++;
    pool->cores[at] = pool->cores[--pool->cores_count];
    bool is_last = pool->cores_count == 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        common->pool = NULL;
    pthread_mutex_unlock(&common->lock);
    if (is_last)
        pool_free(pool);
}

/* Nothing begins any more: what waits is passed over, what runs is waited for, all is told. */
static bool pool_core_end(struct loop_part *part)
{
    struct pool_core *core = container_of(part, struct pool_core, part);
    if (core->has_ended)
        return false;
    core->has_ended = true;
    watch_core_fini(core->watches);
    jobs_settle(core);
    if (core->pool != NULL)
        pool_leave(core);
    core->pool = NULL;
    core->published_count = 0;
    return true;
}

static void pool_core_fini(struct loop_part *part)
{
    struct pool_core *core = container_of(part, struct pool_core, part);
    CHECK(core->open_count == 0);
    watch_core_fini(core->watches); /* of one that began in the end */
    fs_ring_fini(core);
    leat_source_remove(&core->source);
    for (unsigned lane = 0; lane < POOL_LANES; lane++)
        leat_heap_free(core->queues[lane]);
    leat_core_now->pool = NULL;
    leat_heap_free(core);
}

static void core_announce(struct leat_source *source)
{
    struct pool_core *core = container_of(source, struct pool_core, source);
    fs_ring_flush(core);
    if (core->published_count == 0)
        return;
    uint32_t count = core->published_count;
    core->published_count = 0;
    ring_fence();
    pool_wake(core->pool, count);
}

/* Once more before a sleep: another source's flush may have left a job. */
static void core_arm(struct leat_source *source, struct leat_nap *nap)
{
    core_announce(source);
    nap->has_work |= fs_ring_has_unsent(container_of(source, struct pool_core, source));
}

static const struct leat_source_ops pool_ops = {.name = "pool",
                                                .flush = core_announce,
                                                .arm = core_arm};

static struct pool_core *pool_core_new(struct leat_loop *loop)
{
    struct pool_core *core = NULL;
    if (async_begin(loop) == 0) /* before: so it ends after */
        core = leat_heap_calloc(1, sizeof(*core));
    if (core == NULL)
        return NULL;
    core->loop = loop;
    core->sys = fs_sys_machine();
    list_init(&core->played);
    core->part.end = pool_core_end;
    core->part.fini = pool_core_fini;
    loop_part_add(loop, &core->part);
    core->source.ops = &pool_ops;
    (void)leat_source_add(loop, &core->source); /* it does not wait, so it is not refused */
    return leat_core_now->pool = core;
}

struct pool_core *pool_core_of(struct leat_loop *loop)
{
    LEAT_CHECK(leat_core_now != NULL && leat_core_now->loop == loop);
    struct pool_core *core = leat_core_now->pool;
    return likely(core != NULL) ? core : pool_core_new(loop);
}

/* ---- jobs ---- */

static struct pool_queue *queue_new(struct pool_core *core, unsigned lane)
{
    struct pool_queue *queue = leat_heap_alloc_aligned(sizeof(*queue), RING_LINE_BYTES);
    if (queue == NULL)
        return NULL;
    ring_init(&queue->ring, LEAT_POOL_JOBS_MAX);
    atomic_store_explicit(&core->queues[lane], queue, memory_order_release);
    return queue;
}

static int lane_full(struct pool_core *core, enum leat_lane lane)
{
    return leat_fail(&core->error, -EAGAIN,
                     "%d jobs wait in the lane %s of this core, which is all it holds: start fewer "
                     "at a time",
                     LEAT_POOL_JOBS_MAX, pool_lane_name(lane));
}

/* 0, or -EAGAIN when the lane is full; a played one also -ENOMEM. */
static int op_place(struct pool_core *core, struct op *op)
{
    enum leat_lane lane = op_class_of(op)->lane;
    if (core->play != NULL)
        return core->played_count < LEAT_POOL_JOBS_MAX ? pool_play_submit(core, op)
                                                       : lane_full(core, lane);
    struct pool_queue *queue = atomic_load_explicit(&core->queues[lane], memory_order_relaxed);
    if (ring_room(&queue->ring) == 0)
        return lane_full(core, lane);
    queue->slots[queue->ring.tail_local & queue->ring.mask] = op;
    ring_publish(&queue->ring, 1);
    core->published_count++;
    return 0;
}

static void line_push(struct pool_core *core, struct op *op)
{
    struct pool_line *line = &core->lines[op_class_of(op)->lane];
    op->node.next = NULL;
    if (line->first != NULL)
        line->last->next = &op->node;
    else
        line->first = &op->node;
    line->last = &op->node;
    core->in_line_count++;
}

void pool_lines_move(struct pool_core *core)
{
    for (unsigned lane = 0; lane < POOL_LANES && core->in_line_count > 0; lane++) {
        struct pool_line *line = &core->lines[lane];
        for (struct async_node *next; line->first != NULL; line->first = next) {
            next = line->first->next; /* where it goes it may be linked anew */
            if (op_place(core, container_of(line->first, struct op, node)) != 0)
                break;
            core->in_line_count--;
        }
    }
}

/* The pool and the lane's queue are there from the first job on. */
static int lane_begin(struct pool_core *core, enum leat_lane lane)
{
    int result = core->pool == NULL ? pool_join(core) : 0;
    if (result == 0 && atomic_load_explicit(&core->queues[lane], memory_order_relaxed) == NULL &&
        queue_new(core, lane) == NULL)
        return leat_fail(&core->error, -ENOMEM, "no memory for a queue of jobs");
    return result;
}

int pool_submit(struct pool_core *core, struct op *op)
{
    enum leat_lane lane = op_class_of(op)->lane;
    if (core->has_ended)
        return leat_fail(&core->error, -ECANCELED, "the loop ends");
    int result = core->play == NULL ? lane_begin(core, lane) : 0;
    if (result < 0)
        return result;
    if (unlikely(core->in_line_count > 0))
        pool_lines_move(core);
    result = core->lines[lane].first == NULL ? op_place(core, op) : lane_full(core, lane);
    if (result != -EAGAIN || !op->is_in_line)
        return result;
    line_push(core, op);
    return 0;
}

/* What completes at once is bounded like what waits. */
bool pool_may_try(const struct pool_core *core)
{
    return core->play == NULL && core->open_count <= LEAT_POOL_JOBS_MAX && !core->has_ended;
}

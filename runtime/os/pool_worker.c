/* The threads of the pool: how they start, wait, work and end. */
#include "runtime/os/pool_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/clock.h"

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

void pool_wake(struct pool *pool, uint32_t count)
{
    uint32_t idle = atomic_load_explicit(&pool->idle_count, memory_order_relaxed);
    if (idle == 0 || count == 0)
        return;
    atomic_fetch_add(&pool->wakes, 1);
    syscall(SYS_futex, &pool->wakes, FUTEX_WAKE_PRIVATE, count < idle ? count : idle, NULL, NULL,
            0);
}

/* Off the loops' CPUs, again whenever another loop was pinned. */
static void worker_place(struct pool *pool, uint32_t *placed_for)
{
    struct loop_common *common = pool->common;
    uint32_t now = atomic_load(&common->pinned_count);
    struct cpu_mask loops, spare;
    if (now + 1 == *placed_for)
        return;
    *placed_for = now + 1;
    pthread_mutex_lock(&common->lock);
    loops = common->pinned_cpus;
    pthread_mutex_unlock(&common->lock);
    uint32_t spare_count = leat_topology_spare(&loops, &spare);
    leat_topology_settle(&spare);
    atomic_store_explicit(&pool->may_spin, spare_count >= pool->threads_max, memory_order_relaxed);
}

/* A wake-up costs more than it takes to look for a while. */
static void worker_sleep(struct pool *pool, uint32_t seen)
{
    uint64_t end_ns = clock_monotonic() + POOL_SPIN_NS;
    while (atomic_load_explicit(&pool->may_spin, memory_order_relaxed) &&
           clock_monotonic() < end_ns)
        if (atomic_load_explicit(&pool->wakes, memory_order_relaxed) != seen)
            return;
    futex_wait(&pool->wakes, seen);
}

/* The next job; waits for one. NULL: the pool ends. With the lock held, which it leaves meanwhile
 * (P4). */
static struct op *worker_next(struct pool *pool)
{
    for (;;) {
        struct op *op = pool_pull(pool);
        if (op != NULL || pool->is_stopping)
            return op;
        uint32_t seen = atomic_load(&pool->wakes);
        atomic_fetch_add(&pool->idle_count, 1);
        ring_fence();
        op = pool_pull(pool);
        if (op == NULL && !pool->is_stopping) {
            pthread_mutex_unlock(&pool->lock);
            worker_sleep(pool, seen);
            pthread_mutex_lock(&pool->lock);
        }
        atomic_fetch_sub(&pool->idle_count, 1);
        if (op != NULL)
            return op;
    }
}

/* Somebody must be left to see the next job while this one runs (P5). */
static void worker_replace(struct pool *pool)
{
    int result = 0;
    if (atomic_load(&pool->idle_count) > 0) {
        if (pool_has_ready(pool))
            pool_wake(pool, 1);
    } else if (pool->starting_count == 0 && pool->threads_count < pool->threads_max) {
        result = pool_worker_start(pool);
    }
    pool->refused_count += result < 0; /* those that are there do it all */
}

static void *worker_main(void *arg)
{
    struct pool *pool = arg;
    uint32_t placed_for = 0;
    struct op *op;
    worker_place(pool, &placed_for);
    pthread_mutex_lock(&pool->lock);
    pool->starting_count--;
    while ((op = worker_next(pool)) != NULL) {
        struct pool_core *core = op->core;
        const struct op_class *of = op_class_of(op);
        worker_replace(pool);
        pthread_mutex_unlock(&pool->lock);
        worker_place(pool, &placed_for);
        if (op_begin(op))
            of->run(op);
        op_tell(op); /* and op may be gone */
        pthread_mutex_lock(&pool->lock);
        pool_account(pool, core, of->lane);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* All signals are blocked in it; and it begins on the CPUs of its maker. */
int pool_worker_start(struct pool *pool)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t *thread = &pool->threads[pool->threads_count];
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, LEAT_POOL_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, &attr, worker_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (failed != 0)
        return -failed;
    pthread_setname_np(*thread, "leat-pool");
    pool->threads_count++;
    pool->starting_count++;
    return 0;
}

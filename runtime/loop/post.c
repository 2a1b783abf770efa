/* The mailbox: callbacks from other threads. */
#include "runtime/loop/loop_internal.h"

#include <errno.h>

#include "buffers/heap.h"
#include <unistd.h>

int loop_post_init(struct leat_loop *loop, struct leat_error *error)
{
    loop->lane = leat_heap_calloc(1, sizeof(*loop->lane));
    loop->lane_taken = leat_heap_calloc(LOOP_LANE_POSTS_MAX, sizeof(*loop->lane_taken));
    if (loop->lane == NULL || loop->lane_taken == NULL) {
        leat_heap_free(loop->lane);
        leat_heap_free(loop->lane_taken);
        return leat_fail(error, -ENOMEM, "no memory for a loop's mailbox");
    }
    pthread_mutex_init(&loop->lane->lock, NULL);
    return 0;
}

void loop_post_fini(struct leat_loop *loop)
{
    pthread_mutex_destroy(&loop->lane->lock);
    leat_heap_free(loop->lane);
    leat_heap_free(loop->lane_taken);
}

bool loop_has_posts(const struct leat_loop *loop)
{
    return atomic_load_explicit(&loop->lane->count, memory_order_acquire) != 0;
}

/* After what the loop shall see was published. The exchange is the full fence that the protocol
 * needs: either we see that it sleeps, or it sees, before it sleeps, what we published. */
void loop_wake(struct leat_loop *loop)
{
    if (atomic_exchange(&loop->is_sleeping, false)) {
        uint64_t one = 1;
        while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

int leat_loop_post(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    struct loop_lane *lane = loop->lane;
    pthread_mutex_lock(&lane->lock);
    uint32_t count = atomic_load_explicit(&lane->count, memory_order_relaxed);
    bool has_room = count < LOOP_LANE_POSTS_MAX;
    if (has_room) {
        lane->slots[count] = (struct loop_callback){fn, arg};
        atomic_store_explicit(&lane->count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&lane->lock);
    if (!has_room)
        return -EAGAIN;
    loop_wake(loop);
    return 0;
}

unsigned loop_run_posts(struct leat_loop *loop)
{
    struct loop_lane *lane = loop->lane;
    if (atomic_load_explicit(&lane->count, memory_order_acquire) == 0)
        return 0;
    pthread_mutex_lock(&lane->lock);
    uint32_t count = atomic_load_explicit(&lane->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        loop->lane_taken[i] = lane->slots[i];
    atomic_store_explicit(&lane->count, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lane->lock);
    for (uint32_t i = 0; i < count; i++)
        loop_call(loop, loop->lane_taken[i]);
    return count;
}

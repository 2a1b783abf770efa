/* The mailbox: callbacks from other cores and threads, and waking the loop for them.
 *
 * No wake-up is lost. The loop sets is_sleeping, fences, and looks once more for posts before it
 * sleeps; who posts publishes, fences, and then reads is_sleeping. In the one order that all fences
 * have, either the loop sees the post, or the poster sees that it sleeps and writes wake_fd. A loop
 * that posts fences and wakes once for the batch of its turn. */
#include "runtime/loop/loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffers/heap.h"

struct leat_mesh *leat_mesh_new(uint32_t count, struct leat_error *error)
{
    if (count == 0 || count > LEAT_CORES_MAX) {
        leat_fail(error, -EINVAL, "a mesh of %u loops is not possible; 1 to %u are", count,
                  LEAT_CORES_MAX);
        return NULL;
    }
    struct leat_mesh *mesh = calloc(1, sizeof(*mesh));
    if (mesh == NULL)
        goto no_memory;
    mesh->count = count;
    loop_common_init(&mesh->common);
    mesh->loops = calloc(count, sizeof(*mesh->loops));
    mesh->channels = calloc((size_t)count * count, sizeof(*mesh->channels));
    if (mesh->loops == NULL || mesh->channels == NULL)
        goto free_mesh;
    return mesh;

free_mesh:
    loop_common_fini(&mesh->common);
    free(mesh->loops);
    free(mesh->channels);
    free(mesh);
no_memory:
    leat_fail(error, -ENOMEM, "no memory for the rings between %u loops", count);
    return NULL;
}

void leat_mesh_free(struct leat_mesh *mesh)
{
    if (mesh == NULL)
        return;
    for (size_t i = 0; i < (size_t)mesh->count * mesh->count; i++)
        free(mesh->channels[i]);
    for (uint32_t i = 0; i < mesh->count; i++)
        CHECK(mesh->loops[i] == NULL);
    loop_common_fini(&mesh->common);
    free(mesh->channels);
    free(mesh->loops);
    free(mesh);
}

int loop_post_init(struct leat_loop *loop, struct leat_error *error)
{
    struct leat_mesh *mesh = loop->mesh;
    if (mesh != NULL && (loop->core.index >= mesh->count || mesh->loops[loop->core.index] != NULL))
        return leat_fail(error, -EINVAL, "index %u is taken in its mesh, or beyond its %u loops",
                         loop->core.index, mesh->count);
    loop->lane = leat_heap_alloc(sizeof(*loop->lane));
    if (loop->lane == NULL)
        return leat_fail(error, -ENOMEM, "no memory for a loop's mailbox");
    pthread_mutex_init(&loop->lane->lock, NULL);
    atomic_init(&loop->lane->count, 0);
    if (mesh != NULL)
        atomic_store(&mesh->loops[loop->core.index], loop);
    loop_common_join(loop);
    return 0;
}

void loop_post_fini(struct leat_loop *loop)
{
    loop_common_leave(loop);
    if (loop->mesh != NULL)
        atomic_store(&loop->mesh->loops[loop->core.index], NULL);
    loop_queue_fini(&loop->own_posts);
    pthread_mutex_destroy(&loop->lane->lock);
    leat_heap_free(loop->lane);
}

bool loop_has_posts(const struct leat_loop *loop)
{
    if (loop->own_posts.count > 0 ||
        atomic_load_explicit(&loop->lane->count, memory_order_acquire) != 0)
        return true;
    const struct leat_mesh *mesh = loop->mesh;
    for (uint32_t from = 0; mesh != NULL && from < mesh->count; from++) {
        struct mesh_channel *channel =
            atomic_load_explicit(&mesh->channels[loop->core.index * mesh->count + from],
                                 memory_order_acquire);
        if (channel != NULL && ring_ready(&channel->ring) > 0)
            return true;
    }
    return false;
}

static void loop_wake_fenced(struct leat_loop *loop)
{
    if (!atomic_load_explicit(&loop->is_sleeping, memory_order_relaxed) ||
        !atomic_exchange(&loop->is_sleeping, false))
        return;
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void loop_wake(struct leat_loop *loop)
{
    ring_fence();
    loop_wake_fenced(loop);
}

void loop_wake_posted(struct leat_loop *loop)
{
    if (likely(!loop->has_posted))
        return;
    loop->has_posted = false;
    ring_fence();
    for (uint32_t i = 0; i < (loop->mesh->count + 63) / 64; i++) {
        uint64_t bits = loop->posted_to[i];
        loop->posted_to[i] = 0;
        for (; bits != 0; bits &= bits - 1) {
            struct leat_loop *to = atomic_load(&loop->mesh->loops[i * 64 + bits_first(bits)]);
            if (to != NULL)
                loop_wake_fenced(to);
        }
    }
}

void leat_loop_notify(struct leat_loop *to)
{
    struct leat_loop *from = leat_loop_current();
    bool is_of_mesh = from != NULL && from->mesh != NULL && from->mesh == to->mesh;
    if (unlikely(!is_of_mesh || !from->is_turning)) { /* nobody says when a turn will end */
        loop_wake(to);
        return;
    }
    from->has_posted = true;
    from->posted_to[to->core.index / 64] |= UINT64_C(1) << (to->core.index % 64);
}

static int post_to_lane(struct leat_loop *loop, struct loop_callback callback)
{
    struct loop_lane *lane = loop->lane;
    pthread_mutex_lock(&lane->lock);
    uint32_t count = atomic_load_explicit(&lane->count, memory_order_relaxed);
    bool has_room = count < LEAT_LANE_POSTS_MAX;
    if (has_room) {
        lane->slots[count] = callback;
        atomic_store_explicit(&lane->count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&lane->lock);
    if (!has_room)
        return -EAGAIN;
    loop_wake(loop);
    return 0;
}

static struct mesh_channel *channel_new(struct mesh_channel *_Atomic *at)
{
    struct mesh_channel *channel = aligned_alloc(RING_LINE_BYTES, sizeof(*channel));
    if (channel == NULL)
        return NULL;
    ring_init(&channel->ring, LEAT_POSTS_PER_RING);
    atomic_store_explicit(at, channel, memory_order_release);
    return channel;
}

static int post_to_ring(struct leat_loop *from, struct leat_loop *to, struct loop_callback callback)
{
    struct leat_mesh *mesh = to->mesh;
    struct mesh_channel *_Atomic *at =
        &mesh->channels[to->core.index * mesh->count + from->core.index];
    struct mesh_channel *channel = atomic_load_explicit(at, memory_order_relaxed);
    if (unlikely(channel == NULL) && (channel = channel_new(at)) == NULL)
        return -ENOMEM;
    struct ring *ring = &channel->ring;
    if (ring_room(ring) == 0)
        return -EAGAIN;
    channel->slots[ring->tail_local & ring->mask] = callback;
    ring_publish(ring, 1);
    leat_loop_notify(to);
    return 0;
}

int leat_loop_post(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    struct loop_callback callback = {fn, arg};
    struct leat_loop *from = leat_loop_current();
    if (from == loop) {
        if (loop->own_posts.count == LEAT_POSTS_PER_RING)
            return -EAGAIN;
        return loop_queue_push(&loop->own_posts, fn, arg);
    }
    if (from != NULL && from->mesh != NULL && from->mesh == loop->mesh)
        return post_to_ring(from, loop, callback);
    return post_to_lane(loop, callback);
}

static unsigned run_lane(struct leat_loop *loop)
{
    struct loop_lane *lane = loop->lane;
    if (atomic_load_explicit(&lane->count, memory_order_acquire) == 0)
        return 0;
    pthread_mutex_lock(&lane->lock);
    uint32_t count = atomic_load_explicit(&lane->count, memory_order_relaxed);
    memcpy(lane->taken, lane->slots, count * sizeof(lane->slots[0]));
    atomic_store_explicit(&lane->count, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lane->lock);
    for (uint32_t i = 0; i < count; i++)
        loop_call(loop, lane->taken[i]);
    return count;
}

static unsigned run_channel(struct leat_loop *loop, struct mesh_channel *channel)
{
    struct ring *ring = &channel->ring;
    uint32_t count = ring_ready(ring);
    for (uint32_t i = 0; i < count; i++) {
        struct loop_callback callback = channel->slots[ring->head_local & ring->mask];
        ring_release(ring, 1);
        loop_call(loop, callback);
    }
    return count;
}

unsigned loop_run_posts(struct leat_loop *loop)
{
    unsigned count = loop->own_posts.count;
    for (unsigned left = count; left > 0; left--)
        loop_call(loop, loop_queue_pull(&loop->own_posts));
    const struct leat_mesh *mesh = loop->mesh;
    for (uint32_t from = 0; mesh != NULL && from < mesh->count; from++) {
        struct mesh_channel *channel =
            atomic_load_explicit(&mesh->channels[loop->core.index * mesh->count + from],
                                 memory_order_acquire);
        if (channel != NULL)
            count += run_channel(loop, channel);
    }
    count += run_lane(loop);
    loop->metrics.post_count += count;
    return count;
}

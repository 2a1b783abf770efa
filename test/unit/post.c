/* The mailbox: rings between loops, the lane for other threads, and that no wake-up is lost. On
 * threads that are not the test's own, CHECK stands for assert. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/loop/loop_internal.h"

#define PEERS_MAX     3
#define LANE_THREADS  4
#define LANE_POSTS    20000
#define RALLY_ROUNDS  20000
#define NEEDLE_POSTS  60000
#define BURST_POSTS   30000
#define BURST_AT_ONCE 50

struct game;

struct peer {
    struct game *game;
    struct leat_loop *loop;
    pthread_t thread;
    uint32_t index;
    uint64_t next_from[PEERS_MAX]; /* bursts: the number that must come next */
    uint64_t sent_to[PEERS_MAX];
};

struct game {
    struct leat_mesh *mesh;
    uint32_t peer_count;
    struct peer peers[PEERS_MAX];
    pthread_barrier_t ready;
    void (*begin)(struct peer *);
    uint64_t round_count;
};

struct message {
    struct peer *to;
    uint32_t from;
    uint64_t number;
};

static void *peer_main(void *arg)
{
    struct peer *peer = arg;
    struct leat_loop_options options = {.index = peer->index, .mesh = peer->game->mesh};
    peer->loop = leat_loop_new(&options, NULL);
    CHECK(peer->loop != NULL);
    leat_loop_ref(peer->loop);
    pthread_barrier_wait(&peer->game->ready);
    peer->game->begin(peer);
    CHECK(leat_loop_run(peer->loop) == 1);
    pthread_barrier_wait(&peer->game->ready); /* nobody posts any more */
    leat_loop_unref(peer->loop);
    leat_loop_free(peer->loop);
    return NULL;
}

static void play(struct game *game, uint32_t peer_count, void (*begin)(struct peer *))
{
    game->peer_count = peer_count;
    game->begin = begin;
    game->mesh = leat_mesh_new(peer_count, NULL);
    assert_non_null(game->mesh);
    pthread_barrier_init(&game->ready, NULL, peer_count);
    for (uint32_t i = 0; i < peer_count; i++) {
        game->peers[i].game = game;
        game->peers[i].index = i;
        pthread_create(&game->peers[i].thread, NULL, peer_main, &game->peers[i]);
    }
    for (uint32_t i = 0; i < peer_count; i++)
        pthread_join(game->peers[i].thread, NULL);
    pthread_barrier_destroy(&game->ready);
    leat_mesh_free(game->mesh);
}

/* Two loops that have nothing else to do hit one ball: each sleeps while the other has it, so a
 * single lost wake-up ends the rally for ever. */
static void hit(void *arg)
{
    struct game *game = arg;
    struct leat_loop *here = leat_loop_current();
    struct peer *other = &game->peers[here == game->peers[0].loop ? 1 : 0];
    if (++game->round_count == RALLY_ROUNDS) {
        leat_loop_stop(game->peers[0].loop);
        leat_loop_stop(game->peers[1].loop);
        return;
    }
    /* Now and then late, so that the other is caught in all stages of falling asleep. */
    for (volatile unsigned spin = (unsigned)(game->round_count % 64) * 32; spin > 0; spin--)
        ;
    CHECK(leat_loop_post(other->loop, hit, game) == 0);
}

static void serve(struct peer *peer)
{
    if (peer->index == 0)
        CHECK(leat_loop_post(peer->game->peers[1].loop, hit, peer->game) == 0);
}

static void test_no_wakeup_is_lost_between_loops(void **state)
{
    struct game game = {0};
    play(&game, 2, serve);
    assert_int_equal(game.round_count, RALLY_ROUNDS);
}

/* One post at a time, each a little later after the last one was run, so that it meets the loop at
 * every step of falling asleep. A post that is lost there is never run, and the test never ends. */
struct needle {
    struct leat_loop *loop;
    struct leat_mesh *mesh;
    _Atomic uint64_t run_count;
};

static void needle_run(void *arg)
{
    struct needle *needle = arg;
    if (atomic_fetch_add(&needle->run_count, 1) + 1 == NEEDLE_POSTS)
        leat_loop_unref(needle->loop);
}

static void needle_post(struct needle *needle)
{
    struct leat_rng rng;
    rng_init(&rng, 1);
    for (uint64_t i = 0; i < NEEDLE_POSTS; i++) {
        CHECK(leat_loop_post(needle->loop, needle_run, needle) == 0);
        for (unsigned spins = 0; atomic_load(&needle->run_count) <= i; spins++)
            if (spins > 2000)
                sched_yield();
        for (volatile uint64_t spin = rng_below(&rng, 1500); spin > 0; spin--)
            ;
    }
}

static void *needle_thread(void *arg)
{
    needle_post(arg);
    return NULL;
}

static void *needle_loop(void *arg)
{
    struct needle *needle = arg;
    struct leat_loop_options options = {.index = 1, .mesh = needle->mesh};
    struct leat_loop *loop = leat_loop_new(&options, NULL);
    CHECK(loop != NULL);
    needle_post(needle);
    leat_loop_free(loop);
    return NULL;
}

static void thread_needle(void *(*thread_fn)(void *))
{
    struct needle needle = {.mesh = leat_mesh_new(2, NULL)};
    struct leat_loop_options options = {.index = 0, .mesh = needle.mesh};
    needle.loop = leat_loop_new(&options, NULL);
    assert_non_null(needle.loop);
    leat_loop_ref(needle.loop);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, thread_fn, &needle), 0);
    assert_int_equal(leat_loop_run(needle.loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(needle.run_count, NEEDLE_POSTS);
    leat_loop_free(needle.loop);
    leat_mesh_free(needle.mesh);
}

static void test_no_wakeup_is_lost_in_the_lane(void **state)
{
    thread_needle(needle_thread);
}

static void test_no_wakeup_is_lost_in_a_ring(void **state)
{
    thread_needle(needle_loop);
}

static void stop_when_done(struct peer *peer)
{
    uint32_t left = (peer->index + 1) % 3, right = (peer->index + 2) % 3;
    if (peer->next_from[left] == BURST_POSTS && peer->next_from[right] == BURST_POSTS &&
        peer->sent_to[left] == BURST_POSTS && peer->sent_to[right] == BURST_POSTS)
        leat_loop_stop(peer->loop);
}

static void receive(void *arg)
{
    struct message *message = arg;
    struct peer *peer = message->to;
    CHECK(leat_loop_current() == peer->loop);
    CHECK(message->number == peer->next_from[message->from]);
    peer->next_from[message->from]++;
    free(message);
    stop_when_done(peer);
}

static void send_to(struct peer *peer, uint32_t to)
{
    for (int i = 0; i < BURST_AT_ONCE && peer->sent_to[to] < BURST_POSTS; i++) {
        struct message *message = malloc(sizeof(*message));
        *message = (struct message){&peer->game->peers[to], peer->index, peer->sent_to[to]};
        int code = leat_loop_post(peer->game->peers[to].loop, receive, message);
        if (code != 0) { /* full: the rest in a later turn */
            CHECK(code == -EAGAIN);
            free(message);
            return;
        }
        peer->sent_to[to]++;
    }
}

static void send_more(void *arg)
{
    struct peer *peer = arg;
    bool is_done = true;
    for (uint32_t i = 1; i < 3; i++) {
        send_to(peer, (peer->index + i) % 3);
        is_done &= peer->sent_to[(peer->index + i) % 3] == BURST_POSTS;
    }
    if (!is_done)
        leat_set_immediate(peer->loop, send_more, peer);
    stop_when_done(peer);
}

static void burst(struct peer *peer)
{
    leat_set_immediate(peer->loop, send_more, peer);
}

static void test_bursts_arrive_once_and_in_order(void **state)
{
    struct game game = {0};
    play(&game, 3, burst);
    for (int to = 0; to < 3; to++)
        for (int from = 0; from < 3; from++)
            assert_int_equal(game.peers[to].next_from[from], to == from ? 0 : BURST_POSTS);
}

struct lane_game {
    struct leat_loop *loop;
    uint32_t next[LANE_THREADS];
    uint32_t done_count;
    struct lane_sender {
        struct lane_game *game;
        pthread_t thread;
        uint32_t index;
        struct lane_ball {
            struct lane_sender *sender;
            uint32_t number;
        } balls[LANE_POSTS];
    } senders[LANE_THREADS];
};

static void lane_receive(void *arg)
{
    struct lane_ball *ball = arg;
    struct lane_game *game = ball->sender->game;
    assert_int_equal(ball->number, game->next[ball->sender->index]++);
    if (ball->number + 1 == LANE_POSTS && ++game->done_count == LANE_THREADS)
        leat_loop_unref(game->loop);
}

static void *lane_send(void *arg)
{
    struct lane_sender *sender = arg;
    for (uint32_t i = 0; i < LANE_POSTS; i++) {
        sender->balls[i] = (struct lane_ball){sender, i};
        while (leat_loop_post(sender->game->loop, lane_receive, &sender->balls[i]) == -EAGAIN)
            sched_yield();
        if (i % 128 == 0) /* lets the loop fall asleep */
            usleep(50);
    }
    return NULL;
}

static void test_threads_that_are_no_loops(void **state)
{
    struct lane_game *game = test_calloc(1, sizeof(*game));
    game->loop = leat_loop_new(NULL, NULL);
    leat_loop_ref(game->loop);
    for (uint32_t i = 0; i < LANE_THREADS; i++) {
        game->senders[i].game = game;
        game->senders[i].index = i;
        pthread_create(&game->senders[i].thread, NULL, lane_send, &game->senders[i]);
    }
    assert_int_equal(leat_loop_run(game->loop), 0);
    for (uint32_t i = 0; i < LANE_THREADS; i++) {
        pthread_join(game->senders[i].thread, NULL);
        assert_int_equal(game->next[i], LANE_POSTS);
    }
    leat_loop_free(game->loop);
    test_free(game);
}

static void count_up(void *arg)
{
    ++*(unsigned *)arg;
}

static unsigned fill(struct leat_loop *loop, unsigned *run_count)
{
    for (unsigned count = 0;; count++) {
        int code = leat_loop_post(loop, count_up, run_count);
        if (code == 0)
            continue;
        assert_int_equal(code, -EAGAIN);
        return count;
    }
}

static void test_bounds_of_ring_lane_and_own_posts(void **state)
{
    struct leat_mesh *mesh = leat_mesh_new(2, NULL);
    struct leat_loop *loops[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct leat_loop_options options = {.index = i, .mesh = mesh};
        loops[i] = leat_loop_new(&options, NULL);
        assert_non_null(loops[i]);
    }
    unsigned run_count = 0;
    assert_int_equal(fill(loops[1], &run_count), LEAT_POSTS_PER_RING); /* the current one's own */
    assert_int_equal(fill(loops[0], &run_count), LEAT_POSTS_PER_RING);
    struct leat_core *core = leat_core_now;
    leat_core_now = NULL;
    assert_int_equal(fill(loops[0], &run_count), LEAT_LANE_POSTS_MAX);
    leat_core_now = core;
    leat_loop_turn(loops[0], 0);
    assert_int_equal(run_count, LEAT_POSTS_PER_RING + LEAT_LANE_POSTS_MAX);
    leat_loop_turn(loops[1], 0);
    assert_int_equal(run_count, 2 * LEAT_POSTS_PER_RING + LEAT_LANE_POSTS_MAX);
    leat_loop_free(loops[0]);
    leat_loop_free(loops[1]);
    leat_mesh_free(mesh);
}

static void test_a_loop_that_is_awake_is_not_woken(void **state)
{
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    unsigned run_count = 0;
    uint64_t wakes;
    struct leat_core *core = leat_core_now;
    leat_core_now = NULL;
    assert_int_equal(leat_loop_post(loop, count_up, &run_count), 0);
    assert_int_equal(read(loop->wake_fd, &wakes, sizeof(wakes)), -1);
    assert_int_equal(errno, EAGAIN);
    /* Many posts to one that sleeps wake it once. */
    atomic_store(&loop->is_sleeping, true);
    assert_int_equal(leat_loop_post(loop, count_up, &run_count), 0);
    assert_int_equal(leat_loop_post(loop, count_up, &run_count), 0);
    assert_int_equal(read(loop->wake_fd, &wakes, sizeof(wakes)), sizeof(wakes));
    assert_int_equal(wakes, 1);
    leat_core_now = core;
    leat_loop_turn(loop, 0);
    assert_int_equal(run_count, 3);
    leat_loop_free(loop);
}

static void *stop_soon(void *arg)
{
    usleep(2000);
    leat_loop_stop(arg);
    return NULL;
}

static void test_stop_wakes_a_loop_that_sleeps(void **state)
{
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    leat_loop_ref(loop);
    pthread_t thread;
    pthread_create(&thread, NULL, stop_soon, loop);
    assert_int_equal(leat_loop_run(loop), 1);
    pthread_join(thread, NULL);
    leat_loop_unref(loop);
    leat_loop_free(loop);
}

static void test_mesh_refuses_what_cannot_be(void **state)
{
    struct leat_error error;
    assert_null(leat_mesh_new(0, &error));
    assert_int_equal(error.code, -EINVAL);
    struct leat_mesh *mesh = leat_mesh_new(1, NULL);
    struct leat_loop_options options = {.index = 1, .mesh = mesh};
    assert_null(leat_loop_new(&options, &error));
    assert_int_equal(error.code, -EINVAL);
    options.index = 0;
    struct leat_loop *loop = leat_loop_new(&options, &error);
    assert_non_null(loop);
    assert_null(leat_loop_new(&options, &error));
    leat_loop_free(loop);
    leat_mesh_free(mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_wakeup_is_lost_between_loops),
        cmocka_unit_test(test_no_wakeup_is_lost_in_the_lane),
        cmocka_unit_test(test_no_wakeup_is_lost_in_a_ring),
        cmocka_unit_test(test_bursts_arrive_once_and_in_order),
        cmocka_unit_test(test_threads_that_are_no_loops),
        cmocka_unit_test(test_bounds_of_ring_lane_and_own_posts),
        cmocka_unit_test(test_a_loop_that_is_awake_is_not_woken),
        cmocka_unit_test(test_stop_wakes_a_loop_that_sleeps),
        cmocka_unit_test(test_mesh_refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

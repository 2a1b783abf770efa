/* Jobs that are played: run at once, told at a drawn time. */
#include "runtime/os/pool_play.h"

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/os/pool_internal.h"

struct played {
    struct list link; /* of core->played */
    struct leat_timer timer;
    struct op *op;
};

static void played_over(struct leat_timer *timer, void *arg)
{
    struct played *played = arg;
    struct op *op = played->op;
    list_unlink(&played->link);
    op->core->played_count--;
    leat_heap_free(played);
    op_tell(op);
}

int pool_play_submit(struct pool_core *core, struct op *op)
{
    struct played *played = leat_heap_alloc(sizeof(*played));
    if (played == NULL)
        return leat_fail(&core->error, -ENOMEM, "no memory for a job");
    struct leat_core *outer = leat_core_now;
    leat_core_now = NULL;
    if (op_begin(op))
        op_class_of(op)->run(op);
    leat_core_now = outer;
    played->op = op;
    core->played_count++;
    list_push(&core->played, &played->link);
    leat_timer_init(&played->timer, core->loop, played_over, played);
    leat_timer_start(&played->timer, core->play->delay_ns(core->play), 0);
    return 0;
}

void pool_play_fini(struct pool_core *core)
{
    struct list *link;
    while ((link = list_pull(&core->played)) != NULL) {
        struct played *played = container_of(link, struct played, link);
        leat_timer_stop(&played->timer);
        core->played_count--;
        op_tell(played->op);
        leat_heap_free(played);
    }
}

static uint64_t drawn_delay(struct pool_play *play)
{
    struct pool_play_drawn *drawn = container_of(play, struct pool_play_drawn, play);
    return rng_below(&drawn->rng, drawn->delay_ns_max + 1);
}

int pool_play_drawn(struct leat_loop *loop, struct pool_play_drawn *drawn, struct fs_sys *sys,
                    uint64_t seed)
{
    *drawn = (struct pool_play_drawn){.play = {.delay_ns = drawn_delay, .sys = sys},
                                      .delay_ns_max = POOL_PLAY_NS_MAX};
    rng_init(&drawn->rng, seed + 1); /* 0 would be the kernel's */
    return pool_play_set(loop, &drawn->play);
}

int pool_play_set(struct leat_loop *loop, struct pool_play *play)
{
    struct pool_core *core = pool_core_of(loop);
    if (core == NULL)
        return -ENOMEM;
    CHECK(core->pool == NULL && core->open_count == 0);
    core->play = play;
    if (play->sys != NULL)
        core->sys = play->sys;
    return 0;
}

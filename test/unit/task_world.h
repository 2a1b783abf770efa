/* What the tests of tasks share: a loop whose time is what it sleeps, and words that are said. */
#ifndef LEAT_TEST_TASK_WORLD_H
#define LEAT_TEST_TASK_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <leat/io.h>
#include <leat/loop.h>
#include <leat/task.h>

#include "buffers/heap.h"
#include "runtime/async/task_internal.h"
#include "runtime/base/clock.h"

static struct {
    struct leat_clock clock; /* first */
    struct leat_source source;
    struct leat_loop *loop;
    uint64_t now_ns;
    char said[1024];
} world;

static inline void say(const char *word)
{
    size_t length = strlen(world.said);
    snprintf(world.said + length, sizeof(world.said) - length, "%s ", word);
}

static inline void say_word(void *word)
{
    say(word);
}

static inline void say_code(const char *word, int code)
{
    char text[64];
    snprintf(text, sizeof(text), "%s:%s", word, code < 0 ? leat_errno_name(code) : "ok");
    say(text);
}

static inline bool world_wait(struct leat_source *waiting, int readable_fd, uint64_t timeout_ns)
{
    if (timeout_ns != UINT64_MAX)
        world.now_ns += timeout_ns;
    return false;
}

static inline uint64_t world_now(const struct leat_clock *clock)
{
    return world.now_ns;
}

static inline void world_begin(void)
{
    static const struct leat_source_ops ops = {.name = "test", .wait = world_wait};
    memset(&world, 0, sizeof(world));
    world.now_ns = LEAT_NS_PER_S;
    world.clock.now = world_now;
    world.loop = leat_loop_new(&(struct leat_loop_options){.clock = &world.clock}, NULL);
    assert_non_null(world.loop);
    world.source.ops = &ops;
    assert_int_equal(leat_source_add(world.loop, &world.source), 0);
}

static inline void world_end(void)
{
    leat_source_remove(&world.source);
    leat_loop_free(world.loop);
    world.loop = NULL;
}

static inline int world_setup(void **state)
{
    world_begin();
    return 0;
}

static inline int world_teardown(void **state)
{
    if (world.loop != NULL)
        world_end();
    return 0;
}

static inline void world_validate(void)
{
    const char *broken = leat_core_now->tasks != NULL ? tasks_validate(leat_core_now->tasks) : NULL;
    if (broken != NULL)
        print_message("%s\n", broken);
    assert_null(broken);
}

static inline void world_run(void)
{
    (void)leat_loop_run(world.loop);
    world_validate();
}

static inline void world_turn(void)
{
    (void)leat_loop_turn(world.loop, 0);
    world_validate();
}

/* Starts a task that nobody waits for. */
static inline void start(leat_task_fn *fn, const void *arg, size_t arg_bytes)
{
    leat_future_unref(leat_task_start(world.loop, fn, arg, arg_bytes));
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif

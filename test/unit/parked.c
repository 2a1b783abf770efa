/* A program with tasks that wait, for test/unit/gdb.py, which stops it in everything_waits. */
#include <leat/leat.h>

#include <stdlib.h>

void everything_waits(void *loop);

static struct leat_future *never;
static volatile unsigned seen;

__attribute__((noinline)) static struct leat_result wait_inside(unsigned depth)
{
    if (depth > 0) {
        struct leat_result result = wait_inside(depth - 1);
        seen = depth; /* no tail call */
        return result;
    }
    return leat_await(leat_future_ref(never));
}

static struct leat_result first_task(void *arg)
{
    return wait_inside(2);
}

static struct leat_result second_task(void *arg)
{
    while (leat_task_yield() == 0)
        ;
    return leat_nothing();
}

static struct leat_result running_task(void *loop)
{
    everything_waits(loop);
    return leat_nothing();
}

__attribute__((noinline)) void everything_waits(void *loop)
{
    __asm__ volatile("" ::: "memory");
    if (getenv("LEAT_TEST_ABORT") != NULL)
        abort();
    leat_run_exit(loop, 0);
}

static void task_begin(struct leat_loop *loop, leat_task_fn *fn, const char *name)
{
    leat_future_unref(
        leat_task_start_with(loop, &(struct leat_task_options){.name = name}, fn, loop, 0));
}

static void forget(void *arg)
{
    leat_settle(never, leat_nothing());
    leat_future_unref(never);
}

static int start(struct leat_loop *loop)
{
    never = leat_future_new(loop, NULL);
    task_begin(loop, first_task, "first");
    task_begin(loop, second_task, "second");
    task_begin(loop, running_task, "third");
    return leat_run_on_end(loop, forget, NULL);
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

/* The first of several wins; the others are stopped, and nobody waits for longer than 50 ms. */
#include <leat/leat.h>
#include <errno.h>
#include <stdio.h>

struct mirror {
    struct leat_loop *loop;
    const char *name;
    uint64_t ms;
};

static struct leat_result ask(void *arg)
{
    struct mirror *mirror = arg;
    struct leat_result waited = leat_await(leat_delay(mirror->loop, mirror->ms * LEAT_NS_PER_MS));
    return waited.code < 0 ? waited : leat_pointer((void *)mirror->name, LEAT_KIND_STRING, NULL);
}

static int first(struct leat_loop *loop, uint64_t oslo_ms, uint64_t rome_ms)
{
    const struct mirror mirrors[] = {{loop, "Oslo", oslo_ms}, {loop, "Rome", rome_ms}};
    struct leat_future *asked[2];
    struct leat_abort *others = leat_abort_new(loop);
    if (others == NULL)
        return leat_loop_error(loop)->code;
    for (int i = 0; i < 2; i++) {
        asked[i] = leat_task_start(loop, ask, &mirrors[i], sizeof(mirrors[i])); /* copied */
        leat_abort_add(others, asked[i]);
    }
    struct leat_future *race = leat_with_deadline(leat_race(loop, asked, 2), 50 * LEAT_NS_PER_MS);
    struct leat_result won = leat_await(race);
    if (won.code < 0)
        puts("none came in time");
    else
        printf("%s came first\n", (char *)leat_result_pointer(&won, LEAT_KIND_STRING));
    leat_result_drop(&won);
    leat_abort_fire(others, -ECANCELED, NULL);
    leat_abort_free(others);
    return 0;
}

static struct leat_result main_task(void *loop)
{
    int code = first(loop, 60000, 10);
    if (code == 0)
        code = first(loop, 60000, 60000);
    return code < 0 ? leat_failure(code, "cannot ask") : leat_nothing();
}

static int start(struct leat_loop *loop)
{
    leat_future_unref(leat_task_start(loop, main_task, loop, 0));
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

/* Two things at once, and one that is waited for 50 ms at most. */
#include <leat/leat.h>
#include <stdio.h>

static struct leat_result number_of(void *arg, const struct leat_result *result)
{
    return leat_number((intptr_t)arg);
}

static struct leat_future *number_after(struct leat_loop *loop, uint64_t ms, intptr_t number)
{
    struct leat_future *delay = leat_delay(loop, ms * LEAT_NS_PER_MS);
    struct leat_future *then = leat_then(delay, number_of, NULL, (void *)number);
    leat_future_unref(delay);
    return then;
}

static void print_both(void *arg, const struct leat_result *result)
{
    const struct leat_results *all = leat_result_pointer(result, LEAT_KIND_RESULTS);
    printf("both: %d and %d\n", (int)leat_result_number(&all->items[0]),
           (int)leat_result_number(&all->items[1]));
}

static void print_late(void *arg, const struct leat_result *result)
{
    puts(result->code < 0 ? "it did not come in time" : "it came");
}

static int start(struct leat_loop *loop)
{
    struct leat_future *both[] = {number_after(loop, 30, 1), number_after(loop, 10, 2)};
    leat_call(leat_all(loop, both, 2), print_both, NULL);
    struct leat_future *late = leat_delay(loop, 60 * LEAT_NS_PER_S);
    leat_call(leat_with_deadline(late, 50 * LEAT_NS_PER_MS), print_late, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

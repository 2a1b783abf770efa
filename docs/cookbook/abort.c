/* One hand that stops everything that is under way. */
#include <leat/leat.h>
#include <stdio.h>

static void print_end(void *name, const struct leat_result *result)
{
    if (result->code == -ECANCELED)
        printf("%s: stopped\n", (const char *)name);
}

static void close_all(struct leat_timer *timer, void *closing)
{
    leat_abort_fire(closing, -ECANCELED, "the program closes");
    leat_abort_free(closing);
}

static int start(struct leat_loop *loop)
{
    static const char *const names[] = {"upload", "report", "backup"};
    struct leat_abort *closing = leat_abort_new(loop);
    if (closing == NULL)
        return leat_loop_error(loop)->code;
    for (int i = 0; i < 3; i++) {
        struct leat_future *work = leat_delay(loop, 60 * LEAT_NS_PER_S);
        leat_abort_add(closing, work);
        leat_call(work, print_end, (void *)names[i]);
    }
    leat_set_timeout(loop, close_all, closing, 10);
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

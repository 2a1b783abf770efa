/* A program that behaves as its flags say, for life.py: how programs start and end. */
#include <leat/leat.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct life {
    uint64_t fail_on; /* the core whose start fails; UINT64_MAX: none */
    uint64_t crash_on;
    bool hold, hang, slow_start, stall, dry, reload, post, silent, exit_with_3;
    bool exit_at_once, before_exit, last_words, unhandled, parked, fill;
    const char *ready; /* what start awaits: "well", "badly", "never" */
};

struct core_life {
    struct leat_loop *loop;
    struct leat_timer release;
    const struct life *life;
    bool has_begun;
};

static void on_drain(void *arg)
{
    struct core_life *core = arg;
    LEAT_LOG_INFO("drain");
    if (core->life->hold) {
        leat_run_ref(core->loop);
        leat_timer_start(&core->release, 300 * LEAT_NS_PER_MS, 0);
    }
}

static void on_release(struct leat_timer *timer, void *arg)
{
    struct core_life *core = arg;
    LEAT_LOG_INFO("released");
    leat_run_unref(core->loop);
}

static void on_reload(void *arg)
{
    LEAT_LOG_INFO("reload");
}

static void on_end(void *arg)
{
    struct core_life *core = arg;
    LEAT_LOG_INFO("end");
    leat_timer_stop(&core->release);
    free(core);
}

static void on_tick(struct leat_timer *timer, void *arg)
{
}

static void on_exit_time(struct leat_timer *timer, void *arg)
{
    leat_run_end(arg, 3);
}

static void on_exit_now(struct leat_timer *timer, void *arg)
{
    leat_run_end(arg, 3);  /* a drain that would take 300 ms with --hold */
    leat_run_exit(arg, 4); /* cuts it off */
}

static void on_once(struct leat_timer *timer, void *arg)
{
    LEAT_LOG_INFO("more work");
}

/* Begins something once. */
static void on_before_exit(void *arg)
{
    struct core_life *core = arg;
    LEAT_LOG_INFO("before exit");
    if (!core->has_begun)
        leat_set_timeout(core->loop, on_once, NULL, 1);
    core->has_begun = true;
}

static void on_fatal(void *arg)
{
    LEAT_LOG_ERROR("last words of core %u", leat_loop_index(arg));
}

static void reject(struct leat_timer *timer, void *arg)
{
    leat_future_unref(leat_settled(arg, leat_failure(-EIO, "nobody looks")));
}

static struct leat_result wait_in_vain(void *loop)
{
    struct leat_future *never = leat_future_new(loop, NULL);
    struct leat_result result = leat_await(leat_future_ref(never));
    LEAT_LOG_INFO("parked: %s", leat_result_sentence(&result));
    leat_settle(never, leat_nothing());
    leat_future_unref(never);
    return leat_nothing();
}

static struct leat_future *waiter_start(struct leat_loop *loop)
{
    const struct leat_task_options options = {.name = "waiter"};
    return leat_task_start_with(loop, &options, wait_in_vain, loop, 0);
}

static struct leat_result prepare(void *loop)
{
    struct leat_result slept = leat_await(leat_delay(loop, 20 * LEAT_NS_PER_MS));
    const struct life *life = leat_run_user(loop);
    LEAT_LOG_INFO("prepared");
    if (slept.code < 0 || life->ready[0] == 'w')
        return slept;
    return leat_failure(-EACCES, "the database is locked");
}

/* Sent around all cores once; the first then ends the program. */
static void on_post(void *arg)
{
    struct leat_loop *loop = leat_loop_current();
    uint32_t next = leat_loop_index(loop) + 1;
    LEAT_LOG_INFO("post");
    if (next == leat_run_core_count(loop)) {
        leat_run_end(loop, 0);
        return;
    }
    if (leat_loop_post(leat_run_loop(loop, next), on_post, NULL) < 0)
        leat_run_end(loop, 1);
}

static void stall(struct leat_timer *timer, void *arg)
{
    for (;;)
        pause();
}

static void crash(struct leat_timer *timer, void *arg)
{
    raise(SIGSEGV);
}

static void post_first(struct leat_timer *timer, void *arg)
{
    on_post(NULL);
}

static void wait_for_user_signal(void)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &number);
}

static struct leat_result do_nothing(void *arg)
{
    return leat_nothing();
}

/* Says how many of three tasks and of eight coders there may be. */
static int fill(struct leat_loop *loop)
{
    const struct leat_coder_options gzip = {.coding = LEAT_GZIP};
    struct leat_coder *coders[8];
    unsigned tasks = 0, count = 0;
    for (int i = 0; i < 3; i++) {
        struct leat_future *task = leat_task_start(loop, do_nothing, NULL, 0);
        tasks += leat_future_result(task) == NULL;
        leat_future_ignore(task);
        leat_future_unref(task);
    }
    while (count < 8 && (coders[count] = leat_encoder_new(&gzip, NULL)) != NULL)
        count++;
    LEAT_LOG_INFO("%u tasks, %u coders", tasks, count);
    while (count > 0)
        leat_coder_free(coders[--count]);
    return 0;
}

static int start(struct leat_loop *loop)
{
    const struct life *life = leat_run_user(loop);
    struct leat_error error;
    struct leat_addr addr;
    uint32_t index = leat_loop_index(loop);
    LEAT_LOG_INFO("start of %u", leat_run_core_count(loop));
    if (index == life->fail_on)
        return life->silent ? -EIO : leat_run_fail(loop, -EIO, "core %u must fail", index);
    if (life->dry && !life->before_exit)
        return 0;
    if (life->fill)
        return fill(loop);
    if (life->parked) {
        leat_future_unref(waiter_start(loop));
        return 0;
    }
    if (life->ready != NULL)
        (void)leat_run_ready_after(loop, life->ready[0] == 'n'
                                             ? waiter_start(loop)
                                             : leat_task_start(loop, prepare, loop, 0));
    if (life->ready != NULL && life->ready[0] == 'n')
        return 0;
    struct core_life *core = calloc(1, sizeof(*core));
    if (core == NULL)
        return -ENOMEM;
    *core = (struct core_life){.loop = loop, .life = life};
    leat_timer_init(&core->release, loop, on_release, core);
    leat_run_on_drain(loop, on_drain, core);
    leat_run_on_end(loop, on_end, core);
    if (life->reload)
        leat_run_on_reload(loop, on_reload, core);
    if (leat_addr_parse(&addr, "127.0.0.1:7", 0, &error) == 0)
        leat_run_listening(loop, "life", &addr);
    if (life->hang && index == 0)
        for (;;)
            pause();
    if (life->slow_start)
        wait_for_user_signal();
    if (life->before_exit)
        return leat_run_on_before_exit(loop, on_before_exit, core);
    leat_set_interval(loop, on_tick, NULL, 1000);
    if (life->last_words)
        leat_run_on_fatal(loop, on_fatal, loop);
    if (index == 0 && life->exit_at_once)
        leat_set_timeout(loop, on_exit_now, loop, 1);
    if (index == 0 && life->unhandled)
        leat_set_timeout(loop, reject, loop, 1);
    if (index == life->crash_on)
        leat_set_timeout(loop, crash, NULL, 1);
    if (index == 0 && life->stall)
        leat_set_timeout(loop, stall, NULL, 1);
    if (index == 0 && life->post)
        leat_set_timeout(loop, post_first, NULL, 1);
    if (index == 0 && life->exit_with_3)
        leat_set_timeout(loop, on_exit_time, loop, 1);
    return 0;
}

int main(int argc, char **argv)
{
    struct life life = {.fail_on = UINT64_MAX, .crash_on = UINT64_MAX};
    const struct leat_option options[] = {
        {"fail-on", LEAT_OPTION_COUNT, &life.fail_on, "CORE", "start fails there", 0, 0},
        {"crash-on", LEAT_OPTION_COUNT, &life.crash_on, "CORE", "SIGSEGV there", 0, 0},
        {"hold", LEAT_OPTION_FLAG, &life.hold, NULL, "the drain takes 300 ms", 0, 0},
        {"hang", LEAT_OPTION_FLAG, &life.hang, NULL, "core 0 never returns", 0, 0},
        {"slow-start", LEAT_OPTION_FLAG, &life.slow_start, NULL, "each core waits for SIGUSR2", 0,
         0},
        {"stall", LEAT_OPTION_FLAG, &life.stall, NULL, "... from a timer", 0, 0},
        {"dry", LEAT_OPTION_FLAG, &life.dry, NULL, "nothing keeps the loops alive", 0, 0},
        {"reload", LEAT_OPTION_FLAG, &life.reload, NULL, "has a reload hook", 0, 0},
        {"post", LEAT_OPTION_FLAG, &life.post, NULL, "posts from core to core", 0, 0},
        {"silent", LEAT_OPTION_FLAG, &life.silent, NULL, "fails without a sentence", 0, 0},
        {"exit-with-3", LEAT_OPTION_FLAG, &life.exit_with_3, NULL, "leat_run_end", 0, 0},
        {"exit-at-once", LEAT_OPTION_FLAG, &life.exit_at_once, NULL, "leat_run_exit", 0, 0},
        {"before-exit", LEAT_OPTION_FLAG, &life.before_exit, NULL, "runs dry, with a hook", 0, 0},
        {"last-words", LEAT_OPTION_FLAG, &life.last_words, NULL, "has a fatal hook", 0, 0},
        {"unhandled", LEAT_OPTION_FLAG, &life.unhandled, NULL, "a rejection is lost", 0, 0},
        {"parked", LEAT_OPTION_FLAG, &life.parked, NULL, "a task waits for ever", 0, 0},
        {"fill", LEAT_OPTION_FLAG, &life.fill, NULL, "tasks and coders up to their bounds", 0, 0},
        {"ready", LEAT_OPTION_TEXT, &life.ready, "HOW", "start awaits well, badly, never", 0, 0},
    };
    const struct leat_program program = {
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .start = start,
        .user = &life,
    };
    return leat_program_main(&program, argc, argv);
}

/* The programs of test/node/NAME.js on Leat: `node-scenarios NAME` prints the same words in the
 * same order. */
#include <leat/future.h>
#include <leat/loop.h>
#include <leat/io.h>
#include <leat/timer.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct {
    struct leat_loop *loop;
    leat_timeout timer;
    leat_immediate immediate;
    struct leat_watch watch;
    int pipe[2];
    unsigned count;
    const char *space;
} self;

static void say(const char *word)
{
    printf("%s%s", self.space, word);
    self.space = " ";
}

static void say_fn(void *word)
{
    say(word);
}

static void say_timer(struct leat_timer *timer, void *word)
{
    say(word);
}

static void tick(const char *word)
{
    leat_next_tick(self.loop, say_fn, (void *)word);
}

static void job(const char *word)
{
    leat_queue_microtask(self.loop, say_fn, (void *)word);
}

static leat_immediate immediate(const char *word)
{
    return leat_set_immediate(self.loop, say_fn, (void *)word);
}

static leat_timeout timeout(const char *word, uint64_t delay_ms)
{
    return leat_set_timeout(self.loop, say_timer, (void *)word, delay_ms);
}

/* Runs fn as an I/O callback. */
static void on_io(leat_watch_fn *fn)
{
    if (pipe(self.pipe) != 0 || write(self.pipe[1], "x", 1) != 1)
        return;
    leat_watch_init(&self.watch, self.loop, self.pipe[0], fn, NULL);
    (void)leat_watch_start(&self.watch, EPOLLIN);
}

static void tick_before_job(void)
{
    job("job1");
    tick("tick1");
    job("job2");
    tick("tick2");
    say("main");
}

static void nested_tick3(void *arg)
{
    say("tick3");
    job("job4");
}

static void nested_job1(void *arg)
{
    say("job1");
    leat_next_tick(self.loop, nested_tick3, NULL);
    job("job3");
}

static void nested_tick1(void *arg)
{
    say("tick1");
    leat_queue_microtask(self.loop, nested_job1, NULL);
    tick("tick2");
}

static void microtasks_nested(void)
{
    leat_next_tick(self.loop, nested_tick1, NULL);
    job("job2");
}

static void fire_a(void *arg)
{
    say("a");
    job("a-job");
    tick("a-tick");
}

static void fire_b(void *arg)
{
    say("b");
    job("b-job");
    tick("b-tick");
}

static void fire_a_timer(struct leat_timer *timer, void *arg)
{
    fire_a(arg);
}

static void fire_b_timer(struct leat_timer *timer, void *arg)
{
    fire_b(arg);
}

static void microtasks_between_timers(void)
{
    leat_set_timeout(self.loop, fire_a_timer, NULL, 10);
    leat_set_timeout(self.loop, fire_b_timer, NULL, 10);
}

static void microtasks_between_immediates(void)
{
    leat_set_immediate(self.loop, fire_a, NULL);
    leat_set_immediate(self.loop, fire_b, NULL);
}

static void microtasks_before_immediates_and_timers(void)
{
    timeout("timer", 60);
    immediate("immediate");
    job("job");
    tick("tick");
    say("main");
}

static void chain_tick(void *arg)
{
    say("tick");
    if (++self.count < 5)
        leat_next_tick(self.loop, chain_tick, NULL);
}

static void tick_chain(void)
{
    immediate("immediate");
    job("job");
    leat_next_tick(self.loop, chain_tick, NULL);
}

static void io_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    leat_watch_stop(watch);
    say("io");
    timeout("timer", 0);
    immediate("immediate");
    job("job");
    tick("tick");
}

static void immediate_before_timer_in_io(void)
{
    on_io(io_ready);
}

static void inner_c(void *arg)
{
    say("c");
    immediate("d");
}

static void outer_a(void *arg)
{
    say("a");
    leat_set_immediate(self.loop, inner_c, NULL);
    tick("a-tick");
}

static void immediate_in_immediate(void)
{
    leat_set_immediate(self.loop, outer_a, NULL);
    immediate("b");
}

static void clear_b(void *arg)
{
    say("a");
    leat_clear_immediate(self.immediate);
}

static void immediate_cleared(void)
{
    leat_set_immediate(self.loop, clear_b, NULL);
    self.immediate = immediate("b");
    immediate("c");
}

static void timers_by_deadline(void)
{
    timeout("c", 120);
    timeout("a", 1);
    timeout("b", 60);
}

static void timers_equal_and_refreshed(void)
{
    leat_timeout a = timeout("a", 10);
    timeout("b", 10);
    timeout("c", 10);
    leat_timer_refresh(leat_timeout_timer(a));
}

static void clear_b_timer(struct leat_timer *timer, void *arg)
{
    say("a");
    leat_clear_timeout(self.timer);
}

static void timer_cleared_by_timer(void)
{
    leat_set_timeout(self.loop, clear_b_timer, NULL, 10);
    self.timer = timeout("b", 10);
    timeout("c", 10);
}

static void start_c_and_b(struct leat_timer *timer, void *arg)
{
    say("a");
    timeout("c", 60);
    immediate("b");
}

static void timer_starts_timer(void)
{
    leat_set_timeout(self.loop, start_c_and_b, NULL, 1);
}

static void interval_fire(struct leat_timer *timer, void *arg)
{
    say("interval");
    tick("tick");
    if (++self.count == 3)
        leat_clear_timeout(self.timer);
}

static void interval_and_timer(void)
{
    self.timer = leat_set_interval(self.loop, interval_fire, NULL, 10);
    timeout("timeout", 10);
}

static void refresh_itself(struct leat_timer *timer, void *arg)
{
    say("fire");
    if (++self.count < 3)
        leat_timer_refresh(timer);
}

static void refresh_in_own_callback(void)
{
    leat_set_timeout(self.loop, refresh_itself, NULL, 5);
}

static void unref_does_not_keep_alive(void)
{
    self.timer = timeout("never", 3000);
    leat_timer_unref(leat_timeout_timer(self.timer));
    immediate("immediate");
    timeout("timer", 100); /* of 1 ms may be due first: Node leaves that open */
}

static void unref_fires_while_alive(void)
{
    leat_timer_unref(leat_timeout_timer(timeout("unref", 1)));
    timeout("ref", 100);
    self.timer = timeout("never", 3000);
    leat_timer_ref(leat_timeout_timer(self.timer));
    leat_timer_unref(leat_timeout_timer(self.timer));
}

static void closed(void *arg)
{
    say("close");
    tick("close-tick");
}

static void data_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    say("data");
    timeout("timer", 0);
    immediate("immediate");
    leat_watch_stop(watch);
    leat_loop_close_later(self.loop, closed, NULL);
    tick("tick");
}

static void close_after_check_before_timers(void)
{
    on_io(data_ready);
}

/* ---- promises ---- */

static void done_say(void *word, const struct leat_result *result)
{
    say(word);
}

/* Takes the reference. */
static void say_when(struct leat_future *future, const char *word)
{
    leat_on_settled(future, done_say, (void *)word);
    leat_future_unref(future);
}

static void round_run(void *arg)
{
    char word[2] = {(char)('0' + self.count), '\0'};
    say(word);
    if (self.count++ < 4)
        leat_queue_microtask(self.loop, round_run, NULL);
}

static struct leat_result adopt(void *arg, const struct leat_result *result)
{
    return leat_follow(leat_future_ref(arg));
}

static struct leat_result nothing(void *arg, const struct leat_result *result)
{
    return leat_nothing();
}

static void promise_rounds(void)
{
    struct leat_future *settled = leat_settled(self.loop, leat_nothing());
    struct leat_future *twice[] = {settled, settled};
    round_run(NULL);
    leat_on_settled(settled, done_say, (void *)"then");
    for (int i = 0; i < 5; i++)
        (void)leat_future_ref(settled); /* the combinations take them */
    say_when(leat_all(self.loop, twice, 2), "all");
    say_when(leat_race(self.loop, twice, 1), "race");
    say_when(leat_all_settled(self.loop, twice, 1), "settled");
    say_when(leat_any(self.loop, twice, 1), "any");
    say_when(leat_then(settled, adopt, NULL, settled), "adopt");
    say_when(leat_finally(settled, nothing, NULL), "finally");
    leat_future_unref(settled);
}

static struct leat_future *lost[3];
static const char *const reasons[] = {"late", "tick", "job"};

static void reason_say(const char *head, const struct leat_result *result)
{
    char text[64];
    snprintf(text, sizeof(text), "%s%s", head, leat_result_sentence(result));
    say(text);
}

static void unhandled_say(void *arg, struct leat_future *future)
{
    reason_say("unhandled-", leat_future_result(future));
}

static void handled_say(void *arg, struct leat_future *future)
{
    say("handled");
}

static void caught_say(void *arg, const struct leat_result *result)
{
    reason_say("caught-", result);
}

static void lost_catch(void *arg)
{
    struct leat_future **future = arg;
    if (future == &lost[0])
        say("immediate");
    leat_on_settled(*future, caught_say, NULL);
    leat_future_unref(*future);
}

static void promise_unhandled(void)
{
    leat_loop_on_unhandled(self.loop, unhandled_say, NULL);
    leat_loop_on_rejection_handled(self.loop, handled_say, NULL);
    for (int i = 0; i < 3; i++)
        lost[i] = leat_settled(self.loop, leat_failure(-EIO, "%s", reasons[i]));
    leat_next_tick(self.loop, lost_catch, &lost[1]);
    leat_queue_microtask(self.loop, lost_catch, &lost[2]);
    leat_set_immediate(self.loop, lost_catch, &lost[0]);
}

#define SCENARIO(name)                                                                             \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct {
    const char *name;
    void (*start)(void);
} scenarios[] = {
    SCENARIO(tick_before_job),
    SCENARIO(microtasks_nested),
    SCENARIO(microtasks_between_timers),
    SCENARIO(microtasks_between_immediates),
    SCENARIO(microtasks_before_immediates_and_timers),
    SCENARIO(tick_chain),
    SCENARIO(immediate_before_timer_in_io),
    SCENARIO(immediate_in_immediate),
    SCENARIO(immediate_cleared),
    SCENARIO(timers_by_deadline),
    SCENARIO(timers_equal_and_refreshed),
    SCENARIO(timer_cleared_by_timer),
    SCENARIO(timer_starts_timer),
    SCENARIO(interval_and_timer),
    SCENARIO(refresh_in_own_callback),
    SCENARIO(unref_does_not_keep_alive),
    SCENARIO(unref_fires_while_alive),
    SCENARIO(close_after_check_before_timers),
    SCENARIO(promise_rounds),
    SCENARIO(promise_unhandled),
};

int main(int argc, char **argv)
{
    self.space = "";
    self.loop = leat_loop_new(NULL, NULL);
    for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (strcmp(scenarios[i].name, argv[1]) != 0)
            continue;
        scenarios[i].start();
        int code = leat_loop_run(self.loop);
        printf("\n");
        leat_loop_free(self.loop);
        return code;
    }
    fprintf(stderr, "usage: node-scenarios NAME\n");
    return 2;
}

/* Tasks that are wrong, or whose program is: each ends a child process, and what that says is read.
 * Overflows by recursion, by a large array and by alloca; awaits where none may be. */
#include "test/unit/task_world.h"

#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <leat_config.h>
#include <leat/emitter.h>
#include <leat/group.h>
#include <leat/stream.h>

#include "runtime/base/crash.h"

static char report[65536];

/* ---- a child that ends ---- */

static void child_run(void (*play)(void), int fd)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(60);
    dup2(fd, STDERR_FILENO);
    if (leat_crash_install() == 0) {
        leat_crash_stack_new();
        world_begin();
        play();
        (void)leat_loop_run(world.loop);
        world_end();
    }
    _exit(0);
}

/* Returns the wait status; what it wrote to standard error is in report. */
static int child_of(void (*play)(void))
{
    int fds[2], status = 0;
    size_t used = 0;
    ssize_t n;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child_run(play, fds[1]);
    }
    close(fds[1]);
    while ((n = read(fds[0], report + used, sizeof(report) - 1 - used)) > 0)
        used += (size_t)n;
    report[used] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_said(const char *text)
{
    if (strstr(report, text) == NULL)
        print_message("missing \"%s\" in:\n%s", text, report);
    assert_non_null(strstr(report, text));
}

static void assert_died(int status, int signal_number)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != signal_number)
        print_message("status %x, report:\n%s", (unsigned)status, report);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal_number);
}

/* ---- overflows ---- */

static __attribute__((noinline)) unsigned recurse(unsigned depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    return depth == UINT32_MAX ? 0 : recurse(depth + 1) + (unsigned)page[0];
}

static struct leat_result overflow_by_recursion(void *arg)
{
    return leat_number(recurse(0));
}

static __attribute__((noinline)) void touch(volatile char *at)
{
    *at = 1;
}

/* From its end, as a function does that has called another: the guard must be hit, not jumped. */
static struct leat_result overflow_by_array(void *arg)
{
    char array[1 << 20];
    for (size_t at = sizeof(array); at > 0; at -= 4096)
        touch(array + at - 1);
    return leat_nothing();
}

static struct leat_result overflow_by_alloca(void *arg)
{
    for (unsigned i = 0; i < 1000; i++)
        touch(alloca(2000));
    return leat_nothing();
}

static __attribute__((noinline)) void start_named(leat_task_fn *fn, size_t stack_bytes)
{
    struct leat_task_options options = {.name = "glutton", .stack_bytes = stack_bytes};
    leat_future_unref(leat_task_start_with(world.loop, &options, fn, NULL, 0));
}

static void play_recursion(void)
{
    start_named(overflow_by_recursion, 0);
}

static void play_recursion_big(void)
{
    start_named(overflow_by_recursion, LEAT_TASK_STACK_BYTES_BIG);
}

static void play_array(void)
{
    start_named(overflow_by_array, 0);
}

static void play_alloca(void)
{
    start_named(overflow_by_alloca, 0);
}

static void assert_overflow(void (*play)(void), const char *size, const char *remedy)
{
#if FIBER_ASAN || FIBER_TSAN
    (void)play; /* the sanitizer's own handler would report it, if at all */
    print_message("skip: a sanitizer handles faults\n");
    skip();
#endif
    assert_died(child_of(play), SIGSEGV);
    assert_said("leat: SIGSEGV at address");
    assert_said("leat: in the task \"glutton\", which was started at 0x");
    assert_said("leat: the stack of this task is full: its ");
    assert_said(size);
    assert_said(remedy);
#if LEAT_HAVE_LIBDW
    assert_said("start_named");
#endif
}

static void an_overflow_by_recursion_names_the_task(void **state)
{
    assert_overflow(play_recursion, " 128 KiB ", ".stack_bytes = LEAT_TASK_STACK_BYTES_BIG");
    assert_overflow(play_recursion_big, " 1024 KiB ", "there are no larger ones");
}

static void an_overflow_by_an_array_names_the_task(void **state)
{
    assert_overflow(play_array, " 128 KiB ", "large arrays on the heap");
}

static void an_overflow_by_alloca_names_the_task(void **state)
{
    assert_overflow(play_alloca, " 128 KiB ", "large arrays on the heap");
}

/* ---- a stack that is large enough ---- */

static __attribute__((noinline)) unsigned depth_use(unsigned bytes_left)
{
    volatile char some[1024];
    some[0] = 1;
    return bytes_left < sizeof(some) + 512 ? 1
                                           : depth_use(bytes_left - 1024 - 128) + (unsigned)some[0];
}

static struct leat_result use_most(void *bytes)
{
    (void)depth_use(*(unsigned *)bytes);
    say("used");
    return leat_nothing();
}

static void most_of_a_stack_may_be_used(void **state)
{
    unsigned plain = LEAT_TASK_STACK_BYTES / 4 * 3, big = LEAT_TASK_STACK_BYTES_BIG / 4 * 3;
    start(use_most, &plain, sizeof(plain));
    leat_future_unref(
        leat_task_start_with(world.loop,
                             &(struct leat_task_options){.stack_bytes = LEAT_TASK_STACK_BYTES_BIG},
                             use_most, &big, sizeof(big)));
    world_run();
    assert_string_equal(world.said, "used used ");
}

/* ---- awaits where none may be ---- */

static void await_no_task(void)
{
    struct leat_result result = leat_await(leat_delay(world.loop, 1));
    leat_result_drop(&result);
}

static LEAT_EVENT(rung);

static void await_listener(void *arg, const struct leat_result *result)
{
    await_no_task();
}

static struct leat_result await_within(void *arg)
{
    struct leat_emitter emitter = {NULL};
    const char *inner = await_forbid("something else");
    await_allow(inner);
    (void)!leat_on(&emitter, &rung, await_listener, NULL);
    (void)leat_emit(&emitter, &rung, NULL);
    leat_emitter_fini(&emitter);
    return leat_nothing();
}

static void play_await_within(void)
{
    leat_future_unref(leat_task_start_with(world.loop,
                                           &(struct leat_task_options){.name = "listener"},
                                           await_within, NULL, 0));
}

/* Each function of a stream's class, called from a task, awaits when its turn has come. */
static const char *awaiting_name;

static void await_as(const char *name)
{
    if (strcmp(name, awaiting_name) == 0)
        await_no_task();
}

static void awaiting_read(struct leat_stream *stream, unsigned takes)
{
    await_as("read");
    leat_push_end(stream);
}

static void awaiting_write(struct leat_stream *stream, const struct leat_chunk *chunks,
                           unsigned count)
{
    await_as("write");
    leat_stream_wrote(stream, leat_nothing());
}

static void awaiting_final(struct leat_stream *stream)
{
    await_as("final");
    leat_stream_wrote(stream, leat_nothing());
}

static void awaiting_destroy(struct leat_stream *stream)
{
    await_as("destroy");
    leat_stream_destroyed(stream, leat_nothing());
}

static struct leat_result await_in_stream(void *arg)
{
    static const struct leat_stream_class of = {.name = "awaiting",
                                                .length_bytes = sizeof(struct leat_stream),
                                                .gives = LEAT_CHUNK_BYTES,
                                                .takes = LEAT_CHUNK_BYTES,
                                                .read = awaiting_read,
                                                .write = awaiting_write,
                                                .final = awaiting_final,
                                                .destroy = awaiting_destroy};
    struct leat_stream *stream = leat_stream_new(world.loop, &of, NULL);
    struct leat_chunk chunk;
    CHECK(!leat_read(stream, &chunk));
    CHECK(leat_write_bytes(stream, "a", 1) == 0);
    /* Between and behind them a task may. */
    struct leat_result result = leat_await(leat_settled(world.loop, leat_nothing()));
    leat_stream_end(stream);
    leat_stream_destroy(stream, leat_nothing());
    leat_stream_unref(stream);
    return result;
}

static void play_await_in_stream(void)
{
    leat_future_unref(leat_task_start(world.loop, await_in_stream, NULL, 0));
}

static void wait_no_task(void)
{
    (void)!leat_group_wait(leat_group_new(world.loop), 0);
}

static void yield_no_task(void)
{
    (void)leat_task_yield();
}

static void an_await_outside_of_a_task_is_an_error(void **state)
{
    assert_died(child_of(await_no_task), SIGABRT);
    assert_said("leat_await: check failed: no task runs here");
    assert_died(child_of(yield_no_task), SIGABRT);
    assert_said("leat_task_yield: check failed: no task runs here");
    assert_died(child_of(wait_no_task), SIGABRT);
    assert_said("leat_group_wait: check failed: no task runs here");
}

static void an_await_in_a_listener_is_an_error(void **state)
{
    assert_died(child_of(play_await_within), SIGABRT);
    assert_said("a listener of an emitter may not wait");
    assert_said("leat: in the task \"listener\", which was started at 0x");
}

static void an_await_in_a_function_of_a_stream_is_an_error(void **state)
{
    static const char *const names[] = {"read", "write", "final", "destroy"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        awaiting_name = names[i];
        assert_died(child_of(play_await_in_stream), SIGABRT);
        assert_said("a function of a stream's class may not wait");
    }
    awaiting_name = "none";
    assert_int_equal(child_of(play_await_in_stream), 0);
}

/* ---- other errors ---- */

static struct leat_result await_for_ever(void *arg)
{
    for (uint64_t i = 0; i < UINT64_MAX; i++) {
        struct leat_result result = leat_await(leat_settled(world.loop, leat_nothing()));
        leat_result_drop(&result);
    }
    return leat_nothing();
}

static void play_never_ending(void)
{
    struct leat_future *future = leat_task_start(world.loop, await_for_ever, NULL, 0);
    leat_future_cancel(future);
    leat_future_unref(future);
}

static void one_that_is_cancelled_and_does_not_end_is_an_error(void **state)
{
    assert_died(child_of(play_never_ending), SIGABRT);
    assert_said("a task that was cancelled does not end");
    assert_said("leat: in the task \"\"");
}

static struct leat_result forget_to_unshield(void *arg)
{
    leat_task_shield();
    return leat_nothing();
}

static void play_forgotten(void)
{
    leat_future_unref(leat_task_start(world.loop, forget_to_unshield, NULL, 0));
}

static void a_shield_that_is_not_lifted_is_an_error(void **state)
{
    assert_died(child_of(play_forgotten), SIGABRT);
    assert_said("shield_depth == 0");
}

static struct leat_result change_rounding(void *future)
{
#if defined(__SSE__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x6000); /* towards zero */
#endif
    struct leat_result result = leat_await(leat_delay(world.loop, 1));
    return result;
}

static void play_rounding(void)
{
    leat_future_unref(leat_task_start(world.loop, change_rounding, NULL, 0));
}

/* Debug builds check it; others have nothing to say of it. */
static void another_rounding_mode_across_an_await_is_an_error(void **state)
{
    int status = child_of(play_rounding);
#if LEAT_DCHECK_ON && defined(__SSE__)
    assert_died(status, SIGABRT);
    assert_said("rounding");
#else
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

/* ---- what is said of tasks that are well ---- */

static struct leat_result wait_here(void *future)
{
    return leat_await(future);
}

static struct leat_result dump_from_within(void *arg)
{
    leat_loop_dump_tasks(world.loop, STDERR_FILENO);
    return leat_nothing();
}

static void play_dump(void)
{
    struct leat_future *never = leat_future_new(world.loop, NULL);
    leat_future_unref(leat_task_start_with(world.loop,
                                           &(struct leat_task_options){.name = "parked"}, wait_here,
                                           leat_future_ref(never), 0));
    (void)leat_loop_turn(world.loop, 0);
    leat_loop_dump_tasks(world.loop, STDERR_FILENO);
    leat_future_unref(leat_task_start(world.loop, dump_from_within, NULL, 0));
    (void)leat_loop_turn(world.loop, 0);
    leat_settle(never, leat_nothing());
    leat_future_unref(never);
}

static struct leat_result await_settled(void *arg)
{
    struct leat_future *settled = leat_settled(world.loop, leat_nothing());
    for (unsigned i = 0; i < *(unsigned *)arg; i++) {
        struct leat_result result = leat_await(leat_future_ref(settled));
        leat_result_drop(&result);
    }
    leat_future_unref(settled);
    return leat_nothing();
}

static void play_storm(void)
{
    static unsigned await_count = 150000;
    leat_future_unref(leat_task_start_with(world.loop,
                                           &(struct leat_task_options){.name = "greedy"},
                                           await_settled, &await_count, 0));
}

static void who_keeps_the_loop_from_io_is_named(void **state)
{
    int status = child_of(play_storm);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_said(
        "100000 microtasks in a row keep the loop from I/O, the last of them of greedy, a ");
    assert_said("use leat_task_yield to let I/O in between");
}

static struct leat_result wait_for_ever(void *arg)
{
    return leat_await(leat_delay(world.loop, 1000 * LEAT_NS_PER_S));
}

static void play_end(void)
{
    leat_future_unref(leat_task_start(world.loop, wait_for_ever, NULL, 0));
    (void)leat_loop_turn(world.loop, 0);
    tasks_stop(world.loop);
}

static void what_the_loops_end_cancels_has_not_failed(void **state)
{
    int status = child_of(play_end);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_null(strstr(report, "nobody handles"));
}

static void a_dump_shows_where_each_waits(void **state)
{
    int status = child_of(play_dump);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_said("leat: parked, a task of");
    assert_said("awaits future of");
    assert_said("runs");
#if LEAT_HAVE_LIBDW
    const char *first = strstr(report, "wait_here (");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "wait_here ("));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overflow_by_recursion_names_the_task),
        cmocka_unit_test(an_overflow_by_an_array_names_the_task),
        cmocka_unit_test(an_overflow_by_alloca_names_the_task),
        WORLD_TEST(most_of_a_stack_may_be_used),
        cmocka_unit_test(an_await_outside_of_a_task_is_an_error),
        cmocka_unit_test(an_await_in_a_listener_is_an_error),
        cmocka_unit_test(an_await_in_a_function_of_a_stream_is_an_error),
        cmocka_unit_test(one_that_is_cancelled_and_does_not_end_is_an_error),
        cmocka_unit_test(a_shield_that_is_not_lifted_is_an_error),
        cmocka_unit_test(another_rounding_mode_across_an_await_is_an_error),
        cmocka_unit_test(who_keeps_the_loop_from_io_is_named),
        cmocka_unit_test(what_the_loops_end_cancels_has_not_failed),
        cmocka_unit_test(a_dump_shows_where_each_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

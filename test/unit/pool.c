/* The pool of threads: lanes and their limits, cores in turn, full queues, cancelling before and
 * during, loops that end with jobs under way, threads that come and go, memory that is out. */
#include "runtime/os/pool_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leat/task.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buffers/heap.h"

static struct leat_loop *loop;
static sem_t gate;          /* jobs wait here */
static _Atomic int running; /* jobs that do, */
static _Atomic int running_most;
static _Atomic int begun;
static unsigned dropped, heard;
static char said[256];

#define TEXT(string) ((void *)(uintptr_t)(string))

static int setup(void **state)
{
    unsetenv("LEAT_THREADPOOL_SIZE");
    sem_init(&gate, 0, 0);
    running = running_most = begun = 0;
    dropped = heard = 0;
    said[0] = '\0';
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL;
}

static int teardown(void **state)
{
    leat_loop_free(loop);
    sem_destroy(&gate);
    unsetenv("LEAT_THREADPOOL_SIZE");
    return 0;
}

/* Of the pool, by their name: a sanitizer has threads of its own. */
static unsigned threads_count(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        count += fgets(name, sizeof(name), file) != NULL && strcmp(name, "leat-pool\n") == 0;
        fclose(file);
    }
    closedir(dir);
    return count;
}

static void done_hear(void *arg, const struct leat_result *result)
{
    heard++;
    if (arg != NULL)
        *(struct leat_result *)arg = (struct leat_result){.code = result->code,
                                                          .kind = result->kind,
                                                          .number = result->number};
}

static void done_say(void *arg, const struct leat_result *result)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof(said) - length, "%s:%d ", (char *)arg, result->code);
}

static void run(void)
{
    assert_int_equal(leat_loop_run(loop), 0);
}

/* Until count jobs have begun; the test's own limit of time ends it otherwise. */
static void wait_begun(int count)
{
    while (atomic_load(&begun) < count)
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
}

static struct leat_result job_count(void *arg)
{
    assert_null(leat_core_now);
    atomic_fetch_add(&begun, 1);
    return leat_number((intptr_t)arg);
}

static struct leat_result job_wait(void *arg)
{
    int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&running_most);
    while (now > most && !atomic_compare_exchange_weak(&running_most, &most, now))
        ;
    atomic_fetch_add(&begun, 1);
    sem_wait(&gate);
    atomic_fetch_sub(&running, 1);
    return leat_number(1);
}

static void open_gate(unsigned count)
{
    while (count-- > 0)
        sem_post(&gate);
}

static void settles_with_what_was_returned(void **state)
{
    struct leat_result result = {0};
    unsigned before = threads_count();
    struct leat_future *future = leat_pool_run(loop, LEAT_LANE_USER, job_count, (void *)7);
    assert_null(leat_future_result(future));
    leat_call(future, done_hear, &result);
    run();
    assert_int_equal(result.number, 7);
    assert_true(threads_count() > before);
    leat_loop_free(loop);
    assert_int_equal(threads_count(), before);
    loop = leat_loop_new(NULL, NULL);
}

static struct leat_result job_fail(void *arg)
{
    return leat_failure(-EDOM, "it is %s", (const char *)arg);
}

static void settles_with_a_failure(void **state)
{
    struct leat_future *future = leat_pool_run(loop, LEAT_LANE_CPU, job_fail, TEXT("odd"));
    leat_future_ignore(future);
    run();
    assert_int_equal(leat_future_result(future)->code, -EDOM);
    assert_string_equal(leat_result_sentence(leat_future_result(future)), "it is odd");
    leat_future_unref(future);
}

static void refuses_what_cannot_be(void **state)
{
    struct leat_future *future = leat_pool_run(loop, (enum leat_lane)4, job_count, NULL);
    assert_int_equal(leat_future_result(future)->code, -EINVAL);
    leat_future_ignore(future);
    leat_future_unref(future);
    const char *wrong[] = {"0", "1025", "four", "-1", "4x"};
    for (size_t i = 0; i < 5; i++) {
        setenv("LEAT_THREADPOOL_SIZE", wrong[i], 1);
        future = leat_pool_run(loop, LEAT_LANE_FS, job_count, NULL);
        assert_int_equal(leat_future_result(future)->code, -EINVAL);
        assert_non_null(strstr(leat_result_sentence(leat_future_result(future)), wrong[i]));
        leat_future_ignore(future);
        leat_future_unref(future);
    }
    setenv("LEAT_THREADPOOL_SIZE", "1024", 1); /* and then it works */
    leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_count, NULL), done_hear, NULL);
    run();
    assert_int_equal(heard, 1);
}

/* ---- lanes ---- */

static void lane_gets(enum leat_lane lane, int count)
{
    for (int i = 0; i < 8; i++)
        leat_call(leat_pool_run(loop, lane, job_wait, NULL), done_hear, NULL);
    wait_begun(count);
    struct leat_result result = {0};
    leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_count, (void *)9), done_hear, &result);
    while (result.number != 9) /* a file is served though the lane has all it may */
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
    assert_int_equal(atomic_load(&running), count);
    open_gate(8);
    run();
    assert_int_equal(heard, 9);
    assert_int_equal(atomic_load(&running_most), count);
}

static void dns_gets_half(void **state)
{
    lane_gets(LEAT_LANE_DNS, 2);
}

static void user_leaves_one_thread(void **state)
{
    lane_gets(LEAT_LANE_USER, 3);
}

static void files_get_all(void **state)
{
    for (int i = 0; i < 8; i++)
        leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_wait, NULL), done_hear, NULL);
    wait_begun(4);
    open_gate(8);
    run();
    assert_int_equal(atomic_load(&running_most), 4);
}

/* The lanes that share all but one thread. */
static void slow_lanes_together_leave_one(void **state)
{
    for (int i = 0; i < 4; i++) {
        leat_call(leat_pool_run(loop, LEAT_LANE_DNS, job_wait, NULL), done_hear, NULL);
        leat_call(leat_pool_run(loop, LEAT_LANE_CPU, job_wait, NULL), done_hear, NULL);
        leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_wait, NULL), done_hear, NULL);
    }
    wait_begun(3);
    open_gate(12);
    run();
    assert_int_equal(heard, 12);
    assert_true(atomic_load(&running_most) <= 3);
}

static void with_one_thread_files_come_first(void **state)
{
    setenv("LEAT_THREADPOOL_SIZE", "1", 1);
    leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_wait, NULL), done_say, TEXT("first"));
    wait_begun(1);
    leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL), done_say, TEXT("user"));
    leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_count, NULL), done_say, TEXT("fs"));
    (void)leat_loop_turn(loop, 0);
    open_gate(1);
    run();
    assert_string_equal(said, "first:0 fs:0 user:0 ");
}

static void a_full_queue_refuses(void **state)
{
    setenv("LEAT_THREADPOOL_SIZE", "1", 1);
    leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_wait, NULL), done_hear, NULL);
    wait_begun(1);
    for (int i = 0; i < LEAT_POOL_JOBS_MAX; i++)
        leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL), done_hear, NULL);
    struct leat_future *future = leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL);
    assert_int_equal(leat_future_result(future)->code, -EAGAIN);
    assert_non_null(strstr(leat_result_sentence(leat_future_result(future)), "user"));
    leat_future_ignore(future);
    leat_future_unref(future);
    leat_call(leat_pool_run(loop, LEAT_LANE_CPU, job_count, NULL), done_hear, NULL); /* has room */
    open_gate(1);
    run();
    assert_int_equal(heard, 1 + LEAT_POOL_JOBS_MAX + 1);
}

/* ---- in line ---- */

static struct leat_future *run_in_line(leat_pool_fn *fn, const char *text)
{
    op_line_begin(loop);
    struct leat_future *future = leat_pool_run(loop, LEAT_LANE_USER, fn, NULL);
    op_line_end(loop);
    assert_null(leat_future_result(future)); /* not refused */
    leat_on_settled(future, done_say, TEXT(text));
    return future;
}

static void lane_fill(void)
{
    setenv("LEAT_THREADPOOL_SIZE", "1", 1);
    leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_wait, NULL), done_hear, NULL);
    wait_begun(1);
    for (int i = 0; i < LEAT_POOL_JOBS_MAX; i++)
        leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL), done_hear, NULL);
}

static void who_is_in_line_is_not_refused(void **state)
{
    static const char *const names[] = {"a", "b", "cancelled", "c"};
    struct leat_future *futures[4];
    lane_fill();
    for (int i = 0; i < 4; i++)
        futures[i] = run_in_line(job_count, names[i]);
    struct leat_future *other = leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL);
    assert_int_equal(leat_future_result(other)->code, -EAGAIN); /* nobody passes them */
    leat_future_ignore(other);
    leat_future_unref(other);
    leat_future_cancel(futures[2]);
    open_gate(1);
    run();
    assert_string_equal(said, "cancelled:-125 a:0 b:0 c:0 ");
    assert_int_equal(heard, 1 + LEAT_POOL_JOBS_MAX);
    assert_int_equal(atomic_load(&begun), 1 + LEAT_POOL_JOBS_MAX + 3);
    for (int i = 0; i < 4; i++)
        leat_future_unref(futures[i]);
}

static void the_line_ends_with_its_loop(void **state)
{
    lane_fill();
    struct leat_future *first = run_in_line(job_count, "first");
    struct leat_future *cancelled = run_in_line(job_count, "cancelled");
    leat_future_cancel(cancelled);
    leat_future_unref(first);
    leat_future_unref(cancelled);
    open_gate(1);
    leat_loop_free(loop);
    loop = leat_loop_new(NULL, NULL);
    assert_string_equal(said, "cancelled:-125 first:-125 ");
    assert_int_equal(heard, 1 + LEAT_POOL_JOBS_MAX);
}

/* ---- cancelling ---- */

static void a_job_not_begun_never_does(void **state)
{
    setenv("LEAT_THREADPOOL_SIZE", "1", 1);
    leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_wait, NULL), done_say, TEXT("first"));
    wait_begun(1);
    struct leat_future *future = leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL);
    leat_on_settled(future, done_say, TEXT("cancelled"));
    leat_future_cancel(future);
    leat_future_cancel(future);
    assert_int_equal(leat_future_result(future)->code, -ECANCELED);
    leat_future_unref(future);
    (void)leat_loop_turn(loop, 0);
    assert_string_equal(said, "cancelled:-125 ");
    open_gate(1);
    run();
    assert_int_equal(atomic_load(&begun), 1);
}

static void pointer_drop(void *pointer)
{
    dropped++;
}

static struct leat_result job_point(void *arg)
{
    (void)job_wait(arg);
    return leat_pointer(&dropped, LEAT_KIND_USER, pointer_drop);
}

static void the_result_of_a_cancelled_job_is_dropped(void **state)
{
    struct leat_future *future = leat_pool_run(loop, LEAT_LANE_USER, job_point, NULL);
    leat_call(leat_future_ref(future), done_say, TEXT("job"));
    wait_begun(1);
    leat_future_cancel(future);
    leat_future_unref(future);
    (void)leat_loop_turn(loop, 0);
    assert_string_equal(said, "job:-125 "); /* at once, though it runs */
    assert_true(leat_loop_is_alive(loop));
    assert_int_equal(dropped, 0);
    open_gate(1);
    run();
    assert_int_equal(dropped, 1);
    assert_int_equal(leat_core_now->pool->dropped_count, 1);
}

/* ---- ends ---- */

static _Atomic bool is_freeing;

static struct pool_queue *left; /* whose jobs are passed over by then */

/* A job that began when another one ends would not be passed over. */
static void *gate_open_later(void *arg)
{
    while (!atomic_load(&is_freeing))
        sched_yield();
    while (atomic_load(&left->ring.head) != atomic_load(&left->ring.tail))
        sched_yield();
    open_gate(4);
    return NULL;
}

static void a_loop_ends_with_jobs_under_way(void **state)
{
    pthread_t thread;
    unsigned before = threads_count();
    is_freeing = false;
    assert_int_equal(pthread_create(&thread, NULL, gate_open_later, NULL), 0);
    for (int i = 0; i < 20; i++)
        leat_call(leat_pool_run(loop, LEAT_LANE_FS, i % 2 == 0 ? job_wait : job_point, NULL),
                  done_hear, NULL);
    wait_begun(4);
    left = leat_core_now->pool->queues[LEAT_LANE_FS];
    atomic_store(&is_freeing, true);
    leat_loop_free(loop);
    pthread_join(thread, NULL);
    assert_int_equal(threads_count(), before);
    assert_int_equal(atomic_load(&begun), 4);
    assert_int_equal(heard, 20); /* each, of its result or of the end */
    assert_true(dropped <= 4);
    loop = leat_loop_new(NULL, NULL);
}

static struct leat_result job_again(void *arg)
{
    return leat_failure(-EIO, "gone wrong");
}

static void done_ask_again(void *arg, const struct leat_result *result)
{
    heard++;
    leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_again, NULL), done_say, TEXT("again"));
}

/* Before a transport ends: each is told, and so is what was begun because of that. */
static void settling_tells_all(void **state)
{
    pthread_t thread;
    is_freeing = false;
    assert_int_equal(pthread_create(&thread, NULL, gate_open_later, NULL), 0);
    leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_wait, NULL), done_ask_again, NULL);
    wait_begun(1);
    for (int i = 0; i < 3; i++)
        leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_wait, NULL), done_hear, NULL);
    wait_begun(4);
    leat_call(leat_pool_run(loop, LEAT_LANE_FS, job_wait, NULL), done_hear, NULL); /* waits */
    left = leat_core_now->pool->queues[LEAT_LANE_FS];
    atomic_store(&is_freeing, true);
    pool_settle(loop);
    pthread_join(thread, NULL);
    assert_int_equal(heard, 5);
    assert_int_equal(strncmp(said, "again:", strlen("again:")), 0); /* run, or passed over */
    assert_false(leat_loop_is_alive(loop));
    pool_settle(loop); /* nothing is open */
}

static struct leat_result then_add(void *arg, const struct leat_result *result)
{
    return leat_number(leat_result_number(result) + 1);
}

/* What a callback begins in the end is refused at once. */
static void done_begin(void *arg, const struct leat_result *result)
{
    done_say(arg, result);
    leat_call(leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL), done_say, TEXT("late"));
}

static struct leat_result task_wait(void *arg)
{
    struct leat_result result = leat_await(leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL));
    done_say(TEXT("task"), &result);
    leat_result_drop(&result);
    return leat_nothing();
}

static void say_both(void)
{
    struct leat_future *runs = leat_pool_run(loop, LEAT_LANE_USER, job_wait, NULL);
    struct leat_future *waits = leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL);
    struct leat_future *both[] = {leat_future_ref(runs), leat_future_ref(waits)};
    struct leat_future *all = leat_all_settled(loop, both, 2);
    struct leat_future *then = leat_then(waits, then_add, NULL, NULL);
    leat_on_settled(runs, done_say, TEXT("runs"));
    leat_on_settled(all, done_say, TEXT("all"));
    leat_on_settled(then, done_say, TEXT("then"));
    leat_future_unref(leat_then(runs, then_add, NULL, NULL));
    leat_future_unref(all);
    leat_future_unref(then);
    leat_future_unref(runs);
    leat_call(waits, done_begin, TEXT("called"));
}

static unsigned times_said(const char *what)
{
    unsigned count = 0;
    for (const char *at = said; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* Before and after there are tasks: the youngest part of a loop ends first. */
static void whoever_waits_is_told_of_the_end(void **state)
{
    for (unsigned task_comes = 0; task_comes < 2; task_comes++) {
        pthread_t thread;
        char log[4096] = "";
        setenv("LEAT_THREADPOOL_SIZE", "1", 1);
        said[0] = '\0';
        is_freeing = false;
        begun = 0;
        int fd = memfd_create("log", MFD_CLOEXEC), error_fd = dup(STDERR_FILENO);
        assert_int_equal(pthread_create(&thread, NULL, gate_open_later, NULL), 0);
        if (task_comes == 0)
            leat_future_unref(leat_task_start(loop, task_wait, NULL, 0));
        say_both();
        if (task_comes == 1)
            leat_future_unref(leat_task_start(loop, task_wait, NULL, 0));
        wait_begun(1);
        assert_true(dup2(fd, STDERR_FILENO) >= 0);
        left = leat_core_now->pool->queues[LEAT_LANE_USER];
        atomic_store(&is_freeing, true);
        leat_loop_free(loop);
        assert_true(dup2(error_fd, STDERR_FILENO) >= 0);
        assert_true(pread(fd, log, sizeof(log) - 1, 0) >= 0);
        close(fd);
        close(error_fd);
        pthread_join(thread, NULL);
        while (sem_trywait(&gate) == 0)
            ;
        loop = leat_loop_new(NULL, NULL);
        static const char *const each[] = {"runs:0 ",      "all:0 ",     "then:-125 ",
                                           "called:-125 ", "late:-125 ", "task:-125 "};
        for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++)
            if (times_said(each[i]) != 1)
                fail_msg("\"%s\", not once %s", said, each[i]);
        if (strstr(log, "never") != NULL || strstr(log, "nobody handles") != NULL)
            fail_msg("the log says: %s", log);
    }
}

static void a_consumer_may_have_gone(void **state)
{
    leat_future_unref(leat_pool_run(loop, LEAT_LANE_FS, job_count, NULL));
    run();
    assert_int_equal(atomic_load(&begun), 1);
}

/* ---- cores ---- */

struct pair {
    struct leat_mesh *mesh;
    struct leat_loop *loops[2];
    struct leat_core *cores[2];
};

static void pair_new(struct pair *pair)
{
    pair->mesh = leat_mesh_new(2, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        const struct leat_loop_options options = {.index = i, .mesh = pair->mesh};
        pair->loops[i] = leat_loop_new(&options, NULL);
        pair->cores[i] = leat_core_now;
    }
}

static void pair_free(struct pair *pair)
{
    for (uint32_t i = 0; i < 2; i++) {
        leat_core_now = pair->cores[i];
        leat_loop_free(pair->loops[i]);
    }
    leat_mesh_free(pair->mesh);
}

static void cores_are_served_in_turn(void **state)
{
    struct pair pair;
    struct leat_core *outer = leat_core_now;
    setenv("LEAT_THREADPOOL_SIZE", "1", 1);
    pair_new(&pair);
    leat_core_now = pair.cores[0];
    for (int i = 0; i < 1000; i++)
        leat_call(leat_pool_run(pair.loops[0], LEAT_LANE_FS, i == 0 ? job_wait : job_count, NULL),
                  done_hear, NULL);
    while (atomic_load(&begun) < 1)
        (void)leat_loop_turn(pair.loops[0], LEAT_NS_PER_MS);
    leat_core_now = pair.cores[1];
    struct leat_future *other = leat_pool_run(pair.loops[1], LEAT_LANE_FS, job_wait, NULL);
    leat_call(other, done_hear, NULL);
    (void)leat_loop_turn(pair.loops[1], 0);
    open_gate(1); /* one of the first core's ends; the second core's is among the next two */
    while (atomic_load(&running) < 1 || atomic_load(&begun) < 2)
        sched_yield();
    assert_true(atomic_load(&begun) <= 3);
    open_gate(1);
    assert_int_equal(leat_loop_run(pair.loops[1]), 0);
    leat_core_now = pair.cores[0];
    assert_int_equal(leat_loop_run(pair.loops[0]), 0);
    assert_int_equal(heard, 1001);
    pair_free(&pair);
    leat_core_now = outer;
}

static void done_count(void *arg, const struct leat_result *result)
{
    (*(unsigned *)arg)++;
}

static void *core_work(void *arg)
{
    struct leat_loop *own = leat_loop_new(arg, NULL);
    unsigned own_heard = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++)
            leat_call(leat_pool_run(own, (enum leat_lane)(i % 4), job_count, NULL), done_count,
                      &own_heard);
        leat_loop_run(own);
    }
    leat_loop_free(own);
    return own_heard == 1000 ? arg : NULL;
}

/* The pool comes and goes with those that use it. */
static void cores_share_the_pool(void **state)
{
    struct leat_mesh *mesh = leat_mesh_new(3, NULL);
    struct leat_loop_options options[3];
    pthread_t threads[3];
    unsigned before = threads_count();
    for (uint32_t i = 0; i < 3; i++) {
        options[i] = (struct leat_loop_options){.index = i, .mesh = mesh};
        assert_int_equal(pthread_create(&threads[i], NULL, core_work, &options[i]), 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        void *worked = NULL;
        pthread_join(threads[i], &worked);
        assert_ptr_equal(worked, &options[i]);
    }
    leat_mesh_free(mesh);
    assert_int_equal(threads_count(), before);
    assert_int_equal(atomic_load(&begun), 3000);
}

/* ---- where they run ---- */

static struct leat_result job_where(void *arg)
{
    cpu_set_t *cpus = arg;
    sched_getaffinity(0, sizeof(*cpus), cpus);
    return leat_nothing();
}

static void *pinned_main(void *arg)
{
    cpu_set_t *cpus = arg, one;
    int cpu = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    struct leat_loop *own = leat_loop_new(NULL, NULL);
    leat_future_unref(leat_pool_run(own, LEAT_LANE_USER, job_where, cpus));
    leat_loop_run(own);
    leat_loop_free(own);
    return (void *)(intptr_t)cpu;
}

static void threads_leave_the_loops_cpu_alone(void **state)
{
    cpu_set_t before, cpus;
    pthread_t thread;
    void *cpu;
    sched_getaffinity(0, sizeof(before), &before);
    assert_int_equal(pthread_create(&thread, NULL, pinned_main, &cpus), 0);
    pthread_join(thread, &cpu);
    if (CPU_COUNT(&before) > 1) {
        assert_false(CPU_ISSET((size_t)(intptr_t)cpu, &cpus));
        assert_int_equal(CPU_COUNT(&cpus), CPU_COUNT(&before) - 1);
    } else {
        assert_true(CPU_EQUAL(&before, &cpus)); /* none is left: on all */
    }
}

/* ---- memory that is out ---- */

static void every_allocation_fails_once(void **state)
{
    unsigned failed = 0;
    for (uint64_t nth = 1;; nth++) {
        struct leat_heap_stats stats;
        leat_heap_fail_at(leat_core_now, nth);
        struct leat_future *future = leat_pool_run(loop, LEAT_LANE_USER, job_count, NULL);
        leat_future_ignore(future);
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &stats);
        run();
        int code = leat_future_result(future)->code;
        leat_future_unref(future);
        leat_loop_free(loop);
        loop = leat_loop_new(NULL, NULL);
        if (stats.refused_count == 0) {
            assert_int_equal(code, 0);
            break;
        }
        failed += code == -ENOMEM;
    }
    assert_true(failed >= 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(settles_with_what_was_returned),
        TEST(settles_with_a_failure),
        TEST(refuses_what_cannot_be),
        TEST(dns_gets_half),
        TEST(user_leaves_one_thread),
        TEST(files_get_all),
        TEST(slow_lanes_together_leave_one),
        TEST(with_one_thread_files_come_first),
        TEST(a_full_queue_refuses),
        TEST(who_is_in_line_is_not_refused),
        TEST(the_line_ends_with_its_loop),
        TEST(a_job_not_begun_never_does),
        TEST(the_result_of_a_cancelled_job_is_dropped),
        TEST(a_loop_ends_with_jobs_under_way),
        TEST(settling_tells_all),
        TEST(whoever_waits_is_told_of_the_end),
        TEST(a_consumer_may_have_gone),
        TEST(cores_are_served_in_turn),
        TEST(cores_share_the_pool),
        TEST(threads_leave_the_loops_cpu_alone),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

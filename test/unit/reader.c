#include "runtime/os/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <leat/timer.h>

#define JOBS  200
#define BYTES 5000

struct job {
    struct reader_job job; /* first */
    uint8_t bytes[BYTES];
    unsigned done_count, *order;
    unsigned at;
};

struct world {
    struct leat_loop *loop;
    struct reader *reader;
    int fd;
    struct job jobs[JOBS];
    unsigned order;
};

static struct world *w;

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

static void on_done(void *arg)
{
    (void)arg;
    if (w->reader != NULL)
        reader_collect(w->reader);
}

static void job_done(struct reader_job *job)
{
    struct job *j = (struct job *)job;
    assert_ptr_equal(leat_loop_current(), w->loop);
    j->done_count++;
    j->at = w->order++;
}

static int setup_kind(enum reader_kind kind)
{
    struct leat_error error;
    w = calloc(1, sizeof(*w));
    w->fd = memfd_create("reader", MFD_CLOEXEC);
    uint8_t *bytes = malloc(JOBS * BYTES);
    for (unsigned i = 0; i < JOBS * BYTES; i++)
        bytes[i] = byte_at(i);
    assert_int_equal(write(w->fd, bytes, JOBS * BYTES), JOBS * BYTES);
    free(bytes);
    w->loop = leat_loop_new(NULL, &error);
    w->reader = reader_new(w->loop, kind, on_done, &error);
    assert_non_null(w->reader);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_kind(READER_THREAD);
}

static int setup_inline(void **state)
{
    (void)state;
    return setup_kind(READER_INLINE);
}

static int teardown(void **state)
{
    (void)state;
    reader_free(w->reader);
    leat_loop_free(w->loop);
    close(w->fd);
    free(w);
    return 0;
}

static void submit(struct job *j, int fd, uint64_t offset, size_t length)
{
    j->job = (struct reader_job){.fd = fd,
                                 .offset_bytes = offset,
                                 .to = j->bytes,
                                 .length_bytes = length,
                                 .result = INT64_MIN,
                                 .done = job_done};
    reader_submit(w->reader, &j->job);
}

static void on_timer(struct leat_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
}

static void wait_for(const struct job *j)
{
    struct leat_timer alive;
    leat_timer_init(&alive, w->loop, on_timer, NULL);
    leat_timer_start(&alive, 20 * LEAT_NS_PER_S, 0);
    while (j->done_count == 0 && leat_timer_is_started(&alive))
        leat_loop_turn(w->loop, LEAT_NS_PER_S);
    assert_int_equal(j->done_count, 1);
    leat_timer_stop(&alive);
}

static void jobs_come_back_on_the_loop_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < JOBS; i++)
        submit(&w->jobs[i], w->fd, (uint64_t)i * BYTES, BYTES);
    wait_for(&w->jobs[JOBS - 1]);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(w->jobs[i].job.result, BYTES);
        assert_int_equal(w->jobs[i].at, i);
        for (unsigned k = 0; k < BYTES; k++)
            assert_int_equal(w->jobs[i].bytes[k], byte_at((uint64_t)i * BYTES + k));
    }
    submit(&w->jobs[0], w->fd, 0, 1); /* after a rest */
    w->jobs[0].done_count = 0;
    wait_for(&w->jobs[0]);
}

static void the_end_of_the_file_and_errors_are_told(void **state)
{
    (void)state;
    submit(&w->jobs[0], w->fd, JOBS * BYTES - 7, 10);
    submit(&w->jobs[1], w->fd, JOBS * BYTES, 10);
    submit(&w->jobs[2], -1, 0, 10);
    wait_for(&w->jobs[2]);
    assert_int_equal(w->jobs[0].job.result, 7);
    assert_int_equal(w->jobs[1].job.result, 0);
    assert_int_equal(w->jobs[2].job.result, -EBADF);
}

static void what_has_not_begun_is_cancelled_at_the_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < JOBS; i++)
        submit(&w->jobs[i], w->fd, 0, BYTES);
    struct reader *reader = w->reader;
    w->reader = NULL;
    reader_free(reader);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(w->jobs[i].done_count, 1);
        assert_int_equal(w->jobs[i].at, i);
        assert_true(w->jobs[i].job.result == BYTES || w->jobs[i].job.result == -ECANCELED);
    }
    leat_loop_turn(w->loop, 0); /* what it posted finds no reader */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_come_back_on_the_loop_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_the_file_and_errors_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_come_back_on_the_loop_in_order, setup_inline,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_has_not_begun_is_cancelled_at_the_end, setup_inline,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_has_not_begun_is_cancelled_at_the_end, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

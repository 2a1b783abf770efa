/* Files in the send stream (C15, C17, C19): read ahead in pieces, in order with memory, whatever
 * their length. */
#include "test/script/talk.h"

#include <errno.h>
#include <leat/pool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MSS       1448
#define AHEAD_MAX ((256u + 64) << 10)

/* Byte n of it is talk_byte(first + n). */
static struct leat_file *file_of(uint64_t first, size_t length)
{
    int fd = memfd_create("script", MFD_CLOEXEC);
    uint8_t *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = talk_byte(first + i);
    assert_int_equal(pwrite(fd, bytes, length, 0), length);
    free(bytes);
    struct leat_file *file = leat_file_new(fd);
    assert_non_null(file);
    return file;
}

static int send_file(struct talk *t, struct leat_file *file, uint64_t offset, uint64_t length)
{
    sim_enter(t->host);
    int result = leat_conn_send_file(t->conn, file, offset, length);
    sim_leave(t->host);
    return result;
}

static uint64_t queued(struct talk *t)
{
    struct leat_conn_info info;
    sim_enter_quietly(t->host);
    assert_int_equal(leat_conn_info(t->conn, &info), 0);
    sim_leave_quietly(t->host);
    return info.queued_bytes;
}

static uint32_t in_memory(struct talk *t)
{
    const struct tcp_conn *c = conn_of(t);
    return seq_span(c->snd_una, c->work->send_end);
}

static void a_file_is_read_ahead_of_what_is_sent_and_not_whole_c19(void **state)
{
    enum { LENGTH = 20000000 };
    struct talk *t = talk_open(NULL);
    struct leat_file *file = file_of(1, LENGTH);
    assert_int_equal(send_file(t, file, 0, LENGTH), 1);
    pass(t, 1);
    assert_int_equal(queued(t), LENGTH);
    for (uint32_t at = 1; at < 2000000;) {
        struct sim_frame f;
        assert_true(in_memory(t) <= AHEAD_MAX + conn_of(t)->cwnd);
        forget(t);
        at = seq_span((seq32){t->host_iss}, conn_of(t)->snd_nxt);
        say(t, "A", 1, at, 0);
        assert_int_equal(queued(t), LENGTH + 1 - at);
        while (sim_take(t->peer, &f)) {
        }
    }
    sim_enter(t->host);
    leat_file_unref(file);
    sim_leave(t->host);
    app_abort(t);
    talk_end(t);
}

static void memory_and_files_go_in_the_order_of_the_calls_c17(void **state)
{
    struct talk *t = talk_open(NULL);
    struct leat_file *file = file_of(11, 3000);
    uint8_t bytes[15];
    for (uint32_t i = 0; i < 15; i++)
        bytes[i] = talk_byte(i < 10 ? 1 + i : 3001 + i);
    sim_enter(t->host);
    assert_int_equal(leat_conn_send_bytes(t->conn, bytes, 10), 0);
    assert_int_equal(leat_conn_send_file(t->conn, file, 0, 3000), 0);
    assert_int_equal(leat_conn_send_bytes(t->conn, bytes + 10, 0), 0);
    assert_int_equal(leat_conn_send_bytes(t->conn, bytes + 10, 5), 0);
    assert_int_equal(leat_conn_end(t->conn), 0);
    leat_file_unref(file);
    sim_leave(t->host);
    pass(t, 1);
    hear(t, "A", 1, 1, MSS); /* full ones: what is read fills them up */
    hear(t, "A", 1 + MSS, 1, MSS);
    hear(t, "FPA", 1 + 2 * MSS, 1, 119);
    quiet(t);
    say(t, "FA", 1, 2 + 2 * MSS + 119, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_DONE);
    talk_end(t);
}

static void a_file_that_ends_early_resets_c19(void **state)
{
    struct talk *t = talk_open(NULL);
    struct leat_file *file = file_of(1, 1000);
    assert_int_equal(send_file(t, file, 0, 1001), 0);
    sim_enter(t->host);
    leat_file_unref(file);
    sim_leave(t->host);
    pass(t, 1);
    hear(t, "RA", 1, 1, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_FILE);
    talk_end(t);
}

static void a_file_that_is_cut_while_it_is_sent_resets_c19(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_scale = true});
    struct leat_file *file = file_of(1, 1000000);
    assert_int_equal(send_file(t, file, 0, 1000000), 1);
    pass(t, 1);
    assert_int_equal(t->closes, 0);
    assert_int_equal(ftruncate(leat_file_fd(file), 300000), 0);
    sim_enter(t->host);
    leat_file_unref(file);
    sim_leave(t->host);
    for (uint32_t i = 0; i < 40 && t->closes == 0; i++) {
        forget(t);
        say(t, "A", 1, seq_span((seq32){t->host_iss}, conn_of(t)->snd_nxt), 0);
    }
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_FILE);
    talk_end(t);
}

/* More than sequence numbers can name. */
static void files_of_any_length_are_accepted_whole_c15(void **state)
{
    const uint64_t length = UINT64_C(6) << 30;
    struct talk *t = talk_open(NULL);
    int fd = memfd_create("script", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)length), 0);
    struct leat_file *file = leat_file_new(fd);
    assert_int_equal(send_file(t, file, 0, length), 1);
    assert_int_equal(send_file(t, file, 0, 1), -EAGAIN); /* above the high mark */
    sim_enter(t->host);
    leat_file_unref(file);
    sim_leave(t->host);
    assert_int_equal(queued(t), length);
    sim_run_for(t->sim, 1);
    assert_true(in_memory(t) <= AHEAD_MAX);
    forget(t);
    app_abort(t);
    assert_int_equal(t->closes, 1);
    talk_end(t);
}

static void on_free(void *arg)
{
    ++*(unsigned *)arg;
}

static void memory_of_any_length_is_accepted_whole_c15(void **state)
{
    const size_t length = (size_t)3 << 29;
    unsigned freed = 0;
    struct talk *t = talk_open(NULL);
    void *memory =
        mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    sim_enter(t->host);
    struct leat_buf buf = leat_buf_wrap(memory, length, on_free, &freed);
    assert_int_equal(leat_conn_send(t->conn, &buf, 1), 1);
    sim_leave(t->host);
    assert_int_equal(queued(t), length);
    sim_run_for(t->sim, 1);
    assert_in_range(in_memory(t), (UINT32_C(1) << 30) - 65536, UINT32_C(1) << 30);
    assert_int_equal(freed, 0);
    app_abort(t);
    assert_int_equal(freed, 1);
    forget(t);
    talk_end(t);
    munmap(memory, length);
}

static void writable_waits_for_the_file_to_go_c16(void **state)
{
    struct talk *t = talk_open(NULL);
    struct leat_file *file = file_of(1, 400000);
    assert_int_equal(send_file(t, file, 0, 400000), 1);
    assert_int_equal(send_file(t, file, 0, 1), -EAGAIN);
    sim_enter(t->host);
    leat_file_unref(file);
    sim_leave(t->host);
    pass(t, 1);
    uint32_t at = 1;
    while (at < 400001) {
        assert_int_equal(t->writables, 400001 - at < 65536 ? 1 : 0);
        forget(t);
        at = seq_span((seq32){t->host_iss}, conn_of(t)->snd_nxt);
        say(t, "A", 1, at, 0);
    }
    assert_int_equal(t->writables, 1);
    talk_end(t);
}

static struct leat_result job(void *arg)
{
    return leat_number((intptr_t)arg);
}

/* Others have all places of the lane: it waits for one, as behind a slow disk, and goes on. */
static void a_full_lane_is_waited_for_c19(void **state)
{
    struct talk *t = talk_open(NULL);
    struct leat_file *file = file_of(1, 3000);
    sim_enter(t->host);
    struct leat_loop *loop = leat_loop_current();
    for (unsigned i = 0; i <= LEAT_POOL_JOBS_MAX; i++) {
        struct leat_future *future = leat_pool_run(loop, LEAT_LANE_FS, job, NULL);
        assert_true((i < LEAT_POOL_JOBS_MAX) == (leat_future_result(future) == NULL));
        leat_future_ignore(future);
        leat_future_unref(future);
    }
    assert_int_equal(leat_conn_send_file(t->conn, file, 0, 3000), 0);
    leat_file_unref(file);
    sim_leave(t->host);
    assert_int_equal(t->closes, 0);
    for (unsigned ms = 0; ms < 10 && in_memory(t) == 0; ms++)
        pass(t, 1); /* others' jobs are told meanwhile, one of them first */
    hear(t, "A", 1, 1, MSS);
    hear(t, "A", 1 + MSS, 1, MSS);
    hear(t, "PA", 1 + 2 * MSS, 1, 3000 - 2 * MSS);
    say(t, "A", 1, 3001, 0);
    quiet(t);
    app_abort(t);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_ahead_of_what_is_sent_and_not_whole_c19),
        cmocka_unit_test(memory_and_files_go_in_the_order_of_the_calls_c17),
        cmocka_unit_test(a_file_that_ends_early_resets_c19),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_sent_resets_c19),
        cmocka_unit_test(files_of_any_length_are_accepted_whole_c15),
        cmocka_unit_test(memory_of_any_length_is_accepted_whole_c15),
        cmocka_unit_test(a_full_lane_is_waited_for_c19),
        cmocka_unit_test(writable_waits_for_the_file_to_go_c16),
    };
    return run_scripts(tests, argc, argv);
}

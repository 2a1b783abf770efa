/* Reads that would wait, in a ring of io_uring: the same results as the pool's, more than the ring
 * takes, cancelled ones, ones that the kernel gives back, the end of the loop, and kernels that
 * refuse the ring. */
#include <leat/fs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leat_config.h"
#include "runtime/base/core.h"
#include "runtime/os/fs_internal.h"
#include "runtime/os/pool_internal.h"
#include "test/unit/fs_failing.h"

#define FILE_BYTES 300000u

static struct leat_loop *loop;
static struct failing_sys counting; /* no call fails; which ones were made is counted */
static _Atomic unsigned reads_count;
static struct leat_file *file;
static uint8_t *bytes;

static int64_t uncached_read(struct fs_sys *sys, int fd, void *to, size_t count, int64_t offset)
{
    return -EAGAIN;
}

static int64_t counted_read(struct fs_sys *sys, int fd, void *to, size_t count, int64_t offset)
{
    reads_count++;
    return fs_sys_machine()->read(fs_sys_machine(), fd, to, count, offset);
}

static struct leat_file *file_on(int fd)
{
    assert_true(fd >= 0);
    struct leat_file *made = file_new_on(fd, &counting.sys);
    assert_non_null(made);
    return made;
}

static int setup(void **state)
{
    char path[] = "/tmp/leat-ring.XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    loop = leat_loop_new(NULL, NULL);
    bytes = malloc(FILE_BYTES);
    if (loop == NULL || bytes == NULL || fd < 0 || unlink(path) != 0)
        return 1;
    for (unsigned i = 0; i < FILE_BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    if (pwrite(fd, bytes, FILE_BYTES, 0) != FILE_BYTES)
        return 1;
    failing_init(&counting, fs_sys_machine());
    counting.sys.read_cached = uncached_read;
    counting.sys.read = counted_read;
    pool_core_of(loop)->sys = &counting.sys;
    file = file_on(fd);
    reads_count = 0;
    return 0;
}

static int teardown(void **state)
{
    if (loop != NULL) {
        leat_file_unref(file);
        leat_loop_free(loop);
    }
    free(bytes);
    return 0;
}

static const struct fs_ring *ring(void)
{
    return leat_core_now->pool->ring;
}

/* Whether this kernel has a ring for us; the pool reads where not, and the tests of results hold.
 */
static bool has_ring(void)
{
    struct leat_future *first = leat_fs_read(file, 0, 1);
    leat_future_unref(first);
    assert_int_equal(leat_loop_run(loop), 0);
    reads_count = 0;
    return ring() != NULL;
}

static struct leat_result await(struct leat_future *future)
{
    leat_future_ignore(future);
    while (leat_future_result(future) == NULL)
        (void)leat_loop_turn(loop, LEAT_NS_PER_S);
    struct leat_result result = leat_future_take(future);
    leat_future_unref(future);
    return result;
}

static void read_is(uint64_t offset, size_t count)
{
    size_t left = offset < FILE_BYTES ? (size_t)(FILE_BYTES - offset) : 0;
    struct leat_result result = await(leat_fs_read(file, offset, count));
    assert_int_equal(result.code, 0);
    struct leat_buf buf = leat_result_buf(&result);
    assert_int_equal(buf.length_bytes, left < count ? left : count);
    assert_memory_equal(buf.length_bytes > 0 ? buf.data : bytes, bytes + (left > 0 ? offset : 0),
                        buf.length_bytes);
    leat_result_drop(&result);
}

static void reads_what_the_pool_reads(void **state)
{
    bool in_ring = has_ring();
    static const uint64_t offsets[] = {0, 1, 4095, 65536, FILE_BYTES - 5000, FILE_BYTES - 1};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        read_is(offsets[i], 1);
        read_is(offsets[i], 4096);
        read_is(offsets[i], 65536);
    }
    read_is(FILE_BYTES, 10);
    read_is(FILE_BYTES + 100000, 10);
    assert_int_equal(reads_count == 0, in_ring);
    read_is(0, 65537); /* larger than what is read on the loop: a thread's */
    assert_true(reads_count > 0);
}

static void settled(void *arg, const struct leat_result *result)
{
    assert_int_equal(result->code, 0);
    assert_int_equal(leat_result_buf(result).length_bytes, 100);
    ++*(unsigned *)arg;
}

static void what_is_more_goes_to_the_pool(void **state)
{
    enum { READS = LEAT_FS_INFLIGHT_MAX + 50 };
    unsigned count = 0;
    bool in_ring = has_ring();
    for (unsigned i = 0; i < READS; i++)
        leat_call(leat_fs_read(file, i * 900, 100), settled, &count);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(count, READS);
    assert_int_equal(reads_count, in_ring ? READS - LEAT_FS_INFLIGHT_MAX : READS);
}

/* A pipe stands for a disk that takes its time; the loop never comes so far with one. */
static void pipe_open(struct leat_file **from, int *to)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    *from = file_on(fds[0]);
    *to = fds[1];
}

static void a_cancelled_read_keeps_its_buffer_until_its_end(void **state)
{
    struct leat_file *from;
    struct leat_buf_stats before, after;
    int to;
    if (!has_ring())
        skip();
    pipe_open(&from, &to);
    leat_buf_stats(&before);
    struct leat_future *read = leat_fs_read(from, 0, 100);
    (void)leat_loop_turn(loop, 0);
    leat_future_cancel(read);
    assert_int_equal(leat_future_result(read)->code, -ECANCELED);
    leat_future_ignore(read);
    leat_future_unref(read);
    leat_file_unref(from); /* the read has one more */
    (void)leat_loop_turn(loop, 0);
    leat_buf_stats(&after);
    assert_int_equal(after.live_count, before.live_count + 1);
    assert_int_equal(write(to, "late", 4), 4);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_buf_stats(&after);
    assert_int_equal(after.live_count, before.live_count);
    assert_int_equal(write(to, "x", 1), -1); /* closed with its last reference */
    close(to);
}

/* What is wrong with a descriptor is said as a thread sees it. */
static void what_the_kernel_gives_back_a_thread_reads(void **state)
{
    static const struct {
        const char *path;
        int flags, code;
    } rows[] = {{"/tmp", O_RDONLY | O_DIRECTORY, -EISDIR}, {"/dev/null", O_WRONLY, -EBADF}};
    if (!has_ring())
        skip();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct leat_file *from = file_on(open(rows[i].path, rows[i].flags | O_CLOEXEC));
        struct leat_result result = await(leat_fs_read(from, 0, 100));
        assert_int_equal(result.code, rows[i].code);
        assert_non_null(strstr(leat_result_sentence(&result), leat_errno_name(rows[i].code)));
        leat_result_drop(&result);
        assert_int_equal(reads_count, i + 1);
        leat_file_unref(from);
    }
}

static void dropped(void *arg, const struct leat_result *result)
{
    *(int *)arg = result->code;
}

static void a_loop_ends_while_the_kernel_reads(void **state)
{
    struct leat_file *from;
    int to, codes[2] = {1, 1};
    if (!has_ring())
        skip();
    pipe_open(&from, &to);
    leat_call(leat_fs_read(from, 0, 100), dropped, &codes[0]);
    (void)leat_loop_turn(loop, 0);
    leat_call(leat_fs_read(from, 0, 100), dropped, &codes[1]); /* which was not sent */
    leat_file_unref(from);
    leat_file_unref(file);
    leat_loop_free(loop);
    loop = NULL;
    assert_int_equal(codes[0], -ECANCELED); /* and whoever waited was told */
    assert_int_equal(codes[1], -ECANCELED);
    assert_int_equal(write(to, "x", 1), -1);
    close(to);
}

/* ---- refused ---- */

static void refuse(unsigned number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* In a process of its own, for a filter stays. */
static void read_where_refused(unsigned number)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        refuse(number);
        bool failed = has_ring();
        struct leat_result result = await(leat_fs_read(file, 0, 100));
        failed |= result.code != 0 || reads_count != 1 || ring() != NULL;
        _exit(failed);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void where_it_is_refused_the_pool_reads(void **state)
{
    read_where_refused(SYS_io_uring_setup);
    read_where_refused(SYS_io_uring_enter);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads_what_the_pool_reads),
        TEST(what_is_more_goes_to_the_pool),
        TEST(a_cancelled_read_keeps_its_buffer_until_its_end),
        TEST(what_the_kernel_gives_back_a_thread_reads),
        TEST(a_loop_ends_while_the_kernel_reads),
        TEST(where_it_is_refused_the_pool_reads),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

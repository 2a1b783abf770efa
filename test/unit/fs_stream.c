/* Files as streams: copied through a pipe, beginning and end, ranges, failures, ends at any time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leat/fs_stream.h>
#include <leat/loop.h>

#define LARGE 1000000

static struct leat_loop *loop;
static char root[64];
static uint8_t bytes[LARGE], read_back[LARGE + 1];

static unsigned descriptors_count(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void file_make(const char *name, size_t length)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static size_t file_read_back(const char *name)
{
    int fd = open(name, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t length = read(fd, read_back, sizeof(read_back));
    close(fd);
    return (size_t)length;
}

static int setup(void **state)
{
    snprintf(root, sizeof(root), "/tmp/leat-fs-stream.XXXXXX");
    loop = leat_loop_new(NULL, NULL);
    if (loop == NULL || mkdtemp(root) == NULL || chdir(root) != 0)
        return 1;
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (uint8_t)(i % 251);
    return 0;
}

static int teardown(void **state)
{
    leat_loop_free(loop);
    (void)!unlink("a");
    (void)!unlink("b");
    return chdir("/") != 0 || rmdir(root) != 0;
}

static int piped(struct leat_stream *source, struct leat_stream *sink)
{
    struct leat_future *all = leat_pipeline((struct leat_stream *[]){source, sink}, 2);
    leat_future_ignore(all);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_non_null(leat_future_result(all));
    int code = leat_future_result(all)->code;
    leat_future_unref(all);
    return code;
}

static void a_file_is_copied_by_a_pipe(void **state)
{
    file_make("a", LARGE);
    struct leat_stream *sink = leat_fs_writable(loop, "b", LEAT_OPEN_NEW, LEAT_FS_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 0, LEAT_TO_END), sink), 0);
    assert_int_equal(file_read_back("b"), LARGE);
    assert_memory_equal(read_back, bytes, LARGE);
}

/* ---- engines ---- */

/* What goes from "a" to "b"; the names of the engine before and behind it. */
static int copied(const char *from, const char *to, unsigned flags, const char *before,
                  const char *behind)
{
    struct leat_stream *source = leat_fs_readable(loop, from, 0, LEAT_TO_END);
    struct leat_stream *sink = leat_fs_writable(loop, to, flags, LEAT_FS_NO_SYNC);
    struct leat_future *done = leat_finished(sink);
    leat_future_ignore(done);
    assert_int_equal(leat_pipe(source, sink, false), 0);
    assert_string_equal(leat_pipe_engine_name(source, sink), before);
    const char *name = before;
    for (unsigned turns = 0; leat_future_result(done) == NULL && turns < 100000; turns++) {
        leat_loop_turn(loop, LEAT_NS_PER_MS);
        if (leat_pipe_engine_name(source, sink) != NULL)
            name = leat_pipe_engine_name(source, sink);
    }
    assert_non_null(leat_future_result(done));
    assert_string_equal(name, behind);
    int code = leat_future_result(done)->code;
    leat_future_unref(done);
    leat_stream_destroy(source, leat_nothing());
    leat_stream_unref(source);
    leat_stream_unref(sink);
    assert_int_equal(leat_loop_run(loop), 0);
    return code;
}

static void the_kernel_copies_files(void **state)
{
    file_make("a", LARGE);
    assert_int_equal(copied("a", "b", LEAT_OPEN_NEW, "copy_file_range", "copy_file_range"), 0);
    assert_int_equal(file_read_back("b"), LARGE);
    assert_memory_equal(read_back, bytes, LARGE);
}

/* Another file system: EXDEV, or what kernels say of it. */
static void another_file_system(void **state)
{
    char other[64];
    struct stat here, there;
    snprintf(other, sizeof(other), "/dev/shm/leat-fs-stream.%d", (int)getpid());
    file_make("a", LARGE);
    file_make(other, 0);
    assert_int_equal(stat("a", &here), 0);
    assert_int_equal(stat(other, &there), 0);
    if (here.st_dev != there.st_dev)
        assert_int_equal(copied("a", other, 0, "copy_file_range", "read_write"), 0);
    else
        assert_int_equal(copied("a", other, 0, "copy_file_range", "copy_file_range"), 0);
    assert_int_equal(file_read_back(other), LARGE);
    (void)!unlink(other);
    assert_memory_equal(read_back, bytes, LARGE);
}

static void a_file_that_does_not_say_how_long_it_is(void **state)
{
    assert_int_equal(copied("/proc/self/limits", "b", LEAT_OPEN_NEW, "copy_file_range", "chunks"),
                     0);
    assert_true(file_read_back("b") > 100);
    assert_memory_equal(read_back, "Limit", 5);
}

static void what_is_appended_to(void **state)
{
    file_make("a", LARGE / 4);
    file_make("b", 10);
    assert_int_equal(copied("a", "b", LEAT_OPEN_APPEND, "read_write", "read_write"), 0);
    assert_int_equal(file_read_back("b"), LARGE / 4 + 10);
    assert_memory_equal(read_back + 10, bytes, LARGE / 4);
    /* of one file it is what it was before */
    assert_int_equal(copied("a", "a", LEAT_OPEN_APPEND, "read_write", "read_write"), 0);
    assert_int_equal(file_read_back("a"), LARGE / 2);
    assert_memory_equal(read_back + LARGE / 4, bytes, LARGE / 4);
}

static void one_file_onto_itself(void **state)
{
    file_make("a", LARGE);
    assert_int_equal(copied("a", "a", 0, "copy_file_range", "read_write"), 0);
    assert_int_equal(file_read_back("a"), LARGE);
    assert_memory_equal(read_back, bytes, LARGE);
    struct leat_stream *sink = leat_fs_writable(loop, "a", LEAT_OPEN_WRITE, LEAT_FS_NO_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 1000, LEAT_TO_END), sink), 0);
    assert_int_equal(file_read_back("a"), LARGE);
    assert_memory_equal(read_back, bytes + 1000, LARGE - 1000);
    /* emptied before it was read: said, not lost in silence */
    sink = leat_fs_writable(loop, "a", LEAT_OPEN_EMPTY, LEAT_FS_NO_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 0, LEAT_TO_END), sink), -EINVAL);
}

static void shorten_it(void *arg, const struct leat_result *result)
{
    assert_int_equal(truncate("a", 1000), 0);
}

/* It has become shorter since it was measured: what there is. */
static void a_file_that_shrinks(void **state)
{
    file_make("a", LARGE);
    struct leat_stream *source = leat_fs_readable(loop, "a", 0, LEAT_TO_END);
    struct leat_stream *sink = leat_fs_writable(loop, "b", LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    assert_int_equal(leat_stream_on(source, LEAT_STREAM_END, shorten_it, NULL), 0);
    int code = piped(source, sink);
    assert_int_equal(code, 0);
    size_t length = file_read_back("b");
    assert_true(length == 1000 || length == LARGE);
}

/* Who listens to the bytes gets them. */
static void on_data(void *arg, const struct leat_result *result)
{
    const struct leat_chunk *chunk = leat_result_pointer(result, LEAT_KIND_CHUNK);
    *(uint64_t *)arg += leat_chunk_length(chunk);
}

static void a_listener_ends_the_fast_path(void **state)
{
    uint64_t heard = 0;
    file_make("a", LARGE);
    struct leat_stream *source = leat_fs_readable(loop, "a", 0, LEAT_TO_END);
    struct leat_stream *sink = leat_fs_writable(loop, "b", LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    assert_int_equal(leat_stream_on(source, LEAT_STREAM_DATA, on_data, &heard), 0);
    assert_int_equal(leat_pipe(source, sink, false), 0);
    assert_string_equal(leat_pipe_engine_name(source, sink), "chunks");
    leat_stream_unref(source);
    leat_stream_unref(sink);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(heard, LARGE);
    assert_int_equal(file_read_back("b"), LARGE);
}

/* ---- ranges, ends, failures ---- */

static void a_part_of_a_file(void **state)
{
    file_make("a", LARGE);
    struct leat_stream *sink = leat_fs_writable(loop, "b", LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 100, 70000), sink), 0);
    assert_int_equal(file_read_back("b"), 70000);
    assert_memory_equal(read_back, bytes + 100, 70000);
}

static void nothing_makes_an_empty_file(void **state)
{
    file_make("a", 0);
    struct leat_stream *sink = leat_fs_writable(loop, "b", LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 0, LEAT_TO_END), sink), 0);
    assert_int_equal(file_read_back("b"), 0);
}

static void writes_keep_their_order(void **state)
{
    struct leat_stream *sink =
        leat_fs_writable(loop, "b", LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, LEAT_FS_NO_SYNC);
    for (int i = 0; i < 100; i++)
        assert_true(leat_write_bytes(sink, bytes + i * 1000, 1000) >= 0);
    assert_true(leat_write_bytes(sink, "", 0) >= 0);
    leat_stream_end(sink);
    leat_stream_unref(sink);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(file_read_back("b"), 100000);
    assert_memory_equal(read_back, bytes, 100000);
}

static void a_file_that_is_not_there(void **state)
{
    unsigned before = descriptors_count();
    struct leat_stream *sink = leat_fs_writable(loop, "b", LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 0, LEAT_TO_END), sink), -ENOENT);
    file_make("a", 10);
    sink = leat_fs_writable(loop, "no/b", LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    assert_int_equal(piped(leat_fs_readable(loop, "a", 0, LEAT_TO_END), sink), -ENOENT);
    assert_int_equal(descriptors_count(), before);
}

static void end_it(void *stream)
{
    leat_stream_destroy(stream, leat_failure(-EINTR, NULL));
    leat_stream_unref(stream);
}

/* Whatever is under way: no descriptor is left, and close comes. */
static void destroyed_at_any_turn(void **state)
{
    unsigned before = 0;
    file_make("a", LARGE);
    for (int turns = 0; turns < 30; turns++) {
        struct leat_stream *source = leat_fs_readable(loop, "a", 0, LEAT_TO_END);
        struct leat_stream *sink =
            leat_fs_writable(loop, "b", LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, LEAT_FS_SYNC);
        struct leat_stream *victim = leat_stream_ref(turns % 2 == 0 ? source : sink);
        struct leat_future *all = leat_pipeline((struct leat_stream *[]){source, sink}, 2);
        leat_future_ignore(all);
        for (int i = 0; i < turns / 2; i++)
            leat_loop_turn(loop, LEAT_NS_PER_MS);
        end_it(victim);
        assert_int_equal(leat_loop_run(loop), 0);
        assert_non_null(leat_future_result(all));
        leat_future_unref(all);
        before = turns == 0 ? descriptors_count() : before;
        assert_int_equal(descriptors_count(), before);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_kernel_copies_files),
        TEST(another_file_system),
        TEST(a_file_that_does_not_say_how_long_it_is),
        TEST(what_is_appended_to),
        TEST(one_file_onto_itself),
        TEST(a_file_that_shrinks),
        TEST(a_listener_ends_the_fast_path),
        TEST(a_file_is_copied_by_a_pipe),
        TEST(a_part_of_a_file),
        TEST(nothing_makes_an_empty_file),
        TEST(writes_keep_their_order),
        TEST(a_file_that_is_not_there),
        TEST(destroyed_at_any_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

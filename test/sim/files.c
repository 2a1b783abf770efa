/* Files in a simulated world: the disk in memory and what it forgets, jobs that are told in a drawn
 * order, and operations on them that fail at every call and are cancelled at every point. */
#include "net/sim/sim_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <leat/fs_stream.h>
#include <leat/pool.h>

#include "buffers/heap.h"
#include "runtime/base/clock.h"
#include "runtime/base/list.h"
#include "runtime/os/pool_play.h"

#define LARGE 20000

static struct {
    struct leat_clock clock; /* first */
    uint64_t now_ns;
} played_time;

static struct sim_disk *disk;
static struct pool_play_drawn files;
static struct leat_loop *loop;
static char said[1024];

static uint64_t clock_now(const struct leat_clock *clock)
{
    return played_time.now_ns;
}

static void world_new(uint64_t seed)
{
    played_time.clock.now = clock_now;
    played_time.now_ns = 1000 * LEAT_NS_PER_S;
    const struct leat_loop_options options = {.clock = &played_time.clock};
    said[0] = '\0';
    disk = sim_disk_new(seed);
    loop = leat_loop_new(&options, NULL);
    assert_non_null(loop);
    assert_int_equal(pool_play_drawn(loop, &files, &disk->sys, seed), 0);
}

static void world_free(void)
{
    leat_loop_free(loop);
    sim_disk_free(disk);
}

static int setup(void **state)
{
    world_new(1);
    return 0;
}

static int teardown(void **state)
{
    world_free();
    return 0;
}

/* One turn, and the time up to the next. */
static bool pass(void)
{
    bool is_alive = leat_loop_turn(loop, 0);
    uint64_t nap_ns = leat_loop_nap_ns(loop);
    played_time.now_ns += nap_ns != UINT64_MAX ? nap_ns : 0;
    return is_alive;
}

static struct leat_result await(struct leat_future *future)
{
    leat_future_ignore(future);
    while (leat_future_result(future) == NULL)
        assert_true(pass() || leat_future_result(future) != NULL);
    struct leat_result result = leat_future_take(future);
    leat_future_unref(future);
    return result;
}

static int code_of(struct leat_future *future)
{
    struct leat_result result = await(future);
    int code = result.code;
    leat_result_drop(&result);
    return code;
}

static struct leat_buf pattern(uint8_t of, size_t length)
{
    struct leat_buf buf = leat_buf_alloc(length);
    memset(buf.data, of, length);
    return buf;
}

/* Whether the file is length times of; -ENOENT and the like as they are. */
static int is_pattern(const char *path, uint8_t of, size_t length)
{
    struct leat_result result = await(leat_fs_read_file(loop, path, 0));
    int code = result.code;
    if (code == 0) {
        struct leat_buf buf = leat_result_buf(&result);
        code = buf.length_bytes == length;
        for (size_t i = 0; i < buf.length_bytes; i++)
            code &= buf.data[i] == of;
    }
    leat_result_drop(&result);
    return code;
}

static void file_write(const char *path, uint8_t of, size_t length)
{
    assert_int_equal(code_of(leat_fs_write_file(loop, path, pattern(of, length))), 0);
}

static void path_sync(const char *path, unsigned flags)
{
    struct leat_result result = await(leat_fs_open(loop, path, flags));
    assert_int_equal(result.code, 0);
    assert_int_equal(code_of(leat_fs_sync(leat_result_file(&result))), 0);
    leat_result_drop(&result);
}

static void done_say(void *arg, const struct leat_result *result)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof(said) - length, "%d:%d ", (int)(intptr_t)arg, result->code);
}

/* ---- the same for the same seed ---- */

static void play(uint64_t seed, char text[sizeof(said) + 64])
{
    world_new(seed);
    disk->faults.short_ppm = 300000;
    for (int i = 0; i < 12; i++) {
        char path[16];
        snprintf(path, sizeof(path), "f%d", i);
        leat_call(leat_fs_write_file(loop, path, pattern((uint8_t)i, 100)), done_say,
                  (void *)(intptr_t)i);
    }
    leat_call(leat_fs_mkdtemp(loop, "t"), done_say, (void *)(intptr_t)99);
    while (pass())
        ;
    snprintf(text, sizeof(said) + 64, "%s %llu %llu", said, (unsigned long long)played_time.now_ns,
             (unsigned long long)disk->short_count);
    world_free();
}

static void a_seed_plays_the_same_again(void **state)
{
    char one[sizeof(said) + 64], two[sizeof(said) + 64], other[sizeof(said) + 64];
    play(7, one);
    play(7, two);
    play(8, other);
    assert_string_equal(one, two);
    assert_string_not_equal(one, other);
    assert_null(strstr(one, "0:0 1:0 2:0 3:0")); /* not the order of their calls */
}

static void nothing_settles_before_its_time(void **state)
{
    struct leat_future *future = leat_fs_stat(loop, "/");
    assert_null(leat_future_result(future));
    uint64_t began_ns = played_time.now_ns;
    files.delay_ns_max = 0;
    assert_int_equal(code_of(future), 0);
    assert_true(played_time.now_ns > began_ns);
    assert_int_equal(sim_disk_open_count(disk), 0);
}

/* ---- the disk is one ---- */

static void it_does_what_disks_do(void **state)
{
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "/a/b/c", 0755)), 0);
    file_write("a/b/f", 'x', LARGE);
    assert_int_equal(is_pattern("/a/b/f", 'x', LARGE), 1);
    assert_int_equal(code_of(leat_fs_symlink(loop, "b/f", "a/l")), 0);
    assert_int_equal(code_of(leat_fs_symlink(loop, "/a/loop", "a/loop")), 0);
    assert_int_equal(is_pattern("a/l", 'x', LARGE), 1);
    assert_int_equal(code_of(leat_fs_read_file(loop, "a/loop", 0)), -ELOOP);
    struct leat_result result = await(leat_fs_realpath(loop, "a/b/../l"));
    assert_string_equal(leat_result_string(&result), "/a/b/f");
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_copy(loop, "a/l", "a/g", LEAT_COPY_NEW)), 0);
    assert_int_equal(is_pattern("a/g", 'x', LARGE), 1);
    assert_int_equal(code_of(leat_fs_rename(loop, "a", "a/b/d")), -EINVAL);
    assert_int_equal(code_of(leat_fs_rename(loop, "a/g", "a/b")), -EISDIR);
    assert_int_equal(code_of(leat_fs_rename(loop, "a/g", "a/b/f")), 0);
    assert_int_equal(code_of(leat_fs_rmdir(loop, "a")), -ENOTEMPTY);
    result = await(leat_fs_open(loop, "a", LEAT_OPEN_DIRECTORY));
    struct leat_file *dir = leat_result_file(&result);
    assert_int_equal(code_of(leat_fs_open_beneath(loop, dir, "../a/l", 0)), -EXDEV);
    assert_int_equal(code_of(leat_fs_open_beneath(loop, dir, "loop", 0)), -EXDEV);
    assert_int_equal(code_of(leat_fs_open_beneath(loop, dir, "b/../l", 0)), 0);
    struct leat_result entries = await(leat_fs_readdir(dir));
    assert_int_equal(leat_result_entries(&entries)->count, 3);
    leat_result_drop(&entries);
    leat_result_drop(&result);
    for (int i = 0; i < 400; i++) {
        char path[64];
        snprintf(path, sizeof(path), "a/b/c/a-name-of-some-length-%d", i);
        file_write(path, 'y', 1);
    }
    assert_int_equal(code_of(leat_fs_remove(loop, "a")), 0);
    assert_int_equal(code_of(leat_fs_stat(loop, "a")), -ENOENT);
    while (pass())
        ;
    assert_int_equal(sim_disk_open_count(disk), 0);
    assert_int_equal(disk->used_bytes, 0);
}

static struct leat_file *unnamed_new(uint8_t of)
{
    struct leat_result result = await(leat_fs_open(loop, "/", LEAT_OPEN_UNNAMED));
    assert_int_equal(result.code, 0);
    struct leat_file *file = leat_file_ref(leat_result_file(&result));
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_write(file, 0, pattern(of, LARGE))), 0);
    return file;
}

/* What has a name, and was synced with it, outlives the power; what has none its descriptor not. */
static void a_file_without_a_name_leaves_nothing(void **state)
{
    struct leat_file *kept = unnamed_new('k'), *lost = unnamed_new('l');
    assert_int_equal(code_of(leat_fs_sync(kept)), 0);
    assert_int_equal(code_of(leat_fs_link(kept, "kept")), 0);
    assert_int_equal(code_of(leat_fs_link(lost, "kept")), -EEXIST);
    assert_int_equal(code_of(leat_fs_close(kept)), 0);
    assert_int_equal(disk->used_bytes, 2 * LARGE);
    assert_int_equal(code_of(leat_fs_close(lost)), 0);
    assert_int_equal(disk->used_bytes, LARGE);
    path_sync("/", LEAT_OPEN_DIRECTORY);
    assert_int_equal(sim_disk_open_count(disk), 0);
    sim_disk_power_cut(disk);
    assert_int_equal(is_pattern("kept", 'k', LARGE), 1);
    assert_int_equal(code_of(leat_fs_open(loop, "none", LEAT_OPEN_UNNAMED)), -ENOENT);
    assert_int_equal(code_of(leat_fs_open(loop, "kept", LEAT_OPEN_UNNAMED)), -ENOTDIR);
}

static void short_reads_and_writes_are_gone_on_with(void **state)
{
    disk->faults.short_ppm = 500000;
    for (uint8_t i = 0; i < 20; i++) {
        disk->faults.no_copy = i % 2 == 1;
        file_write("f", i, LARGE);
        assert_int_equal(code_of(leat_fs_replace_file(loop, "g", pattern(i, LARGE))), 0);
        assert_int_equal(code_of(leat_fs_copy(loop, "f", "h", 0)), 0);
        assert_int_equal(is_pattern("f", i, LARGE) + is_pattern("g", i, LARGE) +
                             is_pattern("h", i, LARGE),
                         3);
    }
    assert_true(disk->short_count > 50);
}

static void a_full_disk_is_told(void **state)
{
    file_write("f", 'o', 1000);
    disk->faults.bytes_max = 5000;
    struct leat_result result = await(leat_fs_replace_file(loop, "f", pattern('n', LARGE)));
    assert_int_equal(result.code, -ENOSPC);
    assert_non_null(strstr(leat_result_sentence(&result), "make room"));
    leat_result_drop(&result);
    assert_int_equal(is_pattern("f", 'o', 1000), 1);
    assert_int_equal(disk->used_bytes, 1000); /* what lay beside it is gone */
    assert_int_equal(code_of(leat_fs_copy(loop, "f", "g", 0)), 0);
    assert_int_equal(code_of(leat_fs_write_file(loop, "h", pattern('n', LARGE))), -ENOSPC);
    assert_int_equal(disk->used_bytes, 5000);
}

/* ---- from stream to stream ---- */

static int piped(const char *from, const char *to, unsigned flags, const char *engine)
{
    struct leat_stream *source = leat_fs_readable(loop, from, 0, LEAT_TO_END);
    struct leat_stream *sink = leat_fs_writable(loop, to, flags, LEAT_FS_SYNC);
    struct leat_future *done = leat_finished(sink);
    const char *name = NULL;
    leat_future_ignore(done);
    if (leat_stream_on(source, LEAT_STREAM_ERROR, done_say, NULL) != 0 ||
        leat_pipe(source, sink, false) != 0)
        fail();
    while (leat_future_result(done) == NULL && pass())
        if (leat_pipe_engine_name(source, sink) != NULL)
            name = leat_pipe_engine_name(source, sink);
    if (leat_future_result(done) == NULL) /* a source that failed leaves it open */
        leat_stream_destroy(sink, leat_failure(-EIO, NULL));
    leat_stream_destroy(source, leat_nothing());
    leat_stream_unref(source);
    leat_stream_unref(sink);
    while (pass())
        ;
    int code = leat_future_result(done)->code;
    leat_future_unref(done);
    if (code == 0)
        assert_string_equal(name, engine);
    return code;
}

static const struct engine_row {
    unsigned flags;
    bool no_copy;
    const char *engine;
} engine_rows[] = {
    {LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, false, "copy_file_range"},
    {LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, true, "read_write"},
    {LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY | LEAT_OPEN_APPEND, false, "read_write"},
};

static void files_go_by_each_engine(void **state)
{
    for (uint8_t i = 0; i < 30; i++) {
        const struct engine_row *row = &engine_rows[i % 3];
        disk->faults.short_ppm = i < 15 ? 0 : 500000;
        disk->faults.no_copy = row->no_copy;
        file_write("f", i, LARGE);
        assert_int_equal(piped("f", "g", row->flags, row->engine), 0);
        assert_int_equal(is_pattern("g", i, LARGE), 1);
        assert_int_equal(sim_disk_open_count(disk), 0);
    }
}

static void each_engine_finds_the_disk_full(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        const struct engine_row *row = &engine_rows[i];
        disk->faults.bytes_max = 0;
        file_write("f", 'f', LARGE);
        disk->faults.no_copy = row->no_copy;
        disk->faults.bytes_max = LARGE + LARGE / 2;
        assert_int_equal(piped("f", "g", row->flags, row->engine), -ENOSPC);
        assert_int_equal(is_pattern("g", 'f', LARGE / 2), 1); /* what fitted */
        assert_int_equal(sim_disk_open_count(disk), 0);
    }
}

/* Each call of the disk fails once: the copy is whole and said to be, or it is said to have failed.
 */
static void each_call_of_an_engine_fails_once(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        const struct engine_row *row = &engine_rows[i];
        unsigned failures = 0;
        for (uint64_t nth = 1; nth < 20; nth++) {
            disk->faults.no_copy = row->no_copy;
            file_write("f", 'f', LARGE);
            uint64_t failed = disk->failed_count;
            disk->faults.fail_at = nth;
            int code = piped("f", "g", row->flags, row->engine);
            disk->faults.fail_at = 0;
            failures += code < 0;
            if (failed == disk->failed_count)
                assert_int_equal(code, 0);
            if (code == 0)
                assert_int_equal(is_pattern("g", 'f', LARGE), 1);
            assert_int_equal(sim_disk_open_count(disk), 0);
        }
        assert_true(failures >= 4);
    }
}

/* ---- what a power cut leaves ---- */

static void d1_synced_bytes_are_there(void **state)
{
    for (uint64_t seed = 1; seed < 50; seed++) {
        teardown(NULL);
        world_new(seed);
        file_write("f", 's', LARGE);
        path_sync("f", 0);
        path_sync("/", LEAT_OPEN_DIRECTORY);
        sim_disk_power_cut(disk);
        assert_int_equal(is_pattern("f", 's', LARGE), 1);
    }
}

static void d2_of_unsynced_bytes_anything_is(void **state)
{
    unsigned whole = 0, torn = 0;
    for (uint64_t seed = 1; seed < 100; seed++) {
        teardown(NULL);
        world_new(seed);
        file_write("f", 'o', SIM_DISK_BLOCK_BYTES);
        path_sync("f", 0);
        path_sync("/", LEAT_OPEN_DIRECTORY);
        file_write("f", 'n', SIM_DISK_BLOCK_BYTES);
        sim_disk_power_cut(disk);
        bool is_whole = is_pattern("f", 'o', SIM_DISK_BLOCK_BYTES) == 1 ||
                        is_pattern("f", 'n', SIM_DISK_BLOCK_BYTES) == 1;
        whole += is_whole;
        file_write("g", 'n', LARGE);
        path_sync("/", LEAT_OPEN_DIRECTORY);
        sim_disk_power_cut(disk);
        torn += is_pattern("g", 'n', LARGE) == 0;
    }
    assert_int_equal(whole, 99); /* one block is old or new */
    assert_true(torn > 50);
}

static void d3_names_are_there_in_their_order(void **state)
{
    unsigned counts[4] = {0};
    for (uint64_t seed = 1; seed < 100; seed++) {
        teardown(NULL);
        world_new(seed);
        const char *names[] = {"a", "b", "c"};
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(code_of(leat_fs_mkdir(loop, names[i], 0755)), 0);
        sim_disk_power_cut(disk);
        unsigned count = 0;
        while (count < 3 && code_of(leat_fs_stat(loop, names[count])) == 0)
            count++;
        for (unsigned i = count; i < 3; i++) /* none without those before it */
            assert_int_equal(code_of(leat_fs_stat(loop, names[i])), -ENOENT);
        counts[count]++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(counts[i] > 0);
}

static void d4_descriptors_are_gone(void **state)
{
    struct leat_result result = await(leat_fs_open(loop, "f", LEAT_OPEN_NEW));
    sim_disk_power_cut(disk);
    assert_int_equal(code_of(leat_fs_sync(leat_result_file(&result))), -EBADF);
    leat_result_drop(&result);
}

/* The promise of replace_file, at every call of it and for many cuts. */
static void replace_file_leaves_old_or_new(void **state)
{
    unsigned old = 0, new = 0;
    for (uint64_t seed = 1; seed < 40; seed++) {
        for (uint64_t nth = 1;; nth++) {
            teardown(NULL);
            world_new(seed * 1000 + nth);
            assert_int_equal(code_of(leat_fs_replace_file(loop, "f", pattern('o', 700))), 0);
            disk->faults.fail_at = nth;
            int code = code_of(leat_fs_replace_file(loop, "f", pattern('n', LARGE)));
            bool has_failed = disk->faults.fail_at == 0;
            sim_disk_power_cut(disk);
            bool is_old = is_pattern("f", 'o', 700) == 1, is_new = is_pattern("f", 'n', LARGE) == 1;
            assert_true(is_old || is_new);
            assert_true(code < 0 || is_new); /* what was promised is there */
            old += is_old;
            new += is_new;
            if (!has_failed)
                break;
        }
    }
    assert_true(old > 100 && new > 40);
}

/* ---- every call fails, every operation is cancelled ---- */

static struct leat_future *operation(unsigned number)
{
    switch (number) {
    case 0:
        return leat_fs_mkdir_all(loop, "a/b/c", 0755);
    case 1:
        return leat_fs_write_file(loop, "a/f", pattern('x', LARGE));
    case 2:
        return leat_fs_replace_file(loop, "a/f", pattern('y', LARGE));
    case 3:
        return leat_fs_read_file(loop, "a/f", 0);
    case 4:
        return leat_fs_copy(loop, "a/f", "a/g", 0);
    case 5:
        return leat_fs_symlink(loop, "f", "a/l");
    case 6:
        return leat_fs_realpath(loop, "a/l");
    case 7:
        return leat_fs_readlink(loop, "a/l");
    case 8:
        return leat_fs_open(loop, "a/f", LEAT_OPEN_READ_WRITE);
    case 9:
        return leat_fs_mkdtemp(loop, "a/t");
    case 10:
        return leat_fs_rename(loop, "a/g", "a/h");
    case 11:
        return leat_fs_stat(loop, "a/h");
    case 12:
        return leat_fs_chmod(loop, "a/h", 0600);
    case 13:
        return leat_fs_unlink(loop, "a/h");
    case 14:
        return leat_fs_remove(loop, "a");
    default:
        return NULL;
    }
}

static void every_call_fails_once(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        teardown(NULL);
        world_new(nth);
        disk->faults.fail_at = nth;
        for (unsigned i = 0; i < 15; i++)
            (void)code_of(operation(i));
        while (pass())
            ;
        assert_int_equal(sim_disk_open_count(disk), 0);
        if (disk->failed_count == 0)
            break;
    }
}

static void every_operation_is_cancelled_at_every_point(void **state)
{
    for (unsigned cancelled = 0; cancelled < 15; cancelled++) {
        for (unsigned turns = 0; turns < 4; turns++) {
            teardown(NULL);
            world_new(cancelled * 4 + turns);
            for (unsigned i = 0; i < 15; i++) {
                struct leat_future *future = operation(i);
                for (unsigned k = 0; i == cancelled && k < turns; k++)
                    (void)pass();
                if (i == cancelled)
                    leat_future_cancel(future);
                (void)code_of(future);
            }
            while (pass())
                ;
            assert_int_equal(sim_disk_open_count(disk), 0);
        }
    }
}

/* ---- a full lane ---- */

static void lane_fill(void)
{
    bool is_full = false;
    for (unsigned i = 0; i <= LEAT_POOL_JOBS_MAX && !is_full; i++) {
        struct leat_future *future = leat_fs_stat(loop, "/");
        is_full = leat_future_result(future) != NULL;
        leat_future_ignore(future);
        leat_future_unref(future);
    }
    assert_true(is_full);
}

/* At each of its steps: opening, measuring or reading, writing, syncing, closing. */
static void a_stream_waits_for_a_full_lane(void **state)
{
    file_write("from", 's', LARGE);
    for (unsigned turns = 0; turns < 12; turns++) {
        struct leat_stream *streams[] = {leat_fs_readable(loop, "from", 0, LEAT_TO_END),
                                         leat_fs_writable(loop, "to", LEAT_OPEN_NEW, LEAT_FS_SYNC)};
        struct leat_future *all = leat_pipeline(streams, 2);
        for (unsigned i = 0; i < turns; i++)
            (void)pass();
        if (leat_future_result(all) == NULL)
            lane_fill();
        assert_int_equal(code_of(all), 0);
        assert_int_equal(is_pattern("to", 's', LARGE), 1);
        assert_int_equal(code_of(leat_fs_unlink(loop, "to")), 0);
    }
    while (pass())
        ;
    assert_int_equal(sim_disk_open_count(disk), 0);
}

static void a_close_waits_for_a_full_lane(void **state)
{
    struct leat_result result = await(leat_fs_open(loop, "c", LEAT_OPEN_WRITE | LEAT_OPEN_NEW));
    struct leat_file *file = leat_file_ref(leat_result_file(&result));
    leat_result_drop(&result);
    lane_fill();
    assert_int_equal(code_of(leat_fs_close(file)), 0);
    assert_int_equal(sim_disk_open_count(disk), 0);
}

/* ---- the end ---- */

/* Its files are closed, and its consumer hears of it, at whichever step the loop ends. */
static void a_stream_ends_with_its_loop(void **state)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        file_write("from", 's', LARGE);
        struct leat_stream *streams[] = {leat_fs_readable(loop, "from", 0, LEAT_TO_END),
                                         leat_fs_writable(loop, "to", LEAT_OPEN_NEW, LEAT_FS_SYNC)};
        leat_call(leat_pipeline(streams, 2), done_say, NULL);
        for (unsigned i = 0; i < turns; i++)
            (void)pass();
        leat_loop_free(loop);
        assert_true(strcmp(said, "0:-125 ") == 0 || strcmp(said, "0:0 ") == 0);
        assert_true(turns > 0 || strcmp(said, "0:-125 ") == 0);
        assert_int_equal(sim_disk_open_count(disk), 0);
        sim_disk_free(disk);
        world_new(turns);
    }
}

static void a_world_may_end_with_jobs_under_way(void **state)
{
    for (unsigned i = 0; i < 15; i++) {
        struct leat_future *future = operation(i);
        leat_future_ignore(future);
        leat_future_unref(future);
    }
    leat_loop_free(loop);
    assert_int_equal(sim_disk_open_count(disk), 0);
    sim_disk_free(disk);
    world_new(1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_plays_the_same_again),
        TEST(nothing_settles_before_its_time),
        TEST(it_does_what_disks_do),
        TEST(a_file_without_a_name_leaves_nothing),
        TEST(short_reads_and_writes_are_gone_on_with),
        TEST(a_full_disk_is_told),
        TEST(files_go_by_each_engine),
        TEST(each_engine_finds_the_disk_full),
        TEST(each_call_of_an_engine_fails_once),
        TEST(d1_synced_bytes_are_there),
        TEST(d2_of_unsynced_bytes_anything_is),
        TEST(d3_names_are_there_in_their_order),
        TEST(d4_descriptors_are_gone),
        TEST(replace_file_leaves_old_or_new),
        TEST(every_call_fails_once),
        TEST(every_operation_is_cancelled_at_every_point),
        TEST(a_stream_waits_for_a_full_lane),
        TEST(a_close_waits_for_a_full_lane),
        TEST(a_stream_ends_with_its_loop),
        TEST(a_world_may_end_with_jobs_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

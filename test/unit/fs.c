/* Files off the loop: every operation, well and failing; files that change, FIFOs, /proc; trees
 * with links that lead out; descriptors that nobody leaks, whatever fails or is cancelled. */
#include <leat/fs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leat/metrics.h>

#include "buffers/heap.h"
#include "runtime/os/fs_internal.h"
#include "runtime/os/pool_internal.h"
#include "test/unit/fs_failing.h"

#define LARGE (3u << 20)

static struct leat_loop *loop;
static struct failing_sys failing;
static char root[64];
static unsigned descriptors_before;
static bool is_nothing_cached; /* reads leave the loop: for the ring, where there is one */

static unsigned descriptors_count(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* But what no cache has a part in is said at once, by the kernel too. */
static int64_t uncached_read(struct fs_sys *sys, int fd, void *to, size_t bytes, int64_t offset)
{
    int64_t result = fs_sys_machine()->read_cached(fs_sys_machine(), fd, to, bytes, offset);
    return result >= 0 ? -EAGAIN : result;
}

/* From now on; the ring, which is made when the first read wants it, is there then. */
static void uncache(void)
{
    failing.sys.read_cached = uncached_read;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct leat_file *file = file_new_on(fd, &failing.sys);
    leat_future_unref(leat_fs_read(file, 0, 1));
    leat_file_unref(file);
    (void)leat_loop_run(loop);
}

static int setup_in(const char *directory)
{
    snprintf(root, sizeof(root), "%s/leat-fs.XXXXXX", directory);
    loop = leat_loop_new(NULL, NULL);
    if (loop == NULL || mkdtemp(root) == NULL || chdir(root) != 0)
        return 1;
    failing_init(&failing, fs_sys_machine());
    pool_core_of(loop)->sys = &failing.sys;
    if (is_nothing_cached)
        uncache();
    umask(022);
    descriptors_before = descriptors_count();
    return 0;
}

static int setup(void **state)
{
    return setup_in("/tmp");
}

/* Where names and fsync cost nothing, for what makes hundreds of them. */
static int setup_in_memory(void **state)
{
    return setup_in(access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
}

static int teardown(void **state)
{
    char command[256];
    assert_int_equal(descriptors_count(), descriptors_before);
    leat_loop_free(loop);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", root, root);
    return chdir("/") != 0 || system(command) != 0;
}

/* Takes the future; what it settled with is the caller's. */
static struct leat_result await(struct leat_future *future)
{
    leat_future_ignore(future);
    while (leat_future_result(future) == NULL)
        (void)leat_loop_turn(loop, LEAT_NS_PER_S);
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

static struct leat_file *file_of(struct leat_future *future)
{
    struct leat_result result = await(future);
    assert_int_equal(result.code, 0);
    return leat_result_file(&result); /* its reference is the result's */
}

static struct leat_buf bytes_of(struct leat_future *future)
{
    struct leat_result result = await(future);
    assert_int_equal(result.code, 0);
    return leat_result_buf(&result);
}

static void text_is(struct leat_future *future, const char *text)
{
    struct leat_buf buf = bytes_of(future);
    assert_int_equal(buf.length_bytes, strlen(text));
    assert_memory_equal(buf.data != NULL ? (const void *)buf.data : "", text, strlen(text));
    leat_buf_unref(buf);
}

static struct leat_buf text(const char *string)
{
    return leat_buf_from_string(string);
}

static void put(const char *path, const char *string)
{
    assert_int_equal(code_of(leat_fs_write_file(loop, path, text(string))), 0);
}

/* What unref closed in the pool. */
static void settle(void)
{
    assert_int_equal(leat_loop_run(loop), 0);
}

/* ---- whole files ---- */

static void writes_and_reads_whole_files(void **state)
{
    put("a", "hello");
    text_is(leat_fs_read_file(loop, "a", 0), "hello");
    put("a", "bye");
    text_is(leat_fs_read_file(loop, "a", 3), "bye");
    assert_int_equal(code_of(leat_fs_read_file(loop, "a", 2)), -EFBIG);
    put("a", "");
    text_is(leat_fs_read_file(loop, "a", 0), "");
    struct leat_result result = await(leat_fs_read_file(loop, "none", 0));
    assert_int_equal(result.code, -ENOENT);
    assert_string_equal(leat_result_sentence(&result),
                        "read_file \"none\": No such file or directory (ENOENT)");
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_read_file(loop, ".", 0)), -EISDIR);
    assert_int_equal(code_of(leat_fs_write_file(loop, "no/where", text("x"))), -ENOENT);
}

static struct leat_buf large_new(void)
{
    struct leat_buf buf = leat_buf_alloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        buf.data[i] = (uint8_t)(i * 31 + (i >> 8));
    return buf;
}

static void large_files_are_whole(void **state)
{
    struct leat_buf large = large_new();
    assert_int_equal(code_of(leat_fs_write_file(loop, "large", leat_buf_ref(large))), 0);
    struct leat_buf read = bytes_of(leat_fs_read_file(loop, "large", 0));
    assert_int_equal(read.length_bytes, LARGE);
    assert_memory_equal(read.data, large.data, LARGE);
    leat_buf_unref(read);
    assert_int_equal(code_of(leat_fs_read_file(loop, "large", LARGE - 1)), -EFBIG);
    leat_buf_unref(bytes_of(leat_fs_read_file(loop, "large", LARGE)));
    leat_buf_unref(large);
}

static void files_that_say_they_are_empty_are_read(void **state)
{
    struct leat_buf status = bytes_of(leat_fs_read_file(loop, "/proc/self/status", 0));
    assert_true(status.length_bytes > 100);
    leat_buf_unref(status);
    assert_int_equal(code_of(leat_fs_read_file(loop, "/proc/self/status", 10)), -EFBIG);
    assert_int_equal(code_of(leat_fs_read_file(loop, "/dev/zero", 10000)), -EFBIG);
    struct leat_result result = await(leat_fs_copy(loop, "/proc/self/status", "status", 0));
    assert_true(leat_result_number(&result) > 100);
    struct stat s;
    assert_int_equal(stat("status", &s), 0);
    assert_int_equal(s.st_size, leat_result_number(&result));
}

/* Between the look at its length and the read somebody changes it. */
static off_t length_changed;
static int64_t stat_then_change(struct fs_sys *sys, int dir, const char *path, int flags,
                                struct stat *to)
{
    int64_t result = fs_sys_machine()->stat(sys, dir, path, flags, to);
    if (truncate("changing", length_changed) != 0)
        return -errno;
    return result;
}

static void files_that_change_are_read_to_their_end(void **state)
{
    struct leat_buf large = large_new();
    failing.sys.stat = stat_then_change;
    const off_t lengths[] = {0, 1, LARGE / 2, LARGE + 1, 2 * LARGE};
    for (size_t i = 0; i < 5; i++) {
        length_changed = lengths[i];
        assert_int_equal(code_of(leat_fs_write_file(loop, "changing", leat_buf_ref(large))), 0);
        struct leat_buf read = bytes_of(leat_fs_read_file(loop, "changing", 0));
        assert_int_equal(read.length_bytes, length_changed);
        leat_buf_unref(read);
    }
    assert_int_equal(code_of(leat_fs_write_file(loop, "changing", leat_buf_ref(large))), 0);
    assert_int_equal(code_of(leat_fs_read_file(loop, "changing", LARGE + 7)), -EFBIG); /* grew */
    leat_buf_unref(large);
}

static void replaces_at_once(void **state)
{
    struct stat s;
    assert_int_equal(code_of(leat_fs_replace_file(loop, "conf", text("one"))), 0);
    assert_int_equal(chmod("conf", 0640), 0);
    assert_int_equal(code_of(leat_fs_replace_file(loop, "conf", text("two"))), 0);
    text_is(leat_fs_read_file(loop, "conf", 0), "two");
    assert_int_equal(stat("conf", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0640);
    assert_int_equal(symlink("conf", "link"), 0);
    assert_int_equal(code_of(leat_fs_replace_file(loop, "link", text("three"))), 0);
    text_is(leat_fs_read_file(loop, "conf", 0), "two");
    assert_int_equal(lstat("link", &s), 0);
    assert_true(S_ISREG(s.st_mode));
    assert_int_equal(mkdir("dir", 0755), 0);
    assert_int_equal(code_of(leat_fs_replace_file(loop, "dir", text("x"))), -EISDIR);
    assert_int_equal(code_of(leat_fs_replace_file(loop, "no/where", text("x"))), -ENOENT);
    unsigned count = 0;
    DIR *dir = opendir(".");
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    assert_int_equal(count, 2 + 3); /* nothing lies beside them */
}

static void copies_files(void **state)
{
    struct stat s;
    struct leat_buf large = large_new();
    assert_int_equal(code_of(leat_fs_write_file(loop, "from", large)), 0);
    assert_int_equal(chmod("from", 0751), 0);
    struct leat_result result = await(leat_fs_copy(loop, "from", "to", LEAT_COPY_NEW));
    assert_int_equal(leat_result_number(&result), LARGE);
    assert_int_equal(stat("to", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0751);
    assert_int_equal(system("cmp from to"), 0);
    assert_int_equal(code_of(leat_fs_copy(loop, "from", "to", LEAT_COPY_NEW)), -EEXIST);
    put("short", "s");
    assert_int_equal(code_of(leat_fs_copy(loop, "short", "to", 0)), 0);
    text_is(leat_fs_read_file(loop, "to", 0), "s");
    assert_int_equal(link("from", "same"), 0);
    assert_int_equal(code_of(leat_fs_copy(loop, "from", "same", 0)), -EINVAL);
    assert_int_equal(stat("from", &s), 0);
    assert_int_equal(s.st_size, LARGE); /* it was not cut */
    assert_int_equal(code_of(leat_fs_copy(loop, ".", "to", 0)), -EISDIR);
    assert_int_equal(code_of(leat_fs_copy(loop, "none", "to", 0)), -ENOENT);
    assert_int_equal(code_of(leat_fs_copy(loop, "from", "to", 2)), -EINVAL);
}

/* ---- open files ---- */

static void opens_reads_writes_and_closes(void **state)
{
    struct leat_file *file = file_of(leat_fs_open(loop, "f", LEAT_OPEN_NEW | LEAT_OPEN_READ_WRITE));
    struct leat_result result = await(leat_fs_write(file, 4, text("efgh")));
    assert_int_equal(leat_result_number(&result), 4);
    assert_int_equal(code_of(leat_fs_write(file, 0, text("abcd"))), 0);
    text_is(leat_fs_read(file, 2, 4), "cdef");
    text_is(leat_fs_read(file, 2, 100), "cdefgh");
    text_is(leat_fs_read(file, 8, 100), "");
    text_is(leat_fs_read(file, LEAT_FS_HERE, 3), "abc");
    text_is(leat_fs_read(file, LEAT_FS_HERE, 3), "def");
    assert_int_equal(code_of(leat_fs_sync(file)), 0);
    assert_int_equal(code_of(leat_fs_truncate(file, 3)), 0);
    result = await(leat_fs_fstat(file));
    assert_int_equal(leat_result_stat(&result)->length_bytes, 3);
    assert_int_equal(leat_result_stat(&result)->type, LEAT_ENTRY_FILE);
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_read(file, 0, 0)), -EINVAL);
    assert_int_equal(code_of(leat_fs_truncate(file, UINT64_MAX)), -EFBIG);
    assert_int_equal(code_of(leat_fs_close(file)), 0);
    assert_int_equal(descriptors_count(), descriptors_before);
}

static void opens_as_it_is_told(void **state)
{
    put("f", "abc");
    assert_int_equal(symlink("f", "link"), 0);
    assert_int_equal(code_of(leat_fs_open(loop, "f", LEAT_OPEN_NEW)), -EEXIST);
    assert_int_equal(code_of(leat_fs_open(loop, "f", LEAT_OPEN_DIRECTORY)), -ENOTDIR);
    assert_int_equal(code_of(leat_fs_open(loop, "link", LEAT_OPEN_NO_LINK)), -ELOOP);
    assert_int_equal(code_of(leat_fs_open(loop, "none", 0)), -ENOENT);
    assert_int_equal(code_of(leat_fs_open(loop, "f", 1u << 20)), -EINVAL);
    struct leat_file *file = file_of(leat_fs_open(loop, "f", 0));
    assert_int_equal(code_of(leat_fs_write(file, 0, text("x"))), -EBADF);
    leat_file_unref(file);
    file = file_of(leat_fs_open(loop, "f", LEAT_OPEN_APPEND));
    assert_int_equal(code_of(leat_fs_write(file, 0, text("def"))), 0);
    leat_file_unref(file);
    text_is(leat_fs_read_file(loop, "f", 0), "abcdef");
    leat_file_unref(file_of(leat_fs_open(loop, "f", LEAT_OPEN_EMPTY)));
    text_is(leat_fs_read_file(loop, "f", 0), "");
    struct stat s;
    leat_file_unref(file_of(leat_fs_open(loop, "p", LEAT_OPEN_NEW | LEAT_OPEN_PRIVATE)));
    assert_int_equal(stat("p", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    settle();
}

static void opens_nothing_above(void **state)
{
    assert_int_equal(mkdir("dir", 0755), 0);
    put("secret", "s");
    put("dir/f", "inside");
    assert_int_equal(symlink("../secret", "dir/out"), 0);
    assert_int_equal(symlink("f", "dir/in"), 0);
    struct leat_file *dir = file_of(leat_fs_open(loop, "dir", LEAT_OPEN_DIRECTORY));
    struct leat_file *file = file_of(leat_fs_open_beneath(loop, dir, "in", 0));
    text_is(leat_fs_read(file, 0, 100), "inside");
    leat_file_unref(file);
    const char *ways[] = {"../secret", "out", "/etc/passwd", "..", "f/../../secret"};
    for (size_t i = 0; i < 5; i++) {
        int code = code_of(leat_fs_open_beneath(loop, dir, ways[i], 0));
        assert_true(code == -EXDEV || code == -ENOTDIR);
    }
    file = file_of(leat_fs_open_beneath(loop, dir, "new", LEAT_OPEN_NEW));
    assert_int_equal(access("dir/new", F_OK), 0);
    leat_file_unref(file);
    leat_file_unref(dir);
    settle();
}

/* A number is not closed, and not given to another file, while somebody reads it. */
static void closes_with_the_last_reference(void **state)
{
    put("f", "abc");
    struct leat_file *file = file_of(leat_fs_open(loop, "f", 0));
    struct leat_file *other = leat_file_ref(file);
    struct leat_future *read = leat_fs_read(file, 0, 3);
    struct leat_future *closed = leat_fs_close(file);
    text_is(read, "abc");
    (void)leat_loop_turn(loop, 0);
    assert_null(leat_future_result(closed));
    assert_int_equal(code_of(leat_fs_close(leat_file_ref(other))), -EALREADY);
    text_is(leat_fs_read(other, 1, 1), "b");
    leat_file_unref(other);
    assert_int_equal(code_of(closed), 0);
    assert_int_equal(descriptors_count(), descriptors_before);
}

static void reports_what_close_failed_with(void **state)
{
    put("f", "abc");
    struct leat_file *file = file_of(leat_fs_open(loop, "f", 0));
    failing.fail_at = 1;
    assert_int_equal(code_of(leat_fs_close(file)), -EIO);
    assert_int_equal(descriptors_count(), descriptors_before);
}

static void a_fifo_holds_up_nobody(void **state)
{
    assert_int_equal(mkfifo("fifo", 0600), 0);
    struct leat_file *reader = file_of(leat_fs_open(loop, "fifo", 0));
    text_is(leat_fs_read(reader, LEAT_FS_HERE, 10), ""); /* nobody writes */
    struct leat_file *writer = file_of(leat_fs_open(loop, "fifo", LEAT_OPEN_WRITE));
    assert_int_equal(code_of(leat_fs_read(reader, LEAT_FS_HERE, 10)), -EAGAIN);
    assert_int_equal(code_of(leat_fs_read(reader, 0, 10)), -ESPIPE);
    assert_int_equal(code_of(leat_fs_write(writer, LEAT_FS_HERE, text("hey"))), 0);
    text_is(leat_fs_read(reader, LEAT_FS_HERE, 10), "hey");
    leat_file_unref(reader);
    leat_file_unref(writer);
    settle(); /* until it is closed there is a writer */
    text_is(leat_fs_read_file(loop, "fifo", 0), "");
    settle();
    assert_int_equal(code_of(leat_fs_open(loop, "fifo", LEAT_OPEN_WRITE)), -ENXIO);
}

static void a_file_belongs_to_its_core(void **state)
{
    put("f", "abc");
    struct leat_file *file = file_of(leat_fs_open(loop, "f", 0));
    struct leat_core *home = leat_core_now;
    const struct leat_loop_options options = {.index = 1};
    struct leat_loop *other = leat_loop_new(&options, NULL);
    struct leat_future *futures[] = {leat_fs_read(file, 0, 3), leat_fs_sync(file),
                                     leat_fs_close(file)};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(leat_future_result(futures[i])->code, -EXDEV);
        leat_future_ignore(futures[i]);
        leat_future_unref(futures[i]);
    }
    leat_loop_free(other);
    leat_core_now = home;
    assert_int_equal(code_of(leat_fs_close(file)), 0);
}

/* ---- names ---- */

static void string_is(struct leat_future *future, const char *string)
{
    struct leat_result result = await(future);
    assert_int_equal(result.code, 0);
    assert_string_equal(leat_result_string(&result), string);
    leat_result_drop(&result);
}

static struct leat_file *unnamed_new(const char *text_of)
{
    struct leat_file *file = file_of(leat_fs_open(loop, ".", LEAT_OPEN_UNNAMED));
    assert_int_equal(code_of(leat_fs_write(file, 0, text(text_of))), 0);
    return file;
}

/* A file is whole when it has a name, and one that has none leaves nothing. */
static void a_file_gets_its_name_when_it_is_whole(void **state)
{
    struct leat_file *file = unnamed_new("whole"), *other = unnamed_new("other");
    assert_int_equal(code_of(leat_fs_stat(loop, "named")), -ENOENT);
    assert_int_equal(code_of(leat_fs_link(file, "named")), 0);
    struct leat_result result = await(leat_fs_read_file(loop, "named", 0));
    assert_int_equal(leat_result_buf(&result).length_bytes, 5);
    leat_result_drop(&result);
    result = await(leat_fs_link(other, "named"));
    assert_int_equal(result.code, -EEXIST); /* nothing is replaced */
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_link(other, "none/x")), -ENOENT);
    assert_int_equal(code_of(leat_fs_close(file)), 0);
    assert_int_equal(code_of(leat_fs_close(other)), 0);
    assert_int_equal(code_of(leat_fs_unlink(loop, "named")), 0);
    assert_int_equal(code_of(leat_fs_open(loop, "none", LEAT_OPEN_UNNAMED)), -ENOENT);
}

static void names_are_made_moved_and_removed(void **state)
{
    char path[128];
    assert_int_equal(code_of(leat_fs_mkdir(loop, "d", 0700)), 0);
    assert_int_equal(code_of(leat_fs_mkdir(loop, "d", 0700)), -EEXIST);
    put("d/f", "x");
    assert_int_equal(code_of(leat_fs_rmdir(loop, "d")), -ENOTEMPTY);
    assert_int_equal(code_of(leat_fs_rename(loop, "d/f", "g")), 0);
    struct leat_result result = await(leat_fs_rename(loop, "d/f", "g"));
    assert_string_equal(leat_result_sentence(&result),
                        "rename \"d/f\" to \"g\": No such file or directory (ENOENT)");
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_rmdir(loop, "d")), 0);
    assert_int_equal(code_of(leat_fs_symlink(loop, "g", "l")), 0);
    assert_int_equal(code_of(leat_fs_symlink(loop, "g", "l")), -EEXIST);
    string_is(leat_fs_readlink(loop, "l"), "g");
    assert_int_equal(code_of(leat_fs_readlink(loop, "g")), -EINVAL);
    snprintf(path, sizeof(path), "%s/g", root);
    string_is(leat_fs_realpath(loop, "l"), path);
    assert_int_equal(code_of(leat_fs_realpath(loop, "none")), -ENOENT);
    assert_int_equal(code_of(leat_fs_chmod(loop, "g", 0604)), 0);
    assert_int_equal(code_of(leat_fs_chmod(loop, "none", 0604)), -ENOENT);
    result = await(leat_fs_stat(loop, "l"));
    assert_int_equal(leat_result_stat(&result)->mode, 0604);
    assert_int_equal(leat_result_stat(&result)->type, LEAT_ENTRY_FILE);
    assert_true(leat_result_stat(&result)->modified_ns > INT64_C(1500000000000000000));
    leat_result_drop(&result);
    result = await(leat_fs_lstat(loop, "l"));
    assert_int_equal(leat_result_stat(&result)->type, LEAT_ENTRY_LINK);
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_unlink(loop, "l")), 0);
    assert_int_equal(code_of(leat_fs_unlink(loop, "l")), -ENOENT);
    assert_int_equal(code_of(leat_fs_stat(loop, "l")), -ENOENT);
    result = await(leat_fs_mkdtemp(loop, "tmp-"));
    assert_int_equal(strlen(leat_result_string(&result)), 10);
    assert_int_equal(rmdir(leat_result_string(&result)), 0);
    leat_result_drop(&result);
    assert_int_equal(code_of(leat_fs_mkdtemp(loop, "no/tmp-")), -ENOENT);
}

static void makes_all_directories(void **state)
{
    struct stat s;
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "a/b//c/d/", 0755)), 0);
    assert_int_equal(stat("a/b/c/d", &s), 0);
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "a/b//c/d/", 0755)), 0);
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "a/b/e", 0755)), 0);
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "/", 0755)), 0);
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "", 0755)), -ENOENT);
    put("a/f", "x");
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "a/f", 0755)), -EEXIST);
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "a/f/g", 0755)), -ENOTDIR);
    assert_int_equal(symlink("b", "a/l"), 0);
    assert_int_equal(code_of(leat_fs_mkdir_all(loop, "a/l/h/i", 0755)), 0);
    assert_int_equal(stat("a/b/h/i", &s), 0);
}

static void lists_each_name_once(void **state)
{
    enum { COUNT = 700 };
    bool seen[COUNT] = {false};
    unsigned count = 0;
    char name[64];
    assert_int_equal(mkdir("dir", 0755), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "dir/%03u-a-name-that-is-somewhat-long", i);
        assert_int_equal(i % 2 == 0 ? mkdir(name, 0755) : symlink("x", name), 0);
    }
    struct leat_file *dir = file_of(leat_fs_open(loop, "dir", LEAT_OPEN_DIRECTORY));
    for (;;) {
        struct leat_result result = await(leat_fs_readdir(dir));
        const struct leat_entries *entries = leat_result_entries(&result);
        for (uint32_t i = 0; i < entries->count; i++) {
            unsigned number = (unsigned)atoi(entries->items[i].name);
            assert_true(number < COUNT && !seen[number]);
            seen[number] = true;
            assert_int_equal(entries->items[i].type,
                             number % 2 == 0 ? LEAT_ENTRY_DIRECTORY : LEAT_ENTRY_LINK);
        }
        count += entries->count;
        bool is_over = entries->count == 0;
        leat_result_drop(&result);
        if (is_over)
            break;
    }
    assert_int_equal(count, COUNT);
    assert_int_equal(code_of(leat_fs_close(dir)), 0);
    put("f", "x");
    struct leat_file *file = file_of(leat_fs_open(loop, "f", 0));
    assert_int_equal(code_of(leat_fs_readdir(file)), -ENOTDIR);
    assert_int_equal(code_of(leat_fs_close(file)), 0);
}

/* ---- rm -r ---- */

static void tree_make(const char *top)
{
    char command[512];
    snprintf(command, sizeof(command),
             "mkdir -p %s/a/b/c %s/d outside/deep && touch outside/keep outside/deep/keep "
             "%s/a/f %s/a/b/c/f && mkfifo %s/fifo && ln -s ../outside %s/link && "
             "ln -s ../../../outside/deep %s/a/b/link && ln -s nowhere %s/d/dangling && "
             "for i in $(seq 300); do echo > %s/d/file-$i; mkdir %s/a/dir-$i; done",
             top, top, top, top, top, top, top, top, top, top);
    assert_int_equal(system(command), 0);
}

static void removes_trees_and_follows_no_link(void **state)
{
    tree_make("top");
    assert_int_equal(code_of(leat_fs_remove(loop, "top")), 0);
    assert_int_equal(access("top", F_OK), -1);
    assert_int_equal(access("outside/keep", F_OK), 0);
    assert_int_equal(access("outside/deep/keep", F_OK), 0);
    assert_int_equal(code_of(leat_fs_remove(loop, "top")), -ENOENT);
    assert_int_equal(symlink("outside", "link"), 0);
    assert_int_equal(code_of(leat_fs_remove(loop, "link")), 0);
    assert_int_equal(access("outside/keep", F_OK), 0);
    assert_int_equal(code_of(leat_fs_remove(loop, "outside/keep")), 0);
    const char *refused[] = {"/", ".", "..", "outside/.", "outside/..", "///", "outside/../", ""};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(code_of(leat_fs_remove(loop, refused[i])), -EINVAL);
    assert_int_equal(access("outside/deep/keep", F_OK), 0);
    assert_int_equal(code_of(leat_fs_remove(loop, "outside/")), 0);
}

static void removes_deep_trees_with_one_descriptor(void **state)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < 3000; i++) {
        assert_int_equal(mkdirat(fd, "deep", 0755), 0);
        int below = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = below;
    }
    close(fd);
    assert_int_equal(code_of(leat_fs_remove(loop, "deep")), 0);
    assert_int_equal(access("deep", F_OK), -1);
}

static _Atomic bool is_over;

/* Turns a directory of the tree into a link that leads out, and back. */
static void *swap_main(void *arg)
{
    while (!atomic_load(&is_over)) {
        (void)mkdir("top", 0755);
        (void)mkdir("top/x", 0755);
        (void)!symlink("../outside", "top/y");
        (void)renameat2(AT_FDCWD, "top/x", AT_FDCWD, "top/y", RENAME_EXCHANGE);
        (void)rename("top/x", "top/z");
    }
    return NULL;
}

static void removes_what_is_changed_meanwhile_and_nothing_else(void **state)
{
    pthread_t thread;
    tree_make("tree");
    is_over = false;
    assert_int_equal(pthread_create(&thread, NULL, swap_main, NULL), 0);
    for (unsigned i = 0; i < 1000; i++) {
        int code = code_of(leat_fs_remove(loop, "top"));
        assert_true(code == 0 || code == -ENOENT || code == -ENOTEMPTY || code == -EBUSY ||
                    code == -ENOTDIR || code == -ELOOP);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    assert_int_equal(access("outside/keep", F_OK), 0);
    assert_int_equal(access("outside/deep/keep", F_OK), 0);
}

/* ---- cancelling, failing ---- */

static void cancelled_operations_leak_nothing(void **state)
{
    put("f", "abc");
    for (unsigned i = 0; i < 200; i++) {
        struct leat_file *file = file_of(leat_fs_open(loop, "f", 0));
        struct leat_future *futures[] = {
            leat_fs_open(loop, "new", LEAT_OPEN_CREATE),
            leat_fs_open(loop, "f", 0),
            leat_fs_read(file, LEAT_FS_HERE, 1),
            leat_fs_read_file(loop, "f", 0),
            leat_fs_stat(loop, "f"),
            leat_fs_realpath(loop, "f"),
            leat_fs_write_file(loop, "g", text("x")),
            leat_fs_mkdtemp(loop, "t-"),
            leat_fs_close(file),
        };
        if (i % 2 == 0)
            (void)leat_loop_turn(loop, 0); /* some are under way, some have settled */
        for (size_t k = 0; k < sizeof(futures) / sizeof(futures[0]); k++) {
            leat_future_cancel(futures[k]);
            assert_non_null(leat_future_result(futures[k]));
            leat_future_ignore(futures[k]);
            leat_future_unref(futures[k]);
        }
        (void)leat_loop_turn(loop, i % 3 == 0 ? LEAT_NS_PER_MS : 0);
    }
    settle();
}

/* Every operation once; what fails is of no interest here, but that it is told and leaves nothing.
 */
static void everything(struct leat_buf large)
{
    (void)code_of(leat_fs_mkdir_all(loop, "all/a/b", 0755));
    (void)code_of(leat_fs_write_file(loop, "all/f", leat_buf_ref(large)));
    (void)code_of(leat_fs_replace_file(loop, "all/f", text("replaced")));
    (void)code_of(leat_fs_read_file(loop, "all/f", 0));
    (void)code_of(leat_fs_read_file(loop, "/proc/self/stat", 0));
    (void)code_of(leat_fs_copy(loop, "all/f", "all/g", 0));
    (void)code_of(leat_fs_copy(loop, "/proc/self/stat", "all/h", LEAT_COPY_NEW));
    (void)code_of(leat_fs_symlink(loop, "f", "all/l"));
    (void)code_of(leat_fs_readlink(loop, "all/l"));
    (void)code_of(leat_fs_realpath(loop, "all/l"));
    (void)code_of(leat_fs_stat(loop, "all/l"));
    (void)code_of(leat_fs_lstat(loop, "all/l"));
    (void)code_of(leat_fs_mkdtemp(loop, "all/t-"));
    (void)code_of(leat_fs_chmod(loop, "all/f", 0600));
    (void)code_of(leat_fs_rename(loop, "all/g", "all/a/g"));
    (void)code_of(leat_fs_mkdir(loop, "all/m", 0755));
    (void)code_of(leat_fs_rmdir(loop, "all/m"));
    (void)code_of(leat_fs_unlink(loop, "all/l"));
    struct leat_result opened = await(leat_fs_open(loop, "all/f", LEAT_OPEN_READ_WRITE));
    if (opened.code == 0) {
        struct leat_file *file = leat_result_file(&opened);
        (void)code_of(leat_fs_write(file, 0, text("text")));
        (void)code_of(leat_fs_read(file, 0, 100));
        (void)code_of(leat_fs_read(file, LEAT_FS_HERE, 100));
        (void)code_of(leat_fs_truncate(file, 1));
        (void)code_of(leat_fs_sync(file));
        (void)code_of(leat_fs_fstat(file));
        (void)code_of(leat_fs_link(file, "all/linked"));
        (void)code_of(leat_fs_close(file));
    } else {
        leat_result_drop(&opened);
    }
    opened = await(leat_fs_open(loop, "all", LEAT_OPEN_DIRECTORY));
    if (opened.code == 0) {
        (void)code_of(leat_fs_readdir(leat_result_file(&opened)));
        (void)code_of(leat_fs_open_beneath(loop, leat_result_file(&opened), "f", 0));
    }
    leat_result_drop(&opened);
    (void)code_of(leat_fs_remove(loop, "all"));
    settle();
}

static void every_system_call_fails_once(void **state)
{
    struct leat_buf large = large_new();
    uint64_t nth = 1;
    for (;; nth++) {
        failing.failed_count = 0;
        failing.fail_at = nth;
        everything(large);
        failing.fail_at = 0;
        assert_int_equal(descriptors_count(), descriptors_before);
        (void)code_of(leat_fs_remove(loop, "all"));
        if (failing.failed_count == 0)
            break;
    }
    assert_true(nth > 60);
    leat_buf_unref(large);
}

static void every_allocation_fails_once(void **state)
{
    struct leat_buf large = large_new();
    for (uint64_t nth = 1;; nth++) {
        struct leat_heap_stats before, after;
        leat_heap_stats(leat_core_now, &before);
        leat_heap_fail_at(leat_core_now, nth);
        everything(large);
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &after);
        assert_int_equal(descriptors_count(), descriptors_before);
        (void)code_of(leat_fs_remove(loop, "all"));
        if (before.refused_count == after.refused_count)
            break;
    }
    leat_buf_unref(large);
}

/* ---- without a loop ---- */

static void twins_do_the_same_at_once(void **state)
{
    struct leat_error error = {0};
    assert_int_equal(leat_fs_mkdir_all_sync("s/t", 0755, &error), 0);
    struct leat_buf one = text("one");
    assert_int_equal(leat_fs_write_file_sync("s/t/f", one, &error), 0);
    assert_int_equal(leat_fs_replace_file_sync("s/t/g", one, &error), 0);
    assert_int_equal(leat_fs_copy_sync("s/t/f", "s/t/h", LEAT_COPY_NEW, &error), 0);
    assert_int_equal(leat_fs_copy_sync("s/t/f", "s/t/h", LEAT_COPY_NEW, &error), -EEXIST);
    assert_string_equal(error.sentence, "copy \"s/t/f\" to \"s/t/h\": File exists (EEXIST)");
    struct leat_buf buf = leat_fs_read_file_sync("s/t/h", 0, &error);
    assert_int_equal(buf.length_bytes, 3);
    leat_buf_unref(buf);
    buf = leat_fs_read_file_sync("s/t/h", 1, &error);
    assert_null(buf.data);
    assert_int_equal(error.code, -EFBIG);
    leat_buf_unref(one);
    assert_int_equal(leat_fs_write_file_sync("s/e", (struct leat_buf){NULL, 0, NULL}, NULL), 0);
    assert_non_null(leat_fs_read_file_sync("s/e", 0, NULL).data);
    assert_int_equal(leat_fs_remove_sync("s", &error), 0);
    assert_int_equal(leat_fs_remove_sync("s", &error), -ENOENT);
}

static void blocking_write(void *arg)
{
    struct leat_buf buf = text("x");
    assert_int_equal(leat_fs_write_file_sync("b", buf, NULL), 0);
    leat_buf_unref(buf);
}

static void twins_on_a_turning_loop_are_counted(void **state)
{
    struct leat_loop_metrics metrics;
    blocking_write(NULL);
    leat_loop_metrics(loop, &metrics);
    assert_int_equal(metrics.blocked_ns, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(leat_loop_pend(loop, blocking_write, NULL), 0);
    settle();
    leat_loop_metrics(loop, &metrics);
    assert_true(metrics.blocked_ns > 0);
}

int main(void)
{
#define TEST(name)           cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_IN_MEMORY(name) cmocka_unit_test_setup_teardown(name, setup_in_memory, teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_and_reads_whole_files),
        TEST(large_files_are_whole),
        TEST(files_that_say_they_are_empty_are_read),
        TEST(files_that_change_are_read_to_their_end),
        TEST(replaces_at_once),
        TEST(copies_files),
        TEST(opens_reads_writes_and_closes),
        TEST(opens_as_it_is_told),
        TEST(opens_nothing_above),
        TEST(closes_with_the_last_reference),
        TEST(reports_what_close_failed_with),
        TEST(a_fifo_holds_up_nobody),
        TEST(a_file_belongs_to_its_core),
        TEST(a_file_gets_its_name_when_it_is_whole),
        TEST(names_are_made_moved_and_removed),
        TEST(makes_all_directories),
        TEST_IN_MEMORY(lists_each_name_once),
        TEST_IN_MEMORY(removes_trees_and_follows_no_link),
        TEST_IN_MEMORY(removes_deep_trees_with_one_descriptor),
        TEST_IN_MEMORY(removes_what_is_changed_meanwhile_and_nothing_else),
        TEST(cancelled_operations_leak_nothing),
        TEST_IN_MEMORY(every_system_call_fails_once),
        TEST_IN_MEMORY(every_allocation_fails_once),
        TEST(twins_do_the_same_at_once),
        TEST(twins_on_a_turning_loop_are_counted),
    };
    int failed = cmocka_run_group_tests_name("on the loop and in the pool", tests, NULL, NULL);
    is_nothing_cached = true;
    return failed + cmocka_run_group_tests_name("as if nothing were cached", tests, NULL, NULL);
}

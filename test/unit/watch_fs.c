/* Watches on names: what each event says, names that are saved by renaming, overflows, directories
 * that go, watches that are freed in a callback, limits. */
#include <leat/watch_fs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/os/watch_internal.h"

static struct leat_loop *loop;
static char root[64], said[4096];
static unsigned overflows;
static bool frees_itself;

static const char *const event_names[] = {"created", "removed", "renamed",  "changed",
                                          "written", "mode",    "overflow", "gone"};

static int setup(void **state)
{
    snprintf(root, sizeof(root), "%s/leat-watch.XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    said[0] = '\0';
    overflows = 0;
    frees_itself = false;
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL || mkdtemp(root) == NULL || chdir(root) != 0 || mkdir("d", 0755) != 0;
}

static int teardown(void **state)
{
    char command[128];
    leat_loop_free(loop);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return chdir("/") != 0 || system(command) != 0;
}

static void on_change(struct leat_fs_watch *watch, const struct leat_fs_change *change, void *arg)
{
    size_t length = strlen(said);
    overflows += change->event == LEAT_FS_OVERFLOW;
    snprintf(said + length, sizeof(said) - length, "%s%s%s%s%s%s ", arg != NULL ? (char *)arg : "",
             event_names[change->event], change->from != NULL ? ":" : "",
             change->from != NULL ? change->from : "", change->name != NULL ? ":" : "",
             change->name != NULL ? change->name : "");
    if (frees_itself)
        leat_fs_watch_free(watch);
}

static struct leat_result await(struct leat_future *future)
{
    leat_future_ignore(future);
    while (leat_future_result(future) == NULL) /* a turn sleeps behind what it settled */
        (void)leat_loop_turn(loop, 50 * LEAT_NS_PER_US);
    struct leat_result result = leat_future_take(future);
    leat_future_unref(future);
    return result;
}

static struct leat_fs_watch *watch_new(const char *path, const char *name)
{
    struct leat_result result =
        await(leat_fs_watch(loop, path, 0, on_change, (void *)(uintptr_t)name));
    assert_int_equal(result.code, 0);
    return leat_result_watch(&result);
}

/* Everything that the kernel has said by now, and the other halves of renames. */
static void hear(void)
{
    struct watch_core *core = leat_core_now->pool->watches;
    for (unsigned i = 0; i < 3; i++)
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
    while (leat_timer_is_started(&core->move_timer))
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
}

static void heard(const char *text)
{
    hear();
    assert_string_equal(said, text);
    said[0] = '\0';
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static unsigned kernel_watches(void)
{
    char path[64], line[256];
    unsigned count = 0;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", leat_core_now->pool->watches->fd);
    FILE *file = fopen(path, "r");
    while (fgets(line, sizeof(line), file) != NULL)
        count += strncmp(line, "inotify", 7) == 0;
    fclose(file);
    return count;
}

static void hears_of_every_name_in_a_directory(void **state)
{
    struct leat_fs_watch *watch = watch_new("d", NULL);
    put("d/a", "x");
    heard("created:a changed:a written:a ");
    assert_int_equal(chmod("d/a", 0600), 0);
    heard("mode:a ");
    assert_int_equal(rename("d/a", "d/b"), 0);
    heard("renamed:a:b ");
    assert_int_equal(rename("d/b", "out"), 0);
    heard("removed:b ");
    assert_int_equal(rename("out", "d/in"), 0);
    heard("created:in ");
    assert_int_equal(mkdir("d/dir", 0755), 0);
    put("d/dir/below", "x");
    heard("created:dir ");
    assert_int_equal(unlink("d/in"), 0);
    heard("removed:in ");
    leat_fs_watch_free(watch);
}

static void a_file_is_watched_through_saves(void **state)
{
    put("d/conf", "1");
    struct leat_fs_watch *watch = watch_new("d/conf", NULL);
    put("d/other", "x");
    heard("");
    put("d/conf", "2");
    heard("changed:conf written:conf ");
    put("d/conf.tmp", "3");
    assert_int_equal(rename("d/conf.tmp", "d/conf"), 0);
    heard("renamed:conf.tmp:conf ");
    put("d/conf", "4"); /* the new file is heard of too */
    heard("changed:conf written:conf ");
    assert_int_equal(rename("d/conf", "d/old"), 0);
    heard("renamed:conf:old ");
    leat_fs_watch_free(watch);
}

static void a_name_that_is_not_there_yet(void **state)
{
    struct leat_fs_watch *watch = watch_new("later", NULL);
    assert_int_equal(mkdir("later", 0755), 0);
    heard("created:later ");
    leat_fs_watch_free(watch);
    struct leat_result result = await(leat_fs_watch(loop, "no/where", 0, on_change, NULL));
    assert_int_equal(result.code, -ENOENT);
    assert_non_null(strstr(leat_result_sentence(&result), "No such file"));
    leat_result_drop(&result);
}

static void watches_of_one_directory_share_it(void **state)
{
    struct leat_fs_watch *one = watch_new("d", "1."), *two = watch_new("d/x", "2.");
    assert_int_equal(kernel_watches(), 1);
    put("d/x", "");
    heard("1.created:x 2.created:x 1.written:x 2.written:x ");
    leat_fs_watch_free(one);
    assert_int_equal(kernel_watches(), 1);
    assert_int_equal(unlink("d/x"), 0);
    heard("2.removed:x ");
    leat_fs_watch_free(two);
    assert_int_equal(kernel_watches(), 0);
    assert_int_equal(leat_loop_run(loop), 0); /* nothing keeps it alive */
}

static void a_watch_may_be_freed_by_its_callback(void **state)
{
    (void)watch_new("d", "1.");
    (void)watch_new("d", "2.");
    frees_itself = true;
    put("d/x", "");
    heard("1.created:x 2.created:x ");
    assert_int_equal(kernel_watches(), 0);
}

static void a_directory_that_goes_is_told(void **state)
{
    struct leat_fs_watch *watch = watch_new("d", NULL), *other = watch_new("d", NULL);
    assert_int_equal(rmdir("d"), 0);
    heard("gone gone ");
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(mkdir("d", 0755), 0);
    heard("");
    leat_fs_watch_free(watch);
    leat_fs_watch_free(other);
    watch = watch_new("d", NULL);
    assert_int_equal(rename("d", "e"), 0);
    heard("gone ");
    leat_fs_watch_free(watch);
    (void)watch_new("e", NULL);
    frees_itself = true;
    assert_int_equal(rmdir("e"), 0);
    heard("gone ");
}

static void an_overflow_reaches_every_watch(void **state)
{
    assert_int_equal(mkdir("e", 0755), 0);
    struct leat_fs_watch *watches[] = {watch_new("d", NULL), watch_new("e/name", NULL)};
    char text[16] = "0";
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    for (int i = 0; i <= atoi(text); i++)
        put(i % 2 == 0 ? "d/x" : "d/y", "");
    while (overflows < 2)
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
    for (size_t i = 0; i < 2; i++)
        leat_fs_watch_free(watches[i]);
    assert_int_equal(overflows, 2);
}

static void watches_have_a_limit(void **state)
{
    static struct leat_fs_watch *watches[LEAT_WATCHES_MAX];
    for (unsigned i = 0; i < LEAT_WATCHES_MAX; i++)
        watches[i] = watch_new("d", NULL);
    struct leat_result result = await(leat_fs_watch(loop, "d", 0, on_change, NULL));
    assert_int_equal(result.code, -ENOSPC);
    leat_result_drop(&result);
    leat_fs_watch_free(watches[0]);
    watches[0] = watch_new("d", NULL);
    for (unsigned i = 0; i < LEAT_WATCHES_MAX; i++)
        leat_fs_watch_free(watches[i]);
}

static void a_loop_may_end_before_its_watches(void **state)
{
    struct leat_fs_watch *watch = watch_new("d", NULL);
    struct leat_future *under_way = leat_fs_watch(loop, "d", 0, on_change, NULL);
    leat_future_ignore(under_way);
    leat_future_unref(under_way);
    put("d/x", "");
    leat_loop_free(loop);
    leat_fs_watch_free(watch);
    loop = leat_loop_new(NULL, NULL);
    assert_string_equal(said, "");
}

static void a_watch_may_be_cancelled(void **state)
{
    for (unsigned i = 0; i < 100; i++) {
        struct leat_future *future = leat_fs_watch(loop, "d", 0, on_change, NULL);
        leat_future_ignore(future);
        if (i % 2 == 0)
            (void)leat_loop_turn(loop, 0);
        leat_future_cancel(future);
        leat_future_unref(future);
    }
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(kernel_watches(), 0);
}

static void an_unreferenced_watch_lets_the_loop_end(void **state)
{
    struct leat_fs_watch *watch = watch_new("d", NULL);
    assert_true(leat_loop_is_alive(loop));
    leat_fs_watch_unref(watch);
    leat_fs_watch_unref(watch);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_fs_watch_free(watch);
}

static void every_allocation_fails_once(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        struct leat_heap_stats before, after;
        leat_heap_stats(leat_core_now, &before);
        leat_heap_fail_at(leat_core_now, nth);
        struct leat_result result = await(leat_fs_watch(loop, "d", 0, on_change, NULL));
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &after);
        bool was_refused = after.refused_count > before.refused_count;
        assert_true(was_refused ? result.code == -ENOMEM : result.code == 0);
        leat_result_drop(&result);
        assert_int_equal(leat_loop_run(loop), 0);
        leat_loop_free(loop);
        loop = leat_loop_new(NULL, NULL);
        if (!was_refused)
            return;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(hears_of_every_name_in_a_directory),
        TEST(a_file_is_watched_through_saves),
        TEST(a_name_that_is_not_there_yet),
        TEST(watches_of_one_directory_share_it),
        TEST(a_watch_may_be_freed_by_its_callback),
        TEST(a_directory_that_goes_is_told),
        TEST(an_overflow_reaches_every_watch),
        TEST(watches_have_a_limit),
        TEST(a_loop_may_end_before_its_watches),
        TEST(a_watch_may_be_cancelled),
        TEST(an_unreferenced_watch_lets_the_loop_end),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

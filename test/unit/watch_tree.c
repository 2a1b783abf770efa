/* Watches on trees: what events say, directories that come, move and go, limits, ends. */
#include <leat/watch_fs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/os/fs_sys.h"
#include "runtime/os/watch_tree.h"

#define MADE_COUNT 200

static struct leat_loop *loop;
static char root[64], said[65536], why[LEAT_SENTENCE_BYTES_MAX];
static unsigned overflows;
static bool frees_itself;

/* Stands for libc's: how many more the kernel would take of this user. */
static _Atomic int adds_left;

int inotify_add_watch(int fd, const char *name, uint32_t mask)
{
    if (atomic_fetch_sub(&adds_left, 1) <= 0) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_inotify_add_watch, fd, name, mask);
}

static const char *const event_names[] = {"created", "removed", "renamed",  "changed",
                                          "written", "mode",    "overflow", "gone"};

static int setup(void **state)
{
    snprintf(root, sizeof(root), "%s/leat-tree.XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    said[0] = why[0] = '\0';
    overflows = 0;
    frees_itself = false;
    atomic_store(&adds_left, INT_MAX);
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL || mkdtemp(root) == NULL || chdir(root) != 0 || mkdir("d", 0755) != 0 ||
           mkdir("d/a", 0755) != 0 || mkdir("d/a/b", 0755) != 0;
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
    if (change->error != NULL)
        snprintf(why, sizeof(why), "%s", change->error->sentence);
    snprintf(said + length, sizeof(said) - length, "%s%s%s%s%s ", event_names[change->event],
             change->from != NULL ? ":" : "", change->from != NULL ? change->from : "",
             change->name != NULL ? ":" : "", change->name != NULL ? change->name : "");
    if (frees_itself)
        leat_fs_watch_free(watch);
}

static struct leat_result await(struct leat_future *future)
{
    leat_future_ignore(future);
    while (leat_future_result(future) == NULL)
        (void)leat_loop_turn(loop, 50 * LEAT_NS_PER_US);
    struct leat_result result = leat_future_take(future);
    leat_future_unref(future);
    return result;
}

static struct leat_future *start(const char *path)
{
    return leat_fs_watch(loop, path, LEAT_FS_TREE, on_change, NULL);
}

static struct leat_fs_watch *tree_new(const char *path)
{
    struct leat_result result = await(start(path));
    assert_int_equal(result.code, 0);
    return leat_result_watch(&result);
}

/* Everything that the kernel has said by now, what walks have found, and halves of renames. */
static void hear(struct leat_fs_watch *watch)
{
    for (unsigned i = 0; i < 3; i++) {
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
        while (watch != NULL && watch->core != NULL &&
               (watch->tree->is_walking || leat_timer_is_started(&watch->tree->move_timer))) {
            (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
            i = 0;
        }
    }
}

static void heard(struct leat_fs_watch *watch, const char *text)
{
    hear(watch);
    assert_string_equal(said, text);
    said[0] = '\0';
}

static void put(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static unsigned kernel_watches(const struct leat_fs_watch *watch)
{
    char path[64], line[256];
    unsigned count = 0;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", watch->tree->fd);
    FILE *file = fopen(path, "r");
    while (fgets(line, sizeof(line), file) != NULL)
        count += strncmp(line, "inotify", 7) == 0;
    fclose(file);
    return count;
}

static void names_are_paths_from_the_root(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    assert_int_equal(kernel_watches(watch), 3);
    put("d/x");
    put("d/a/b/x");
    heard(watch, "created:x written:x created:a/b/x written:a/b/x ");
    assert_int_equal(rename("d/a/b/x", "d/a/y"), 0);
    heard(watch, "renamed:a/b/x:a/y ");
    assert_int_equal(rename("d/a/y", "out"), 0);
    heard(watch, "removed:a/y ");
    assert_int_equal(chmod("d/a/b", 0700), 0);
    heard(watch, "mode:a/b ");
    leat_fs_watch_free(watch);
    assert_int_equal(leat_loop_run(loop), 0); /* nothing keeps it alive */
    assert_int_equal(leat_core_now->pool->watches->watches_count, 0);
}

static void directories_that_appear_are_watched(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    assert_int_equal(mkdir("d/n", 0755), 0);
    assert_int_equal(mkdir("d/n/m", 0755), 0);
    put("d/n/m/f"); /* before anybody has seen d/n */
    heard(watch, "created:n created:n/m created:n/m/f ");
    put("d/n/m/g");
    heard(watch, "created:n/m/g written:n/m/g ");
    assert_int_equal(mkdir("new", 0755), 0);
    assert_int_equal(mkdir("new/e", 0755), 0);
    put("new/e/f");
    assert_int_equal(rename("new", "d/a/new"), 0); /* moved in */
    heard(watch, "created:a/new created:a/new/e created:a/new/e/f ");
    assert_int_equal(unlink("d/a/new/e/f"), 0);
    heard(watch, "removed:a/new/e/f ");
    leat_fs_watch_free(watch);
}

static void directories_keep_their_watches_when_they_move(void **state)
{
    assert_int_equal(mkdir("d/c", 0755), 0);
    struct leat_fs_watch *watch = tree_new("d");
    assert_int_equal(rename("d/a", "d/z"), 0);
    heard(watch, "renamed:a:z ");
    put("d/z/b/x");
    heard(watch, "created:z/b/x written:z/b/x ");
    assert_int_equal(rename("d/z", "d/c/y"), 0);
    put("d/c/y/b/w"); /* read in one go */
    heard(watch, "renamed:z:c/y created:c/y/b/w written:c/y/b/w ");
    assert_int_equal(kernel_watches(watch), 4);
    leat_fs_watch_free(watch);
}

static void directories_that_leave_are_let_go(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    assert_int_equal(rename("d/a", "out"), 0);
    heard(watch, "removed:a ");
    assert_int_equal(kernel_watches(watch), 1);
    assert_int_equal(watch->core->watches_count, 1);
    put("out/b/x");
    heard(watch, "");
    assert_int_equal(rename("out", "d/a"), 0);
    heard(watch, "created:a created:a/b created:a/b/x ");
    assert_int_equal(unlink("d/a/b/x"), 0);
    assert_int_equal(rmdir("d/a/b"), 0);
    assert_int_equal(rmdir("d/a"), 0);
    heard(watch, "removed:a/b/x removed:a/b removed:a ");
    assert_int_equal(watch->core->watches_count, 1);
    leat_fs_watch_free(watch);
}

static void links_are_not_followed(void **state)
{
    assert_int_equal(mkdir("out", 0755), 0);
    assert_int_equal(symlink("../out", "d/link"), 0);
    assert_int_equal(symlink("d", "way"), 0);
    struct leat_fs_watch *watch = tree_new("way"); /* but to the root */
    assert_int_equal(kernel_watches(watch), 3);
    assert_int_equal(symlink("../../out", "d/a/link"), 0);
    put("out/x");
    heard(watch, "created:a/link ");
    leat_fs_watch_free(watch);
}

static void a_root_that_goes_is_told(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    assert_int_equal(rename("d", "e"), 0);
    heard(watch, "gone ");
    assert_string_equal(why, "");
    assert_int_equal(leat_loop_run(loop), 0);
    leat_fs_watch_free(watch);
    (void)tree_new("e/a/b");
    frees_itself = true;
    assert_int_equal(rmdir("e/a/b"), 0);
    heard(NULL, "gone ");
    assert_int_equal(leat_loop_run(loop), 0);
}

static void paths_that_are_no_tree_are_refused(void **state)
{
    put("file");
    struct leat_result result = await(start("file"));
    assert_int_equal(result.code, -ENOTDIR);
    assert_non_null(strstr(leat_result_sentence(&result), "\"file\""));
    leat_result_drop(&result);
    result = await(start("no/where"));
    assert_int_equal(result.code, -ENOENT);
    leat_result_drop(&result);
    assert_int_equal(leat_loop_run(loop), 0);
}

static void a_watch_may_be_freed_by_its_callback(void **state)
{
    (void)tree_new("d");
    frees_itself = true;
    assert_int_equal(mkdir("d/n", 0755), 0);
    put("d/x");
    heard(NULL, "created:n ");
    assert_int_equal(leat_loop_run(loop), 0);
}

static void *tree_make(void *arg)
{
    char path[64];
    for (unsigned i = 0; i < MADE_COUNT; i++) {
        snprintf(path, sizeof(path), "d/a/b/%u", i / 10);
        (void)mkdir(path, 0755);
        snprintf(path, sizeof(path), "d/a/b/%u/%u", i / 10, i);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    return NULL;
}

/* Every directory that was made while the watch started is watched in the end. */
static void a_tree_may_be_made_meanwhile(void **state)
{
    pthread_t thread;
    char path[64], event[80];
    assert_int_equal(pthread_create(&thread, NULL, tree_make, NULL), 0);
    struct leat_fs_watch *watch = tree_new("d");
    pthread_join(thread, NULL);
    hear(watch);
    assert_int_equal(kernel_watches(watch), 3 + MADE_COUNT + MADE_COUNT / 10);
    assert_int_equal(watch->core->watches_count, 3 + MADE_COUNT + MADE_COUNT / 10);
    for (unsigned i = 0; i < MADE_COUNT; i++) {
        said[0] = '\0';
        snprintf(path, sizeof(path), "d/a/b/%u/%u/x", i / 10, i);
        snprintf(event, sizeof(event), "created:a/b/%u/%u/x ", i / 10, i);
        put(path);
        while (strstr(said, event) == NULL)
            (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
    }
    leat_fs_watch_free(watch);
}

/* What the lost events would have said is found by looking again: directories that came are watched
 * then, those that went are not. */
static void an_overflow_looks_again(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    char text[16] = "0";
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    for (int i = 0; i <= atoi(text); i++)
        put(i % 2 == 0 ? "d/x" : "d/a/y");
    assert_int_equal(mkdir("d/late", 0755), 0);
    assert_int_equal(mkdir("d/late/e", 0755), 0);
    assert_int_equal(rmdir("d/a/b"), 0);
    while (overflows == 0)
        (void)leat_loop_turn(loop, LEAT_NS_PER_MS);
    hear(watch);
    assert_int_equal(overflows, 1);
    assert_int_equal(watch->core->watches_count, 4);
    said[0] = '\0';
    put("d/late/e/x");
    heard(watch, "created:late/e/x written:late/e/x ");
    leat_fs_watch_free(watch);
}

static void directories_are_limited(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    struct watch_core *core = watch->core;
    core->watches_count += LEAT_WATCHES_MAX - 3 - 1; /* room for one more */
    struct leat_result result = await(start("d"));
    assert_int_equal(result.code, -ENOSPC);
    assert_non_null(strstr(leat_result_sentence(&result), "this core has all"));
    leat_result_drop(&result);
    assert_int_equal(mkdir("d/one", 0755), 0);
    heard(watch, "created:one ");
    assert_int_equal(mkdir("d/two", 0755), 0);
    heard(watch, "created:two gone ");
    assert_non_null(strstr(why, "ENOSPC"));
    core->watches_count -= LEAT_WATCHES_MAX - 3 - 1;
    assert_int_equal(core->watches_count, 0);
    leat_fs_watch_free(watch);
}

static void the_kernel_has_a_limit(void **state)
{
    atomic_store(&adds_left, 2);
    struct leat_result result = await(start("d"));
    assert_int_equal(result.code, -ENOSPC);
    assert_non_null(strstr(leat_result_sentence(&result), "raise fs.inotify.max_user_watches"));
    leat_result_drop(&result);
    atomic_store(&adds_left, 3);
    struct leat_fs_watch *watch = tree_new("d");
    assert_int_equal(mkdir("d/n", 0755), 0);
    heard(watch, "created:n gone ");
    assert_non_null(strstr(why, "raise fs.inotify.max_user_watches"));
    assert_int_equal(leat_core_now->pool->watches->watches_count, 0);
    leat_fs_watch_free(watch);
}

static void a_watch_may_be_freed_while_it_walks(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    for (unsigned i = 0; i < 20; i++) {
        char path[32];
        snprintf(path, sizeof(path), "d/n%u", i);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    while (!watch->tree->is_walking)
        (void)leat_loop_turn(loop, 0);
    leat_fs_watch_free(watch);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(leat_core_now->pool->watches->watches_count, 0);
    for (unsigned i = 0; i < 50; i++) { /* and cancelled while it starts */
        struct leat_future *future = start("d");
        leat_future_ignore(future);
        if (i % 2 == 0)
            (void)leat_loop_turn(loop, 0);
        leat_future_cancel(future);
        leat_future_unref(future);
    }
    assert_int_equal(leat_loop_run(loop), 0);
}

static void a_loop_may_end_while_it_walks(void **state)
{
    struct leat_fs_watch *watch = tree_new("d"), *idle = tree_new("d/a");
    struct leat_future *under_way = start("d");
    leat_future_ignore(under_way);
    leat_future_unref(under_way);
    assert_int_equal(mkdir("d/n", 0755), 0);
    while (!watch->tree->is_walking)
        (void)leat_loop_turn(loop, 0);
    leat_loop_free(loop);
    leat_fs_watch_free(watch);
    leat_fs_watch_free(idle);
    loop = leat_loop_new(NULL, NULL);
}

/* At the start it is refused, later the watch ends and says why. */
static void every_allocation_fails_once(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        struct leat_heap_stats before, after;
        leat_heap_stats(leat_core_now, &before);
        leat_heap_fail_at(leat_core_now, nth);
        struct leat_result result = await(start("d"));
        struct leat_fs_watch *watch = result.code == 0 ? leat_result_watch(&result) : NULL;
        if (watch != NULL) {
            assert_int_equal(mkdir("d/n", 0755), 0);
            hear(watch);
            assert_int_equal(rmdir("d/n"), 0);
        }
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &after);
        bool was_refused = after.refused_count > before.refused_count;
        if (watch != NULL && was_refused)
            assert_non_null(strstr(said, "gone"));
        assert_true(result.code == (was_refused && watch == NULL ? -ENOMEM : 0));
        said[0] = '\0';
        leat_result_drop(&result);
        assert_int_equal(leat_loop_run(loop), 0);
        leat_loop_free(loop);
        loop = leat_loop_new(NULL, NULL);
        if (!was_refused)
            return;
    }
}

static int64_t memory_fails(struct fs_sys *sys, void **at, size_t bytes)
{
    return -ENOMEM;
}

static void memory_may_fail_on_the_thread(void **state)
{
    struct leat_fs_watch *watch = tree_new("d");
    struct pool_core *pool = leat_core_now->pool;
    struct fs_sys *machine = pool->sys, failing = *machine;
    failing.memory = memory_fails;
    pool->sys = &failing;
    struct leat_result result = await(start("d"));
    assert_int_equal(result.code, -ENOMEM);
    leat_result_drop(&result);
    assert_int_equal(mkdir("d/n", 0755), 0);
    heard(watch, "created:n gone ");
    assert_non_null(strstr(why, "ENOMEM"));
    pool->sys = machine;
    leat_fs_watch_free(watch);
    assert_int_equal(leat_loop_run(loop), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_are_paths_from_the_root),
        TEST(directories_that_appear_are_watched),
        TEST(directories_keep_their_watches_when_they_move),
        TEST(directories_that_leave_are_let_go),
        TEST(links_are_not_followed),
        TEST(a_root_that_goes_is_told),
        TEST(paths_that_are_no_tree_are_refused),
        TEST(a_watch_may_be_freed_by_its_callback),
        TEST(a_tree_may_be_made_meanwhile),
        TEST(an_overflow_looks_again),
        TEST(directories_are_limited),
        TEST(the_kernel_has_a_limit),
        TEST(a_watch_may_be_freed_while_it_walks),
        TEST(a_loop_may_end_while_it_walks),
        TEST(every_allocation_fails_once),
        TEST(memory_may_fail_on_the_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

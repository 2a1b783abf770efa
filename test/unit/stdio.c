/* Descriptors as streams: every kind by every way that serves it; who is slow, gone, closed, or
 * shared; and the three that a program is born with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <leat/fs_stream.h>
#include <leat/loop.h>
#include <leat/stdio.h>
#include <leat/timer.h>

#include "buffers/heap.h"
#include "buffers/pools.h"
#include "runtime/base/clock.h"
#include "runtime/base/core.h"
#include "runtime/os/fd_internal.h"
#include "runtime/os/stdio_drain.h"

#define LARGE    1000000
#define LIMIT_NS (30 * LEAT_NS_PER_S)

static struct leat_loop *loop;
static char root[64];
static uint8_t bytes[LARGE];

/* ---- what the tests share ---- */

static unsigned descriptors_count(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* What a stream gave, and how it ended. */
struct heard {
    uint8_t *to;
    size_t length, pause_at;
    struct leat_stream *stream;
    int error;
    unsigned ends, closes;
};

static void on_data(void *arg, const struct leat_result *result)
{
    struct heard *heard = arg;
    const struct leat_chunk *chunk = leat_result_pointer(result, LEAT_KIND_CHUNK);
    assert_true(heard->length + chunk->buf.length_bytes <= LARGE);
    memcpy(heard->to + heard->length, chunk->buf.data, chunk->buf.length_bytes);
    heard->length += chunk->buf.length_bytes;
    if (heard->pause_at != 0 && heard->length >= heard->pause_at)
        leat_stream_pause(heard->stream);
}

static void on_end(void *arg, const struct leat_result *result)
{
    ((struct heard *)arg)->ends++;
}

static void on_error(void *arg, const struct leat_result *result)
{
    ((struct heard *)arg)->error = result->code;
}

static void on_close(void *arg, const struct leat_result *result)
{
    ((struct heard *)arg)->closes++;
}

static void hear_end(struct leat_stream *stream, struct heard *heard)
{
    *heard = (struct heard){.stream = stream, .to = heard->to, .pause_at = heard->pause_at};
    assert_int_equal(leat_stream_on(stream, LEAT_STREAM_ERROR, on_error, heard), 0);
    assert_int_equal(leat_stream_on(stream, LEAT_STREAM_CLOSE, on_close, heard), 0);
}

static void hear(struct leat_stream *stream, struct heard *heard)
{
    if (heard->to == NULL)
        heard->to = test_malloc(LARGE);
    hear_end(stream, heard);
    assert_int_equal(leat_stream_on(stream, LEAT_STREAM_END, on_end, heard), 0);
    assert_int_equal(leat_stream_on(stream, LEAT_STREAM_DATA, on_data, heard), 0);
}

static void on_late(struct leat_timer *timer, void *arg)
{
    fail_msg("the loop does not run dry");
}

static void run_dry(void)
{
    struct leat_timer limit;
    leat_timer_init(&limit, loop, on_late, NULL);
    leat_timer_start(&limit, LIMIT_NS, 0);
    leat_timer_unref(&limit);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_timer_stop(&limit);
}

static void run_until(const size_t *what, size_t at_least)
{
    uint64_t until_ns = clock_monotonic() + LIMIT_NS;
    while (*what < at_least && clock_monotonic() < until_ns)
        leat_loop_turn(loop, LEAT_NS_PER_MS);
    assert_true(*what >= at_least);
}

static int setup(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    snprintf(root, sizeof(root), "/tmp/leat-stdio.XXXXXX");
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
    return chdir("/") != 0 || rmdir(root) != 0;
}

/* ---- kinds by ways ---- */

static void pipe_make(int *fds)
{
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void sockets_make(int *fds)
{
    int both[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
    fds[0] = both[0];
    fds[1] = both[1];
}

/* Bytes go from the program's side to the terminal's, as they are. */
static void terminal_make(int *fds)
{
    struct termios raw;
    assert_int_equal(openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
    assert_int_equal(tcgetattr(fds[1], &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(fds[1], TCSANOW, &raw), 0);
}

static const struct kind_row {
    const char *name;
    void (*make)(int *fds); /* [0] is read, [1] is written */
    const struct fd_way *ways[4];
} kinds[] = {
    {"pipe", pipe_make, {&fd_way_own, &fd_way_nowait, &fd_way_thread}},
    {"sockets", sockets_make, {&fd_way_socket, &fd_way_own, &fd_way_thread}},
    {"terminal", terminal_make, {&fd_way_own, &fd_way_thread}},
};

static struct leat_stream *stream_by(const struct fd_way *way, int fd, unsigned flags)
{
    if (way == &fd_way_own)
        assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
    struct fd_stream *f = fd_stream_new(loop, flags, way, fd, fd);
    assert_non_null(f);
    return &f->stream;
}

static void write_all(struct leat_stream *stream, size_t length)
{
    for (size_t at = 0; at < length; at += 10000) {
        size_t part = length - at < 10000 ? length - at : 10000;
        assert_true(leat_write_bytes(stream, bytes + at, part) >= 0);
    }
}

static void carried(const struct kind_row *kind, const struct fd_way *reads,
                    const struct fd_way *writes)
{
    int fds[2];
    struct heard from = {0}, into = {0};
    kind->make(fds);
    struct leat_stream *source = stream_by(reads, fds[0], LEAT_FD_READ);
    struct leat_stream *sink = stream_by(writes, fds[1], LEAT_FD_WRITE);
    hear(source, &from);
    hear_end(sink, &into);
    write_all(sink, LARGE);
    leat_stream_end(sink);
    leat_stream_unref(sink);
    leat_stream_unref(source);
    run_dry();
    if (from.length != LARGE || from.error != 0 || into.error != 0)
        print_message("%s, read by %s, written by %s\n", kind->name, reads->name, writes->name);
    assert_int_equal(from.length, LARGE);
    assert_memory_equal(from.to, bytes, LARGE);
    assert_int_equal(from.ends, 1);
    assert_int_equal(from.closes + into.closes, 2);
    assert_int_equal(from.error | into.error, 0);
    test_free(from.to);
}

static void every_way_carries_every_kind(void **state)
{
    unsigned before = descriptors_count();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        for (unsigned reads = 0; kinds[i].ways[reads] != NULL; reads++)
            for (unsigned writes = 0; kinds[i].ways[writes] != NULL; writes++)
                carried(&kinds[i], kinds[i].ways[reads], kinds[i].ways[writes]);
    leat_loop_turn(loop, 0);
    assert_true(descriptors_count() <= before + 1); /* the pool's way to tell */
}

/* A way that the kernel does not have for it gives way to the next. */
static void a_way_that_is_not_supported(void **state)
{
    struct heard from = {0};
    int fd = inotify_init1(IN_CLOEXEC);
    assert_true(inotify_add_watch(fd, ".", IN_CREATE) > 0);
    struct leat_stream *source = stream_by(&fd_way_nowait, fd, LEAT_FD_READ);
    hear(source, &from);
    leat_loop_turn(loop, 0);
    assert_string_equal(((struct fd_stream *)source)->way->name, "thread");
    close(open("a", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    run_until(&from.length, sizeof(struct inotify_event));
    leat_stream_destroy(source, leat_nothing());
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.closes, 1);
    test_free(from.to);
}

/* ---- shared descriptors ---- */

static void shared_flags_stay(int fd, unsigned flags)
{
    int before = fcntl(fd, F_GETFL);
    struct heard heard = {0};
    struct leat_stream *stream = leat_fd_stream(loop, fd, flags | LEAT_FD_SHARED);
    assert_non_null(stream);
    hear_end(stream, &heard);
    if ((flags & LEAT_FD_WRITE) != 0) {
        assert_true(leat_write_bytes(stream, "hello", 5) >= 0);
        leat_stream_end(stream);
    } else {
        leat_stream_resume(stream);
    }
    for (int i = 0; i < 3; i++)
        leat_loop_turn(loop, LEAT_NS_PER_MS);
    assert_int_equal(fcntl(fd, F_GETFL), before);
    leat_stream_destroy(stream, leat_nothing());
    leat_stream_unref(stream);
    run_dry();
    assert_int_equal(fcntl(fd, F_GETFL), before);
    assert_int_equal(heard.closes, 1);
}

static void no_flag_of_a_shared_one_changes(void **state)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int fds[2];
        kinds[i].make(fds);
        shared_flags_stay(fds[1], LEAT_FD_WRITE);
        shared_flags_stay(fds[0], LEAT_FD_READ);
        close(fds[0]);
        close(fds[1]);
    }
    int fd = open("a", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    shared_flags_stay(fd, LEAT_FD_WRITE);
    shared_flags_stay(fd, LEAT_FD_READ);
    close(fd);
}

static const char *way_of(struct leat_stream *stream)
{
    return ((struct fd_stream *)stream)->way->name;
}

/* The driver's side of a terminal must not be opened again: that would be another terminal. */
static void the_way_of_each_kind(void **state)
{
    int pipes[2], sockets[2], terminal[2], file = open("a", O_CREAT | O_RDWR, 0600);
    int null = open("/dev/null", O_RDWR);
    pipe_make(pipes);
    sockets_make(sockets);
    terminal_make(terminal);
    const struct {
        int fd;
        const char *name;
    } rows[] = {{pipes[0], "own"},       {sockets[0], "socket"}, {terminal[1], "own"},
                {terminal[0], "nowait"}, {file, "file"},         {null, "nowait"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct leat_stream *stream =
            leat_fd_stream(loop, rows[i].fd, LEAT_FD_READ | LEAT_FD_SHARED);
        assert_non_null(stream);
        assert_string_equal(way_of(stream), rows[i].name);
        leat_stream_destroy(stream, leat_nothing());
        leat_stream_unref(stream);
        close(rows[i].fd);
    }
    run_dry();
    close(pipes[1]);
    close(sockets[1]);
}

/* ---- devices and files ---- */

static void nothing_comes_from_dev_null(void **state)
{
    struct heard from = {0}, into = {0};
    struct leat_stream *source = leat_fd_stream(loop, open("/dev/null", O_RDONLY), LEAT_FD_READ);
    struct leat_stream *sink = leat_fd_stream(loop, open("/dev/null", O_WRONLY), LEAT_FD_WRITE);
    hear(source, &from);
    hear_end(sink, &into);
    write_all(sink, LARGE);
    leat_stream_end(sink);
    leat_stream_unref(sink);
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.ends, 1);
    assert_int_equal(from.length, 0);
    assert_int_equal(into.closes, 1);
    assert_int_equal(into.error, 0);
    test_free(from.to);
}

static void on_time(struct leat_timer *timer, void *arg)
{
    ++*(unsigned *)arg;
}

/* What always has more does not keep the loop from anything else. */
static void a_source_that_never_waits(void **state)
{
    struct heard from = {0};
    struct leat_timer timer;
    unsigned fired = 0;
    from.pause_at = LARGE / 2;
    struct leat_stream *source = leat_fd_stream(loop, open("/dev/zero", O_RDONLY), LEAT_FD_READ);
    leat_timer_init(&timer, loop, on_time, &fired);
    leat_timer_start(&timer, 1, 1);
    leat_timer_unref(&timer);
    hear(source, &from);
    run_dry(); /* paused, it does not keep the loop alive */
    assert_true(from.length >= LARGE / 2);
    assert_true(fired > 2);
    leat_timer_stop(&timer);
    leat_stream_destroy(source, leat_nothing());
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.closes, 1);
    test_free(from.to);
}

/* Where the descriptor stands, which is moved for everybody who shares it. */
static void a_file_is_read_and_written_where_it_stands(void **state)
{
    struct heard from = {0}, into = {0};
    int fd = open("a", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "begin ", 6), 6);
    struct leat_stream *sink = leat_fd_stream(loop, fd, LEAT_FD_WRITE | LEAT_FD_SHARED);
    hear_end(sink, &into);
    assert_true(leat_write_bytes(sink, "middle ", 7) >= 0);
    leat_stream_end(sink);
    leat_stream_unref(sink);
    run_dry();
    assert_int_equal(into.error, 0);
    assert_int_equal(write(fd, "end", 3), 3);
    assert_int_equal(lseek(fd, 6, SEEK_SET), 6);
    struct leat_stream *source = leat_fd_stream(loop, fd, LEAT_FD_READ | LEAT_FD_SHARED);
    hear(source, &from);
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.length, 10);
    assert_memory_equal(from.to, "middle end", 10);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 16);
    close(fd);
    test_free(from.to);
}

static void a_full_disk_is_an_error(void **state)
{
    struct heard into = {0};
    int fd = open("/dev/full", O_WRONLY);
    struct leat_stream *sink = leat_fd_stream(loop, fd, LEAT_FD_WRITE);
    hear_end(sink, &into);
    (void)!leat_write_bytes(sink, "hello", 5);
    leat_stream_unref(sink);
    run_dry();
    assert_int_equal(into.error, -ENOSPC);
    assert_int_equal(into.closes, 1);
}

static void a_directory_cannot_be_read(void **state)
{
    struct heard from = {0};
    struct leat_stream *source = leat_fd_stream(loop, open(".", O_RDONLY), LEAT_FD_READ);
    hear(source, &from);
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.error, -EISDIR);
    test_free(from.to);
}

/* ---- who is gone, slow, or never there ---- */

static void a_pipe_that_nobody_reads_any_more(const struct fd_way *way)
{
    int fds[2];
    struct heard into = {0};
    pipe_make(fds);
    struct leat_stream *sink = stream_by(way, fds[1], LEAT_FD_WRITE);
    hear_end(sink, &into);
    write_all(sink, LARGE / 2);
    for (int i = 0; i < 5; i++)
        leat_loop_turn(loop, LEAT_NS_PER_MS);
    assert_int_equal(into.closes, 0); /* full, it waits */
    close(fds[0]);
    leat_stream_unref(sink);
    run_dry();
    assert_int_equal(into.error, -EPIPE);
    assert_int_equal(into.closes, 1);
}

static void broken_pipes(void **state)
{
    a_pipe_that_nobody_reads_any_more(&fd_way_own);
    a_pipe_that_nobody_reads_any_more(&fd_way_nowait);
    a_pipe_that_nobody_reads_any_more(&fd_way_thread);
}

static void nobody_reads(const struct fd_way *way)
{
    int fds[2], result;
    size_t given = 0;
    struct heard into = {0};
    unsigned before = descriptors_count();
    pipe_make(fds);
    struct leat_stream *sink = stream_by(way, fds[1], LEAT_FD_WRITE);
    hear_end(sink, &into);
    while ((result = leat_write_bytes(sink, bytes, 10000)) >= 0)
        given += 10000;
    assert_int_equal(result, -EAGAIN);
    assert_in_range(given, LEAT_STREAM_OVER_BYTES, 2 * LEAT_STREAM_OVER_BYTES);
    assert_true(leat_loop_turn(loop, LEAT_NS_PER_MS)); /* what is not written keeps it alive */
    leat_stream_destroy(sink, leat_nothing());
    leat_stream_unref(sink);
    run_dry();
    assert_int_equal(into.closes, 1);
    assert_int_equal(into.error, 0);
    close(fds[0]);
    assert_true(descriptors_count() <= before + 1);
}

static void a_reader_that_never_reads(void **state)
{
    nobody_reads(&fd_way_own);
    nobody_reads(&fd_way_nowait);
    nobody_reads(&fd_way_thread);
}

/* Bytes come one by one, and an end behind them, by each way. */
static void a_slow_writer(void **state)
{
    static const struct fd_way *const ways[] = {&fd_way_own, &fd_way_nowait, &fd_way_thread};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int fds[2];
        struct heard from = {0};
        pipe_make(fds);
        struct leat_stream *source = stream_by(ways[i], fds[0], LEAT_FD_READ);
        hear(source, &from);
        leat_stream_unref(source);
        for (size_t at = 0; at < 20; at++) {
            assert_int_equal(write(fds[1], bytes + at, 1), 1);
            run_until(&from.length, at + 1);
        }
        assert_int_equal(from.ends, 0);
        close(fds[1]);
        run_dry();
        assert_int_equal(from.ends, 1);
        assert_memory_equal(from.to, bytes, 20);
        test_free(from.to);
    }
}

/* As Node's: who does not want what comes lets the loop end, and may come back. */
static void a_paused_reader_does_not_keep_the_loop_alive(void **state)
{
    int fds[2];
    struct heard from = {0};
    from.pause_at = 5;
    pipe_make(fds);
    struct leat_stream *source = leat_fd_stream(loop, fds[0], LEAT_FD_READ);
    hear(source, &from);
    assert_int_equal(write(fds[1], "hello", 5), 5);
    run_dry();
    assert_int_equal(from.length, 5);
    assert_int_equal(write(fds[1], "world", 5), 5);
    run_dry();
    from.pause_at = 0;
    close(fds[1]);
    leat_stream_resume(source);
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.length, 10);
    assert_int_equal(from.ends, 1);
    test_free(from.to);
}

/* A FIFO by its name, whose writer has gone before the stream was made. */
static void a_fifo_without_a_writer(void **state)
{
    struct heard from = {0};
    assert_int_equal(mkfifo("a", 0600), 0);
    int reader = open("a", O_RDONLY | O_NONBLOCK), writer = open("a", O_WRONLY);
    assert_int_equal(write(writer, "hello", 5), 5);
    close(writer);
    struct leat_stream *source = leat_fd_stream(loop, reader, LEAT_FD_READ | LEAT_FD_SHARED);
    hear(source, &from);
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.length, 5);
    assert_int_equal(from.ends, 1);
    close(reader);
    test_free(from.to);
}

/* Either side of a terminal, when the other has hung up. */
static void a_terminal_that_hangs_up(void **state)
{
    for (int side = 0; side < 2; side++) {
        int fds[2];
        struct heard from = {0};
        terminal_make(fds);
        struct leat_stream *source = leat_fd_stream(loop, fds[side], LEAT_FD_READ);
        hear(source, &from);
        leat_stream_unref(source);
        assert_int_equal(write(fds[!side], "hello", 5), 5);
        run_until(&from.length, 5);
        close(fds[!side]);
        run_dry();
        assert_int_equal(from.ends, 1);
        assert_int_equal(from.error, 0);
        test_free(from.to);
    }
}

/* A socket's two sides end each by itself. */
static void a_duplex_ends_by_halves(void **state)
{
    int fds[2];
    char got[16];
    struct heard from = {0};
    sockets_make(fds);
    struct leat_stream *stream = leat_fd_stream(loop, fds[0], LEAT_FD_READ | LEAT_FD_WRITE);
    hear(stream, &from);
    assert_int_equal(leat_write_bytes(stream, "request", 7), 0);
    leat_stream_end(stream);
    leat_stream_unref(stream);
    for (int i = 0; i < 3; i++)
        leat_loop_turn(loop, LEAT_NS_PER_MS);
    assert_int_equal(read(fds[1], got, sizeof(got)), 7);
    assert_int_equal(read(fds[1], got, sizeof(got)), 0); /* its end */
    assert_int_equal(from.closes, 0);
    assert_int_equal(write(fds[1], "answer", 6), 6);
    close(fds[1]);
    run_dry();
    assert_int_equal(from.length, 6);
    assert_int_equal(from.ends + from.closes, 2);
    assert_int_equal(from.error, 0);
    test_free(from.to);
}

static void destroyed_at_any_turn(void **state)
{
    unsigned before = 0;
    for (int turns = 0; turns < 24; turns++) {
        const struct kind_row *kind = &kinds[turns % 2];
        const struct fd_way *way = kind->ways[turns % 3];
        int fds[2];
        kind->make(fds);
        struct leat_stream *source = stream_by(way, fds[0], LEAT_FD_READ);
        struct leat_stream *sink = stream_by(way, fds[1], LEAT_FD_WRITE);
        struct leat_stream *feed = leat_fd_stream(loop, open("/dev/zero", O_RDONLY), LEAT_FD_READ);
        struct leat_stream *drain =
            leat_fd_stream(loop, open("/dev/null", O_WRONLY), LEAT_FD_WRITE);
        struct leat_stream *victim = leat_stream_ref(turns % 4 < 2 ? source : sink);
        struct leat_future *in = leat_pipeline((struct leat_stream *[]){feed, sink}, 2);
        struct leat_future *out = leat_pipeline((struct leat_stream *[]){source, drain}, 2);
        leat_future_ignore(in);
        leat_future_ignore(out);
        for (int i = 0; i < turns / 4; i++)
            leat_loop_turn(loop, LEAT_NS_PER_MS);
        leat_stream_destroy(victim, leat_failure(-EINTR, NULL));
        leat_stream_unref(victim);
        leat_future_cancel(in);
        run_dry();
        assert_non_null(leat_future_result(in));
        assert_non_null(leat_future_result(out));
        leat_future_unref(in);
        leat_future_unref(out);
        leat_loop_turn(loop, 0);
        before = turns == 3 ? descriptors_count() : before;
        if (turns > 3)
            assert_int_equal(descriptors_count(), before);
    }
}

/* ---- memory ---- */

/* Every allocation of a copy through a pipe fails once: a stream that is refused leaves the
 * descriptor to its caller, and one that fails says so and closes. */
static int copy_failing(uint64_t heap_nth, uint64_t pool_nth)
{
    int fds[2], code = 0;
    pipe_make(fds);
    assert_int_equal(write(fds[1], "hello", 5), 5);
    close(fds[1]);
    leat_heap_fail_at(leat_core_now, heap_nth);
    leat_pools_fail_at(leat_core_now, pool_nth);
    struct leat_stream *source = leat_fd_stream(loop, fds[0], LEAT_FD_READ);
    struct leat_stream *sink =
        leat_fd_stream(loop, open("a", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), LEAT_FD_WRITE);
    if (source == NULL || sink == NULL) {
        code = leat_loop_error(loop)->code;
        if (source == NULL)
            close(fds[0]);
        else
            leat_stream_destroy(source, leat_nothing());
        if (source != NULL)
            leat_stream_unref(source);
        if (sink != NULL)
            leat_stream_destroy(sink, leat_nothing());
        if (sink != NULL)
            leat_stream_unref(sink);
        leat_heap_fail_at(leat_core_now, 0);
        leat_pools_fail_at(leat_core_now, 0);
        run_dry();
        return code;
    }
    struct leat_future *all = leat_pipeline((struct leat_stream *[]){source, sink}, 2);
    leat_future_ignore(all);
    run_dry();
    leat_heap_fail_at(leat_core_now, 0);
    leat_pools_fail_at(leat_core_now, 0);
    run_dry();
    code = leat_future_result(all) != NULL ? leat_future_result(all)->code : -ENOMEM;
    leat_future_unref(all);
    return code;
}

static void each_allocation_fails_once(void **state)
{
    assert_int_equal(copy_failing(0, 0), 0);
    unsigned failed = 0;
    for (uint64_t nth = 1; nth < 40; nth++)
        failed += copy_failing(nth, 0) == -ENOMEM;
    for (uint64_t nth = 1; nth < 4; nth++)
        failed += copy_failing(0, nth) == -ENOMEM;
    assert_true(failed >= 5);
    assert_int_equal(copy_failing(0, 0), 0);
}

/* ---- the three ---- */

/* Puts fd in the place of standard descriptor number; -1: nothing is there. The old one is returned
 * by a copy, for stdio_back. */
static int stdio_put(int number, int fd)
{
    fflush(NULL);
    int old = fcntl(number, F_DUPFD_CLOEXEC, 100);
    if (fd < 0)
        close(number);
    else
        assert_int_equal(dup2(fd, number), number);
    return old;
}

static void stdio_back(int number, int old)
{
    assert_int_equal(dup2(old, number), number);
    close(old);
}

static void one_that_is_closed(void **state)
{
    static const struct {
        struct leat_stream *(*make)(struct leat_loop *);
    } rows[] = {{leat_stdin}, {leat_stdout}, {leat_stderr}};
    for (int number = 0; number < 3; number++) {
        int old = stdio_put(number, -1);
        struct leat_stream *stream = rows[number].make(loop);
        stdio_back(number, old);
        assert_null(stream);
        assert_int_equal(leat_loop_error(loop)->code, -EBADF);
        assert_non_null(strstr(leat_loop_error(loop)->sentence, "it is closed"));
    }
    assert_null(leat_fd_stream(loop, 0, LEAT_FD_SHARED));
    assert_int_equal(leat_loop_error(loop)->code, -EINVAL);
    assert_null(leat_fd_stream(loop, 0, 1u << 7 | LEAT_FD_READ));
    assert_int_equal(leat_loop_error(loop)->code, -EINVAL);
}

static struct leat_stream *output_on(int fd)
{
    int old = stdio_put(STDOUT_FILENO, fd);
    struct leat_stream *stream = leat_stdout(loop);
    stdio_back(STDOUT_FILENO, old);
    assert_non_null(stream);
    return stream;
}

static void sentences_name_it(void **state)
{
    int fds[2];
    struct heard into = {0};
    pipe_make(fds);
    struct leat_stream *out = output_on(fds[1]);
    hear_end(out, &into);
    close(fds[0]);
    (void)!leat_write_bytes(out, "hello", 5);
    run_dry();
    assert_int_equal(into.error, -EPIPE);
    assert_string_equal(leat_result_sentence(leat_stream_error(out)),
                        "write to standard output: Broken pipe (EPIPE)");
    leat_stream_unref(out);
    close(fds[1]);
}

static void several_streams_of_one_descriptor(void **state)
{
    int fds[2];
    char got[32];
    pipe_make(fds);
    struct leat_stream *one = output_on(fds[1]), *other = output_on(fds[1]);
    assert_int_equal(leat_write_bytes(one, "one ", 4), 0);
    assert_int_equal(leat_write_bytes(other, "other", 5), 0);
    leat_stream_end(one);
    leat_stream_end(other);
    leat_stream_unref(one);
    leat_stream_unref(other);
    run_dry();
    assert_int_equal(read(fds[0], got, sizeof(got)), 9);
    assert_memory_equal(got, "one other", 9);
    assert_int_equal(write(fds[1], "still open", 10), 10);
    close(fds[0]);
    close(fds[1]);
}

/* The end of a program: what was given goes out while somebody reads it. */
static void drained_at_the_end(void **state)
{
    int fds[2];
    struct heard from = {0}, into = {0};
    pipe_make(fds);
    struct leat_stream *out = output_on(fds[1]);
    close(fds[1]);
    hear_end(out, &into);
    write_all(out, LARGE);
    assert_true(stdio_is_pending());
    struct leat_stream *source = leat_fd_stream(loop, fds[0], LEAT_FD_READ);
    hear(source, &from);
    leat_stream_unref(source);
    assert_int_equal(stdio_drain(loop, clock_monotonic() + LIMIT_NS), 0);
    assert_false(stdio_is_pending());
    assert_int_equal(into.closes, 1);
    assert_true(leat_stream_is_destroyed(out));
    leat_stream_unref(out);
    run_dry();
    assert_int_equal(from.length, LARGE);
    assert_memory_equal(from.to, bytes, LARGE);
    test_free(from.to);
}

/* What nobody reads is cut off when the time is over, and counted to the byte. */
static void cut_off_at_the_end(void **state)
{
    int fds[2];
    struct heard into = {0};
    pipe_make(fds);
    struct leat_stream *out = output_on(fds[1]);
    close(fds[1]);
    hear_end(out, &into);
    write_all(out, LARGE);
    uint64_t left = stdio_drain(loop, clock_monotonic() + 5 * LEAT_NS_PER_MS);
    assert_true(left > 0 && left < LARGE);
    assert_int_equal(into.closes, 1);
    leat_stream_unref(out);
    struct heard from = {0};
    struct leat_stream *source = leat_fd_stream(loop, fds[0], LEAT_FD_READ);
    hear(source, &from);
    leat_stream_unref(source);
    run_dry();
    assert_int_equal(from.length + left, LARGE);
    assert_int_equal(stdio_drain(loop, 0), 0); /* there is nothing any more */
    test_free(from.to);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_way_carries_every_kind),
        TEST(a_way_that_is_not_supported),
        TEST(no_flag_of_a_shared_one_changes),
        TEST(the_way_of_each_kind),
        TEST(nothing_comes_from_dev_null),
        TEST(a_source_that_never_waits),
        TEST(a_file_is_read_and_written_where_it_stands),
        TEST(a_full_disk_is_an_error),
        TEST(a_directory_cannot_be_read),
        TEST(broken_pipes),
        TEST(a_reader_that_never_reads),
        TEST(a_slow_writer),
        TEST(a_paused_reader_does_not_keep_the_loop_alive),
        TEST(a_fifo_without_a_writer),
        TEST(a_terminal_that_hangs_up),
        TEST(a_duplex_ends_by_halves),
        TEST(destroyed_at_any_turn),
        TEST(each_allocation_fails_once),
        TEST(one_that_is_closed),
        TEST(sentences_name_it),
        TEST(several_streams_of_one_descriptor),
        TEST(drained_at_the_end),
        TEST(cut_off_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

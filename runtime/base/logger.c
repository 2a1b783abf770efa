/* The thread that writes what the cores' rings hold. */
#include "runtime/base/log_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* After a batch the writer naps before it looks again, so that a busy core pays for a wake-up at
 * most once per nap. */
#define LOGGER_NAP_NS (2 * LEAT_NS_PER_MS)
/* A core that hangs does not wake the writer; what it said last is seen within this time. */
#define LOGGER_SLEEP_S   1
#define LOGGER_POLL_MS   100
#define LOGGER_OUT_BYTES PIPE_BUF

/* Lines on their way to one descriptor. */
struct batch {
    struct leat_logger *logger;
    int fd;
    size_t used;
    char bytes[LOGGER_OUT_BYTES];
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Whether the reader may still be waited for. */
static bool may_wait(struct leat_logger *logger)
{
    if (!atomic_load_explicit(&logger->is_stopping, memory_order_acquire))
        return true;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (logger->give_up_ns == 0)
        logger->give_up_ns = now + LEAT_LOGGER_DRAIN_MS * LEAT_NS_PER_MS;
    return now < logger->give_up_ns;
}

/* A pipe that poll calls writable takes PIPE_BUF bytes without blocking; larger writes would let a
 * reader that does not read hold up the end of the process. */
static void batch_flush(struct batch *batch)
{
    const char *at = batch->bytes;
    while (batch->used > 0) {
        struct pollfd ready = {batch->fd, POLLOUT, 0};
        int n = poll(&ready, 1, LOGGER_POLL_MS);
        if (n == 0 || (n < 0 && errno == EINTR)) {
            if (may_wait(batch->logger))
                continue;
            break;
        }
        ssize_t written = write(batch->fd, at, batch->used);
        if (written < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (written <= 0)
            break;
        at += written;
        batch->used -= (size_t)written;
    }
    batch->used = 0;
}

static void batch_put(struct batch *batch, const char *bytes, size_t length)
{
    while (length > 0) {
        if (batch->used == sizeof(batch->bytes) ||
            (length <= sizeof(batch->bytes) && length > sizeof(batch->bytes) - batch->used))
            batch_flush(batch);
        size_t room = sizeof(batch->bytes) - batch->used;
        size_t n = length < room ? length : room;
        memcpy(batch->bytes + batch->used, bytes, n);
        batch->used += n;
        bytes += n;
        length -= n;
    }
}

static void ring_read(const struct leat_log *log, uint64_t position, void *to, size_t bytes)
{
    size_t at = position & (LEAT_LOG_RING_BYTES - 1);
    size_t first = LEAT_LOG_RING_BYTES - at < bytes ? LEAT_LOG_RING_BYTES - at : bytes;
    memcpy(to, log->ring + at, first);
    memcpy((char *)to + first, log->ring, bytes - first);
}

struct writer {
    struct leat_logger *logger;
    struct batch error, output;
    char text[LEAT_LOG_LINE_BYTES_MAX];
    char line[LEAT_LOG_FORMATTED_BYTES_MAX];
};

static void writer_line(struct writer *writer, const struct leat_log_record *record)
{
    size_t n = leat_log_format(record, writer->logger->options.json, writer->line);
    batch_put(&writer->error, writer->line, n);
}

static void writer_tell_dropped(struct writer *writer, struct leat_log *log)
{
    static const struct leat_log_site site = {__FILE__, __LINE__, LEAT_LEVEL_WARN};
    uint64_t dropped = leat_log_dropped_count(log);
    if (dropped == log->dropped_told_count)
        return;
    int n = snprintf(writer->text, sizeof(writer->text),
                     "%llu log lines were dropped: the log is written faster than it is read",
                     (unsigned long long)(dropped - log->dropped_told_count));
    log->dropped_told_count = dropped;
    writer_line(writer, &(struct leat_log_record){clock_ns(CLOCK_REALTIME), &site, writer->text,
                                                  (size_t)n, (int)log->index});
}

/* Writes what log holds now; returns whether there was anything. */
static bool writer_drain(struct writer *writer, struct leat_log *log)
{
    uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&log->head, memory_order_seq_cst);
    bool had_any = tail != head;
    while (tail != head) {
        struct log_header header;
        ring_read(log, tail, &header, sizeof(header));
        ring_read(log, tail + sizeof(header), writer->text, header.text_bytes);
        tail += sizeof(header) + header.text_bytes;
        atomic_store_explicit(&log->tail, tail, memory_order_release);
        if (header.site == NULL) {
            batch_put(&writer->output, writer->text, header.text_bytes);
            batch_put(&writer->output, "\n", 1);
        } else {
            writer_line(writer, &(struct leat_log_record){header.time_ns, header.site, writer->text,
                                                          header.text_bytes, (int)log->index});
        }
    }
    writer_tell_dropped(writer, log);
    return had_any;
}

static bool writer_round(struct writer *writer)
{
    struct leat_logger *logger = writer->logger;
    bool had_any = false;
    for (uint32_t i = 0; i < logger->cores_count; i++) {
        struct leat_log *log = atomic_load_explicit(&logger->logs[i], memory_order_acquire);
        if (log != NULL && writer_drain(writer, log))
            had_any = true;
    }
    batch_flush(&writer->output);
    batch_flush(&writer->error);
    return had_any;
}

static void *writer_main(void *arg)
{
    struct leat_logger *logger = arg;
    struct writer writer = {.logger = logger};
    const struct timespec sleep = {LOGGER_SLEEP_S, 0};
    writer.error = (struct batch){.logger = logger, .fd = logger->options.error_fd};
    writer.output = (struct batch){.logger = logger, .fd = logger->options.output_fd};
    for (;;) {
        bool is_stopping = atomic_load_explicit(&logger->is_stopping, memory_order_acquire);
        bool had_any = writer_round(&writer);
        if (is_stopping)
            return NULL;
        if (had_any) {
            nanosleep(&(struct timespec){0, LOGGER_NAP_NS}, NULL);
            continue;
        }
        atomic_store_explicit(&logger->is_sleeping, 1, memory_order_seq_cst);
        if (writer_round(&writer) ||
            atomic_load_explicit(&logger->is_stopping, memory_order_seq_cst)) {
            atomic_store_explicit(&logger->is_sleeping, 0, memory_order_seq_cst);
            continue;
        }
        syscall(SYS_futex, &logger->is_sleeping, FUTEX_WAIT_PRIVATE, 1, &sleep, NULL, 0);
        atomic_store_explicit(&logger->is_sleeping, 0, memory_order_seq_cst);
    }
}

struct leat_logger *leat_logger_new(const struct leat_logger_options *options, uint32_t cores_count,
                                    struct leat_error *error)
{
    struct leat_logger *logger = calloc(1, sizeof(*logger));
    if (logger == NULL)
        goto no_memory;
    logger->options = *options;
    logger->cores_count = cores_count;
    logger->logs = calloc(cores_count, sizeof(logger->logs[0]));
    if (logger->logs == NULL)
        goto free_logger;
    /* The thread inherits a mask in which it takes no signal from those who wait for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    int failed = pthread_create(&logger->writer, &attr, writer_main, logger);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        leat_fail(error, -failed,
                  "cannot start the log's thread: %s; raise the limit on threads "
                  "(ulimit -u)",
                  strerror(failed));
        goto free_logs;
    }
    pthread_setname_np(logger->writer, "leat-log");
    return logger;

free_logs:
    free(logger->logs);
    free(logger);
    return NULL;
free_logger:
    free(logger);
no_memory:
    leat_fail(error, -ENOMEM, "cannot start the log: out of memory");
    return NULL;
}

void leat_logger_free(struct leat_logger *logger)
{
    if (logger == NULL)
        return;
    atomic_store_explicit(&logger->is_stopping, true, memory_order_seq_cst);
    atomic_store_explicit(&logger->is_sleeping, 0, memory_order_seq_cst);
    syscall(SYS_futex, &logger->is_sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    pthread_join(logger->writer, NULL);
    for (uint32_t i = 0; i < logger->cores_count; i++) {
        struct leat_log *log = atomic_load(&logger->logs[i]);
        if (log != NULL) {
            munmap(log->ring, LEAT_LOG_RING_BYTES);
            free(log);
        }
    }
    free(logger->logs);
    free(logger);
}

struct leat_log *leat_logger_open(struct leat_logger *logger, uint32_t index)
{
    CHECK(index < logger->cores_count && atomic_load(&logger->logs[index]) == NULL);
    struct leat_log *log = aligned_alloc(64, sizeof(*log));
    if (log == NULL)
        return NULL;
    memset(log, 0, sizeof(*log));
    log->ring =
        mmap(NULL, LEAT_LOG_RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (log->ring == MAP_FAILED) {
        free(log);
        return NULL;
    }
    log->logger = logger;
    log->index = index;
    log->level = logger->options.level;
    log->json = logger->options.json;
    atomic_store_explicit(&logger->logs[index], log, memory_order_release);
    return log;
}

/* The thread that writes the log: it takes lines from the rings of all cores, and says what was
 * lost. */
#include "runtime/base/log_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/output.h"

/* After a batch the writer naps before it looks again, so that a busy core pays for a wake-up at
 * most once per nap. */
#define LOGGER_NAP_NS (2 * LEAT_NS_PER_MS)
/* A core that hangs does not wake the writer; what it said last is seen within this time. */
#define LOGGER_SLEEP_S   1
#define LOGGER_OUT_BYTES PIPE_BUF

/* Lines of one core on their way to one descriptor, and those that did not get there. */
struct batch {
    struct leat_logger *logger;
    struct leat_log *log; /* whose lines these are */
    int fd;
    size_t used;
    uint64_t lost_count, lost_told_count;
    int lost_error; /* of the last that was lost */
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
    return clock_ns(CLOCK_MONOTONIC) < atomic_load(&logger->give_up_ns);
}

static void batch_lose(struct batch *batch, const char *at, int error)
{
    uint64_t count = 0;
    const char *end = batch->bytes + batch->used;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        count++;
        at++;
    }
    batch->lost_count += count;
    batch->lost_error = error;
    if (batch->log != NULL)
        atomic_fetch_add_explicit(&batch->log->lost_write_count, count, memory_order_relaxed);
}

/* A reader that does not read holds up the writer, and nobody else; at the end, not even it. */
static void batch_flush(struct batch *batch)
{
    const char *at = batch->bytes, *end = batch->bytes + batch->used;
    while (at < end) {
        struct pollfd ready = {batch->fd, POLLOUT, 0};
        bool is_patient = may_wait(batch->logger);
        int n = poll(&ready, 1, is_patient ? LOGGER_POLL_MS : 0);
        ssize_t written = n > 0 ? leat_output_try(batch->fd, at, (size_t)(end - at)) : -EAGAIN;
        if (written > 0) {
            at += written;
        } else if (written != -EAGAIN && written != -EINTR) {
            batch_lose(batch, at, (int)-written);
            break;
        } else if (!is_patient) {
            batch_lose(batch, at, ETIMEDOUT);
            break;
        }
    }
    batch->used = 0;
}

static void batch_of(struct batch *batch, struct leat_log *log)
{
    if (batch->log != log)
        batch_flush(batch);
    batch->log = log;
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
    size_t at = position & (log->ring_bytes - 1);
    size_t first = log->ring_bytes - at < bytes ? log->ring_bytes - at : bytes;
    memcpy(to, log->ring + at, first);
    memcpy((char *)to + first, log->ring, bytes - first);
}

struct writer {
    struct leat_logger *logger;
    struct batch batches[LOG_STREAMS];
    uint64_t told_ns; /* when losses were last told */
    char text[LEAT_LOG_LINE_BYTES_MAX];
    char line[LEAT_LOG_FORMATTED_BYTES_MAX];
};

static void writer_line(struct writer *writer, const struct leat_log_record *record)
{
    size_t n = leat_log_format(record, writer->logger->options.json, writer->line);
    batch_put(&writer->batches[LOG_ERROR], writer->line, n);
}

static void writer_tell(struct writer *writer, int core, const char *format, ...) LEAT_PRINTF(3, 4);
static void writer_tell(struct writer *writer, int core, const char *format, ...)
{
    static const struct leat_log_site site = {__FILE__, __LINE__, LEAT_LEVEL_WARN};
    va_list args;
    va_start(args, format);
    int n = vsnprintf(writer->text, sizeof(writer->text), format, args);
    va_end(args);
    writer_line(writer, &(struct leat_log_record){clock_ns(CLOCK_REALTIME), &site, writer->text,
                                                  (size_t)n, core});
}

static void writer_tell_full(struct writer *writer, struct leat_log *log)
{
    uint64_t lost = leat_log_lost_full_count(log);
    if (lost == log->full_told_count)
        return;
    writer_tell(writer, (int)log->index,
                "%llu log lines were lost: they come faster than they are read; --log-buffer holds "
                "more",
                (unsigned long long)(lost - log->full_told_count));
    log->full_told_count = lost;
}

/* Once a second at most, for a descriptor that takes nothing takes nothing for long. What cannot be
 * told on standard error now is told with the next line that can. */
static void writer_tell_unwritten(struct writer *writer)
{
    static const char *const names[LOG_STREAMS] = {"standard output", "standard error"};
    struct batch *error = &writer->batches[LOG_ERROR];
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    if (writer->told_ns != 0 && now_ns - writer->told_ns < LEAT_NS_PER_S)
        return;
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        struct batch *batch = &writer->batches[i];
        uint64_t lost = batch->lost_count - batch->lost_told_count, lost_error = error->lost_count;
        if (lost == 0)
            continue;
        writer->told_ns = now_ns;
        batch_of(error, NULL);
        writer_tell(writer, -1, "%llu lines were lost on %s: %s", (unsigned long long)lost,
                    names[i],
                    batch->lost_error == ETIMEDOUT ? "nobody reads it"
                                                   : strerror(batch->lost_error));
        batch_flush(error);
        if (error->lost_count == lost_error)
            batch->lost_told_count += lost;
        else
            error->lost_count = lost_error; /* it tells of lines, and is none of them */
    }
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
        struct batch *batch = &writer->batches[header.stream];
        batch_of(batch, log);
        if (header.site == NULL) {
            batch_put(batch, writer->text, header.text_bytes);
            batch_put(batch, "\n", 1);
        } else {
            writer_line(writer, &(struct leat_log_record){header.time_ns, header.site, writer->text,
                                                          header.text_bytes, (int)log->index});
        }
    }
    writer_tell_full(writer, log);
    return had_any;
}

static void writer_reopen(struct writer *writer)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        struct log_file *file = &writer->logger->files[i];
        int result = log_file_reopen(file);
        if (result < 0)
            writer_tell(writer, -1, "cannot open %s again: %s; the old file is written on",
                        file->path, strerror(-result));
    }
}

static bool writer_round(struct writer *writer)
{
    struct leat_logger *logger = writer->logger;
    bool had_any = false;
    bool is_reopen = atomic_exchange(&logger->is_reopen_asked, false);
    for (uint32_t i = 0; i <= logger->cores_count; i++) {
        struct leat_log *log = atomic_load_explicit(&logger->logs[i], memory_order_acquire);
        if (log != NULL && writer_drain(writer, log))
            had_any = true;
    }
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        batch_flush(&writer->batches[i]);
    if (is_reopen) /* what was logged before goes where it would have gone */
        writer_reopen(writer);
    if (had_any)
        writer_tell_unwritten(writer);
    return had_any;
}

void *log_writer_main(void *arg)
{
    struct leat_logger *logger = arg;
    struct writer writer = {.logger = logger};
    const struct timespec sleep = {LOGGER_SLEEP_S, 0};
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        writer.batches[i] = (struct batch){.logger = logger, .fd = logger->files[i].own_fd};
    for (;;) {
        bool is_stopping = atomic_load_explicit(&logger->is_stopping, memory_order_acquire);
        bool had_any = writer_round(&writer);
        if (is_stopping)
            break;
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
    atomic_store_explicit(&logger->has_ended, 1, memory_order_release);
    syscall(SYS_futex, &logger->has_ended, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return NULL;
}

/* A core's side of the log: its ring, rates by place in the source, and lines written at once. */
#include "runtime/base/log_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/output.h"

_Static_assert((LEAT_LOG_SITES_MAX & (LEAT_LOG_SITES_MAX - 1)) == 0, "sites are found by a mask");

static const char *const level_names[] = {"error", "warn", "info", "debug"};

const char *leat_level_name(enum leat_level level)
{
    return level <= LEAT_LEVEL_DEBUG ? level_names[level] : "unknown";
}

int leat_level_parse(const char *name)
{
    for (int i = 0; i <= LEAT_LEVEL_DEBUG; i++)
        if (strcmp(name, level_names[i]) == 0)
            return i;
    return -EINVAL;
}

static struct leat_log *log_now(void)
{
    return leat_core_now != NULL ? leat_core_now->log : NULL;
}

/* What is written at once: from a thread that is no loop's, from a core without a log. */
static enum leat_level direct_level(void)
{
    bool errors_only = leat_core_now != NULL && leat_core_now->logs_errors_only;
    return errors_only ? LEAT_LEVEL_ERROR : LEAT_LEVEL_INFO;
}

bool leat_log_is_on(enum leat_level level)
{
    const struct leat_log *log = log_now();
    return level <= (log != NULL ? log->level : direct_level());
}

void leat_log_only_errors(void)
{
    leat_core_now->logs_errors_only = true;
}

bool leat_log_is_json(void)
{
    const struct leat_log *log = log_now();
    return log != NULL && log->json;
}

static uint64_t log_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void ring_copy(struct leat_log *log, uint64_t position, const void *from, size_t bytes)
{
    size_t at = position & (log->ring_bytes - 1);
    size_t first = log->ring_bytes - at < bytes ? log->ring_bytes - at : bytes;
    memcpy(log->ring + at, from, first);
    memcpy(log->ring, (const char *)from + first, bytes - first);
}

static bool log_push(struct leat_log *log, const struct log_header *header, const char *text)
{
    uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
    uint64_t used = head - atomic_load_explicit(&log->tail, memory_order_acquire);
    uint64_t need = sizeof(*header) + header->text_bytes;
    if (need > log->ring_bytes - used) {
        uint64_t lost = atomic_load_explicit(&log->lost_full_count, memory_order_relaxed);
        atomic_store_explicit(&log->lost_full_count, lost + 1, memory_order_relaxed);
        return false;
    }
    ring_copy(log, head, header, sizeof(*header));
    ring_copy(log, head + sizeof(*header), text, header->text_bytes);
    /* Sequentially consistent with the writer's is_sleeping: of the store here and the store there,
     * one is seen by the other side before it decides. */
    atomic_store_explicit(&log->head, head + need, memory_order_seq_cst);
    log->is_pending = true;
    return true;
}

void leat_log_flush(struct leat_log *log)
{
    if (log == NULL || !log->is_pending)
        return;
    log->is_pending = false;
    struct leat_logger *logger = log->logger;
    if (atomic_load_explicit(&logger->is_sleeping, memory_order_seq_cst) != 0 &&
        atomic_exchange_explicit(&logger->is_sleeping, 0, memory_order_seq_cst) != 0)
        syscall(SYS_futex, &logger->is_sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

uint64_t leat_log_lost_full_count(const struct leat_log *log)
{
    return atomic_load_explicit(&log->lost_full_count, memory_order_relaxed);
}

uint64_t leat_log_lost_write_count(const struct leat_log *log)
{
    return atomic_load_explicit(&log->lost_write_count, memory_order_relaxed);
}

/* Whether site may write now; if so, *left_out is how many lines it could not write before. */
static bool rate_allows(struct leat_log *log, const struct leat_log_site *site, uint64_t now_ns,
                        uint32_t *left_out)
{
    size_t hash = ((uintptr_t)site >> 4) ^ ((uintptr_t)site >> 10);
    struct log_rate *rate = &log->rates[hash & (LEAT_LOG_SITES_MAX - 1)];
    struct log_rate *other = &log->rates[(hash + 1) & (LEAT_LOG_SITES_MAX - 1)];
    if (rate->site != site &&
        (other->site == site || (rate->site != NULL && other->second_ns < rate->second_ns)))
        rate = other;
    if (rate->site != site)
        *rate = (struct log_rate){.site = site, .second_ns = now_ns};
    /* A clock that was set back begins a new second. */
    if (now_ns - rate->second_ns >= LEAT_NS_PER_S) {
        rate->second_ns = now_ns;
        rate->written_count = 0;
    }
    if (rate->written_count >= LEAT_LOG_SITE_LINES_PER_S) {
        rate->left_out_count++;
        return false;
    }
    rate->written_count++;
    *left_out = rate->left_out_count;
    rate->left_out_count = 0;
    return true;
}

static void log_direct(const struct leat_log_site *site, const char *text, size_t length)
{
    struct leat_log_record record = {
        .time_ns = log_clock(),
        .site = site,
        .text = text,
        .text_bytes = length,
        .core = leat_core_now != NULL ? (int)leat_core_now->index : -1,
    };
    char line[LEAT_LOG_FORMATTED_BYTES_MAX];
    size_t bytes = leat_log_format(&record, false, line);
    (void)leat_output_write(STDERR_FILENO, line, bytes, LEAT_LOG_DIRECT_MS);
}

void leat_log_write(const struct leat_log_site *site, const char *format, ...)
{
    if (!leat_log_is_on((enum leat_level)site->level))
        return;
    struct leat_log *log = log_now();
    uint64_t now_ns = log_clock();
    uint32_t left_out = 0;
    if (log != NULL && !rate_allows(log, site, now_ns, &left_out))
        return;
    char text[LEAT_LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    if (left_out > 0) {
        n = snprintf(text + length, sizeof(text) - length, " (%u more like it left out)", left_out);
        length += (size_t)n < sizeof(text) - length ? (size_t)n : sizeof(text) - length - 1;
    }
    if (log == NULL) {
        log_direct(site, text, length);
        return;
    }
    const struct log_header header = {site, now_ns, (uint32_t)length, LOG_ERROR};
    (void)log_push(log, &header, text);
}

bool leat_log_say(struct leat_log *log, int fd, const char *line, size_t length_bytes)
{
    const struct log_header header = {
        .text_bytes = (uint32_t)(length_bytes < LEAT_LOG_LINE_BYTES_MAX ? length_bytes
                                                                        : LEAT_LOG_LINE_BYTES_MAX),
        .stream = fd == log->logger->options.output_fd ? LOG_OUTPUT : LOG_ERROR,
    };
    return log_push(log, &header, line);
}

static bool line_write(int fd, const char *line, size_t length_bytes)
{
    char text[LEAT_LOG_LINE_BYTES_MAX + 1];
    size_t bytes = length_bytes < LEAT_LOG_LINE_BYTES_MAX ? length_bytes : LEAT_LOG_LINE_BYTES_MAX;
    memcpy(text, line, bytes);
    text[bytes] = '\n';
    return leat_output_write(fd, text, bytes + 1, LEAT_LOG_DIRECT_MS) == 0;
}

bool leat_log_output(const char *line, size_t length_bytes)
{
    struct leat_log *log = log_now();
    return log != NULL ? leat_log_say(log, log->logger->options.output_fd, line, length_bytes)
                       : line_write(STDOUT_FILENO, line, length_bytes);
}

bool leat_log_report(const char *line, size_t length_bytes)
{
    struct leat_log *log = log_now();
    return log != NULL ? leat_log_say(log, log->logger->options.error_fd, line, length_bytes)
                       : line_write(STDERR_FILENO, line, length_bytes);
}

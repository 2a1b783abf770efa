/* The life of the process's log: its writer's thread, and the logs of cores. */
#include "runtime/base/log_internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define LOGGER_STUCK_MS       100  /* a writer that ends no sooner is in a write for good */
#define LOGGER_RING_BYTES_MIN 4096 /* holds the longest line */

static void logger_wake(struct leat_logger *logger)
{
    atomic_store_explicit(&logger->is_sleeping, 0, memory_order_seq_cst);
    syscall(SYS_futex, &logger->is_sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void logger_free_memory(struct leat_logger *logger)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        log_file_fini(&logger->files[i]);
    free(logger->logs);
    free(logger);
}

struct leat_logger *leat_logger_new(const struct leat_logger_options *options, uint32_t cores_count,
                                    struct leat_error *error)
{
    struct leat_logger *logger = calloc(1, sizeof(*logger));
    if (logger == NULL)
        goto no_memory;
    logger->options = *options;
    logger->cores_count = cores_count;
    logger->ring_bytes = LOGGER_RING_BYTES_MIN;
    uint64_t asked = options->ring_bytes != 0 ? options->ring_bytes : LEAT_LOG_RING_BYTES;
    while (logger->ring_bytes < asked)
        logger->ring_bytes *= 2;
    log_file_init(&logger->files[LOG_OUTPUT], options->output_fd);
    log_file_init(&logger->files[LOG_ERROR], options->error_fd);
    logger->logs = calloc(cores_count + 1, sizeof(logger->logs[0]));
    if (logger->logs == NULL)
        goto free_logger;
    /* The thread inherits a mask in which it takes no signal from those who wait for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    int failed = pthread_create(&logger->writer, &attr, log_writer_main, logger);
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
    logger_free_memory(logger);
    return NULL;
free_logger:
    free(logger);
no_memory:
    leat_fail(error, -ENOMEM, "cannot start the log: out of memory");
    return NULL;
}

void leat_logger_reopen(struct leat_logger *logger)
{
    atomic_store(&logger->is_reopen_asked, true);
    logger_wake(logger);
}

/* Until the writer has ended, or until_ns. */
static bool writer_await(struct leat_logger *logger, uint64_t until_ns)
{
    while (atomic_load_explicit(&logger->has_ended, memory_order_acquire) == 0) {
        uint64_t now_ns = clock_monotonic();
        if (now_ns >= until_ns)
            return false;
        uint64_t left_ns = until_ns - now_ns;
        const struct timespec left = {(time_t)(left_ns / LEAT_NS_PER_S),
                                      (long)(left_ns % LEAT_NS_PER_S)};
        syscall(SYS_futex, &logger->has_ended, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0);
    }
    return true;
}

int leat_logger_stop(struct leat_logger *logger, unsigned limit_ms)
{
    uint64_t until_ns = clock_monotonic() + limit_ms * LEAT_NS_PER_MS;
    if (logger->is_joined)
        return 0;
    atomic_store(&logger->give_up_ns, until_ns);
    atomic_store_explicit(&logger->is_stopping, true, memory_order_seq_cst);
    logger_wake(logger);
    until_ns += (LOGGER_POLL_MS + LOGGER_STUCK_MS) * LEAT_NS_PER_MS;
    if (!writer_await(logger, until_ns))
        return -ETIMEDOUT;
    pthread_join(logger->writer, NULL);
    logger->is_joined = true;
    return 0;
}

void leat_logger_free(struct leat_logger *logger)
{
    if (logger == NULL || leat_logger_stop(logger, LEAT_LOGGER_DRAIN_MS) < 0)
        return;
    for (uint32_t i = 0; i <= logger->cores_count; i++) {
        struct leat_log *log = atomic_load(&logger->logs[i]);
        if (log != NULL) {
            munmap(log->ring, log->ring_bytes);
            free(log);
        }
    }
    logger_free_memory(logger);
}

struct leat_log *leat_logger_open(struct leat_logger *logger, uint32_t index)
{
    uint32_t at = index == LEAT_LOG_NO_CORE ? logger->cores_count : index;
    CHECK(at <= logger->cores_count && atomic_load(&logger->logs[at]) == NULL);
    struct leat_log *log = aligned_alloc(64, sizeof(*log));
    if (log == NULL)
        return NULL;
    memset(log, 0, sizeof(*log));
    log->ring_bytes = logger->ring_bytes;
    log->ring =
        mmap(NULL, log->ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (log->ring == MAP_FAILED) {
        free(log);
        return NULL;
    }
    log->logger = logger;
    log->index = index;
    log->level = logger->options.level;
    log->json = logger->options.json;
    atomic_store_explicit(&logger->logs[at], log, memory_order_release);
    return log;
}

/* The process's part of the log: a ring per core, and the thread that writes them out.
 *
 * leat_run makes one logger, opens a log for each core and sets leat_core.log. A core's functions
 * are for that core; the writer thread is the only consumer of every ring. Internal: not installed.
 */
#ifndef LEAT_LOGGER_H
#define LEAT_LOGGER_H

#include <leat/log.h>
#include "runtime/base/core.h"

struct leat_logger;

struct leat_logger_options {
    enum leat_level level;
    bool json;
    int error_fd;        /* where log lines go */
    int output_fd;       /* where leat_log_output goes */
    uint64_t ring_bytes; /* of each log; rounded up to a power of two [LEAT_LOG_RING_BYTES] */
};

/* Starts the writer thread; cores_count logs may be opened. NULL with error filled. */
struct leat_logger *leat_logger_new(const struct leat_logger_options *options, uint32_t cores_count,
                                    struct leat_error *error);
/* Writes out what the rings hold and ends the writer, waiting at most limit_ms for a reader that
 * does not read. What is logged later is lost. Returns 0, or -ETIMEDOUT: a write does not return.
 */
int leat_logger_stop(struct leat_logger *logger, unsigned limit_ms);
/* leat_logger_stop, and frees all but what a write that does not return still uses. No core may log
 * any more. */
#define LEAT_LOGGER_DRAIN_MS 1000
void leat_logger_free(struct leat_logger *logger);

/* The writer opens again, by their names, the files that standard output and error are; it logs
 * what fails. Any thread. */
void leat_logger_reopen(struct leat_logger *logger);

/* The log of core index, or of the one thread that is none; NULL when memory is out. Freed with the
 * logger. */
#define LEAT_LOG_NO_CORE UINT32_MAX
struct leat_log *leat_logger_open(struct leat_logger *logger, uint32_t index);

/* Wakes the writer when the core has logged since the last flush and the writer sleeps. Once per
 * turn of the loop; async-signal-safe; log may be NULL. */
void leat_log_flush(struct leat_log *log);

/* For a core without a log, whose lines are written at once: from now on only errors are. */
void leat_log_only_errors(void);

/* A line as it is, without its newline, from the thread that log belongs to: fd is one of the
 * logger's. At most LEAT_LOG_LINE_BYTES_MAX bytes. False: the ring is full. */
bool leat_log_say(struct leat_log *log, int fd, const char *line, size_t length_bytes);

/* Lines that found no room in the ring, and lines that the descriptor did not take. */
uint64_t leat_log_lost_full_count(const struct leat_log *log);
uint64_t leat_log_lost_write_count(const struct leat_log *log);

/* Formats one line with its newline into to; returns its bytes. core < 0: no core. */
struct leat_log_record {
    uint64_t time_ns; /* CLOCK_REALTIME */
    const struct leat_log_site *site;
    const char *text;
    size_t text_bytes;
    int core;
};
#define LEAT_LOG_FORMATTED_BYTES_MAX (LEAT_LOG_LINE_BYTES_MAX * 6 + 512)
size_t leat_log_format(const struct leat_log_record *record, bool json,
                       char to[LEAT_LOG_FORMATTED_BYTES_MAX]);

#endif

/* The log: what a person or a log collector reads about the running program.
 *
 * A line has a level and goes to standard error, as text or as one JSON object. Writing a line
 * never blocks a core: the core copies it into a ring of its own (LEAT_LOG_RING_BYTES unless
 * leat_run_options says otherwise), and one thread of the process, which leat_run started, writes
 * it out. Where no such thread exists (no leat_run, or a thread that is no loop's) the line is
 * written at once, and given up after LEAT_LOG_DIRECT_MS when nobody reads.
 *
 * Bounds and policies: a message is cut at LEAT_LOG_LINE_BYTES_MAX; each place in the source writes
 * at most LEAT_LOG_SITE_LINES_PER_S lines a second and core, and its next line says how many were
 * left out; a line that finds a full ring or that the descriptor does not take is lost: it is
 * counted (log.lost_full, log.lost_write), and the next line that goes out says how many and why.
 * Control bytes are escaped, so that one call is one line whatever it quotes. */
#ifndef LEAT_LOG_H
#define LEAT_LOG_H

#include <leat/defs.h>

LEAT_BEGIN

#define LEAT_LOG_RING_BYTES       131072
#define LEAT_LOG_LINE_BYTES_MAX   1024
#define LEAT_LOG_DIRECT_MS        100
#define LEAT_LOG_SITES_MAX        64 /* places whose rate is known; the oldest gives way */
#define LEAT_LOG_SITE_LINES_PER_S 10

enum leat_level { LEAT_LEVEL_ERROR, LEAT_LEVEL_WARN, LEAT_LEVEL_INFO, LEAT_LEVEL_DEBUG };

struct leat_log_site {
    const char *file;
    uint32_t line;
    uint32_t level; /* enum leat_level */
};

/* One line, printf's format, without a newline. */
#define LEAT_LOG_ERROR(...) LEAT_LOG_AT(LEAT_LEVEL_ERROR, __VA_ARGS__)
#define LEAT_LOG_WARN(...)  LEAT_LOG_AT(LEAT_LEVEL_WARN, __VA_ARGS__)
#define LEAT_LOG_INFO(...)  LEAT_LOG_AT(LEAT_LEVEL_INFO, __VA_ARGS__)
#define LEAT_LOG_DEBUG(...) LEAT_LOG_AT(LEAT_LEVEL_DEBUG, __VA_ARGS__)

#define LEAT_LOG_AT(level, ...)                                                                    \
    do {                                                                                           \
        static const struct leat_log_site leat_log_site_ = {__FILE__, __LINE__, level};            \
        leat_log_write(&leat_log_site_, __VA_ARGS__);                                              \
    } while (0)

LEAT_API void leat_log_write(const struct leat_log_site *site, const char *format, ...)
    LEAT_PRINTF(2, 3);

/* A whole line of the caller's making, without its newline, to standard output and without a rate
 * limit: access logs. At most LEAT_LOG_LINE_BYTES_MAX bytes. Returns false when the ring was full
 * and the line was dropped. The bytes are written as they are: escape what a peer sent. */
LEAT_API bool leat_log_output(const char *line, size_t length_bytes);
/* The same to standard error: what somebody asked for, such as figures at the end. */
LEAT_API bool leat_log_report(const char *line, size_t length_bytes);

/* Whether lines of that level are written by the calling core, and whether they are JSON. */
LEAT_API bool leat_log_is_on(enum leat_level level);
LEAT_API bool leat_log_is_json(void);

LEAT_API const char *leat_level_name(enum leat_level level); /* "error" */
/* Returns the level of that name, or -EINVAL. */
LEAT_API int leat_level_parse(const char *name);

LEAT_END
#endif

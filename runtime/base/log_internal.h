/* The structures that log.c (a core's side) and logger.c (the writer's side) share. */
#ifndef LEAT_LOG_INTERNAL_H
#define LEAT_LOG_INTERNAL_H

#include "runtime/base/logger.h"

#include <pthread.h>
#include <stdatomic.h>

/* What stands before each line in a ring. */
struct log_header {
    const struct leat_log_site *site; /* NULL: a line of leat_log_output */
    uint64_t time_ns;
    uint64_t text_bytes;
};

/* Lines written by one place in the source during the second that began at second_ns. */
struct log_rate {
    const struct leat_log_site *site;
    uint64_t second_ns;
    uint32_t written_count;
    uint32_t left_out_count;
};

/* head - tail <= LEAT_LOG_RING_BYTES; the core moves head, the writer tail. */
struct leat_log {
    struct leat_logger *logger;
    char *ring;
    enum leat_level level;
    bool json;
    bool is_pending; /* written since the last flush */
    uint32_t index;
    struct log_rate rates[LEAT_LOG_SITES_MAX];
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t dropped_count;
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t dropped_told_count; /* the writer's: of dropped_count, already logged */
};

struct leat_logger {
    struct leat_logger_options options;
    uint32_t cores_count;
    pthread_t writer;
    _Atomic uint32_t is_sleeping; /* the futex */
    _Atomic bool is_stopping;
    uint64_t give_up_ns; /* the writer's: when a stopping logger stops waiting for its reader */
    struct leat_log *_Atomic *logs;
};

#endif

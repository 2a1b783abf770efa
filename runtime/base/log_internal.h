/* The structures that log.c (a core's side) and logger.c (the writer's side) share. */
#ifndef LEAT_LOG_INTERNAL_H
#define LEAT_LOG_INTERNAL_H

#include "runtime/base/logger.h"

#include <pthread.h>
#include <stdatomic.h>

enum log_stream { LOG_OUTPUT, LOG_ERROR, LOG_STREAMS };

/* What stands before each line in a ring. */
struct log_header {
    const struct leat_log_site *site; /* NULL: written as it is; of a site: to LOG_ERROR */
    uint64_t time_ns;
    uint32_t text_bytes;
    uint32_t stream; /* enum log_stream */
};

/* Lines written by one place in the source during the second that began at second_ns. */
struct log_rate {
    const struct leat_log_site *site;
    uint64_t second_ns;
    uint32_t written_count;
    uint32_t left_out_count;
};

/* head - tail <= ring_bytes, a power of two; the core moves head, the writer tail. Each of the
 * counts has one writer too: the core that of lines which found no room, the writer that of lines
 * which the descriptor did not take. */
struct leat_log {
    struct leat_logger *logger;
    char *ring;
    size_t ring_bytes;
    enum leat_level level;
    bool json;
    bool is_pending; /* written since the last flush */
    uint32_t index;
    struct log_rate rates[LEAT_LOG_SITES_MAX];
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t lost_full_count;
    _Alignas(64) _Atomic uint64_t tail;
    _Atomic uint64_t lost_write_count;
    uint64_t full_told_count; /* the writer's: of lost_full_count, already logged */
};

/* log_files.c: a file that a descriptor was opened on, to be opened again by its name. */
struct log_file {
    int fd;     /* the program's */
    int own_fd; /* a copy that the writer writes to: while DPDK sets a port up or closes it, the
                   program's standard descriptors lead elsewhere */
    char *path; /* NULL: it is no file that has a name */
    uint64_t device, inode;
};
void log_file_init(struct log_file *file, int fd);
void log_file_fini(struct log_file *file);
/* Opens the file of that name, made where it is gone, in place of the descriptor. Returns 1, 0 when
 * it is the same file still, or -errno: the old one is written on. */
int log_file_reopen(struct log_file *file);

/* log_writer.c: the writer's thread; it is a struct leat_logger that it gets. */
#define LOGGER_POLL_MS 100 /* how long it waits for a reader before it looks at the end */
void *log_writer_main(void *arg);

struct leat_logger {
    struct leat_logger_options options;
    uint32_t cores_count;
    pthread_t writer;
    _Atomic uint32_t is_sleeping; /* the futex */
    _Atomic bool is_stopping;
    _Atomic bool is_reopen_asked;
    _Atomic uint32_t has_ended;  /* 1: the writer touches nothing any more; a futex */
    _Atomic uint64_t give_up_ns; /* when a stopping logger stops waiting for its reader */
    bool is_joined;
    size_t ring_bytes;
    struct log_file files[LOG_STREAMS]; /* the writer's */
    struct leat_log *_Atomic *logs;
};

#endif

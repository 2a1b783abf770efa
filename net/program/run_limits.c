/* What of the machine a program takes: a share of its memory for buffers, and descriptors. */
#include "net/program/run_internal.h"

#include <sys/resource.h>

#define BUFFERS_SHARE                                                                              \
    2 /* half; the rest is the program's, its heaps', and the kernel's for sockets */
#define BUFFERS_BYTES_LEAST (UINT64_C(2) << 20) /* of a loop */
#define BUFFERS_BYTES_MOST  (UINT64_C(1) << 30)

uint64_t run_buffer_bytes(const struct leat_run *run)
{
    if (run->options->buffer_bytes_max != 0)
        return run->options->buffer_bytes_max;
    uint64_t bytes = leat_memory_bytes("") / BUFFERS_SHARE / run->cores_count;
    return bytes > BUFFERS_BYTES_MOST    ? BUFFERS_BYTES_MOST
           : bytes < BUFFERS_BYTES_LEAST ? BUFFERS_BYTES_LEAST
                                         : bytes;
}

void run_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what is missing then is said when it is missed */
    }
}

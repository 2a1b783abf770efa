/* What the memory of a program is used for: Node's process.memoryUsage, for one core.
 *
 * Sums of a core are exact when what it allocates is freed on it; memory that crosses cores (a
 * buffer given to another) counts where it was allocated until it has come home. */
#ifndef LEAT_MEMORY_H
#define LEAT_MEMORY_H

#include <leat/defs.h>

LEAT_BEGIN

struct leat_memory {
    uint64_t resident_bytes;        /* of the whole process; 0 where /proc does not tell */
    uint64_t heap_bytes;            /* of this core: allocated, not freed */
    uint64_t heap_count;            /* in so many pieces */
    uint64_t buffer_bytes;          /* handed out by this core's pools */
    uint64_t buffer_count;          /* in so many buffers */
    uint64_t buffer_reserved_bytes; /* what the pools have from the system */
    uint64_t future_count;          /* that are there, settled or not */
    uint64_t reaction_count;        /* that wait, or whose job has not run */
};

/* Of the current core. Reads a file of /proc: not for each request. */
LEAT_API void leat_memory_usage(struct leat_memory *memory);

LEAT_END
#endif

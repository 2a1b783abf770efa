/* The bits of a handle: which table, core, generation and place. 0 is no handle. Connections,
 * sockets, timeouts and immediates have them; tables are buffers/slots.h. Internal: not installed.
 */
#ifndef LEAT_HANDLE_H
#define LEAT_HANDLE_H

#include <leat/defs.h>

#define HANDLE_INDEX_BITS      24
#define HANDLE_GENERATION_BITS 26
#define HANDLE_CORE_BITS       10
#define HANDLE_TABLE_BITS      4

/* Tables: 1 to 13 are transports' (net/api/transport.h). */
#define HANDLE_TABLE_TIMEOUTS   14
#define HANDLE_TABLE_IMMEDIATES 15

#define HANDLE_INDEX_MASK      ((UINT64_C(1) << HANDLE_INDEX_BITS) - 1)
#define HANDLE_GENERATION_MASK ((UINT64_C(1) << HANDLE_GENERATION_BITS) - 1)
#define HANDLE_CORE_MASK       ((UINT64_C(1) << HANDLE_CORE_BITS) - 1)
#define HANDLE_CORE_SHIFT      (HANDLE_INDEX_BITS + HANDLE_GENERATION_BITS)
#define HANDLE_TABLE_SHIFT     (HANDLE_CORE_SHIFT + HANDLE_CORE_BITS)

static inline uint32_t handle_index(uint64_t id)
{
    return (uint32_t)(id & HANDLE_INDEX_MASK);
}

static inline uint32_t handle_generation(uint64_t id)
{
    return (uint32_t)(id >> HANDLE_INDEX_BITS & HANDLE_GENERATION_MASK);
}

static inline uint32_t handle_core(uint64_t id)
{
    return (uint32_t)(id >> HANDLE_CORE_SHIFT & HANDLE_CORE_MASK);
}

static inline uint32_t handle_table(uint64_t id)
{
    return (uint32_t)(id >> HANDLE_TABLE_SHIFT);
}

#endif

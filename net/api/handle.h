/* The bits of a connection's handle, for conn.c and for those who implement transports. */
#ifndef LEAT_HANDLE_H
#define LEAT_HANDLE_H

#include <leat/conn.h>

#define CONN_INDEX_BITS      24
#define CONN_GENERATION_BITS 26
#define CONN_CORE_BITS       10
#define CONN_TRANSPORT_BITS  4

#define CONN_INDEX_MASK      ((UINT64_C(1) << CONN_INDEX_BITS) - 1)
#define CONN_GENERATION_MASK ((UINT64_C(1) << CONN_GENERATION_BITS) - 1)
#define CONN_CORE_MASK       ((UINT64_C(1) << CONN_CORE_BITS) - 1)
#define CONN_CORE_SHIFT      (CONN_INDEX_BITS + CONN_GENERATION_BITS)
#define CONN_TRANSPORT_SHIFT (CONN_CORE_SHIFT + CONN_CORE_BITS)

static inline uint32_t conn_index(uint64_t id)
{
    return (uint32_t)(id & CONN_INDEX_MASK);
}

static inline uint32_t conn_generation(uint64_t id)
{
    return (uint32_t)(id >> CONN_INDEX_BITS & CONN_GENERATION_MASK);
}

static inline uint32_t conn_core(uint64_t id)
{
    return (uint32_t)(id >> CONN_CORE_SHIFT & CONN_CORE_MASK);
}

static inline uint32_t conn_transport(uint64_t id)
{
    return (uint32_t)(id >> CONN_TRANSPORT_SHIFT);
}

#endif

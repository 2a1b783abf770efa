/* Reads that would wait for a disk, left to the kernel: a core has a ring of io_uring for them, so
 * that no thread sleeps meanwhile (docs/decisions/0041-files-in-a-ring.md). Where the kernel or a
 * sandbox refuses one, the pool reads as it does everything else. For the files of this folder. */
#ifndef LEAT_FS_RING_H
#define LEAT_FS_RING_H

#include "leat_config.h"
#include "runtime/os/op.h"

struct fs_op;

#if LEAT_HAVE_URING
/* OP_GIVEN: the kernel has fs, or gets it at the end of the turn, and it is told. OP_LEFT: there is
 * no ring, or LEAT_FS_INFLIGHT_MAX are under way in it. */
enum op_tried fs_ring_read(struct fs_op *fs) LEAT_MUST_CHECK;
void fs_ring_flush(struct pool_core *core); /* at the end of a turn */
bool fs_ring_has_unsent(const struct pool_core *core);
/* What is under way is waited for, and told. */
void fs_ring_settle(struct pool_core *core);
void fs_ring_fini(struct pool_core *core); /* nothing is under way */
#else
static inline enum op_tried fs_ring_read(struct fs_op *fs)
{
    return OP_LEFT;
}
static inline void fs_ring_flush(struct pool_core *core)
{
}
static inline bool fs_ring_has_unsent(const struct pool_core *core)
{
    return false;
}
static inline void fs_ring_settle(struct pool_core *core)
{
}
static inline void fs_ring_fini(struct pool_core *core)
{
}
#endif

#endif

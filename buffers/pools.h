/* The buffer pools of one core, as the loop and tests see them; users see leat/buf.h.
 *
 * leat_heap_init comes before leat_pools_init, leat_heap_fini after leat_pools_fini. All functions
 * are for the core's own thread, with the core current (leat_core_now == core).
 *
 * The end of several cores: a block may be held by another core when its home ends. Its home's
 * memory then stays mapped and its pools stay valid for the late unref, are reported as leaking,
 * and are never freed. So end all loops first, let each pass a last leat_pools_turn, then free
 * them.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_POOLS_H
#define LEAT_POOLS_H

#include <leat/buf.h>

#include "runtime/base/core.h"

#define LEAT_BUF_CLASSES     49 /* 256 bytes to 1 MiB, four to a power of two */
#define LEAT_BUF_CLASSED_MAX (UINT32_C(1) << 20)
#define LEAT_BUF_CLASS_LARGE LEAT_BUF_CLASSES
#define LEAT_BUF_CLASS_WRAP  (LEAT_BUF_CLASSES + 1)
#define POOLS_TRIM_TURNS     1024

/* bytes_max: bound of all memory of the pools; 0: a quarter of what this process may
 * use (leat_memory_bytes), at most 1 GiB. Sets
 * core->pools. Returns 0, or -ENOMEM with a sentence. */
int leat_pools_init(struct leat_core *core, uint64_t bytes_max,
                    struct leat_error *error) LEAT_MUST_CHECK;

/* The same on pages of the caller's choice (buffers/pages.h), which must outlive the pools. */
struct leat_pages;
int leat_pools_init_on(struct leat_core *core, uint64_t bytes_max, const struct leat_pages *pages,
                       struct leat_error *error) LEAT_MUST_CHECK;

/* Takes in what came home, checks conservation, and says on standard error how many buffers of
 * which size were never freed. Returns their number. */
uint64_t leat_pools_fini(struct leat_core *core);

/* Once per turn of the loop: sends the foreign blocks that were freed here home, and takes in those
 * that came home. */
void leat_pools_turn(struct leat_core *core);

/* Gives memory back that no buffer has needed since the last call: spans to the arena, chunks to
 * the system, a bounded number of each. leat_pools_turn does a little of it once in
 * POOLS_TRIM_TURNS turns; an idle loop does more, now and then, until it returns false: there is no
 * more. */
bool leat_pools_trim(struct leat_core *core);

/* How much of the bound live buffers take, in 256ths. Walks over the classes: not for each request.
 */
unsigned leat_pools_share(const struct leat_core *core);

/* Test seam: the nth allocation from now on this core is refused, once (1: the next; 0: none). */
void leat_pools_fail_at(struct leat_core *core, uint64_t nth);

/* CHECKs every invariant of buffers/README.md, in time proportional to all blocks. */
void leat_pools_validate(const struct leat_core *core);

/* The class whose blocks hold length_bytes (1 ... 1 MiB), and how much they hold. */
static inline unsigned leat_buf_class_of(size_t length_bytes)
{
    if (length_bytes <= 256)
        return 0;
    size_t last = length_bytes - 1;
    unsigned top = 63u - (unsigned)__builtin_clzl(last);
    return (top - 8) * 4 + (unsigned)((last >> (top - 2)) & 3) + 1;
}

static inline uint32_t leat_buf_class_bytes(unsigned class)
{
    return class == 0 ? 256 : (5u + (class - 1) % 4) << (6 + (class - 1) / 4);
}

#endif

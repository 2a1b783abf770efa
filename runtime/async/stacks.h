/* Stacks of tasks: slabs of STACKS_PER_SLAB slots, each a guard with a stack above it. For one
 * core; the number of guards that cost a mapping is bounded for the process.
 *
 *     low address   guard | stack ............ control block | guard | stack ...
 *
 * A guard is a range of LEAT_TASK_GUARD_BYTES whose use is a fault: by MADV_GUARD_INSTALL (Linux
 * 6.13), which costs no mapping, else by mprotect, which costs two for each stack, and
 * vm.max_map_count bounds them. There is no stack without a guard.
 *
 * What is given back is taken again first: it is in the caches. An idle core gives the pages below
 * the topmost of each free stack back to the system, and slabs of which nothing is in use.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_STACKS_H
#define LEAT_STACKS_H

#include <leat/task.h>

#include "runtime/async/fiber.h"
#include "runtime/base/list.h"

#define STACKS_PER_SLAB  64
#define STACK_PAGE_BYTES 4096
#define STACK_COLOURS    16 /* lines by which the tops of neighbours differ */
#define STACK_LINE_BYTES 64
/* In one step of an idle core. */
#define STACKS_TRIMMED_MAX      1024
#define STACK_SLABS_TRIMMED_MAX 64

/* Redzones of AddressSanitizer take room, too. */
#define STACK_ROOM (FIBER_ASAN ? 2 : 1)

enum stack_size {
    STACK_PLAIN, /* LEAT_TASK_STACK_BYTES */
    STACK_BIG,   /* LEAT_TASK_STACK_BYTES_BIG */
    STACK_SIZES,
};

struct stack {
    struct list link; /* of those that are free, the hottest last */
    struct stack_slab *slab;
    char *low; /* above the guard */
    char *top; /* coloured; a multiple of 64 */
    unsigned valgrind_id;
    bool is_touched; /* perhaps below its topmost page, since it was last trimmed */
};

struct stack_slab {
    struct list link; /* first */
    enum stack_size size;
    char *memory;
    uint32_t made_count, used_count; /* stacks with a guard; those that are taken */
    uint32_t mapped_count;           /* of those with a guard, whose guard costs a mapping */
    struct stack stacks[STACKS_PER_SLAB];
};

struct stacks {
    struct list free[STACK_SIZES];
    struct list slabs[STACK_SIZES]; /* the one with stacks still to make is the last */
    uint32_t made_count, used_count, used_count_max;
    bool is_old; /* test seam: as if the kernel were older than 6.13 */
};

void stacks_init(struct stacks *stacks);
void stacks_fini(struct stacks *stacks); /* nothing is taken */

/* NULL with -ENOMEM or, where the system allows no more mappings, -EAGAIN, and a sentence. What
 * lies in it is of no meaning. */
struct stack *stack_take(struct stacks *stacks, enum stack_size size, struct leat_error *error);
void stack_give(struct stacks *stacks, struct stack *stack);

static inline size_t stack_bytes(enum stack_size size)
{
    return (size_t)STACK_ROOM *
           (size == STACK_PLAIN ? LEAT_TASK_STACK_BYTES : LEAT_TASK_STACK_BYTES_BIG);
}

/* Whether a fault at address, with the stack pointer at sp (NULL: unknown), is an overflow: in the
 * guard, or anywhere by code that has jumped over the guard with a large frame. Signal-safe. */
static inline bool stack_is_full(const struct stack *stack, const void *address, const void *sp)
{
    const char *at = address, *now = sp;
    return (at < stack->low && at >= stack->low - LEAT_TASK_GUARD_BYTES) ||
           (now != NULL && (now < stack->low || now > stack->top));
}

/* Gives memory back to the system. Returns whether there is more to give. */
bool stacks_trim(struct stacks *stacks);

/* ---- stack_guard.c ---- */

/* Makes [low - LEAT_TASK_GUARD_BYTES, low) a guard; is_old: by mprotect, as before Linux 6.13.
 * Returns the number of mappings that it costs, or -errno with a sentence. */
int stack_guard_make(char *low, bool is_old, struct leat_error *error) LEAT_MUST_CHECK;
/* Guards that cost mappings and are gone. */
void stack_guard_return(uint32_t mapped_count);
/* Test seam: how many mappings the process is taken to have left; UINT32_MAX: the kernel says. */
void stack_guard_pretend(uint32_t mappings_left);

#endif

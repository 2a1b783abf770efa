/* Stacks of tasks in slabs: made, taken, given back, trimmed. */
#include "runtime/async/stacks.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "buffers/heap.h"

#if defined(LEAT_HAVE_VALGRIND)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id)      ((void)(id))
#endif

static size_t slot_bytes(enum stack_size size)
{
    return LEAT_TASK_GUARD_BYTES + stack_bytes(size);
}

static size_t slab_bytes(enum stack_size size)
{
    return STACKS_PER_SLAB * slot_bytes(size);
}

void stacks_init(struct stacks *stacks)
{
    *stacks = (struct stacks){0};
    for (unsigned size = 0; size < STACK_SIZES; size++) {
        list_init(&stacks->free[size]);
        list_init(&stacks->slabs[size]);
    }
}

/* ---- slabs ---- */

static struct stack_slab *slab_new(enum stack_size size, struct leat_error *error)
{
    struct stack_slab *slab = leat_heap_calloc(1, sizeof(*slab));
    char *memory = MAP_FAILED;
    if (slab != NULL)
        memory = mmap(NULL, slab_bytes(size), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        leat_heap_free(slab);
        leat_fail(error, -ENOMEM,
                  "no memory for the stacks of more tasks: raise the limit on address space "
                  "(ulimit -v, vm.overcommit_memory) or have fewer at once");
        return NULL;
    }
    (void)madvise(memory, slab_bytes(size), MADV_NOHUGEPAGE); /* EINVAL: there are none */
    slab->size = size;
    slab->memory = memory;
    return slab;
}

static void slab_free(struct stacks *stacks, struct stack_slab *slab)
{
    for (uint32_t i = 0; i < slab->made_count; i++) {
        list_unlink(&slab->stacks[i].link);
        VALGRIND_STACK_DEREGISTER(slab->stacks[i].valgrind_id);
    }
#if FIBER_ASAN
    __asan_unpoison_memory_region(slab->memory, slab_bytes(slab->size));
#endif
    (void)munmap(slab->memory, slab_bytes(slab->size));
    stack_guard_return(slab->mapped_count);
    stacks->made_count -= slab->made_count;
    list_unlink(&slab->link);
    leat_heap_free(slab);
}

void stacks_fini(struct stacks *stacks)
{
    CHECK(stacks->used_count == 0);
    for (unsigned size = 0; size < STACK_SIZES; size++)
        while (!list_is_empty(&stacks->slabs[size]))
            slab_free(stacks, container_of(stacks->slabs[size].next, struct stack_slab, link));
}

/* The slab that has stacks to make, or NULL. */
static struct stack_slab *slab_to_fill(struct stacks *stacks, enum stack_size size,
                                       struct leat_error *error)
{
    struct list *slabs = &stacks->slabs[size];
    struct stack_slab *last = container_of(slabs->prev, struct stack_slab, link);
    if (!list_is_empty(slabs) && last->made_count < STACKS_PER_SLAB)
        return last;
    struct stack_slab *slab = slab_new(size, error);
    if (slab != NULL)
        list_push(slabs, &slab->link);
    return slab;
}

/* ---- stacks ---- */

/* Without colours the control blocks and first frames of all tasks would share one set of the first
 * cache. The topmost page holds all of them. */
static struct stack *stack_make(struct stacks *stacks, enum stack_size size,
                                struct leat_error *error)
{
    struct stack_slab *slab = slab_to_fill(stacks, size, error);
    if (slab == NULL)
        return NULL;
    uint32_t at = slab->made_count;
    char *low = slab->memory + at * slot_bytes(size) + LEAT_TASK_GUARD_BYTES;
    int mapped_count = stack_guard_make(low, stacks->is_old, error);
    if (mapped_count < 0)
        return NULL;
    struct stack *stack = &slab->stacks[at];
    list_init(&stack->link);
    stack->slab = slab;
    stack->low = low;
    stack->top = low + stack_bytes(size) - at % STACK_COLOURS * STACK_LINE_BYTES;
    stack->valgrind_id = VALGRIND_STACK_REGISTER(low, low + stack_bytes(size));
    slab->mapped_count += (uint32_t)mapped_count;
    slab->made_count++;
    stacks->made_count++;
    return stack;
}

struct stack *stack_take(struct stacks *stacks, enum stack_size size, struct leat_error *error)
{
    struct list *free = &stacks->free[size];
    struct stack *stack;
    if (likely(!list_is_empty(free))) {
        stack = container_of(free->prev, struct stack, link);
        list_unlink(&stack->link);
    } else {
        stack = stack_make(stacks, size, error);
        if (stack == NULL)
            return NULL;
    }
    stack->slab->used_count++;
    stacks->used_count++;
    if (stacks->used_count > stacks->used_count_max)
        stacks->used_count_max = stacks->used_count;
#if FIBER_ASAN
    /* Who ended deep has left its redzones. */
    __asan_unpoison_memory_region(stack->low, stack_bytes(size));
#endif
    return stack;
}

void stack_give(struct stacks *stacks, struct stack *stack)
{
    stack->is_touched = true;
    stack->slab->used_count--;
    stacks->used_count--;
    list_push(&stacks->free[stack->slab->size], &stack->link);
}

/* ---- trimming ---- */

static void stack_trim(struct stack *stack)
{
    size_t bytes = stack_bytes(stack->slab->size) - STACK_PAGE_BYTES;
#if FIBER_ASAN
    __asan_unpoison_memory_region(stack->low, bytes);
#endif
    (void)madvise(stack->low, bytes, MADV_DONTNEED);
    stack->is_touched = false;
}

/* The hottest are last, and what was trimmed lies before them. */
static bool stacks_trim_free(struct list *free, unsigned *left_count)
{
    for (struct list *link = free->prev; link != free; link = link->prev) {
        struct stack *stack = container_of(link, struct stack, link);
        if (!stack->is_touched)
            return false;
        if (*left_count == 0)
            return true;
        (*left_count)--;
        stack_trim(stack);
    }
    return false;
}

/* All but the one that is filled next. */
static bool slabs_trim(struct stacks *stacks, enum stack_size size)
{
    struct list *slabs = &stacks->slabs[size], *next;
    unsigned left_count = STACK_SLABS_TRIMMED_MAX;
    for (struct list *link = slabs->next; link != slabs && link->next != slabs; link = next) {
        struct stack_slab *slab = container_of(link, struct stack_slab, link);
        next = link->next;
        if (slab->used_count > 0)
            continue;
        if (left_count-- == 0)
            return true;
        slab_free(stacks, slab);
    }
    return false;
}

bool stacks_trim(struct stacks *stacks)
{
    unsigned left_count = STACKS_TRIMMED_MAX;
    bool has_more = false;
    for (enum stack_size size = 0; size < STACK_SIZES; size++) {
        has_more |= slabs_trim(stacks, size);
        has_more |= stacks_trim_free(&stacks->free[size], &left_count);
    }
    return has_more;
}

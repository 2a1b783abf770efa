/* The life of a future: made, referred to, freed; and what it is called in reports. */
#include <leat/future.h>

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

static const struct leat_future_class future_plain = {.name = "future"};

/* memory may be NULL. */
static inline struct leat_future *future_begin(struct async_core *core, struct leat_future *memory,
                                               const struct leat_future_class *of, const void *site)
{
    struct leat_future *future = memory;
    if (unlikely(future == NULL))
        return (struct leat_future *)(uintptr_t)&future_out_of_memory; /* never written to */
    core->future_count++;
    future->refs = 2 * FUTURE_REF | leat_core_now->index;
    future->site = (uint32_t)(uintptr_t)site;
    future->reactions = NULL;
    future->result.pointer = NULL; /* then.c keeps a reaction there */
    future->result.code = 0;
    future->result.kind = LEAT_KIND_NOTHING;
    future->result.own = 0;
    future->of = of;
    return future;
}

struct leat_future *async_operation_new(struct leat_loop *loop, const struct leat_future_class *of,
                                        size_t extra_bytes, const void *site)
{
    struct async_core *core = async_core_of(loop);
    struct leat_future *memory = NULL;
    if (core != NULL && of->length_bytes <= BLOCK_BYTES)
        memory = async_block_take(core);
    else if (core != NULL)
        memory = leat_heap_alloc(of->length_bytes + extra_bytes);
    if (memory != NULL && of->length_bytes > BLOCK_BYTES)
        memset(memory + 1, 0, of->length_bytes - sizeof(*memory));
    return future_begin(core, memory, of, site);
}

struct leat_future *async_future_new(struct leat_loop *loop, const struct leat_future_class *of,
                                     const void *site)
{
    struct async_core *core = async_core_of(loop);
    of = of != NULL ? of : &future_plain;
    if (unlikely(core == NULL || of->length_bytes > BLOCK_BYTES))
        return async_operation_new(loop, of, 0, site);
    return future_begin(core, async_block_take(core), of, site);
}

struct leat_future *leat_future_new(struct leat_loop *loop, const struct leat_future_class *of)
{
    return async_future_new(loop, of, __builtin_return_address(0));
}

struct leat_future *leat_settled(struct leat_loop *loop, struct leat_result result)
{
    struct leat_future *future = async_future_new(loop, NULL, __builtin_return_address(0));
    leat_settle(future, result);
    return future;
}

bool async_is_out_of_memory(const struct leat_future *future)
{
    return (future->refs & (FUTURE_REF - 1)) == FUTURE_NOWHERE;
}

void future_must_be_nowhere(const struct leat_future *future)
{
    LEAT_CHECK(async_is_out_of_memory(future)); /* else it is another core's */
}

struct leat_future *leat_future_ref(struct leat_future *future)
{
    LEAT_CHECK(future->refs < UINT32_MAX - FUTURE_REF);
    return future_ref(future);
}

void future_free(struct leat_future *future)
{
    LEAT_CHECK(future->reactions == NULL); /* its producer gave its reference away twice */
    struct async_core *core = async_here();
    if (future->result.kind > LEAT_KIND_NUMBER)
        leat_result_drop(&future->result);
    if (future->of->drop != NULL)
        future->of->drop(future);
    core->future_count--;
    if (future->of->length_bytes <= BLOCK_BYTES)
        async_block_give(core, future);
    else
        leat_heap_free(future);
}

void leat_future_unref(struct leat_future *future)
{
    future_unref(future);
}

const struct leat_result *leat_future_result(const struct leat_future *future)
{
    return future_is_settled(future) ? &future->result : NULL;
}

/* ---- reports ---- */

/* The one place in the executable segments of the process whose address ends like this. */
struct site_search {
    uint32_t low;
    uintptr_t found;
};

static int site_find(struct dl_phdr_info *module, size_t bytes, void *arg)
{
    struct site_search *search = arg;
    for (unsigned i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &module->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) == 0)
            continue;
        uintptr_t begin = module->dlpi_addr + segment->p_vaddr;
        uint32_t offset = search->low - (uint32_t)begin;
        if (offset < segment->p_memsz) {
            search->found = begin + offset;
            return 1;
        }
    }
    return 0;
}

static void site_describe(uint32_t low, char *to, size_t to_bytes)
{
    struct site_search search = {.low = low - 1}; /* the call, not what is behind it */
    Dl_info info;
    (void)dl_iterate_phdr(site_find, &search);
    if (search.found == 0 || dladdr((void *)search.found, &info) == 0)
        snprintf(to, to_bytes, "an unknown place");
    else if (info.dli_sname != NULL)
        snprintf(to, to_bytes, "%s", info.dli_sname);
    else
        snprintf(to, to_bytes, "%s+0x%zx", info.dli_fname,
                 (size_t)(search.found - (uintptr_t)info.dli_fbase));
}

const char *leat_future_describe(const struct leat_future *future, char *to, size_t to_bytes)
{
    char site[256];
    site_describe(future->site, site, sizeof(site));
    snprintf(to, to_bytes, "%s of %s", future->of->name, site);
    return to;
}

/* Linked into the fuzz targets that make a stack for each input. AddressSanitizer maps a block of
 * more than 128 KiB anew each time and unmaps it, and an arena is mapped and unmapped as well: that
 * took longer than most inputs. Here such blocks are kept, poisoned while they are free, and one
 * range of addresses serves all arenas. Nobody can tell: a block comes filled with the same bytes
 * each time, an arena with zeros.
 *
 * The linker's --wrap puts the functions of this file before the real ones. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sanitizer/asan_interface.h>

#include "buffers/pages.h"
#include "runtime/base/core.h"

#define KEPT_MAX       8
#define KEPT_BYTES_MIN (100u << 10)
#define KEPT_FILL      0xbe /* as the sanitizer fills small ones */
#define RANGE_BYTES    (UINT64_C(64) << 20)

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void __real_free(void *memory);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void __wrap_free(void *memory);
const struct leat_pages *__wrap_leat_pages_default(void);

struct kept {
    void *block;
    size_t bytes, alignment;
    bool is_taken;
};

static struct kept kept[KEPT_MAX];
static unsigned kept_count;

static struct kept *kept_find(const void *block)
{
    for (unsigned i = 0; i < kept_count; i++)
        if (kept[i].block == block)
            return &kept[i];
    return NULL;
}

/* A free one of that size, or a new one while there is room. */
static struct kept *kept_choose(size_t alignment, size_t bytes)
{
    for (unsigned i = 0; i < kept_count; i++)
        if (!kept[i].is_taken && kept[i].bytes == bytes && kept[i].alignment == alignment)
            return &kept[i];
    void *block;
    if (kept_count == KEPT_MAX || __real_posix_memalign(&block, alignment, bytes) != 0)
        return NULL;
    kept[kept_count] = (struct kept){block, bytes, alignment, false};
    return &kept[kept_count++];
}

static void *kept_take(size_t alignment, size_t bytes, uint8_t fill)
{
    struct kept *k = bytes >= KEPT_BYTES_MIN ? kept_choose(alignment, bytes) : NULL;
    if (k == NULL)
        return NULL;
    k->is_taken = true;
    __asan_unpoison_memory_region(k->block, bytes);
    memset(k->block, fill, bytes);
    return k->block;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    void *block = kept_take(alignment, bytes, KEPT_FILL);
    if (block == NULL)
        return __real_posix_memalign(memory, alignment, bytes);
    *memory = block;
    return 0;
}

void *__wrap_malloc(size_t bytes)
{
    void *block = kept_take(_Alignof(max_align_t), bytes, KEPT_FILL);
    return block != NULL ? block : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    size_t product;
    void *block = NULL;
    if (!__builtin_mul_overflow(count, bytes, &product))
        block = kept_take(_Alignof(max_align_t), product, 0);
    return block != NULL ? block : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    const struct kept *k = kept_find(memory);
    if (k == NULL)
        return __real_realloc(memory, bytes);
    void *block = __real_malloc(bytes);
    if (block != NULL) {
        memcpy(block, memory, k->bytes < bytes ? k->bytes : bytes);
        __wrap_free(memory);
    }
    return block;
}

void __wrap_free(void *memory)
{
    struct kept *k = kept_find(memory);
    if (k == NULL) {
        __real_free(memory);
        return;
    }
    CHECK(k->is_taken); /* else it is freed twice */
    k->is_taken = false;
    __asan_poison_memory_region(memory, k->bytes);
}

/* ---- the pages of arenas ---- */

static struct {
    uint8_t *base, *end; /* end: behind the chunks that were committed */
    bool is_reserved;
} range;

static uint8_t *range_reserve(const struct leat_pages *pages, uint64_t *bytes,
                              struct leat_error *error)
{
    CHECK(!range.is_reserved && *bytes <= RANGE_BYTES);
    if (range.base == NULL) {
        uint8_t *at = mmap(NULL, RANGE_BYTES + LEAT_CHUNK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(at != MAP_FAILED);
        range.base = range.end = at + (-(uintptr_t)at & (LEAT_CHUNK_BYTES - 1));
        madvise(range.base, RANGE_BYTES, MADV_NOHUGEPAGE);
    }
    range.is_reserved = true;
    return range.base;
}

static bool range_commit(const struct leat_pages *pages, uint8_t *chunk, bool is_first)
{
    if (chunk + LEAT_CHUNK_BYTES > range.end)
        range.end = chunk + LEAT_CHUNK_BYTES;
    return true;
}

static void range_decommit(const struct leat_pages *pages, uint8_t *chunk)
{
    madvise(chunk, LEAT_CHUNK_BYTES, MADV_DONTNEED);
}

static void range_release(const struct leat_pages *pages, uint8_t *base, uint64_t bytes)
{
    if (range.end > range.base) {
        madvise(range.base, (size_t)(range.end - range.base), MADV_DONTNEED);
        __asan_unpoison_memory_region(range.base, (size_t)(range.end - range.base));
    }
    range.end = range.base;
    range.is_reserved = false;
}

const struct leat_pages *__wrap_leat_pages_default(void)
{
    static const struct leat_pages pages = {"kept", range_reserve, range_release, range_commit,
                                            range_decommit};
    return &pages;
}
/* NOLINTEND(bugprone-reserved-identifier) */

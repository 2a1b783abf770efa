/* Where pages come from: hugetlb, transparent huge pages or plain ones. */
#include "buffers/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif
#if !defined(MAP_HUGE_2MB)
#define MAP_HUGE_2MB (21 << 26)
#endif

/* First touch by the pinned owner places pages anyway; this only overrides a policy that the
 * process was started with. Refused in sandboxes, which is well. */
static void prefer_local_node(void *base, uint64_t bytes)
{
    unsigned cpu, node;
    if (getcpu(&cpu, &node) == 0 && node < 64) {
        unsigned long mask = 1ul << node;
        syscall(SYS_mbind, base, bytes, MPOL_PREFERRED, &mask, sizeof(mask) * 8 + 1, 0);
    }
}

static uint8_t *range_reserve(const struct leat_pages *pages, uint64_t *bytes,
                              struct leat_error *error)
{
    /* A limit on addresses (RLIMIT_AS) may refuse the range but not a part of it. */
    for (uint64_t want = *bytes; want >= LEAT_CHUNK_BYTES;
         want = want / 2 / LEAT_CHUNK_BYTES * LEAT_CHUNK_BYTES) {
        uint8_t *range = mmap(NULL, want + LEAT_CHUNK_BYTES, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (range == MAP_FAILED)
            continue;
        uint64_t head = -(uintptr_t)range & (LEAT_CHUNK_BYTES - 1);
        if (head != 0)
            munmap(range, head);
        if (head != LEAT_CHUNK_BYTES)
            munmap(range + head + want, LEAT_CHUNK_BYTES - head);
        prefer_local_node(range + head, want);
        *bytes = want;
        return range + head;
    }
    leat_fail(error, -ENOMEM, "no address space for buffers: raise the limit (ulimit -v)");
    return NULL;
}

static void range_release(const struct leat_pages *pages, uint8_t *base, uint64_t bytes)
{
    munmap(base, bytes);
}

static bool plain_commit(const struct leat_pages *pages, uint8_t *chunk, bool is_first)
{
    return mprotect(chunk, LEAT_CHUNK_BYTES, PROT_READ | PROT_WRITE) == 0;
}

static void plain_decommit(const struct leat_pages *pages, uint8_t *chunk)
{
    madvise(chunk, LEAT_CHUNK_BYTES, MADV_DONTNEED);
}

static bool transparent_commit(const struct leat_pages *pages, uint8_t *chunk, bool is_first)
{
    if (!plain_commit(pages, chunk, is_first))
        return false;
    madvise(chunk, LEAT_CHUNK_BYTES, is_first ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
    return true;
}

static bool hugetlb_map(uint8_t *chunk)
{
    void *at = mmap(chunk, LEAT_CHUNK_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB |
                        (chunk != NULL ? MAP_FIXED : 0),
                    -1, 0);
    if (at == MAP_FAILED)
        return false;
    /* A page that the node or the cgroup lacks would be a SIGBUS at first touch: ask for it now.
     * Kernels before 5.14 do not know how (EINVAL) and leave it at that. */
    bool is_there = madvise(at, LEAT_CHUNK_BYTES, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
    if (chunk == NULL)
        munmap(at, LEAT_CHUNK_BYTES);
    return is_there;
}

static bool hugetlb_commit(const struct leat_pages *pages, uint8_t *chunk, bool is_first)
{
    return hugetlb_map(chunk) ||
           // cppcheck-suppress leakReturnValNotUsed ; MAP_FIXED: the address is known
           mmap(chunk, LEAT_CHUNK_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static const struct leat_pages pages_plain = {
    "plain", range_reserve, range_release, plain_commit, plain_decommit,
};
static const struct leat_pages pages_transparent = {
    "transparent", range_reserve, range_release, transparent_commit, plain_decommit,
};
static const struct leat_pages pages_hugetlb = {
    "hugetlb", range_reserve, range_release, hugetlb_commit, NULL,
};

const struct leat_pages *leat_pages_default(void)
{
    char text[64] = "";
    int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t bytes = read(fd, text, sizeof(text) - 1);
        text[bytes > 0 ? bytes : 0] = '\0';
        close(fd);
    }
    bool is_offered = text[0] != '\0' && strstr(text, "[never]") == NULL;
    return is_offered ? &pages_transparent : &pages_plain;
}

const struct leat_pages *leat_pages_hugetlb(void)
{
    return hugetlb_map(NULL) ? &pages_hugetlb : NULL;
}

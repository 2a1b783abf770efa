/* Where an arena's pages come from.
 *
 * A provider is chosen before the pools are made: hugetlb pages where they are asked for and some
 * are free, else transparent huge pages, else plain ones. The arena
 * reserves one range of addresses and commits it chunk by chunk as it grows; committed bytes that
 * were never written read as zeros.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_PAGES_H
#define LEAT_PAGES_H

#include <leat/error.h>

#define LEAT_CHUNK_BYTES (UINT32_C(2) << 20) /* also the size and alignment of a huge page */

/* Embed it in the provider's own state, if it has any. */
struct leat_pages {
    const char *name; /* "hugetlb", "transparent", "plain", or the driver's own */

    /* Reserves at most *bytes (a multiple of LEAT_CHUNK_BYTES) of addresses aligned to
     * LEAT_CHUNK_BYTES, on the NUMA node of the calling thread where that can be said; stores how
     * many it got, at least one chunk. NULL with error filled when there are none. */
    uint8_t *(*reserve)(const struct leat_pages *pages, uint64_t *bytes, struct leat_error *error);
    void (*release)(const struct leat_pages *pages, uint8_t *base, uint64_t bytes);

    /* Makes one chunk of the range readable and writable. is_first: the range's first chunk, which
     * should not become resident as a whole when a byte of it is touched. */
    bool (*commit)(const struct leat_pages *pages, uint8_t *chunk, bool is_first);

    /* Gives the chunk's pages back; it reads as zeros when it is committed again. NULL: pages are
     * kept until release. */
    void (*decommit)(const struct leat_pages *pages, uint8_t *chunk);
};

/* Transparent huge pages where the kernel offers them, else plain ones. */
const struct leat_pages *leat_pages_default(void);

/* The kernel's hugetlb pages of 2 MiB, chunk by chunk; NULL when not even one is free. A chunk that
 * comes when no more are free is made of plain pages. */
const struct leat_pages *leat_pages_hugetlb(void);

#endif

/* A chain of buffers, read as one run of bytes. */
#include "buffers/heap.h"

#include <leat/buf.h>

#include <errno.h>
#include <string.h>

struct leat_chain_link {
    struct leat_chain_link *next;
    struct leat_buf buf;
};

void leat_chain_init(struct leat_chain *chain)
{
    *chain = (struct leat_chain){0};
}

void leat_chain_fini(struct leat_chain *chain)
{
    while (chain->first != NULL)
        leat_chain_pull(chain, chain->first->buf.length_bytes);
}

int leat_chain_push(struct leat_chain *chain, struct leat_buf buf)
{
    if (buf.length_bytes == 0) { /* a link is at least one byte, so that peek shows progress */
        leat_buf_unref(buf);
        return 0;
    }
    struct leat_chain_link *link = leat_heap_alloc(sizeof(*link));
    if (link == NULL)
        return -ENOMEM;
    *link = (struct leat_chain_link){NULL, buf};
    if (chain->last != NULL)
        chain->last->next = link;
    else
        chain->first = link;
    chain->last = link;
    chain->length_bytes += buf.length_bytes;
    chain->count++;
    return 0;
}

struct leat_buf leat_chain_peek(const struct leat_chain *chain)
{
    return chain->first != NULL ? chain->first->buf : (struct leat_buf){NULL, 0, NULL};
}

void leat_chain_pull(struct leat_chain *chain, uint64_t length_bytes)
{
    while (chain->first != NULL && length_bytes > 0) {
        struct leat_chain_link *link = chain->first;
        if (length_bytes < link->buf.length_bytes) {
            link->buf.data += length_bytes;
            link->buf.length_bytes -= length_bytes;
            chain->length_bytes -= length_bytes;
            return;
        }
        length_bytes -= link->buf.length_bytes;
        chain->length_bytes -= link->buf.length_bytes;
        chain->count--;
        chain->first = link->next;
        if (chain->first == NULL)
            chain->last = NULL;
        leat_buf_unref(link->buf);
        leat_heap_free(link);
    }
}

size_t leat_chain_copy(const struct leat_chain *chain, uint64_t offset_bytes, void *to,
                       size_t length_bytes)
{
    uint8_t *out = to;
    for (const struct leat_chain_link *link = chain->first; link != NULL && length_bytes > 0;
         link = link->next) {
        if (offset_bytes >= link->buf.length_bytes) {
            offset_bytes -= link->buf.length_bytes;
            continue;
        }
        size_t bytes = link->buf.length_bytes - offset_bytes;
        if (bytes > length_bytes)
            bytes = length_bytes;
        memcpy(out, link->buf.data + offset_bytes, bytes);
        out += bytes;
        length_bytes -= bytes;
        offset_bytes = 0;
    }
    return (size_t)(out - (uint8_t *)to);
}

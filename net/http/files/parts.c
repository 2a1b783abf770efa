/* Several ranges as multipart/byteranges (RFC 9110 14.6): a part's head, its bytes, and so on, as
 * the client takes them. */
#include "buffers/heap.h"
#include "net/http/files/files_internal.h"

#include <errno.h>
#include <leat/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PART_BYTES_MAX 256

struct files_parts {
    struct leat_file *file;
    const char *type;
    uint64_t size_bytes;
    unsigned count, next;
    bool is_head_sent; /* of the part next */
    char boundary[24];
    struct files_range ranges[FILES_RANGES_MAX];
};

static const char parts_key; /* what they hang on the request by */

static void parts_free(void *value)
{
    struct files_parts *parts = value;

    leat_file_unref(parts->file);
    leat_heap_free(parts);
}

static int part_head(const struct files_parts *parts, unsigned index, char text[PART_BYTES_MAX])
{
    if (index == parts->count)
        return snprintf(text, PART_BYTES_MAX, "\r\n--%s--\r\n", parts->boundary);
    return snprintf(text, PART_BYTES_MAX,
                    "%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %lu-%lu/%lu\r\n\r\n",
                    index == 0 ? "" : "\r\n", parts->boundary, parts->type,
                    (unsigned long)parts->ranges[index].first,
                    (unsigned long)parts->ranges[index].last, (unsigned long)parts->size_bytes);
}

static int parts_send(struct leat_request *req)
{
    struct files_parts *parts = leat_request_attachment(req, &parts_key);
    int rc = 0;
    while (rc == 0 && parts->next <= parts->count) {
        if (!parts->is_head_sent) {
            char text[PART_BYTES_MAX];
            int length = part_head(parts, parts->next, text);
            rc = leat_response_write_bytes(req, text, (size_t)length);
            parts->is_head_sent = rc >= 0;
        } else if (parts->next == parts->count) {
            return leat_response_end(req);
        } else {
            const struct files_range *range = &parts->ranges[parts->next];
            rc = leat_response_write_file(req, parts->file, range->first,
                                          range->last - range->first + 1);
            if (rc >= 0) {
                parts->next++;
                parts->is_head_sent = false;
            }
        }
    }
    if (rc == 1 || rc == -EAGAIN)
        return 0; /* on_writable goes on */
    return leat_request_fail(req, 500, "a part of a file could not be sent: %s",
                             leat_errno_name(rc));
}

void files_parts_begin(const struct files_answer *answer, struct leat_file *file,
                       const struct files_range *ranges, unsigned count)
{
    struct leat_request *req = answer->req;
    struct files_parts *parts = leat_heap_alloc(sizeof(*parts));
    if (parts == NULL) {
        leat_request_fail(req, 503, "no memory for a multipart response");
        return;
    }
    *parts = (struct files_parts){.file = leat_file_ref(file),
                                  .type = answer->type,
                                  .size_bytes = answer->found.version.size_bytes,
                                  .count = count};
    memcpy(parts->ranges, ranges, count * sizeof(*ranges));
    if (leat_request_attach(req, &parts_key, parts, parts_free) < 0) {
        leat_request_fail(req, 503, "no memory for a multipart response");
        return;
    }
    /* Not to be guessed by who wrote the file, else its bytes could pose as parts. */
    uint64_t random[1] = {0};
    if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random[0] = leat_loop_clock(leat_request_loop(req)) * UINT64_C(0x9e3779b97f4a7c15);
    snprintf(parts->boundary, sizeof(parts->boundary), "leat-%016lx", (unsigned long)random[0]);
    char text[PART_BYTES_MAX];
    uint64_t length_bytes = 0;
    for (unsigned i = 0; i <= count; i++) {
        length_bytes += (uint64_t)part_head(parts, i, text);
        length_bytes += i < count ? ranges[i].last - ranges[i].first + 1 : 0;
    }
    snprintf(text, sizeof(text), "multipart/byteranges; boundary=%s", parts->boundary);
    if (leat_response_begin(req, 206, text, length_bytes) == 0) {
        leat_response_on_writable(req, parts_send);
        parts_send(req);
    }
}

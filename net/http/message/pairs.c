/* Records of names and values, one behind another. */
#include "net/http/message/pairs.h"

#include <leat/check.h>
#include <string.h>

struct pair_head {
    uint32_t name_bytes, value_bytes;
};
_Static_assert(sizeof(struct pair_head) == HTTP_PAIR_BYTES, "the caller counts with it");

/* Records are not aligned. */
static void head_store(struct http_pairs *pairs, struct pair_head head)
{
    memcpy(pairs->bytes + pairs->used_bytes, &head, sizeof(head));
}

static struct pair_head head_load(const char *at)
{
    struct pair_head head;
    memcpy(&head, at, sizeof(head));
    return head;
}

void http_pair_begin(struct http_pairs *pairs)
{
    pairs->open_bytes = sizeof(struct pair_head);
    pairs->has_value = false;
}

void http_pair_add(struct http_pairs *pairs, const char *bytes, size_t length)
{
    LEAT_DCHECK(pairs->used_bytes + pairs->open_bytes + length <= pairs->capacity_bytes);
    if (length > 0)
        memcpy(pairs->bytes + pairs->used_bytes + pairs->open_bytes, bytes, length);
    pairs->open_bytes += length;
}

void http_pair_value(struct http_pairs *pairs)
{
    head_store(pairs, (struct pair_head){.name_bytes = (uint32_t)http_pair_length(pairs)});
    pairs->has_value = true;
}

void http_pair_end(struct http_pairs *pairs)
{
    if (!pairs->has_value)
        http_pair_value(pairs);
    struct pair_head head = head_load(pairs->bytes + pairs->used_bytes);
    head.value_bytes = (uint32_t)http_pair_length(pairs) - head.name_bytes;
    head_store(pairs, head);
    pairs->used_bytes += pairs->open_bytes;
    pairs->open_bytes = 0;
    pairs->count++;
}

bool http_pairs_next(const struct http_pairs *pairs, size_t *position, struct leat_view *name,
                     struct leat_view *value)
{
    if (*position >= pairs->used_bytes)
        return false;
    const char *at = pairs->bytes + *position;
    struct pair_head head = head_load(at);
    *name = (struct leat_view){at + sizeof(head), head.name_bytes};
    *value = (struct leat_view){name->data + head.name_bytes, head.value_bytes};
    *position += sizeof(head) + head.name_bytes + head.value_bytes;
    return true;
}

struct leat_view http_pairs_find(const struct http_pairs *pairs, const char *wanted)
{
    struct leat_view name, value;

    for (size_t position = 0; http_pairs_next(pairs, &position, &name, &value);)
        if (leat_view_equal(name, wanted))
            return value;
    return (struct leat_view){NULL, 0};
}

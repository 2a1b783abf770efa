/* What middleware and handlers hang on a request: a list, since there are few, last one first. */
#include "net/http/http_internal.h"

struct http_attachment {
    struct http_attachment *next;
    const void *key;
    void *value;
    void (*drop)(void *value);
};

static void attachment_drop(const struct http_attachment *attachment)
{
    if (attachment->drop != NULL && attachment->value != NULL)
        attachment->drop(attachment->value);
}

/* The link to what has the key, or to the end of the list; *count: how many stand before it. */
static struct http_attachment **attachment_find(struct leat_request *req, const void *key,
                                                unsigned *count)
{
    struct http_attachment **link = &req->x.attachments;

    for (*count = 0; *link != NULL && (*link)->key != key; (*count)++)
        link = &(*link)->next;
    return link;
}

static int attachment_add(struct leat_request *req, const struct http_attachment *given,
                          unsigned count)
{
    if (!req->x.is_open)
        return -EPIPE;
    if (count == LEAT_REQUEST_ATTACHMENTS_MAX)
        return -ENOSPC;
    struct http_attachment *added = leat_heap_alloc(sizeof(*added));
    if (added == NULL)
        return -ENOMEM;
    *added = *given;
    added->next = req->x.attachments;
    req->x.attachments = added;
    return 0;
}

int leat_request_attach(struct leat_request *req, const void *key, void *value,
                        void (*drop)(void *value))
{
    const struct http_attachment given = {.key = key, .value = value, .drop = drop};
    unsigned count;
    struct http_attachment **link = attachment_find(req, key, &count), *old = *link;

    if (old != NULL) {
        *link = old->next;
        attachment_drop(old);
        leat_heap_free(old);
        (void)attachment_find(req, key, &count);
    }
    int result = value != NULL ? attachment_add(req, &given, count) : 0;
    if (result < 0)
        attachment_drop(&given);
    return result;
}

void *leat_request_attachment(const struct leat_request *req, const void *key)
{
    for (const struct http_attachment *at = req->x.attachments; at != NULL; at = at->next)
        if (at->key == key)
            return at->value;
    return NULL;
}

/* In the other order than they came, as what was built last may stand on what was there. */
void http_attachments_drop(struct leat_request *req)
{
    struct http_attachment *first;

    while ((first = req->x.attachments) != NULL) {
        req->x.attachments = first->next;
        attachment_drop(first);
        leat_heap_free(first);
    }
}

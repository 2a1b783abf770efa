/* Reading JSON's tree: kinds, members, elements, values. */
#include "net/http/message/json_internal.h"

#include <math.h>

enum leat_json_kind leat_json_kind(const struct leat_json_node *node)
{
    return node == NULL ? LEAT_JSON_NONE : (enum leat_json_kind)node->kind;
}

static const struct leat_json_node *node_after(const struct leat_json_node *node)
{
    return node + node->units;
}

static struct leat_view text_of(const struct leat_json_node *node, size_t length_bytes)
{
    return (struct leat_view){(const char *)(node + 1), length_bytes};
}

struct leat_json_each leat_json_each(const struct leat_json_node *node)
{
    struct leat_json_each each = {.left_count = leat_json_count(node)};
    if (each.left_count != 0) {
        each.next = node + 1;
        each.is_object = node->kind == LEAT_JSON_OBJECT;
    }
    return each;
}

bool leat_json_each_next(struct leat_json_each *each)
{
    if (each->left_count == 0)
        return false;
    each->left_count--;
    if (each->is_object) {
        each->name = text_of(each->next, each->next->text_bytes);
        each->next = node_after(each->next);
    }
    each->value = each->next;
    each->next = node_after(each->next);
    return true;
}

const struct leat_json_node *leat_json_find(const struct leat_json_node *node, const char *name)
{
    const struct leat_json_node *found = NULL;
    size_t name_bytes = strlen(name);
    if (leat_json_kind(node) != LEAT_JSON_OBJECT)
        return NULL;
    for (struct leat_json_each each = leat_json_each(node); leat_json_each_next(&each);)
        if (each.name.length_bytes == name_bytes && memcmp(each.name.data, name, name_bytes) == 0)
            found = each.value;
    return found;
}

uint32_t leat_json_count(const struct leat_json_node *node)
{
    enum leat_json_kind kind = leat_json_kind(node);
    return kind == LEAT_JSON_ARRAY || kind == LEAT_JSON_OBJECT ? node->count : 0;
}

struct leat_view leat_json_text(const struct leat_json_node *node)
{
    switch (leat_json_kind(node)) {
    case LEAT_JSON_STRING:
        return text_of(node, node->text_bytes);
    case LEAT_JSON_DOUBLE:
        return text_of(node, node->literal_bytes);
    default:
        return (struct leat_view){NULL, 0};
    }
}

/* The largest below which every whole number is a double, so that what was written is what is
 * there. */
#define WHOLE_MAX 9007199254740992.0

int leat_json_int(const struct leat_json_node *node, int64_t *value)
{
    switch (leat_json_kind(node)) {
    case LEAT_JSON_INT:
        *value = node->integer;
        return 0;
    case LEAT_JSON_DOUBLE:
        if (!(fabs(node->real) <= WHOLE_MAX) || node->real != (double)(int64_t)node->real)
            return -ERANGE;
        *value = (int64_t)node->real;
        return 0;
    default:
        return -EINVAL;
    }
}

int leat_json_double(const struct leat_json_node *node, double *value)
{
    switch (leat_json_kind(node)) {
    case LEAT_JSON_INT:
        *value = (double)node->integer;
        return 0;
    case LEAT_JSON_DOUBLE:
        if (isinf(node->real))
            return -ERANGE;
        *value = node->real;
        return 0;
    default:
        return -EINVAL;
    }
}

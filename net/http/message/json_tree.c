/* JSON's tree: the tokens of a text as nodes in one block. */
#include "net/http/message/json_internal.h"

#include <math.h>

enum { UNIT_BYTES = sizeof(struct leat_json_node), UNITS_LEAST = 64 };

void leat_json_tree_init(struct leat_json_tree *tree, const struct leat_json_limits *limits)
{
    memset(tree, 0, sizeof(*tree));
    leat_json_init(&tree->json, limits);
}

void leat_json_tree_fini(struct leat_json_tree *tree)
{
    leat_json_fini(&tree->json);
    leat_buf_unref(tree->block);
    tree->block = (struct leat_buf){NULL, 0, NULL};
    tree->is_whole = false;
}

void leat_json_tree_reset(struct leat_json_tree *tree)
{
    leat_json_reset(&tree->json);
    tree->used_units = tree->open_unit = 0;
    tree->is_whole = false;
}

static struct leat_json_node *node_at(const struct leat_json_tree *tree, uint32_t unit)
{
    return (struct leat_json_node *)(void *)(tree->block.data + (size_t)unit * UNIT_BYTES);
}

/* Room for so many more units; false: no memory. */
static bool tree_reserve(struct leat_json_tree *tree, size_t units)
{
    size_t used_bytes = (size_t)tree->used_units * UNIT_BYTES;
    size_t wanted_bytes = used_bytes + units * UNIT_BYTES;
    struct leat_buf old = tree->block;
    if (likely(wanted_bytes <= old.length_bytes))
        return true;
    size_t grown_bytes = old.length_bytes * 2;
    if (grown_bytes < UNITS_LEAST * UNIT_BYTES)
        grown_bytes = UNITS_LEAST * UNIT_BYTES;
    if (grown_bytes < wanted_bytes)
        grown_bytes = wanted_bytes;
    if (grown_bytes > LEAT_BUF_BYTES_MAX && wanted_bytes <= LEAT_BUF_BYTES_MAX)
        grown_bytes = LEAT_BUF_BYTES_MAX;
    struct leat_buf grown = leat_buf_alloc_unsafe(grown_bytes);
    if (grown.data == NULL)
        return false;
    if (used_bytes != 0)
        memcpy(grown.data, old.data, used_bytes);
    leat_buf_unref(old);
    tree->block = grown;
    return true;
}

/* A node with room for text behind it; NULL: no memory. */
static struct leat_json_node *node_add(struct leat_json_tree *tree, enum leat_json_kind kind,
                                       struct leat_view text)
{
    size_t units = 1;
    if (text.data != NULL)
        units += (text.length_bytes + 1 + UNIT_BYTES - 1) / UNIT_BYTES;
    if (!tree_reserve(tree, units)) {
        (void)json_fail(&tree->json, -ENOMEM, "no memory for the tree");
        return NULL;
    }
    struct leat_json_node *node = node_at(tree, tree->used_units);
    tree->used_units += (uint32_t)units;
    memset(node, 0, sizeof(*node));
    node->kind = (uint8_t)kind;
    node->units = (uint32_t)units;
    if (text.data != NULL) {
        char *to = (char *)(node + 1);
        memcpy(to, text.data, text.length_bytes);
        to[text.length_bytes] = '\0';
    }
    return node;
}

static void level_end(struct leat_json_tree *tree)
{
    struct leat_json_node *node = node_at(tree, tree->open_unit - 1);
    node->units = tree->used_units - (tree->open_unit - 1);
    tree->open_unit = node->parent;
}

/* False: no memory. */
static bool token_add(struct leat_json_tree *tree, const struct leat_json_token *token)
{
    enum leat_json_kind kind = token->kind;
    if (kind == LEAT_JSON_END) {
        level_end(tree);
        return true;
    }
    if (kind != LEAT_JSON_NAME && tree->open_unit != 0)
        node_at(tree, tree->open_unit - 1)->count++;
    bool has_text = kind == LEAT_JSON_STRING || kind == LEAT_JSON_NAME || kind == LEAT_JSON_DOUBLE;
    uint32_t unit = tree->used_units;
    struct leat_json_node *node =
        node_add(tree, kind, has_text ? token->text : (struct leat_view){NULL, 0});
    if (node == NULL)
        return false;
    if (kind == LEAT_JSON_INT) {
        node->integer = token->integer;
    } else if (kind == LEAT_JSON_DOUBLE) {
        node->literal_bytes = (uint16_t)token->text.length_bytes;
        if (json_double_read(token->text.data, token->text.length_bytes, &node->real) != 0)
            node->real = HUGE_VAL;
    } else if (has_text) {
        node->text_bytes = token->text.length_bytes;
    } else if (kind == LEAT_JSON_ARRAY || kind == LEAT_JSON_OBJECT) {
        node->parent = tree->open_unit;
        tree->open_unit = unit + 1;
    }
    return true;
}

enum leat_json_step leat_json_tree_build(struct leat_json_tree *tree)
{
    struct leat_json_token token;
    enum leat_json_step step;
    while ((step = leat_json_next(&tree->json, &token)) == LEAT_JSON_TOKEN)
        if (!token_add(tree, &token))
            return LEAT_JSON_WRONG;
    tree->is_whole = step == LEAT_JSON_DONE;
    return step;
}

const struct leat_json_node *leat_json_root(const struct leat_json_tree *tree)
{
    return tree->is_whole ? node_at(tree, 0) : NULL;
}

const struct leat_json_node *leat_json_parse(struct leat_json_tree *tree, const void *bytes,
                                             size_t length_bytes, struct leat_error *error)
{
    enum leat_json_step step = LEAT_JSON_WAIT;
    leat_json_tree_reset(tree);
    leat_json_feed(&tree->json, bytes == NULL ? "" : bytes, bytes == NULL ? 0 : length_bytes);
    while (step == LEAT_JSON_WAIT || step == LEAT_JSON_YIELD) {
        step = leat_json_tree_build(tree);
        if (step == LEAT_JSON_WAIT)
            leat_json_feed(&tree->json, NULL, 0);
    }
    if (step == LEAT_JSON_WRONG)
        leat_json_error(&tree->json, error);
    return leat_json_root(tree);
}

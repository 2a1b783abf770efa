/* JSON against a slow reader of its grammar, in one piece and in pieces; what is right is written
 * again, and is then the same tree. */
#include <leat/check.h>
#include <leat/codec.h>
#include <leat/json.h>

#include <stdlib.h>

#include "buffers/heap.h"
#include "buffers/pools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { BYTES_MAX = 4096, DEPTH_MAX = LEAT_JSON_DEPTH_MAX };

/* The slow reader: from RFC 8259's grammar, one function a rule. Each returns what is behind the
 * rule, or NULL. Text ends with a NUL that is not part of it. */
struct slow {
    const uint8_t *end;
    unsigned depth;
};

static const uint8_t *slow_space(const uint8_t *at)
{
    while (*at != '\0' && strchr(" \t\r\n", *at) != NULL)
        at++;
    return at;
}

static const uint8_t *slow_digits(const uint8_t *at)
{
    if (*at < '0' || *at > '9')
        return NULL;
    while (*at >= '0' && *at <= '9')
        at++;
    return at;
}

static const uint8_t *slow_number(const uint8_t *at)
{
    const uint8_t *from = at;
    at += *at == '-';
    at = *at == '0' ? at + 1 : slow_digits(at);
    if (at != NULL && *at == '.')
        at = slow_digits(at + 1);
    if (at != NULL && (*at == 'e' || *at == 'E')) {
        at++;
        at = slow_digits(at + (*at == '+' || *at == '-'));
    }
    return at != NULL && at - from > LEAT_JSON_NUMBER_BYTES_MAX ? NULL : at;
}

static long slow_unit(const uint8_t *at)
{
    char digits[5] = {0};
    for (int i = 0; i < 4; i++)
        if (at[i] == '\0' || strchr("0123456789abcdefABCDEF", at[i]) == NULL)
            return -1;
        else
            digits[i] = (char)at[i];
    return strtol(digits, NULL, 16);
}

static const uint8_t *slow_escape(const uint8_t *at)
{
    if (*at != 'u')
        return *at != '\0' && strchr("\"\\/bfnrt", *at) != NULL ? at + 1 : NULL;
    long unit = slow_unit(++at);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return NULL;
    if (unit < 0xd800 || unit > 0xdbff)
        return at + 4;
    if (at[4] != '\\' || at[5] != 'u')
        return NULL;
    unit = slow_unit(at + 6);
    return unit >= 0xdc00 && unit <= 0xdfff ? at + 10 : NULL;
}

static const uint8_t *slow_string(const struct slow *slow, const uint8_t *at)
{
    const uint8_t *from = at;
    if (*at != '"')
        return NULL;
    for (at++; at < slow->end && *at != '"';) {
        if (*at < 0x20)
            return NULL;
        at = *at == '\\' ? slow_escape(at + 1) : at + 1;
        if (at == NULL)
            return NULL;
    }
    /* As the text is one of ASCII but for its strings, these are valid if all of it is. */
    if (at >= slow->end || leat_utf8_validate(from, (size_t)(at - from)) != (size_t)(at - from))
        return NULL;
    return at + 1;
}

static const uint8_t *slow_value(struct slow *slow, const uint8_t *at);

static const uint8_t *slow_items(struct slow *slow, const uint8_t *at)
{
    bool is_object = *at == '{';
    uint8_t close = is_object ? '}' : ']';
    if (slow->depth++ == DEPTH_MAX)
        return NULL;
    at = slow_space(at + 1);
    for (bool is_first = true; !(is_first && *at == close); is_first = false) {
        if (is_object) {
            at = slow_string(slow, at);
            if (at == NULL || *(at = slow_space(at)) != ':')
                return NULL;
            at = slow_space(at + 1);
        }
        at = slow_value(slow, at);
        if (at == NULL)
            return NULL;
        at = slow_space(at);
        if (*at == close)
            break;
        if (*at != ',')
            return NULL;
        at = slow_space(at + 1);
    }
    slow->depth--;
    return at + 1;
}

static const uint8_t *slow_value(struct slow *slow, const uint8_t *at)
{
    static const char *const literals[] = {"null", "true", "false"};
    for (int i = 0; i < 3; i++)
        if (strncmp((const char *)at, literals[i], strlen(literals[i])) == 0)
            return at + strlen(literals[i]);
    if (*at == '{' || *at == '[')
        return slow_items(slow, at);
    return *at == '"' ? slow_string(slow, at) : slow_number(at);
}

static bool is_right_slowly(const uint8_t *text, size_t bytes)
{
    struct slow slow = {.end = text + bytes};
    const uint8_t *at = slow_value(&slow, slow_space(text));
    return at != NULL && slow_space(at) == slow.end;
}

/* What the tree is, written again; {NULL, 0, NULL}: the text is wrong, and sentence says why. */
static struct leat_buf again(struct leat_json_tree *tree, const uint8_t *text, size_t bytes,
                             size_t piece_bytes, char *sentence)
{
    enum leat_json_step step = LEAT_JSON_WAIT;
    leat_json_tree_reset(tree);
    for (size_t at = 0; step == LEAT_JSON_WAIT; at += piece_bytes) {
        size_t count = at >= bytes ? 0 : bytes - at < piece_bytes ? bytes - at : piece_bytes;
        leat_json_feed(&tree->json, count == 0 ? NULL : text + at, count);
        step = leat_json_tree_build(tree);
    }
    struct leat_error error = {.code = 0};
    struct leat_buf written = {NULL, 0, NULL};
    LEAT_CHECK((leat_json_error(&tree->json, &error) != 0) == (step == LEAT_JSON_WRONG));
    memcpy(sentence, error.sentence, LEAT_SENTENCE_BYTES_MAX);
    if (step == LEAT_JSON_WRONG)
        return written;
    LEAT_CHECK(step == LEAT_JSON_DONE);
    struct leat_json_writer writer;
    leat_json_writer_init(&writer, 0);
    leat_json_write_node(&writer, leat_json_root(tree));
    LEAT_CHECK(leat_json_writer_end(&writer, &written) == 0);
    return written;
}

static void check_json(struct leat_json_tree *tree, const uint8_t *text, size_t bytes,
                       size_t piece_bytes)
{
    char whole_says[LEAT_SENTENCE_BYTES_MAX], pieces_say[LEAT_SENTENCE_BYTES_MAX];
    struct leat_buf whole = again(tree, text, bytes, BYTES_MAX, whole_says);
    struct leat_buf pieces = again(tree, text, bytes, piece_bytes, pieces_say);
    LEAT_CHECK(leat_buf_is_equal(whole, pieces));
    LEAT_CHECK(strstr(whole_says, "longer") != NULL || strcmp(whole_says, pieces_say) == 0);
    LEAT_CHECK((whole.data != NULL) == is_right_slowly(text, bytes));
    if (whole.data != NULL) {
        struct leat_buf twice = again(tree, whole.data, whole.length_bytes, BYTES_MAX, whole_says);
        LEAT_CHECK(leat_buf_is_equal(whole, twice));
        leat_buf_unref(twice);
    }
    leat_buf_unref(whole);
    leat_buf_unref(pieces);
}

/* The core stays from one input to the next: making its pools takes longer than an input. */
static void core_begin(void)
{
    static struct leat_core core;
    leat_core_now = &core;
    if (core.pools == NULL)
        LEAT_CHECK(leat_heap_init(&core, NULL) == 0 && leat_pools_init(&core, 8 << 20, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static uint8_t text[BYTES_MAX + 16];
    struct leat_json_tree tree;
    struct leat_buf_stats stats;
    if (length_bytes == 0 || length_bytes > BYTES_MAX)
        return 0;
    core_begin();
    memset(text, 0, sizeof(text));
    memcpy(text, data + 1, length_bytes - 1);
    leat_json_tree_init(&tree, NULL);
    check_json(&tree, text, length_bytes - 1, 1 + data[0] % 16);
    leat_json_tree_fini(&tree);
    leat_buf_stats(&stats);
    LEAT_CHECK(stats.live_count == 0);
    return 0;
}

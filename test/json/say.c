/* What Leat's JSON makes of each line of standard input, for beside.py to compare with others.
 *
 *   json HEX     -> ok HEX (written again), or no SENTENCE; as a whole and cut at every byte alike
 *   double BITS  -> the number's shortest text */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "buffers/codec.h"
#include "buffers/heap.h"
#include "buffers/pools.h"
#include "net/http/message/json_internal.h"

enum { LINE_BYTES_MAX = 1 << 22 };

struct said {
    int code;
    struct leat_buf text;
    char sentence[LEAT_SENTENCE_BYTES_MAX];
};

static void said_write(struct leat_json_tree *tree, struct said *said)
{
    struct leat_json_writer writer;
    leat_json_writer_init(&writer, 0);
    leat_json_write_node(&writer, leat_json_root(tree));
    said->code = leat_json_writer_end(&writer, &said->text);
    snprintf(said->sentence, sizeof(said->sentence), "written: %d", said->code);
}

/* In two pieces, the first of cut bytes, each in memory of its own that is gone behind it. */
static struct said say_cut(struct leat_json_tree *tree, const uint8_t *bytes, size_t count,
                           size_t cut)
{
    struct said said = {.code = 0};
    enum leat_json_step step = LEAT_JSON_WAIT;
    leat_json_tree_reset(tree);
    for (unsigned piece = 0; step == LEAT_JSON_WAIT && piece < 3; piece++) {
        size_t from = piece == 0 ? 0 : cut, to = piece == 0 ? cut : count;
        uint8_t *copy = malloc(to - from + 1);
        LEAT_CHECK(copy != NULL);
        memcpy(copy, bytes + from, to - from);
        leat_json_feed(&tree->json, piece == 2 ? NULL : copy, piece == 2 ? 0 : to - from);
        do
            step = leat_json_tree_build(tree);
        while (step == LEAT_JSON_YIELD);
        struct leat_error error = {.code = 0};
        said.code = leat_json_error(&tree->json, &error);
        memcpy(said.sentence, error.sentence, sizeof(said.sentence));
        free(copy);
    }
    LEAT_CHECK((step == LEAT_JSON_WRONG) == (said.code != 0));
    if (step == LEAT_JSON_DONE)
        said_write(tree, &said);
    return said;
}

static void said_check(const struct said *whole, const struct said *cut, size_t at)
{
    if (whole->code == cut->code && strcmp(whole->sentence, cut->sentence) == 0 &&
        leat_buf_is_equal(whole->text, cut->text))
        return;
    fprintf(stderr, "cut at %zu: %d %s\nwhole: %d %s\n", at, cut->code, cut->sentence, whole->code,
            whole->sentence);
    abort();
}

static void json_say(struct leat_json_tree *tree, const char *hex, size_t hex_bytes)
{
    static uint8_t bytes[LINE_BYTES_MAX / 2];
    struct leat_bytes_out out = {bytes, sizeof(bytes), 0};
    int64_t count = leat_text_to_bytes(LEAT_HEX, hex, hex_bytes, &out);
    LEAT_CHECK(count >= 0);
    struct said whole = say_cut(tree, bytes, (size_t)count, (size_t)count);
    for (size_t cut = 0; cut < (size_t)count && count < 2000; cut++) {
        struct said again = say_cut(tree, bytes, (size_t)count, cut);
        said_check(&whole, &again, cut);
        leat_buf_unref(again.text);
    }
    struct leat_buf text = leat_buf_to_text(whole.text, LEAT_HEX);
    if (whole.code == 0)
        printf("ok %.*s\n", (int)text.length_bytes, (const char *)text.data);
    else
        printf("no %s\n", whole.sentence);
    leat_buf_unref(text);
    leat_buf_unref(whole.text);
}

static void double_say(const char *hex)
{
    uint64_t bits = strtoull(hex, NULL, 16);
    double value, back;
    char text[JSON_DOUBLE_BYTES];
    memcpy(&value, &bits, sizeof(value));
    size_t length = json_double_put(value, text);
    LEAT_CHECK(length < sizeof(text));
    uint64_t back_bits = 0;
    LEAT_CHECK(json_double_read(text, length, &back) == 0);
    memcpy(&back_bits, &back, sizeof(back_bits));
    LEAT_CHECK(back_bits == bits); /* -0 as well */
    printf("%.*s\n", (int)length, text);
}

int main(void)
{
    static char line[LINE_BYTES_MAX + 16];
    struct leat_core core = {.index = 0};
    struct leat_json_tree tree;
    leat_core_now = &core;
    LEAT_CHECK(leat_heap_init(&core, NULL) == 0 && leat_pools_init(&core, 256 << 20, NULL) == 0);
    leat_json_tree_init(&tree, NULL);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "json ", 5) == 0)
            json_say(&tree, line + 5, strlen(line + 5));
        else if (strncmp(line, "double ", 7) == 0)
            double_say(line + 7);
    }
    leat_json_tree_fini(&tree);
    uint64_t left = leat_pools_fini(&core);
    leat_heap_fini(&core);
    return left != 0;
}

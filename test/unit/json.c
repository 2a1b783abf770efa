/* JSON: where errors are, limits, yielding, the tree, the writer, memory that runs out. What is
 * right and what is wrong is compared with others in test/json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <leat/json.h>

#include <errno.h>

#include "buffers/heap.h"
#include "buffers/pools.h"

static struct leat_core core_of_test;
static struct leat_json_tree tree;

static int setup(void **state)
{
    core_of_test = (struct leat_core){.index = 0};
    leat_core_now = &core_of_test;
    assert_int_equal(leat_heap_init(&core_of_test, NULL), 0);
    assert_int_equal(leat_pools_init(&core_of_test, 64 << 20, NULL), 0);
    leat_json_tree_init(&tree, NULL);
    return 0;
}

static int teardown(void **state)
{
    struct leat_heap_stats stats;
    leat_json_tree_fini(&tree);
    assert_int_equal(leat_pools_fini(&core_of_test), 0);
    leat_heap_stats(&core_of_test, &stats);
    assert_int_equal(stats.allocated_count, stats.freed_count);
    leat_heap_fini(&core_of_test);
    leat_core_now = NULL;
    return 0;
}

static const struct leat_json_node *parse(const char *text)
{
    struct leat_error error = {.code = 0};
    const struct leat_json_node *root = leat_json_parse(&tree, text, strlen(text), &error);
    if (root == NULL)
        fail_msg("%s: %s", text, error.sentence);
    return root;
}

static void check_error(const char *text, int code, const char *sentence)
{
    struct leat_error error = {.code = 0};
    assert_null(leat_json_parse(&tree, text, strlen(text), &error));
    assert_string_equal(error.sentence, sentence);
    assert_int_equal(error.code, code);
}

static void test_errors_say_where_what_and_what_else(void **state)
{
    check_error("", -EBADMSG, "line 1, column 1: found the end, expected a value");
    check_error("{\n  \"a\": 1,\n}", -EBADMSG,
                "line 3, column 1: found '}', expected a name in double quotes");
    check_error("[1 2]", -EBADMSG, "line 1, column 4: found '2', expected ',' or ']'");
    check_error("{\"a\" 1}", -EBADMSG, "line 1, column 6: found '1', expected ':'");
    check_error("{\"\xc3\xa9\xe2\x82\xac\":tru}", -EBADMSG,
                "line 1, column 10: found '}', expected true"); /* columns are characters */
    check_error("1.x", -EBADMSG, "line 1, column 3: found 'x', expected a digit");
    check_error("\"a\tb\"", -EBADMSG,
                "line 1, column 3: found the byte 0x09, expected an escape: control characters are "
                "written \\u00..");
    check_error("[\n\"ab\xff\"]", -EBADMSG, "line 2, column 1: the string here is not UTF-8");
    check_error("{} x", -EBADMSG, "line 1, column 4: found 'x', expected nothing more");
    check_error("\"\\ud83d\\n\"", -EBADMSG,
                "line 1, column 9: found 'n', expected the low surrogate, 'u'");
    check_error("[\"", -EBADMSG, "line 1, column 3: found the end, expected the end of the string");
}

static void test_the_first_fault_is_told_even_when_another_follows(void **state)
{
    check_error("\"\xc3\x01\"", -EBADMSG, "line 1, column 1: the string here is not UTF-8");
    check_error("\"a\x01\xff\"", -EBADMSG,
                "line 1, column 3: found the byte 0x01, expected an escape: control characters are "
                "written \\u00..");
}

static void test_the_tree_is_read(void **state)
{
    const struct leat_json_node *root =
        parse("{\"id\": 7, \"name\": \"a\\u0000b\", \"list\": [1, 2.5, null, true, {\"x\": []}],"
              " \"id\": 8, \"\": -0}");
    int64_t id = 0;
    double real = 0;
    assert_int_equal(leat_json_kind(root), LEAT_JSON_OBJECT);
    assert_int_equal(leat_json_count(root), 5);
    assert_int_equal(leat_json_int(leat_json_find(root, "id"), &id), 0);
    assert_int_equal(id, 8); /* the last of two */
    struct leat_view name = leat_json_text(leat_json_find(root, "name"));
    assert_int_equal(name.length_bytes, 3);
    assert_memory_equal(name.data, "a\0b", 4);
    const struct leat_json_node *list = leat_json_find(root, "list");
    assert_int_equal(leat_json_count(list), 5);
    static const enum leat_json_kind kinds[] = {LEAT_JSON_INT, LEAT_JSON_DOUBLE, LEAT_JSON_NULL,
                                                LEAT_JSON_TRUE, LEAT_JSON_OBJECT};
    unsigned index = 0;
    for (struct leat_json_each each = leat_json_each(list); leat_json_each_next(&each); index++) {
        assert_int_equal(leat_json_kind(each.value), kinds[index]);
        assert_null(each.name.data);
        if (index == 4)
            assert_int_equal(leat_json_kind(leat_json_find(each.value, "x")), LEAT_JSON_ARRAY);
    }
    assert_int_equal(index, 5);
    assert_int_equal(leat_json_double(leat_json_find(root, ""), &real), 0);
    assert_true(real == 0 && __builtin_signbit(real));
}

static void test_what_is_not_there_is_none(void **state)
{
    int64_t id = 5;
    double real = 5;
    const struct leat_json_node *root = parse("{\"a\": \"x\", \"b\": [1]}");
    const struct leat_json_node *none = leat_json_find(leat_json_find(root, "x"), "y");
    assert_null(none);
    assert_int_equal(leat_json_kind(none), LEAT_JSON_NONE);
    assert_int_equal(leat_json_count(none), 0);
    assert_null(leat_json_text(none).data);
    assert_int_equal(leat_json_int(none, &id), -EINVAL);
    assert_int_equal(leat_json_double(leat_json_find(root, "a"), &real), -EINVAL);
    assert_null(leat_json_find(leat_json_find(root, "b"), "1"));
    struct leat_json_each each = leat_json_each(leat_json_find(root, "a"));
    assert_false(leat_json_each_next(&each));
    assert_int_equal(id, 5);
    assert_true(real == 5);
}

static void test_numbers_keep_what_was_written(void **state)
{
    int64_t whole = 0;
    double real = 0;
    const struct leat_json_node *node = parse("9223372036854775807");
    assert_int_equal(leat_json_kind(node), LEAT_JSON_INT);
    assert_int_equal(leat_json_int(node, &whole), 0);
    assert_true(whole == INT64_MAX);
    node = parse("-9223372036854775808");
    assert_int_equal(leat_json_int(node, &whole), 0);
    assert_true(whole == INT64_MIN);
    node = parse("9223372036854775808");
    assert_int_equal(leat_json_kind(node), LEAT_JSON_DOUBLE);
    assert_int_equal(leat_json_int(node, &whole), -ERANGE);
    assert_string_equal(leat_json_text(node).data, "9223372036854775808");
    assert_int_equal(leat_json_double(node, &real), 0);
    assert_true(real == 9223372036854775808.0);
    node = parse("1e400");
    assert_int_equal(leat_json_double(node, &real), -ERANGE);
    assert_int_equal(leat_json_int(node, &whole), -ERANGE);
    assert_string_equal(leat_json_text(node).data, "1e400");
    assert_int_equal(leat_json_int(parse("12.5e1"), &whole), 0);
    assert_int_equal(whole, 125);
    assert_int_equal(leat_json_int(parse("0.5"), &whole), -ERANGE);
}

static void test_limits_bind_at_their_value(void **state)
{
    struct leat_json_limits limits = {.document_bytes_max = 20,
                                      .string_bytes_max = 4,
                                      .depth_max = 2};
    leat_json_tree_fini(&tree);
    leat_json_tree_init(&tree, &limits);
    parse("[[1],\"abcd\"]        ");
    check_error("[[1],\"abcd\"]         ", -EMSGSIZE, "line 1, column 21: more bytes than may be");
    check_error("[[[", -EMSGSIZE, "line 1, column 3: more levels than may be");
    parse("{\"abcd\":\"\\u00e9\xc3\xa9\"}");
    check_error("\"abcde\"", -EMSGSIZE, "line 1, column 7: a string longer than may be");
    check_error("\"abcd\\n\"", -EMSGSIZE, "line 1, column 7: a string longer than may be");
    parse("{\"a\":{\"b\":1}}"); /* the tree goes on after errors */
}

static void test_a_large_text_yields(void **state)
{
    enum { BYTES = 300000 };
    char *text = malloc(BYTES);
    memset(text, ' ', BYTES);
    text[0] = '[';
    for (int i = 1; i + 4 < BYTES / 2; i += 4)
        memcpy(text + i, "12, ", 4);
    text[BYTES - 1] = '1';
    leat_json_tree_reset(&tree);
    leat_json_feed(&tree.json, text, BYTES);
    unsigned yields = 0;
    enum leat_json_step step;
    while ((step = leat_json_tree_build(&tree)) == LEAT_JSON_YIELD)
        yields++;
    assert_int_equal(step, LEAT_JSON_WAIT);
    assert_int_equal(yields, BYTES / LEAT_JSON_YIELD_BYTES);
    assert_null(leat_json_root(&tree));
    leat_json_feed(&tree.json, "]", 1);
    assert_int_equal(leat_json_tree_build(&tree), LEAT_JSON_WAIT);
    leat_json_feed(&tree.json, NULL, 0);
    assert_int_equal(leat_json_tree_build(&tree), LEAT_JSON_DONE);
    assert_int_equal(leat_json_count(leat_json_root(&tree)), (BYTES / 2 - 5 + 3) / 4 + 1);
    free(text);
}

/* A tokenizer alone, as somebody would use it who needs no tree. */
static void test_tokens_come_one_by_one(void **state)
{
    static const char *const pieces[] = {"{\"a", "\\n\":[12", "3,fal", "se]", "}"};
    static const enum leat_json_kind kinds[] = {LEAT_JSON_OBJECT, LEAT_JSON_NAME,  LEAT_JSON_ARRAY,
                                                LEAT_JSON_INT,    LEAT_JSON_FALSE, LEAT_JSON_END,
                                                LEAT_JSON_END};
    struct leat_json json;
    struct leat_json_token token;
    enum leat_json_step step;
    unsigned piece = 0, count = 0;
    leat_json_init(&json, NULL);
    while ((step = leat_json_next(&json, &token)) != LEAT_JSON_DONE) {
        if (step == LEAT_JSON_WAIT) {
            bool is_end = piece == sizeof(pieces) / sizeof(pieces[0]);
            leat_json_feed(&json, is_end ? NULL : pieces[piece],
                           is_end ? 0 : strlen(pieces[piece]));
            piece++;
            continue;
        }
        assert_int_equal(step, LEAT_JSON_TOKEN);
        assert_int_equal(token.kind, kinds[count++]);
        if (token.kind == LEAT_JSON_NAME)
            assert_memory_equal(token.text.data, "a\n", 2);
        if (token.kind == LEAT_JSON_INT)
            assert_int_equal(token.integer, 123);
    }
    assert_int_equal(count, 7);
    leat_json_fini(&json);
}

static void check_written(struct leat_json_writer *writer, const char *text)
{
    struct leat_buf buf;
    assert_int_equal(leat_json_writer_end(writer, &buf), 0);
    assert_int_equal(buf.length_bytes, strlen(text));
    assert_memory_equal(buf.data, text, buf.length_bytes);
    leat_buf_unref(buf);
}

static void test_the_writer_escapes_and_separates(void **state)
{
    struct leat_json_writer writer;
    leat_json_writer_init(&writer, 0);
    leat_json_open(&writer, LEAT_JSON_OBJECT);
    leat_json_name(&writer, "a\"b\\");
    leat_json_write_text(&writer, (struct leat_view){"\x01\n\x1f\x7f\xc3\xa9/", 7});
    leat_json_name(&writer, "list");
    leat_json_open(&writer, LEAT_JSON_ARRAY);
    leat_json_write_int(&writer, INT64_MIN);
    leat_json_write_double(&writer, 0.1);
    leat_json_write_literal(&writer, LEAT_JSON_NULL);
    leat_json_open(&writer, LEAT_JSON_OBJECT);
    leat_json_close(&writer);
    leat_json_open(&writer, LEAT_JSON_ARRAY);
    leat_json_close(&writer);
    leat_json_write_node(&writer, parse("{\"x\":[1,{\"y\":1.50}],\"z\":\"\\u00e9\"}"));
    leat_json_close(&writer);
    leat_json_close(&writer);
    check_written(&writer, "{\"a\\\"b\\\\\":\"\\u0001\\n\\u001f\x7f\xc3\xa9/\",\"list\":"
                           "[-9223372036854775808,0.1,null,{},[],"
                           "{\"x\":[1,{\"y\":1.50}],\"z\":\"\xc3\xa9\"}]}");
    leat_json_write_int(&writer, 0); /* it begins anew */
    check_written(&writer, "0");
    leat_json_writer_fini(&writer);
}

enum misuse {
    NOTHING,
    TWO_ROOTS,
    NO_NAME,
    NAME_IN_ARRAY,
    TWO_NAMES,
    NAME_ALONE,
    OPEN,
    CLOSE_NONE,
    INFINITE,
    NO_UTF8,
    TOO_LARGE,
    TOO_DEEP,
    BAD_KIND,
    MISUSES
};

static void misuse(struct leat_json_writer *writer, enum misuse kind)
{
    bool is_in_object = kind == NO_NAME || kind == TWO_NAMES || kind == NAME_ALONE || kind == OPEN;
    if (is_in_object)
        leat_json_open(writer, LEAT_JSON_OBJECT);
    if (kind == NAME_IN_ARRAY)
        leat_json_open(writer, LEAT_JSON_ARRAY);
    if (kind == TWO_NAMES || kind == NAME_ALONE || kind == NAME_IN_ARRAY)
        leat_json_name(writer, "a");
    if (kind == TWO_NAMES)
        leat_json_name(writer, "b");
    if (kind == TWO_ROOTS || kind == NO_NAME)
        leat_json_write_int(writer, 1);
    if (kind == TWO_ROOTS)
        leat_json_write_int(writer, 2);
    if (kind == INFINITE)
        leat_json_write_double(writer, __builtin_inf());
    if (kind == NO_UTF8)
        leat_json_write_text(writer, (struct leat_view){"\xff", 1});
    if (kind == TOO_LARGE)
        leat_json_write_text(writer, leat_view_of("123456789012345"));
    for (int i = 0; kind == TOO_DEEP && i <= LEAT_JSON_DEPTH_MAX; i++)
        leat_json_open(writer, LEAT_JSON_ARRAY);
    if (kind == BAD_KIND)
        leat_json_write_literal(writer, LEAT_JSON_STRING);
    if ((is_in_object && kind != OPEN) || kind == NAME_IN_ARRAY || kind == CLOSE_NONE)
        leat_json_close(writer);
}

static void test_a_writer_that_is_misused_says_so_at_its_end(void **state)
{
    for (enum misuse kind = NOTHING; kind < MISUSES; kind++) {
        struct leat_json_writer writer;
        struct leat_buf buf;
        leat_json_writer_init(&writer, kind == TOO_LARGE ? 16 : 0);
        misuse(&writer, kind);
        int code = kind == NO_UTF8                         ? -EILSEQ
                   : kind == TOO_LARGE || kind == TOO_DEEP ? -EMSGSIZE
                                                           : -EINVAL;
        assert_int_equal(leat_json_writer_end(&writer, &buf), code);
        assert_null(buf.data);
        leat_json_write_int(&writer, 1);
        check_written(&writer, "1");
        leat_json_writer_fini(&writer);
    }
}

/* Each allocation of a parse and of a writing fails once; both work when memory is back. */
static void test_memory_that_runs_out(void **state)
{
    char text[8000] = "[\"\\n";
    memset(text + 4, 'x', 5000);
    strcpy(text + 5004, "\",{\"a\":[1,2,3,4,5,6,7,8,9,1.25]}]");
    unsigned refused = 0;
    for (unsigned pools = 0; pools < 2; pools++)
        for (uint64_t nth = 1; nth < 20; nth++) {
            struct leat_error error = {.code = 0};
            leat_json_tree_fini(&tree);
            leat_json_tree_init(&tree, NULL);
            if (pools)
                leat_pools_fail_at(&core_of_test, nth);
            else
                leat_heap_fail_at(&core_of_test, nth);
            const struct leat_json_node *root = leat_json_parse(&tree, text, strlen(text), &error);
            assert_true(root != NULL || error.code == -ENOMEM);
            refused += root == NULL;
            leat_pools_fail_at(&core_of_test, 0);
            leat_heap_fail_at(&core_of_test, 0);
            assert_non_null(leat_json_parse(&tree, text, strlen(text), &error));
            struct leat_json_writer writer;
            struct leat_buf buf;
            leat_json_writer_init(&writer, 0);
            leat_pools_fail_at(&core_of_test, nth);
            leat_json_write_node(&writer, leat_json_root(&tree));
            leat_pools_fail_at(&core_of_test, 0);
            int code = leat_json_writer_end(&writer, &buf);
            assert_true(code == (buf.data == NULL ? -ENOMEM : 0));
            leat_buf_unref(buf);
            leat_json_writer_fini(&writer);
        }
    assert_in_range(refused, 4, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors_say_where_what_and_what_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_fault_is_told_even_when_another_follows,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_tree_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_keep_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits_bind_at_their_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_large_text_yields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens_come_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_writer_escapes_and_separates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_writer_that_is_misused_says_so_at_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_memory_that_runs_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

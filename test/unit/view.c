/* Views: one table gives the JSON, its reading, the header and the row. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/watch/connections.h"

struct row {
    uint32_t count;
    uint64_t total;
    const char *name;
    struct leat_addr from;
    bool is_set;
    double share;
};

static const struct view_column columns[] = {
    {"name", "who", -6, VIEW_TEXT, offsetof(struct row, name), 0, "a name"},
    {"count", "ms", 7, VIEW_U32, offsetof(struct row, count), 3, "a count"},
    {"total", NULL, 0, VIEW_U64, offsetof(struct row, total), 0, "not shown"},
    {"from", "from", -10, VIEW_ADDR, offsetof(struct row, from), 0, "an address"},
    {"share", "share", 6, VIEW_DOUBLE, offsetof(struct row, share), 2, "a share"},
    {"is_set", NULL, 0, VIEW_FLAG, offsetof(struct row, is_set), 0, "a flag"},
};
static const struct view view = {columns, 6};

static struct row row_make(void)
{
    struct row row = {.count = 1005,
                      .total = UINT64_MAX,
                      .name = "ann",
                      .is_set = true,
                      .share = 0.125};
    assert_int_equal(leat_addr_parse(&row.from, "[fe80::1%3]:80", 0, NULL), 0);
    return row;
}

/* The outcome of reading all of a line. */
static enum view_next row_read(struct row *row, const char *text)
{
    char line[512];
    char *at = line;
    struct view_field field;
    enum view_next next;
    snprintf(line, sizeof(line), "%s", text);
    memset(row, 0, sizeof(*row));
    while ((next = view_next(&at, &field)) == VIEW_FIELD) {
        if (!view_set(&view, row, &field))
            return VIEW_BAD;
        row->name = row->name != NULL ? "read" : NULL; /* it points into line */
    }
    return next;
}

static void writes_json_and_reads_it_back(void **state)
{
    struct row row = row_make(), back;
    char text[256];
    const char *wanted = "{\"name\": \"ann\", \"count\": 1005, \"total\": 18446744073709551615, "
                         "\"from\": \"[fe80::1%3]:80\", \"share\": 0.12, \"is_set\": true}";
    assert_int_equal(view_json(&view, &row, text, sizeof(text)), strlen(wanted));
    assert_string_equal(text, wanted);
    assert_int_equal(row_read(&back, text), VIEW_END);
    assert_string_equal(back.name, "read");
    assert_int_equal(back.count, row.count);
    assert_true(back.total == row.total && back.is_set && back.share == 0.12);
    assert_true(leat_addr_equal(&back.from, &row.from));
    for (size_t size = 1; size <= strlen(wanted); size++)
        assert_int_equal(view_json(&view, &row, text, size), 0);
}

static void shows_titles_above_values(void **state)
{
    struct row row = row_make();
    char text[256];
    assert_string_equal(view_header(&view, text, sizeof(text)), "who         ms from        share");
    assert_string_equal(view_row(&view, &row, text, sizeof(text)),
                        "ann      1.005 [fe80::1%3]:80   0.12");
    assert_string_equal(view_row(&view, &row, text, 5), "ann ");
}

static void skips_what_it_does_not_know(void **state)
{
    struct row row;
    assert_int_equal(row_read(&row, "{ \"new\" : -1.5e3 , \"count\":7,\"x\":\"y\" }\n"), VIEW_END);
    assert_int_equal(row.count, 7);
    assert_int_equal(row_read(&row, "{}"), VIEW_END);
    assert_int_equal(row_read(&row, ""), VIEW_END);
}

/* A key inside of a value is no key. */
static void is_not_led_astray_by_values(void **state)
{
    struct row row;
    assert_int_equal(row_read(&row, "{\"x\": \"count: 9, \", \"count\": 7}"), VIEW_END);
    assert_int_equal(row.count, 7);
}

static void refuses_what_is_malformed(void **state)
{
    static const char *const wrong[] = {
        "count",           "{count: 1}",       "{\"count\" 1}",     "{\"count\": 1",
        "{\"count\": }",   "{\"count\": \"1",  "{\"count\": {}}",   "{\"count\": []}",
        "{\"count\": -1}", "{\"count\": 1.5}", "{\"count\": true}", "{\"count\": 4294967296}",
        "{\"total\": x}",  "{\"is_set\": 1}",  "{\"from\": \"x\"}", "{\"name\": \"a\\\"b\"}",
        "{\"na\\me\": 1}", "{\"count\": 1 2}", "{\"share\": x}",    "{\"share\": 1e}",
    };
    struct row row;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (row_read(&row, wrong[i]) != VIEW_BAD)
            fail_msg("%s was read", wrong[i]);
}

/* What a program tells of its connections at its longest has room. */
static void the_longest_connection_has_room(void **state)
{
    struct connection_row row;
    char text[CONNECTION_JSON_BYTES_MAX];
    memset(&row, 0xff, sizeof(row));
    row.tcp.state = "SYN-RECEIVED";
    row.tcp.local.family = row.tcp.remote.family = LEAT_FAMILY_IPV6;
    assert_true(view_json(&connection_view, &row, text, sizeof(text) - 1) > 0);
}

static void columns_are_told_apart(void **state)
{
    for (unsigned i = 0; i < connection_view.count; i++) {
        assert_true(connection_view.columns[i].doc[0] != '\0');
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(connection_view.columns[i].key, connection_view.columns[k].key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_json_and_reads_it_back),
        cmocka_unit_test(shows_titles_above_values),
        cmocka_unit_test(skips_what_it_does_not_know),
        cmocka_unit_test(is_not_led_astray_by_values),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(the_longest_connection_has_room),
        cmocka_unit_test(columns_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

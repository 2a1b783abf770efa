/* Forms with files: what comes of bodies, however they are cut; what is refused; names of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/multipart.h"
#include "net/http/message/params.h"

#define TYPE       "multipart/form-data; boundary=xYz"
#define HEAD_BYTES 256
#define TEXT_BYTES 4096

/* What came, as text: name[=filename][(type)]:data, a part at a time; then the outcome. */
struct story {
    char text[TEXT_BYTES];
    size_t length;
};

static void story_add(struct story *story, struct leat_view view)
{
    assert_true(story->length + view.length_bytes < TEXT_BYTES);
    if (view.length_bytes > 0)
        memcpy(story->text + story->length, view.data, view.length_bytes);
    story->length += view.length_bytes;
    story->text[story->length] = '\0';
}

static void story_part(struct story *story, const struct http_part *part)
{
    story_add(story, part->name);
    if (part->filename.data != NULL) {
        story_add(story, leat_view_of("="));
        story_add(story, part->filename);
    }
    if (part->type.data != NULL) {
        story_add(story, leat_view_of("("));
        story_add(story, part->type);
        story_add(story, leat_view_of(")"));
    }
    story_add(story, leat_view_of(":"));
}

/* Feeds a copy of piece, of exactly its size, so that no byte behind it is read. */
static int piece_read(struct http_multipart *m, struct leat_view piece, struct story *story)
{
    char *copy = malloc(piece.length_bytes + 1);
    struct leat_view input = {copy, piece.length_bytes}, data;
    int event;

    memcpy(copy, piece.data, piece.length_bytes);
    while ((event = http_multipart_read(m, &input, &data)) > HTTP_MULTIPART_MORE) {
        if (event == HTTP_MULTIPART_PART)
            story_part(story, &m->part);
        else if (event == HTTP_MULTIPART_DATA)
            story_add(story, data);
        else
            story_add(story, leat_view_of(";"));
        if (event == HTTP_MULTIPART_DATA)
            assert_true(data.length_bytes > 0);
    }
    if (event == HTTP_MULTIPART_MORE)
        assert_int_equal(input.length_bytes, 0);
    free(copy);
    return event;
}

static void story_of(const char *type, struct leat_view body, const size_t *cuts,
                     struct story *story)
{
    struct http_multipart m;
    char area[HEAD_BYTES];
    size_t from = 0;

    *story = (struct story){.length = 0};
    int status = http_multipart_init(&m, leat_view_of(type), 3, area, sizeof(area));
    for (unsigned i = 0; status == 0 && i < 3; i++) {
        size_t to = cuts[i] < body.length_bytes ? cuts[i] : body.length_bytes;
        if (to > from)
            status = piece_read(&m, (struct leat_view){body.data + from, to - from}, story);
        from = to > from ? to : from;
    }
    if (status == 0)
        status = http_multipart_end(&m);
    if (status < 0) {
        char text[16];
        snprintf(text, sizeof(text), " %d", -status);
        story_add(story, leat_view_of(text));
        assert_true(m.reason != HTTP_MULTIPART_NONE);
        assert_true(strlen(http_multipart_sentence((enum http_multipart_reason)m.reason)) > 10);
    }
}

/* In one piece, in each two, and byte by byte around each place. */
static void check(const char *type, struct leat_view body, const char *expected)
{
    struct story story;

    for (size_t cut = 0; cut <= body.length_bytes; cut++) {
        const size_t two[] = {cut, body.length_bytes, body.length_bytes};
        const size_t three[] = {cut, cut + 1, body.length_bytes};
        story_of(type, body, two, &story);
        assert_string_equal(story.text, expected);
        story_of(type, body, three, &story);
        assert_string_equal(story.text, expected);
    }
}
#define BODY(text)  ((struct leat_view){text, sizeof(text) - 1})
#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"
#define FILE_(name, file)                                                                          \
    "Content-Disposition: form-data; name=\"" name "\"; filename=\"" file "\"\r\n"

static void forms_come_apart(void **state)
{
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\none\r\n--xYz--\r\n"), "a:one;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n\r\n--xYz--"), "a:;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n--xYz--"), "a:;"); /* a body-part of none */
    check(TYPE,
          BODY("--xYz\r\n" FILE_("f", "a.txt") "Content-Type: text/plain\r\n\r\nx\r\ny\r\n"
                                               "--xYz\r\n" FIELD("b") "\r\n2\r\n--xYz--\r\n"),
          "f=a.txt(text/plain):x\r\ny;b:2;");
    check(TYPE, BODY("preamble\r\n--xYz \t\r\n" FIELD("a") "\r\n1\r\n--xYz--\r\nepilogue\r\n--xYz"),
          "a:1;");
    check(TYPE, BODY("--xYz--"), ""); /* no parts at all */
    check(TYPE,
          BODY("--xYz\r\ncontent-disposition:form-data;name=a\r\nX-More: 1\r\n\r\n1\r\n--xYz--"),
          "a:1;");
    check("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"",
          BODY("--a b\r\n" FIELD("a") "\r\n1\r\n--a b--"), "a:1;");
}

/* What only looks like a delimiter is data. */
static void data_may_hold_anything(void **state)
{
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n\r\n\r\n--xY\r\n--xYz--"), "a:\r\n\r\n--xY;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n\r\r\n-\r\r\n--x\r\n\r\n--xYz--"),
          "a:\r\r\n-\r\r\n--x\r\n;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n-x--xYz--\n--xYz\r\n--xYz--"),
          "a:-x--xYz--\n--xYz;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n--xY\r\n--xYz--"), "a:--xY;");
}

static void names_are_read_as_browsers_write_them(void **state)
{
    check(TYPE, BODY("--xYz\r\n" FIELD("a%22b%0D") "\r\n1\r\n--xYz--"), "a\"b%0D:1;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a\\\"b\\\\c\\d") "\r\n1\r\n--xYz--"), "a\"b\\c\\d:1;");
    check(TYPE, BODY("--xYz\r\n" FIELD("a;b=\xc3\xa9") "\r\n1\r\n--xYz--"), "a;b=\xc3\xa9:1;");
    check(TYPE, BODY("--xYz\r\n" FILE_("f", "C:\\fake\\x.png") "\r\n1\r\n--xYz--"), "f=x.png:1;");
    check(TYPE, BODY("--xYz\r\n" FILE_("f", "../../etc/passwd") "\r\n1\r\n--xYz--"), "f=passwd:1;");
    check(TYPE, BODY("--xYz\r\n" FILE_("f", "") "\r\n\r\n--xYz--"), "f=:;");
    check(TYPE,
          BODY("--xYz\r\nContent-Disposition: form-data; name=f; filename*=utf-8''x\r\n\r\n1\r\n"
               "--xYz--"),
          "f:1;");
}

static void what_could_be_taken_for_another_form_is_refused(void **state)
{
    check("text/plain; boundary=xYz", BODY(""), " 400");
    check("multipart/form-data", BODY(""), " 400");
    check("multipart/form-data; boundary=", BODY(""), " 400");
    check("multipart/form-data; boundary=\"\"", BODY(""), " 400");
    check("multipart/form-data; boundary=\"a \"", BODY(""), " 400");
    check("multipart/form-data; boundary=a; boundary=b", BODY(""), " 400");
    check("multipart/form-data; boundary=a b", BODY(""), " 400");
    check("multipart/form-data; boundary=a*b", BODY(""), " 400");
    check("multipart/form-data; "
          "boundary=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaa\"",
          BODY(""), " 400");
    check(TYPE, BODY(""), " 400");
    check(TYPE, BODY("--xYz"), " 400");
    check(TYPE, BODY("--xYz\r\n"), " 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1"), "a:1 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz"), "a:1; 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz-"), "a:1; 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYzz\r\n--xYz--"), "a:1; 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz\n--xYz--"), "a:1; 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz \rx"), "a:1; 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz-x"), "a:1; 400");
    check(TYPE, BODY("--xYz\r\n\r\n1\r\n--xYz--"), " 400");
    check(TYPE, BODY("--xYz\r\nContent-Type: a/b\r\n\r\n1\r\n--xYz--"), " 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") FIELD("b") "\r\n1\r\n--xYz--"), " 400");
    check(TYPE, BODY("--xYz\r\nContent-Disposition: form-data\r\n\r\n1\r\n--xYz--"), " 400");
    check(TYPE, BODY("--xYz\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--xYz--"),
          " 400");
    check(TYPE, BODY("--xYz\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1\r\n--xYz--"),
          " 400");
    check(TYPE, BODY("--xYz\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--xYz--"),
          " 400");
    check(TYPE, BODY("--xYz\r\nContent-Disposition: form-data; name\r\n\r\n1\r\n--xYz--"), " 400");
    check(TYPE, BODY("--xYz\nContent-Disposition: form-data; name=a\n\n1\n--xYz--"), " 400");
    check(TYPE, BODY("--xYz\r\n" FIELD("a") " folded\r\n\r\n1\r\n--xYz--"), " 400");
    check(TYPE,
          BODY("--xYz\r\n" FIELD("a") "Content-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--xYz--"),
          " 415");
    check(TYPE,
          BODY("--xYz\r\n" FIELD("a") "Content-Transfer-Encoding: binary\r\n\r\n1\r\n--xYz--"),
          "a:1;");
}

static void limits_hold_at_their_edge(void **state)
{
    char body[1024], expected[32];

    check(TYPE,
          BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz\r\n" FIELD("b") "\r\n2\r\n--xYz\r\n" FIELD(
              "c") "\r\n3\r\n--xYz--"),
          "a:1;b:2;c:3;");
    check(TYPE,
          BODY("--xYz\r\n" FIELD("a") "\r\n1\r\n--xYz\r\n" FIELD("b") "\r\n2\r\n--xYz\r\n" FIELD(
              "c") "\r\n3\r\n--xYz\r\n" FIELD("d") "\r\n4\r\n--xYz--"),
          "a:1;b:2;c:3; 413");
    for (size_t bytes = HEAD_BYTES - 1; bytes <= HEAD_BYTES + 1; bytes++) {
        size_t head = strlen(FIELD("a") "X: \r\n\r\n");
        int length =
            snprintf(body, sizeof(body), "--xYz\r\n" FIELD("a") "X: %0*d\r\n\r\n1\r\n--xYz--",
                     (int)(bytes - head), 0);
        snprintf(expected, sizeof(expected), "%s", bytes <= HEAD_BYTES ? "a:1;" : " 413");
        check(TYPE, (struct leat_view){body, (size_t)length}, expected);
    }
}

static void check_reduced(struct leat_view name, const char *expected)
{
    char copy[600];

    memcpy(copy, name.data, name.length_bytes);
    size_t length = http_filename_reduce(copy, name.length_bytes);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(copy, expected, length);
}

static void a_file_has_one_safe_name(void **state)
{
    char large[520];

    check_reduced(BODY("a.txt"), "a.txt");
    check_reduced(BODY("/etc/passwd"), "passwd");
    check_reduced(BODY("a\\b/c\\d"), "d");
    check_reduced(BODY("dir/"), "");
    check_reduced(BODY(".."), "");
    check_reduced(BODY("."), "");
    check_reduced(BODY("../.\x01."), "");
    check_reduced(BODY("..."), "...");
    check_reduced(BODY(".a"), ".a");
    check_reduced(BODY("a\0b\r\nc\x7f"), "abc");
    memset(large, 'x', sizeof(large));
    large[255] = '\0';
    check_reduced((struct leat_view){memset(large, 'x', 255), 255}, large);
    char cut[301];
    memset(cut, 'x', sizeof(cut));
    memcpy(cut + 253, "\xe2\x82\xac", 3); /* a character over the edge goes as a whole */
    large[253] = '\0';
    check_reduced((struct leat_view){cut, 300}, large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_come_apart),
        cmocka_unit_test(data_may_hold_anything),
        cmocka_unit_test(names_are_read_as_browsers_write_them),
        cmocka_unit_test(what_could_be_taken_for_another_form_is_refused),
        cmocka_unit_test(limits_hold_at_their_edge),
        cmocka_unit_test(a_file_has_one_safe_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

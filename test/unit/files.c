/* The parts of the file handler that need no connection. */
#include "buffers/heap.h"
#include "buffers/pools.h"
#include "net/http/files/files_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define NOW INT64_C(1700000000) /* Tue, 14 Nov 2023 22:13:20 GMT */

static void test_paths(void **state)
{
    static const struct {
        const char *target, *path; /* NULL: code */
        int code;
    } table[] = {
        {"/", "/", 0},
        {"/a/b.html", "/a/b.html", 0},
        {"/a/", "/a/", 0},
        {"/a?b=/../c", "/a", 0},
        {"/?x", "/", 0},
        {"http://host/a/b?c", "/a/b", 0},
        {"http://host", "/", 0},
        {"http://host?q", "/", 0},
        {"/%41%7e", "/A~", 0},
        {"/a%20b", "/a b", 0},
        {"/a\\b", "/a\\b", 0},
        {"/%5c..%5cx", "/\\..\\x", 0},
        {"/%252e%252e/x", "/%2e%2e/x", 0},
        {"/%252fetc", "/%2fetc", 0},
        {"/a..b/..c..", NULL, -ENOENT}, /* hidden */
        {"/a..b/c..", "/a..b/c..", 0},
        {"/.well-known/acme", "/.well-known/acme", 0},
        {"/a/.well-known/acme", NULL, -ENOENT},
        {"/.git/config", NULL, -ENOENT},
        {"/%2egit/config", NULL, -ENOENT},
        {"/..", NULL, -ENOENT},
        {"/../etc/passwd", NULL, -ENOENT},
        {"/a/../b", NULL, -ENOENT},
        {"/a/..", NULL, -ENOENT},
        {"/a/./b", NULL, -ENOENT},
        {"/%2e%2e/b", NULL, -ENOENT},
        {"/%2E./b", NULL, -ENOENT},
        {"/.%2e/", NULL, -ENOENT},
        {"/a/%2e%2e%2fb", NULL, -ENOENT},
        {"/a%2fb", NULL, -ENOENT},
        {"/a%2Fb", NULL, -ENOENT},
        {"//etc/passwd", NULL, -ENOENT},
        {"/a//b", NULL, -ENOENT},
        {"/a/b//", NULL, -ENOENT},
        {"/a%00.html", NULL, -ENOENT},
        {"/a%", NULL, -EINVAL},
        {"/a%2", NULL, -EINVAL},
        {"/a%zz", NULL, -EINVAL},
        {"/a%2%65", NULL, -EINVAL},
        {"*", NULL, -ENOENT},
        {"host:80", NULL, -ENOENT},
    };
    char path[LEAT_FILES_PATH_BYTES_MAX];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int length = files_path_decode(leat_view_of(table[i].target), false, path);
        if (table[i].path == NULL) {
            assert_int_equal(length, table[i].code);
        } else {
            assert_int_equal(length, (int)strlen(table[i].path));
            assert_string_equal(path, table[i].path);
        }
    }
    assert_int_equal(files_path_decode(leat_view_of("/.git/x"), true, path), 7);
    assert_int_equal(files_path_decode(leat_view_of("/../x"), true, path), -ENOENT);
    static char longest[2 * LEAT_FILES_PATH_BYTES_MAX];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[0] = '/';
    assert_int_equal(files_path_decode(leat_view_of(longest), false, path), -ENAMETOOLONG);
    longest[LEAT_FILES_PATH_BYTES_MAX - 1] = '\0';
    assert_int_equal(files_path_decode(leat_view_of(longest), false, path),
                     LEAT_FILES_PATH_BYTES_MAX - 1);
}

static void test_paths_are_encoded_for_locations(void **state)
{
    char text[64];
    assert_int_equal(files_path_encode("/\\evil/\r\n<ä>", text, sizeof(text)), 27);
    assert_string_equal(text, "/%5Cevil/%0D%0A%3C%C3%A4%3E");
    assert_int_equal(files_path_encode("/a b", text, 4), 6);
    assert_string_equal(text, "/a");
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } table[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
        {"Wednesday, 01-Jan-70 00:00:00 GMT", 3155760000}, /* 2070 is less than 50 years away */
        {"Saturday, 01-Jan-76 00:00:00 GMT", 189302400},
        {"", -1},
        {"yesterday", -1},
        {"Sun, 06 Nov 1994 08:49:37 CET", -1},
        {"Sun, 06 Now 1994 08:49:37 GMT", -1},
        {"Sun, 36 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 28:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 GM", -1},
        {"Sun, 06 Nov 1994 08-49-37 GMT", -1},
        {"Sun, xx Nov 1994 08:49:37 GMT", -1},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(files_date_parse(leat_view_of(table[i].text), NOW), table[i].seconds);
}

static struct files_fields one(const char *text)
{
    struct files_fields fields = {0};
    if (text != NULL)
        fields.view[fields.count++] = leat_view_of(text);
    return fields;
}

static void test_preconditions_in_order(void **state)
{
    static const char before[] = "Tue, 14 Nov 2023 22:13:19 GMT";
    static const char same[] = "Tue, 14 Nov 2023 22:13:20 GMT";
    static const char later[] = "Tue, 14 Nov 2023 22:13:21 GMT";
    static const char range[] = "bytes=0-1";
    static const struct {
        const char *match, *unmodified, *none_match, *modified, *if_range, *range;
        enum files_outcome outcome;
    } table[] = {
        {NULL, NULL, NULL, NULL, NULL, NULL, FILES_SEND},
        {"\"v\"", NULL, NULL, NULL, NULL, NULL, FILES_SEND},
        {"*", NULL, NULL, NULL, NULL, NULL, FILES_SEND},
        {" \"a\", ,\t\"v\"", NULL, NULL, NULL, NULL, NULL, FILES_SEND},
        {"\"a,\", \"v\"", NULL, NULL, NULL, NULL, NULL, FILES_SEND},
        {"\"a\"", NULL, NULL, NULL, NULL, NULL, FILES_FAILED},
        {"W/\"v\"", NULL, NULL, NULL, NULL, NULL, FILES_FAILED},
        {"v", NULL, NULL, NULL, NULL, NULL, FILES_FAILED},
        {NULL, before, NULL, NULL, NULL, NULL, FILES_FAILED},
        {NULL, same, NULL, NULL, NULL, NULL, FILES_SEND},
        {NULL, "rubbish", NULL, NULL, NULL, NULL, FILES_SEND},
        /* If-Match speaks, If-Unmodified-Since is not heard. */
        {"\"v\"", before, NULL, NULL, NULL, NULL, FILES_SEND},
        {NULL, NULL, "\"v\"", NULL, NULL, NULL, FILES_NOT_MODIFIED},
        {NULL, NULL, "W/\"v\"", NULL, NULL, NULL, FILES_NOT_MODIFIED},
        {NULL, NULL, "*", NULL, NULL, NULL, FILES_NOT_MODIFIED},
        {NULL, NULL, "\"a\"", NULL, NULL, NULL, FILES_SEND},
        {NULL, NULL, NULL, same, NULL, NULL, FILES_NOT_MODIFIED},
        {NULL, NULL, NULL, later, NULL, NULL, FILES_NOT_MODIFIED},
        {NULL, NULL, NULL, before, NULL, NULL, FILES_SEND},
        {NULL, NULL, NULL, "rubbish", NULL, NULL, FILES_SEND},
        /* If-None-Match speaks, If-Modified-Since is not heard. */
        {NULL, NULL, "\"a\"", same, NULL, NULL, FILES_SEND},
        /* 412 comes before 304. */
        {"\"a\"", NULL, "\"v\"", NULL, NULL, NULL, FILES_FAILED},
        {"\"v\"", NULL, "\"v\"", NULL, NULL, NULL, FILES_NOT_MODIFIED},
        {NULL, NULL, NULL, NULL, "\"v\"", range, FILES_SEND},
        {NULL, NULL, NULL, NULL, "\"a\"", range, FILES_SEND_ALL},
        {NULL, NULL, NULL, NULL, "W/\"v\"", range, FILES_SEND_ALL},
        {NULL, NULL, NULL, NULL, same, range, FILES_SEND},
        {NULL, NULL, NULL, NULL, later, range, FILES_SEND_ALL},
        {NULL, NULL, NULL, NULL, "rubbish", range, FILES_SEND_ALL},
        {NULL, NULL, NULL, NULL, "\"a\"", NULL, FILES_SEND},
        {NULL, NULL, "\"v\"", NULL, "\"a\"", range, FILES_NOT_MODIFIED},
    };
    const struct files_version version = {.etag = "\"v\"", .modified_s = NOW, .size_bytes = 10};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct files_conditions conditions = {
            .if_match = one(table[i].match),
            .if_none_match = one(table[i].none_match),
            .if_unmodified_since = leat_view_of(table[i].unmodified),
            .if_modified_since = leat_view_of(table[i].modified),
            .if_range = leat_view_of(table[i].if_range),
            .range = leat_view_of(table[i].range),
        };
        assert_int_equal(files_evaluate(&conditions, &version, NOW + 100), table[i].outcome);
    }
    /* A file of this very second may change again in it: its date is weak. */
    struct files_conditions fresh = {.if_range = leat_view_of(same), .range = leat_view_of(range)};
    assert_int_equal(files_evaluate(&fresh, &version, NOW), FILES_SEND_ALL);
}

static void test_ranges(void **state)
{
    static const struct {
        const char *range;
        uint64_t size;
        int count;
        struct files_range ranges[4];
    } table[] = {
        {"bytes=0-0", 10, 1, {{0, 0}}},
        {"bytes=0-", 10, 1, {{0, 9}}},
        {"bytes=3-100", 10, 1, {{3, 9}}},
        {"bytes=-3", 10, 1, {{7, 9}}},
        {"bytes=-30", 10, 1, {{0, 9}}},
        {"BYTES=1-2", 10, 1, {{1, 2}}},
        {"bytes=0-1,4-5", 10, 2, {{0, 1}, {4, 5}}},
        {"bytes=4-5, 0-1", 10, 2, {{4, 5}, {0, 1}}},
        {"bytes=0-1 ,\t,4-5,", 10, 2, {{0, 1}, {4, 5}}},
        {"bytes=0-3,2-5", 10, 1, {{0, 5}}},
        {"bytes=0-3,4-5", 10, 1, {{0, 5}}},
        {"bytes=8-9,0-1,2-7", 10, 1, {{0, 9}}},
        {"bytes=0-1,6-7,3-4,2-5", 10, 1, {{0, 7}}},
        {"bytes=0-1,50-60", 10, 1, {{0, 1}}},
        {"bytes=10-", 10, -1, {{0}}},
        {"bytes=-0", 10, -1, {{0}}},
        {"bytes=50-60,70-", 10, -1, {{0}}},
        {"bytes=18446744073709551616-", 10, -1, {{0}}},
        {"bytes=0-99999999999999999999999", 10, 1, {{0, 9}}},
        {"bytes=5000000000-5000000009", UINT64_C(6000000000), 1, {{5000000000, 5000000009}}},
        {"bytes=-1", UINT64_C(6000000000), 1, {{5999999999, 5999999999}}},
        {"bytes=2-1", 10, 0, {{0}}},
        {"bytes=", 10, 0, {{0}}},
        {"bytes=,", 10, 0, {{0}}},
        {"bytes=a-b", 10, 0, {{0}}},
        {"bytes=1", 10, 0, {{0}}},
        {"bytes=-", 10, 0, {{0}}},
        {"bytes=0-1;2-3", 10, 0, {{0}}},
        {"bytes 0-1", 10, 0, {{0}}},
        {"lines=0-1", 10, 0, {{0}}},
        {"bytes=0-1,x", 10, 0, {{0}}},
        {"bytes=0-0,2-2,4-4,6-6,8-8", 10, 0, {{0}}}, /* more than are allowed here */
    };
    struct files_range ranges[FILES_RANGES_MAX];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int count = files_ranges_parse(leat_view_of(table[i].range), table[i].size, 4, ranges);
        assert_int_equal(count, table[i].count);
        for (int j = 0; j < count; j++) {
            assert_int_equal(ranges[j].first, table[i].ranges[j].first);
            assert_int_equal(ranges[j].last, table[i].ranges[j].last);
        }
    }
}

static void test_codings(void **state)
{
    static const struct {
        const char *accept, *order; /* b, g, i */
    } table[] = {
        {NULL, "i"},
        {"", "i"},
        {"gzip, br", "bgi"},
        {"gzip", "gi"},
        {"x-gzip", "gi"},
        {"GZIP", "gi"},
        {"gzip;q=1.0, br;q=0.5", "gbi"},
        {"br;q=0, gzip", "gi"},
        {"*", "bgi"},
        {"*;q=0.1, gzip;q=0", "bi"},
        {"identity, gzip;q=0.5", "i"},
        {"identity;q=0.5, gzip", "gi"},
        {"identity;q=0", ""},
        {"*;q=0", ""},
        {"*;q=0, identity;q=0.1", "i"},
        {"gzip, identity;q=0", "g"},
        {"gzip;q=2, br;q=0.1234", "bi"},
        {"gzip ; q=0.8 , br ; q=0.9", "bgi"},
        {"deflate, zstd", "i"},
        {";;q=,,,", "i"},
        {"gzip;level=9", "i"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct files_fields fields = one(table[i].accept);
        enum files_coding order[FILES_CODING_END + 1];
        char text[8] = "";
        files_codings_parse(&fields, order);
        for (int j = 0; order[j] != FILES_CODING_END; j++)
            text[j] = "bgi"[order[j]];
        assert_string_equal(text, table[i].order);
    }
    struct files_fields split = {{leat_view_of("gzip;q=0.3"), leat_view_of("br;q=0.2")}, 2};
    enum files_coding order[FILES_CODING_END + 1];
    files_codings_parse(&split, order);
    assert_int_equal(order[0], FILES_GZIP);
    assert_int_equal(order[1], FILES_BROTLI);
}

static void test_types(void **state)
{
    assert_string_equal(leat_mime_type("/a/b.html"), "text/html; charset=utf-8");
    assert_string_equal(leat_mime_type("x.HTML"), "text/html; charset=utf-8");
    assert_string_equal(leat_mime_type("7.7z"), "application/x-7z-compressed");
    assert_string_equal(leat_mime_type("a.zst"), "application/zstd");
    assert_string_equal(leat_mime_type("a.tar.gz"), "application/gzip");
    assert_string_equal(leat_mime_type("dir.html/file"), "application/octet-stream");
    assert_string_equal(leat_mime_type(".html"), "application/octet-stream");
    assert_string_equal(leat_mime_type("a."), "application/octet-stream");
    assert_true(files_is_compressible("a.svg"));
    assert_false(files_is_compressible("a.png"));
    unsigned found = 0;
    for (const char *extension; (extension = files_mime_extension(found)) != NULL; found++) {
        char name[32];
        snprintf(name, sizeof(name), "x.%s", extension);
        bool is_octets = strcmp(leat_mime_type(name), "application/octet-stream") == 0;
        assert_int_equal(is_octets, strcmp(extension, "bin") == 0);
        const char *next = files_mime_extension(found + 1);
        assert_true(next == NULL || strcmp(extension, next) < 0);
    }
    assert_true(found > 80);
}

/* ---- Opening, in a tree of its own ---- */

static char tree[] = "/tmp/leat-files-XXXXXX";

static void make(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", tree, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void link_to(const char *target, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", tree, name);
    assert_int_equal(symlink(target, path), 0);
}

static int make_tree(void **state)
{
    char path[256];
    assert_non_null(mkdtemp(tree));
    static const char *const directories[] = {"root", "root/sub", "root/sub/deep", "out"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", tree, directories[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    make("root/file", "file");
    make("root/sub/file", "sub");
    make("root/sub/deep/<&\">", "odd");
    make("out/secret", "secret");
    link_to("file", "root/link");
    link_to("sub", "root/dirlink");
    link_to("../../file", "root/sub/deep/uplink");
    link_to("../sub/../file", "root/sub/roundlink");
    link_to("../out/secret", "root/outlink");
    link_to("../out", "root/outdir");
    link_to("/etc/passwd", "root/absolute");
    link_to("loop", "root/loop");
    link_to("none", "root/dangling");
    snprintf(path, sizeof(path), "%s/root/fifo", tree);
    assert_int_equal(mkfifo(path, 0644), 0);
    return 0;
}

static int remove_tree(void **state)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", tree);
    return system(command);
}

static int open_in_tree(enum leat_symlinks symlinks, bool walk, const char *name)
{
    struct files_root root;
    char path[256];
    snprintf(path, sizeof(path), "%s/root", tree);
    assert_int_equal(files_root_open(&root, path, symlinks, NULL), 0);
    if (walk) {
        root.has_openat2 = false;
    } else if (!root.has_openat2) {
        files_root_close(&root);
        print_message("skip: the kernel or a sandbox refuses openat2\n");
        skip();
    }
    int fd = files_open(&root, name, 0);
    files_root_close(&root);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return fd;
}

static void check_opening(bool walk)
{
    static const struct {
        const char *name;
        int inside, none; /* 0, or -errno; 1: any error */
    } table[] = {
        {"file", 0, 0},
        {"sub", 0, 0},
        {"sub/", 0, 0},
        {".", 0, 0},
        {"sub/file", 0, 0},
        {"sub/deep/<&\">", 0, 0},
        {"missing", -ENOENT, -ENOENT},
        {"missing/file", -ENOENT, -ENOENT},
        {"file/", -ENOTDIR, -ENOTDIR},
        {"file/x", -ENOTDIR, -ENOTDIR},
        {"link", 0, -ELOOP},
        {"link/", -ENOTDIR, -ELOOP},
        {"dirlink/file", 0, -ELOOP},
        {"dirlink/deep/uplink", 0, -ELOOP},
        {"sub/deep/uplink", 0, -ELOOP},
        {"sub/roundlink", 0, -ELOOP},
        {"outlink", -EXDEV, -ELOOP},
        {"outdir/secret", -EXDEV, -ELOOP},
        {"absolute", -EXDEV, -ELOOP},
        {"loop", -ELOOP, -ELOOP},
        {"loop/x", -ELOOP, -ELOOP},
        {"dangling", -ENOENT, -ELOOP},
        {"../out/secret", -EXDEV, -EXDEV},
        {"sub/../../out/secret", -EXDEV, -EXDEV},
        {"fifo", 0, 0}, /* opened without blocking; refused by its type */
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(open_in_tree(LEAT_SYMLINKS_INSIDE, walk, table[i].name), table[i].inside);
        assert_int_equal(open_in_tree(LEAT_SYMLINKS_NONE, walk, table[i].name), table[i].none);
    }
    assert_int_equal(open_in_tree(LEAT_SYMLINKS_ALL, walk, "outlink"), 0);
    assert_int_equal(open_in_tree(LEAT_SYMLINKS_ALL, walk, "absolute"), 0);
}

static void test_opens_beneath(void **state)
{
    check_opening(false);
}

static void test_walk_opens_the_same(void **state)
{
    check_opening(true);
}

static void test_root_must_be_a_directory(void **state)
{
    struct files_root root;
    struct leat_error error;
    char path[256];
    snprintf(path, sizeof(path), "%s/none", tree);
    assert_int_equal(files_root_open(&root, path, LEAT_SYMLINKS_NONE, &error), -ENOENT);
    assert_non_null(strstr(error.sentence, "there is no such directory"));
    snprintf(path, sizeof(path), "%s/root/file", tree);
    assert_int_equal(files_root_open(&root, path, LEAT_SYMLINKS_NONE, &error), -ENOTDIR);
}

static void test_listing_escapes(void **state)
{
    struct leat_core core = {0};
    leat_core_now = &core;
    assert_int_equal(leat_heap_init(&core, NULL), 0);
    assert_int_equal(leat_pools_init(&core, 16 << 20, NULL), 0);
    char path[256];
    snprintf(path, sizeof(path), "%s/root/sub/deep", tree);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    struct leat_buf page = files_list(fd, "/<script>/", false);
    assert_non_null(page.data);
    assert_true(leat_buf_resize(&page, page.length_bytes + 1));
    page.data[page.length_bytes - 1] = '\0';
    const char *text = (const char *)page.data;
    assert_non_null(strstr(text, "<h1>/&lt;script&gt;/</h1>"));
    assert_non_null(strstr(text, "<a href=\"./%3C%26%22%3E\">&lt;&amp;&quot;&gt;</a>"));
    assert_null(strstr(text, "<script>"));
    assert_non_null(strstr(text, "uplink"));
    leat_buf_unref(page);
    assert_int_equal(leat_pools_fini(&core), 0);
    leat_heap_fini(&core);
    leat_core_now = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_paths_are_encoded_for_locations),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_preconditions_in_order),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_codings),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_opens_beneath),
        cmocka_unit_test(test_walk_opens_the_same),
        cmocka_unit_test(test_root_must_be_a_directory),
        cmocka_unit_test(test_listing_escapes),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}

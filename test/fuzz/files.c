/* What the file handler reads of a request, one input for all of it: paths, ranges, preconditions,
 * codings, dates. Properties, not only survival. */
#include "net/http/files/files_internal.h"
#include "runtime/base/core.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_path(struct leat_view text)
{
    char path[LEAT_FILES_PATH_BYTES_MAX], encoded[3 * LEAT_FILES_PATH_BYTES_MAX];
    char again[LEAT_FILES_PATH_BYTES_MAX];
    int length = files_path_decode(text, false, path);
    if (length < 0)
        return;
    CHECK(length > 0 && path[0] == '/' && strlen(path) == (size_t)length);
    CHECK(strstr(path, "//") == NULL && strstr(path, "/../") == NULL);
    CHECK(length < 3 || strcmp(path + length - 3, "/..") != 0);
    CHECK(strstr(path + 1, "/.") == NULL);
    /* A path survives its way through a Location header. */
    files_path_encode(path, encoded, sizeof(encoded));
    CHECK(files_path_decode(leat_view_of(encoded), false, again) == length);
    CHECK(strcmp(path, again) == 0);
}

static void check_ranges(struct leat_view text, uint64_t size_bytes)
{
    struct files_range ranges[FILES_RANGES_MAX];
    int count = files_ranges_parse(text, size_bytes, FILES_RANGES_MAX, ranges);
    uint64_t sum = 0;
    CHECK(count >= -1 && count <= FILES_RANGES_MAX);
    for (int i = 0; i < count; i++) {
        CHECK(ranges[i].first <= ranges[i].last && ranges[i].last < size_bytes);
        sum += ranges[i].last - ranges[i].first + 1;
    }
    CHECK(sum <= size_bytes); /* no byte twice */
}

static void check_codings(struct leat_view text)
{
    struct files_fields fields = {{text}, 1};
    enum files_coding order[FILES_CODING_END + 1];
    files_codings_parse(&fields, order);
    unsigned seen = 0;
    for (unsigned i = 0; order[i] != FILES_CODING_END; i++) {
        CHECK(i < FILES_CODING_END && (seen & 1u << order[i]) == 0);
        seen |= 1u << order[i];
    }
}

static void check_conditions(struct leat_view text)
{
    const struct files_version version = {.etag = "\"v\"", .modified_s = 784111777};
    struct files_conditions conditions = {.if_match = {{text}, 1}};
    enum files_outcome outcome = files_evaluate(&conditions, &version, 1700000000);
    CHECK(outcome == FILES_SEND || outcome == FILES_FAILED);
    bool is_strong = outcome == FILES_SEND;
    conditions = (struct files_conditions){.if_none_match = {{text}, 1}};
    outcome = files_evaluate(&conditions, &version, 1700000000);
    CHECK(outcome == FILES_SEND || outcome == FILES_NOT_MODIFIED);
    /* What matches strongly matches weakly. */
    CHECK(!is_strong || outcome == FILES_NOT_MODIFIED);
    conditions = (struct files_conditions){.if_range = text, .range = text};
    files_evaluate(&conditions, &version, 1700000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    /* A copy of exactly that size, so that ASan sees a byte too many. */
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    char *exact = malloc(size > 0 ? size : 1);
    if (exact != NULL) {
        memcpy(exact, bytes, size);
        struct leat_view view = {exact, size};
        check_path(view);
        check_ranges(view, 10);
        check_ranges(view, UINT64_C(6000000000));
        check_codings(view);
        check_conditions(view);
        CHECK(files_date_parse(view, 1700000000) >= -1);
        memcpy(text, bytes, size);
        text[size] = '\0';
        CHECK(leat_mime_type(text) != NULL);
    }
    free(exact);
    free(text);
    return 0;
}

/* The answer to a request for a file: what stands under its name, in which coding, and which of it.
 */
#include "buffers/heap.h"
#include "net/http/files/files_internal.h"
#include "net/http/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void field_add(struct files_fields *fields, struct leat_view value)
{
    if (fields->count < FILES_FIELDS_MAX)
        fields->view[fields->count++] = value;
}

static void single_add(struct leat_view *field, struct leat_view value)
{
    if (field->data == NULL)
        *field = value;
}

static void conditions_read(const struct leat_request *req, struct files_conditions *conditions)
{
    *conditions = (struct files_conditions){0};
    unsigned count = leat_request_header_count(req);
    for (unsigned i = 0; i < count; i++) {
        struct leat_view name;
        struct leat_view value = leat_request_header_at(req, i, &name);
        char first = name.length_bytes > 0 ? (char)(name.data[0] | 0x20) : '\0';
        if (first == 'a' && leat_view_equal_nocase(name, "accept-encoding"))
            field_add(&conditions->accept_encoding, value);
        else if (first == 'r' && leat_view_equal_nocase(name, "range"))
            single_add(&conditions->range, value);
        else if (first != 'i')
            continue;
        else if (leat_view_equal_nocase(name, "if-none-match"))
            field_add(&conditions->if_none_match, value);
        else if (leat_view_equal_nocase(name, "if-modified-since"))
            single_add(&conditions->if_modified_since, value);
        else if (leat_view_equal_nocase(name, "if-match"))
            field_add(&conditions->if_match, value);
        else if (leat_view_equal_nocase(name, "if-unmodified-since"))
            single_add(&conditions->if_unmodified_since, value);
        else if (leat_view_equal_nocase(name, "if-range"))
            single_add(&conditions->if_range, value);
    }
}

static void answer_errno(struct leat_request *req, const char *path, int code)
{
    switch (-code) {
    case EACCES:
    case EPERM:
        leat_request_fail(req, 403, "%s: this user may not read it", path);
        break;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case ENXIO:
    case ENODEV:
        leat_request_fail(req, 404, "%s: no such file", path);
        break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        leat_response_header(req, "Retry-After", "1");
        leat_request_fail(req, 503, "%s: %s", path, strerror(-code));
        break;
    default:
        leat_request_fail(req, 500, "%s: %s", path, strerror(-code));
    }
}

/* What stands under the name depends on what the client accepts; so does that nothing does. */
static void answer_add_vary(const struct files_answer *answer)
{
    if (answer->varies)
        leat_response_header(answer->req, "Vary", "Accept-Encoding");
}

/* Headers of 200, 206 and 304 alike (RFC 9110 15.4.5). */
static void answer_add_validators(const struct files_answer *answer)
{
    struct leat_request *req = answer->req;
    const struct files_version *version = &answer->found.version;
    char now[HTTP_DATE_BYTES];
    struct leat_view modified = {version->modified, HTTP_DATE_BYTES};
    if (version->modified_s > answer->now_s) { /* would be a lie: RFC 9110 8.8.2.1 */
        http_date_format((uint64_t)answer->now_s, now);
        modified.data = now;
    }
    leat_response_header(req, "ETag", version->etag);
    leat_response_header_view(req, leat_view_of("Last-Modified"), modified);
    answer_add_vary(answer);
    if (answer->files->cache_control[0] != '\0')
        leat_response_header(req, "Cache-Control", answer->files->cache_control);
}

static void answer_add_coding(const struct files_answer *answer)
{
    if (answer->coding != FILES_IDENTITY) {
        leat_response_header(answer->req, "Content-Encoding",
                             answer->coding == FILES_BROTLI ? "br" : "gzip");
    }
}

static void answer_content(const struct files_answer *answer, struct leat_file *file,
                           bool with_range)
{
    struct leat_request *req = answer->req;
    uint64_t size_bytes = answer->found.version.size_bytes;
    struct files_range ranges[FILES_RANGES_MAX];
    int count = 0;
    /* RFC 9110 14.2: Range is for GET alone. Clients that send it with everything would be told 416
     * by an empty file. */
    if (with_range && answer->conditions.range.data != NULL && size_bytes > 0 &&
        leat_request_method(req) == LEAT_METHOD_GET) {
        count = files_ranges_parse(answer->conditions.range, size_bytes,
                                   answer->files->options.ranges_max, ranges);
    }
    char text[96];
    if (count < 0) {
        snprintf(text, sizeof(text), "bytes */%lu", (unsigned long)size_bytes);
        leat_response_header(req, "Content-Range", text);
        leat_request_fail(req, 416, "%s: none of the ranges is within its %lu bytes", answer->path,
                          (unsigned long)size_bytes);
        return;
    }
    answer_add_validators(answer);
    answer_add_coding(answer);
    leat_response_header(req, "Accept-Ranges", "bytes");
    if (count > 1) {
        files_parts_begin(answer, file, ranges, (unsigned)count);
        return;
    }
    leat_response_header(req, "Content-Type", answer->type);
    if (count == 1) {
        snprintf(text, sizeof(text), "bytes %lu-%lu/%lu", (unsigned long)ranges[0].first,
                 (unsigned long)ranges[0].last, (unsigned long)size_bytes);
        leat_response_header(req, "Content-Range", text);
        leat_respond_file(req, 206, file, ranges[0].first, ranges[0].last - ranges[0].first + 1);
        return;
    }
    leat_respond_file(req, 200, file, 0, size_bytes);
}

/* What was found is a regular file. */
static void answer_file(struct files_answer *answer)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    answer->now_s = now.tv_sec;
    enum files_outcome outcome =
        files_evaluate(&answer->conditions, &answer->found.version, answer->now_s);
    if (outcome == FILES_NOT_MODIFIED || outcome == FILES_FAILED) {
        if (outcome == FILES_FAILED) {
            leat_request_fail(answer->req, 412, "%s: a precondition does not hold", answer->path);
            return;
        }
        answer_add_validators(answer);
        leat_respond_empty(answer->req, 304);
        return;
    }
    answer_content(answer, answer->found.file, outcome == FILES_SEND);
}

static const char *answer_name(const struct files_answer *answer)
{
    const char *name = answer->path + answer->files->prefix_bytes + 1;
    return *name != '\0' ? name : ".";
}

static void answer_list(struct files_answer *answer)
{
    struct leat_files *files = answer->files;
    int fd = files_table_open_list(&files->table, &files->root, answer_name(answer));
    if (fd < 0) {
        answer_errno(answer->req, answer->path, fd);
        return;
    }
    struct leat_buf page = files_list(fd, answer->path, files->options.serve_hidden);
    if (page.data == NULL) {
        leat_request_fail(answer->req, 503, "no memory to list %s", answer->path);
        return;
    }
    answer_add_vary(answer);
    leat_respond_buf(answer->req, 200, "text/html; charset=utf-8", page);
}

/* "dir" -> "dir/", with the query. The path has no empty segments, and is encoded, so that the
 * location can be neither another host nor another header. */
static void answer_redirect(struct files_answer *answer)
{
    struct leat_view query = leat_request_query(answer->req);
    size_t size_bytes = 3 * answer->path_bytes + query.length_bytes + 3;
    char *location = leat_heap_alloc(size_bytes);
    if (location == NULL) {
        leat_request_fail(answer->req, 503, "no memory for a redirect");
        return;
    }
    size_t length = files_path_encode(answer->path, location, size_bytes);
    location[length++] = '/';
    if (query.length_bytes > 0)
        location[length++] = '?';
    leat_view_copy(query, location + length, size_bytes - length);
    leat_respond_redirect(answer->req, 301, location);
    leat_heap_free(location);
}

/* Opens the best coding that is there; returns 0, -EPROTO when the client accepts none, or -errno
 * of the file itself. */
static int answer_open_best(struct files_answer *answer)
{
    static const char *const suffixes[] = {".br", ".gz", ""};
    enum files_coding order[FILES_CODING_END + 1] = {FILES_IDENTITY, FILES_CODING_END};
    answer->varies =
        !answer->files->options.no_precompressed && files_is_compressible(answer->path);
    if (answer->varies)
        files_codings_parse(&answer->conditions.accept_encoding, order);
    int code = -EPROTO;
    for (unsigned i = 0; order[i] != FILES_CODING_END; i++) {
        answer->coding = order[i];
        strcpy(answer->path + answer->path_bytes, suffixes[order[i]]);
        code = files_table_open(&answer->files->table, &answer->files->root, answer_name(answer),
                                &answer->found);
        answer->path[answer->path_bytes] = '\0';
        if (order[i] == FILES_IDENTITY || (code == 0 && S_ISREG(answer->found.status.st_mode)))
            return code;
        if (code == -EMFILE || code == -ENFILE || code == -ENOMEM)
            return code; /* it may be there */
        if (code == 0)
            leat_file_unref(answer->found.file);
        code = -EPROTO;
    }
    return code;
}

void files_answer(struct files_answer *answer)
{
    conditions_read(answer->req, &answer->conditions);
    bool is_directory = answer->path[answer->path_bytes - 1] == '/';
    size_t directory_bytes = answer->path_bytes;
    int code = -ENOENT;
    if (!is_directory || answer->files->index_name[0] != '\0') {
        if (is_directory) {
            strcpy(answer->path + answer->path_bytes, answer->files->index_name);
            answer->path_bytes += strlen(answer->files->index_name);
        }
        answer->type = leat_mime_type(answer->path);
        code = answer_open_best(answer);
    }
    if (is_directory && code == -ENOENT && answer->files->options.list_directories) {
        answer->path_bytes = directory_bytes;
        answer->path[directory_bytes] = '\0';
        answer_list(answer);
        return;
    }
    if (code == -EPROTO) {
        answer_add_vary(answer);
        leat_request_fail(answer->req, 406, "%s: no coding that the client accepts", answer->path);
        return;
    }
    if (code != 0) {
        answer_add_vary(answer);
        answer_errno(answer->req, answer->path, code);
        return;
    }
    if (S_ISREG(answer->found.status.st_mode))
        answer_file(answer);
    else if (S_ISDIR(answer->found.status.st_mode) && !is_directory)
        answer_redirect(answer);
    else
        answer_errno(answer->req, answer->path, -ENOENT);
    leat_file_unref(answer->found.file);
}

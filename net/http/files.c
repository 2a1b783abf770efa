#include "buffers/heap.h"
#include "net/http/files_internal.h"
#include "net/http/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PREFIX_BYTES_MAX  256
#define INDEX_BYTES_MAX   64
#define CONTROL_BYTES_MAX 256
#define RANGES_DEFAULT    16

struct leat_files {
    struct files_root root;
    struct files_table table;
    struct leat_files_options options;
    size_t prefix_bytes;
    char prefix[PREFIX_BYTES_MAX], index_name[INDEX_BYTES_MAX], cache_control[CONTROL_BYTES_MAX];
};

/* ---- Set-up ---- */

static bool copy_option(char *to, size_t size_bytes, const char *from, const char *otherwise)
{
    return leat_view_copy(leat_view_of(from != NULL ? from : otherwise), to, size_bytes);
}

static int options_set(struct leat_files *files, const struct leat_files_options *options,
                       struct leat_error *error)
{
    files->options = options != NULL ? *options : (struct leat_files_options){0};
    struct leat_files_options *own = &files->options;
    if (!copy_option(files->prefix, sizeof(files->prefix), own->prefix, "") ||
        !copy_option(files->index_name, sizeof(files->index_name), own->index_name, "index.html") ||
        !copy_option(files->cache_control, sizeof(files->cache_control), own->cache_control, ""))
        return leat_fail(error, -EINVAL, "an option of the file handler is too long");
    files->prefix_bytes = strlen(files->prefix);
    while (files->prefix_bytes > 0 && files->prefix[files->prefix_bytes - 1] == '/')
        files->prefix[--files->prefix_bytes] = '\0';
    if (files->prefix_bytes > 0 && files->prefix[0] != '/') {
        return leat_fail(error, -EINVAL, "the prefix \"%s\" of files must begin with a slash",
                         files->prefix);
    }
    if (strchr(files->index_name, '/') != NULL) {
        return leat_fail(error, -EINVAL, "the index \"%s\" must be a name without a slash",
                         files->index_name);
    }
    if (own->ranges_max > FILES_RANGES_MAX) {
        return leat_fail(error, -EINVAL, "ranges_max is %u, at most %u are allowed",
                         own->ranges_max, FILES_RANGES_MAX);
    }
    own->ranges_max = own->ranges_max != 0 ? own->ranges_max : RANGES_DEFAULT;
    return 0;
}

struct leat_files *leat_files_new(struct leat_loop *loop, const char *directory,
                                  const struct leat_files_options *options)
{
    CHECK(leat_core_now != NULL && leat_core_now->loop == loop);
    struct leat_error *error = &leat_core_now->error;
    struct leat_files *files = leat_heap_calloc(1, sizeof(*files));
    if (files == NULL) {
        leat_fail(error, -ENOMEM, "no memory for the file handler");
        return NULL;
    }
    if (options_set(files, options, error) != 0 ||
        files_root_open(&files->root, directory, files->options.symlinks, error) != 0) {
        leat_heap_free(files);
        return NULL;
    }
    return files;
}

void leat_files_free(struct leat_files *files)
{
    if (files != NULL) {
        files_table_fini(&files->table);
        close(files->root.fd);
        leat_heap_free(files);
    }
}

static void serve_routed(struct leat_request *req)
{
    leat_files_serve(leat_request_user(req), req);
}

void leat_files_mount(struct leat_files *files, struct leat_http *http)
{
    char pattern[PREFIX_BYTES_MAX + 16];
    snprintf(pattern, sizeof(pattern), "%s/*path", files->prefix);
    leat_http_route(http, "GET", pattern, serve_routed, files);
}

/* ---- One request ---- */

/* What is known of the answer on the way to it. */
struct answer {
    struct leat_files *files;
    struct leat_request *req;
    struct files_conditions conditions;
    struct files_version version;
    const char *type;
    enum files_coding coding;
    bool varies;
    struct leat_file *file; /* a reference */
    int64_t now_s;
    size_t path_bytes;
    char path[LEAT_FILES_PATH_BYTES_MAX + INDEX_BYTES_MAX + 8]; /* with prefix, index, coding */
};

static void add_field(struct files_fields *fields, struct leat_view value)
{
    if (fields->count < FILES_FIELDS_MAX)
        fields->view[fields->count++] = value;
}

static void add_single(struct leat_view *field, struct leat_view value)
{
    if (field->data == NULL)
        *field = value;
}

static void read_conditions(const struct leat_request *req, struct files_conditions *conditions)
{
    *conditions = (struct files_conditions){0};
    unsigned count = leat_request_header_count(req);
    for (unsigned i = 0; i < count; i++) {
        struct leat_view name;
        struct leat_view value = leat_request_header_at(req, i, &name);
        char first = name.length_bytes > 0 ? (char)(name.data[0] | 0x20) : '\0';
        if (first == 'a' && leat_view_equal_nocase(name, "accept-encoding"))
            add_field(&conditions->accept_encoding, value);
        else if (first == 'r' && leat_view_equal_nocase(name, "range"))
            add_single(&conditions->range, value);
        else if (first != 'i')
            continue;
        else if (leat_view_equal_nocase(name, "if-none-match"))
            add_field(&conditions->if_none_match, value);
        else if (leat_view_equal_nocase(name, "if-modified-since"))
            add_single(&conditions->if_modified_since, value);
        else if (leat_view_equal_nocase(name, "if-match"))
            add_field(&conditions->if_match, value);
        else if (leat_view_equal_nocase(name, "if-unmodified-since"))
            add_single(&conditions->if_unmodified_since, value);
        else if (leat_view_equal_nocase(name, "if-range"))
            add_single(&conditions->if_range, value);
    }
}

static void fail_errno(struct leat_request *req, const char *path, int code)
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
        leat_request_fail(req, 503, "%s: %s", path, strerror(-code));
        break;
    default:
        leat_request_fail(req, 500, "%s: %s", path, strerror(-code));
    }
}

/* Headers of 200, 206 and 304 alike (RFC 9110 15.4.5). */
static void add_validators(const struct answer *answer)
{
    struct leat_request *req = answer->req;
    char date[HTTP_DATE_BYTES + 1];
    /* A date in the future would be a lie: RFC 9110 8.8.2.1. */
    int64_t modified_s = answer->version.modified_s;
    modified_s = modified_s < answer->now_s ? modified_s : answer->now_s;
    http_date_format(modified_s > 0 ? (uint64_t)modified_s : 0, date);
    leat_response_header(req, "ETag", answer->version.etag);
    leat_response_header_view(req, leat_view_of("Last-Modified"),
                              (struct leat_view){date, HTTP_DATE_BYTES});
    if (answer->varies)
        leat_response_header(req, "Vary", "Accept-Encoding");
    if (answer->files->cache_control[0] != '\0')
        leat_response_header(req, "Cache-Control", answer->files->cache_control);
}

static void add_coding(const struct answer *answer)
{
    if (answer->coding != FILES_IDENTITY) {
        leat_response_header(answer->req, "Content-Encoding",
                             answer->coding == FILES_BROTLI ? "br" : "gzip");
    }
}

/* ---- Several ranges: a part's head, its bytes, and so on, as the client takes them ---- */

#define PART_BYTES_MAX 256

struct files_parts {
    struct leat_file *file;
    const char *type;
    uint64_t size_bytes;
    unsigned count, next;
    bool is_head_sent; /* of the part next */
    char boundary[24];
    struct files_range ranges[FILES_RANGES_MAX];
};

void files_parts_free(struct files_parts *parts)
{
    leat_file_unref(parts->file);
    leat_heap_free(parts);
}

static int part_head(const struct files_parts *parts, unsigned index, char text[PART_BYTES_MAX])
{
    if (index == parts->count)
        return snprintf(text, PART_BYTES_MAX, "\r\n--%s--\r\n", parts->boundary);
    return snprintf(text, PART_BYTES_MAX,
                    "%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %lu-%lu/%lu\r\n\r\n",
                    index == 0 ? "" : "\r\n", parts->boundary, parts->type,
                    (unsigned long)parts->ranges[index].first,
                    (unsigned long)parts->ranges[index].last, (unsigned long)parts->size_bytes);
}

static void parts_send(struct leat_request *req)
{
    struct files_parts *parts = req->x.parts;
    int rc = 0;
    while (rc == 0 && parts->next <= parts->count) {
        if (!parts->is_head_sent) {
            char text[PART_BYTES_MAX];
            int length = part_head(parts, parts->next, text);
            rc = leat_response_write_bytes(req, text, (size_t)length);
            parts->is_head_sent = rc == 0;
        } else if (parts->next == parts->count) {
            leat_response_end(req);
            return;
        } else {
            const struct files_range *range = &parts->ranges[parts->next];
            rc = leat_response_write_file(req, parts->file, range->first,
                                          range->last - range->first + 1);
            if (rc == 0) {
                parts->next++;
                parts->is_head_sent = false;
            }
        }
    }
    if (rc != -EAGAIN)
        leat_request_fail(req, 500, "a part of a file could not be sent: %s", leat_errno_name(rc));
}

static void send_parts(const struct answer *answer, struct leat_file *file,
                       const struct files_range *ranges, unsigned count)
{
    struct leat_request *req = answer->req;
    struct files_parts *parts = leat_heap_alloc(sizeof(*parts));
    if (parts == NULL) {
        leat_request_fail(req, 503, "no memory for a multipart response");
        return;
    }
    *parts = (struct files_parts){.file = leat_file_ref(file),
                                  .type = answer->type,
                                  .size_bytes = answer->version.size_bytes,
                                  .count = count};
    memcpy(parts->ranges, ranges, count * sizeof(*ranges));
    req->x.parts = parts;
    /* Not to be guessed by who wrote the file, else its bytes could pose as parts. */
    uint64_t random[1] = {0};
    if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random[0] = leat_loop_clock(leat_request_loop(req)) * UINT64_C(0x9e3779b97f4a7c15);
    snprintf(parts->boundary, sizeof(parts->boundary), "leat-%016lx", (unsigned long)random[0]);
    char text[PART_BYTES_MAX];
    uint64_t length_bytes = 0;
    for (unsigned i = 0; i <= count; i++) {
        length_bytes += (uint64_t)part_head(parts, i, text);
        length_bytes += i < count ? ranges[i].last - ranges[i].first + 1 : 0;
    }
    snprintf(text, sizeof(text), "multipart/byteranges; boundary=%s", parts->boundary);
    if (leat_response_begin(req, 206, text, length_bytes) == 0) {
        leat_response_on_writable(req, parts_send);
        parts_send(req);
    }
}

/* ---- Answers ---- */

static void send_content(const struct answer *answer, struct leat_file *file, bool with_range)
{
    struct leat_request *req = answer->req;
    uint64_t size_bytes = answer->version.size_bytes;
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
    add_validators(answer);
    add_coding(answer);
    leat_response_header(req, "Accept-Ranges", "bytes");
    if (count > 1) {
        send_parts(answer, file, ranges, (unsigned)count);
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

/* answer->file is a regular file of that status. */
static void answer_file(struct answer *answer, const struct stat *status)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    answer->now_s = now.tv_sec;
    files_version_of(&answer->version, status);
    enum files_outcome outcome =
        files_evaluate(&answer->conditions, &answer->version, answer->now_s);
    if (outcome == FILES_NOT_MODIFIED || outcome == FILES_FAILED) {
        if (outcome == FILES_FAILED) {
            leat_request_fail(answer->req, 412, "%s: a precondition does not hold", answer->path);
            return;
        }
        add_validators(answer);
        leat_respond_empty(answer->req, 304);
        return;
    }
    send_content(answer, answer->file, outcome == FILES_SEND);
}

static const char *name_in(const struct answer *answer)
{
    const char *name = answer->path + answer->files->prefix_bytes + 1;
    return *name != '\0' ? name : ".";
}

static void answer_list(struct answer *answer)
{
    int fd = files_open(&answer->files->root, name_in(answer), O_DIRECTORY);
    if (fd < 0) {
        fail_errno(answer->req, answer->path, fd);
        return;
    }
    struct leat_buf page = files_list(fd, answer->path, answer->files->options.serve_hidden);
    if (page.data == NULL) {
        leat_request_fail(answer->req, 503, "no memory to list %s", answer->path);
        return;
    }
    leat_respond_buf(answer->req, 200, "text/html; charset=utf-8", page);
}

/* "dir" -> "dir/", with the query. The path has no empty segments, and is encoded, so that the
 * location can be neither another host nor another header. */
static void answer_redirect(struct answer *answer)
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
static int open_best(struct answer *answer, struct stat *status)
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
        code = files_table_open(&answer->files->table, &answer->files->root, name_in(answer),
                                &answer->file, status);
        answer->path[answer->path_bytes] = '\0';
        if (order[i] == FILES_IDENTITY || (code == 0 && S_ISREG(status->st_mode)))
            return code;
        if (code == 0)
            leat_file_unref(answer->file);
        code = -EPROTO;
    }
    return code;
}

static void answer_path(struct answer *answer)
{
    bool is_directory = answer->path[answer->path_bytes - 1] == '/';
    size_t directory_bytes = answer->path_bytes;
    struct stat status;
    int code = -ENOENT;
    if (!is_directory || answer->files->index_name[0] != '\0') {
        if (is_directory) {
            strcpy(answer->path + answer->path_bytes, answer->files->index_name);
            answer->path_bytes += strlen(answer->files->index_name);
        }
        answer->type = leat_mime_type(answer->path);
        code = open_best(answer, &status);
    }
    if (is_directory && code == -ENOENT && answer->files->options.list_directories) {
        answer->path_bytes = directory_bytes;
        answer->path[directory_bytes] = '\0';
        answer_list(answer);
        return;
    }
    if (code == -EPROTO) {
        leat_response_header(answer->req, "Vary", "Accept-Encoding");
        leat_request_fail(answer->req, 406, "%s: no coding that the client accepts", answer->path);
        return;
    }
    if (code != 0) {
        fail_errno(answer->req, answer->path, code);
        return;
    }
    if (S_ISREG(status.st_mode))
        answer_file(answer, &status);
    else if (S_ISDIR(status.st_mode) && !is_directory)
        answer_redirect(answer);
    else
        fail_errno(answer->req, answer->path, -ENOENT);
    leat_file_unref(answer->file);
}

void leat_files_serve(struct leat_files *files, struct leat_request *req)
{
    enum leat_method method = leat_request_method(req);
    if (method != LEAT_METHOD_GET && method != LEAT_METHOD_HEAD) {
        leat_response_header(req, "Allow", "GET, HEAD");
        leat_request_fail(req, 405, "files can be read only");
        return;
    }
    struct answer answer;
    answer.files = files;
    answer.req = req;
    int length =
        files_path_decode(leat_request_target(req), files->options.serve_hidden, answer.path);
    bool is_here = length > (int)files->prefix_bytes &&
                   memcmp(answer.path, files->prefix, files->prefix_bytes) == 0 &&
                   answer.path[files->prefix_bytes] == '/';
    if (length == -EINVAL) {
        leat_request_fail(req, 400, "a broken escape in the path");
        return;
    }
    if (!is_here) {
        leat_request_fail(req, 404, "no file can have that name");
        return;
    }
    answer.path_bytes = (size_t)length;
    read_conditions(req, &answer.conditions);
    answer_path(&answer);
}

/* The file handler: its options, its route, and which requests are for a file at all. */
#include "buffers/heap.h"
#include "net/http/files/files_internal.h"
#include "runtime/base/core.h"

#include <errno.h>
#include <leat/loop.h>
#include <stdio.h>
#include <string.h>

#define RANGES_DEFAULT 16

/* ---- Set-up ---- */

static bool option_copy(char *to, size_t size_bytes, const char *from, const char *otherwise)
{
    return leat_view_copy(leat_view_of(from != NULL ? from : otherwise), to, size_bytes);
}

static int options_set(struct leat_files *files, const struct leat_files_options *options,
                       struct leat_error *error)
{
    files->options = options != NULL ? *options : (struct leat_files_options){0};
    struct leat_files_options *own = &files->options;
    if (!option_copy(files->prefix, sizeof(files->prefix), own->prefix, "") ||
        !option_copy(files->index_name, sizeof(files->index_name), own->index_name, "index.html") ||
        !option_copy(files->cache_control, sizeof(files->cache_control), own->cache_control, ""))
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
        files_root_close(&files->root);
        leat_heap_free(files);
    }
}

static int files_serve_routed(struct leat_request *req)
{
    leat_files_serve(leat_request_user(req), req);
    return 0;
}

void leat_files_mount(struct leat_files *files, struct leat_http *http)
{
    char pattern[FILES_PREFIX_BYTES_MAX + 16];
    snprintf(pattern, sizeof(pattern), "%s/*path", files->prefix);
    leat_http_route(http, "GET", pattern, files_serve_routed, files);
}

/* ---- One request ---- */

void leat_files_serve(struct leat_files *files, struct leat_request *req)
{
    enum leat_method method = leat_request_method(req);
    if (method != LEAT_METHOD_GET && method != LEAT_METHOD_HEAD) {
        leat_response_header(req, "Allow", "GET, HEAD");
        leat_request_fail(req, 405, "files can be read only");
        return;
    }
    struct files_answer answer;
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
    files_root_refresh(&files->root, leat_loop_now(leat_request_loop(req)));
    files_answer(&answer);
}

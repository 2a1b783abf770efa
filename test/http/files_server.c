/* Serves the directory LEAT_TEST_DIRECTORY for test/http/files.py: "/" with every default, "/open"
 * with every option turned. */
#include <leat/files.h>
#include <leat/leat.h>

#include <stdlib.h>

static void free_files(void *arg)
{
    leat_files_free(arg);
}

static int mount(struct leat_loop *loop, struct leat_http *http,
                 const struct leat_files_options *options)
{
    struct leat_error error = {0};
    struct leat_files *files = leat_files_new(getenv("LEAT_TEST_DIRECTORY"), options, &error);
    if (files == NULL) {
        return error.code;
    }
    leat_files_mount(files, http);
    return leat_run_on_end(loop, free_files, files);
}

static int start(struct leat_loop *loop)
{
    static const struct leat_files_options open_options = {
        .prefix = "/open/",
        .index_name = "",
        .cache_control = "max-age=60",
        .symlinks = LEAT_SYMLINKS_ALL,
        .ranges_max = 2,
        .list_directories = true,
        .serve_hidden = true,
        .no_precompressed = true,
    };
    struct leat_http *http = leat_http_new(loop);
    int rc = mount(loop, http, NULL);
    if (rc == 0) {
        rc = mount(loop, http, &open_options);
    }
    return rc != 0 ? rc : leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

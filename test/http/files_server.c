/* Serves the directory LEAT_TEST_DIRECTORY for test/http/files.py: "/" with every default, "/open"
 * with every option turned. POST /fail/heap/N and /fail/pools/N let the Nth allocation from then on
 * fail; POST /fail/descriptors/N that no descriptor of N or more can be had, 0 ends that. */
#include "buffers/heap.h"
#include "buffers/pools.h"

#include <leat/files.h>
#include <leat/leat.h>

#include <stdlib.h>
#include <sys/resource.h>

static void free_files(void *arg)
{
    leat_files_free(arg);
}

static int mount(struct leat_loop *loop, struct leat_http *http,
                 const struct leat_files_options *options)
{
    struct leat_files *files = leat_files_new(loop, getenv("LEAT_TEST_DIRECTORY"), options);
    if (files == NULL)
        return leat_loop_error(loop)->code;
    leat_files_mount(files, http);
    return leat_run_on_end(loop, free_files, files);
}

static uint64_t number_of(struct leat_request *req)
{
    char text[16];
    leat_view_copy(leat_request_param(req, "nth"), text, sizeof(text));
    return strtoul(text, NULL, 10);
}

static int fail_heap(struct leat_request *req)
{
    uint64_t nth = number_of(req);
    leat_respond_empty(req, 204);
    leat_heap_fail_at(leat_core_now, nth);
    return 0;
}

static int fail_pools(struct leat_request *req)
{
    uint64_t nth = number_of(req);
    leat_respond_empty(req, 204);
    leat_pools_fail_at(leat_core_now, nth);
    return 0;
}

/* Lets the process have no descriptor of nth or more; 0: as many as it may have. */
static int limit_descriptors(struct leat_request *req)
{
    struct rlimit limit;
    uint64_t nth = number_of(req);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = nth != 0 ? nth : limit.rlim_max;
    return leat_respond_empty(req, setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 204 : 500);
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
    leat_http_post(http, "/fail/heap/:nth", fail_heap);
    leat_http_post(http, "/fail/pools/:nth", fail_pools);
    leat_http_post(http, "/fail/descriptors/:nth", limit_descriptors);
    int rc = mount(loop, http, NULL);
    if (rc == 0)
        rc = mount(loop, http, &open_options);
    return rc != 0 ? rc : leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

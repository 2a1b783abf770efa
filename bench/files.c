/* What finding a file to send costs: kept open and looked at, or opened for each request. */
#include "bench/harness.h"

#include "net/http/files/files_internal.h"

#include <leat/conn.h>
#include <leat/loop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "index.html"

struct files_bench {
    struct leat_loop *loop;
    struct files_root root;
    struct files_table table;
    char folder[32];
};

static void *files_setup(uint64_t argument)
{
    struct files_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    strcpy(bench->folder, "/tmp/leat-bench-XXXXXX");
    if (mkdtemp(bench->folder) == NULL || (bench->loop = leat_loop_new(NULL, NULL)) == NULL ||
        files_root_open(&bench->root, bench->folder, LEAT_SYMLINKS_INSIDE, NULL) < 0)
        abort();
    int fd = openat(bench->root.fd, NAME, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) < 0)
        abort();
    return bench;
}

static void files_teardown(void *state)
{
    struct files_bench *bench = state;
    files_table_fini(&bench->table);
    unlinkat(bench->root.fd, NAME, 0);
    files_root_close(&bench->root);
    rmdir(bench->folder);
    leat_loop_free(bench->loop);
    free(bench);
}

static void kept(void *state, uint64_t iterations)
{
    struct files_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        struct files_found found;
        if (files_table_open(&bench->table, &bench->root, NAME, &found) != 0)
            abort();
        leat_file_unref(found.file);
    }
}

static void opened(void *state, uint64_t iterations)
{
    struct files_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        struct stat status;
        int fd = files_open(&bench->root, NAME, 0);
        if (fd < 0 || fstat(fd, &status) != 0)
            abort();
        close(fd);
    }
}

static const struct bench_case cases[] = {
    {.name = "kept", .setup = files_setup, .run = kept, .teardown = files_teardown},
    {.name = "opened",
     .setup = files_setup,
     .run = opened,
     .teardown = files_teardown,
     .is_alternative = true},
};

BENCH_GROUP(files, cases);

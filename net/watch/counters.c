/* What a core counts, written where tools read it. */
#include "net/watch/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/core.h"

struct counters {
    struct counters_header *file;
    size_t bytes;
    int fd;
    pthread_mutex_t lock; /* of the names: cores register theirs one after the other */
    char path[PATH_MAX];
};

static uint32_t up_to_line(size_t bytes)
{
    return (uint32_t)((bytes + 63) & ~(size_t)63);
}

static struct counters_name *name_at(const struct counters *c, uint32_t index)
{
    uint8_t *names = (uint8_t *)c->file + c->file->names_offset;
    return (struct counters_name *)(void *)(names + (size_t)index * sizeof(struct counters_name));
}

/* Removes a file that nobody holds; whoever holds one has the same number in another name space of
 * processes. */
static bool remove_stale(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool is_stale = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
    if (fd >= 0)
        close(fd);
    return is_stale;
}

static int file_open(struct counters *c, struct leat_error *error)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    counters_path((int)getpid(), "", c->path);
    c->fd = open(c->path, flags, 0600);
    if (c->fd < 0 && errno == EEXIST && remove_stale(c->path))
        c->fd = open(c->path, flags, 0600);
    if (c->fd < 0)
        return leat_fail(error, -errno, "cannot make %s: %s", c->path, strerror(errno));
    void *memory = MAP_FAILED;
    if (flock(c->fd, LOCK_EX | LOCK_NB) == 0 &&
        posix_fallocate(c->fd, 0, (off_t)c->bytes) == 0) /* a full disk is found now, not later */
        memory = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (memory == MAP_FAILED) {
        unlink(c->path);
        close(c->fd);
        return leat_fail(error, -ENOMEM, "no room for %zu bytes in %s", c->bytes, c->path);
    }
    c->file = memory;
    return 0;
}

struct counters *counters_new(const char *program, const char *net, uint32_t core_count,
                              struct leat_error *error)
{
    static const struct counters_name fixed[COUNTERS_FIXED] = {
        {"loop.turn_ns", COUNTERS_GAUGE},
        {"loop.asleep_ns", COUNTERS_GAUGE},
        {"loop.published_ns", COUNTERS_GAUGE},
    };
    struct counters *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        leat_fail(error, -ENOMEM, "no memory for counters");
        return NULL;
    }
    struct counters_header header = {
        .magic = COUNTERS_MAGIC,
        .version = COUNTERS_VERSION,
        .names_offset = up_to_line(sizeof(header)),
        .name_bytes = sizeof(struct counters_name),
        .core_bytes = up_to_line(COUNTERS_NAMES_MAX * sizeof(uint64_t)),
        .core_count = core_count,
        .name_count = COUNTERS_FIXED,
        .pid = (uint32_t)getpid(),
        .started_ns = clock_monotonic(),
    };
    header.cores_offset =
        up_to_line(header.names_offset + COUNTERS_NAMES_MAX * sizeof(struct counters_name));
    snprintf(header.program, sizeof(header.program), "%s", program);
    snprintf(header.net, sizeof(header.net), "%s", net != NULL ? net : "auto");
    c->bytes = header.cores_offset + (size_t)header.core_bytes * core_count;
    counters_sweep();
    if (file_open(c, error) < 0) {
        free(c);
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    *c->file = header;
    memcpy(name_at(c, 0), fixed, sizeof(fixed));
    return c;
}

void counters_set_listening(struct counters *c)
{
    if (c != NULL)
        c->file->is_listening = 1;
}

void counters_unlink(struct counters *c)
{
    if (c != NULL)
        unlink(c->path);
}

void counters_free(struct counters *c)
{
    if (c == NULL)
        return;
    counters_unlink(c);
    munmap(c->file, c->bytes);
    close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- one core ---- */

static void counters_publish(struct counters_core *core)
{
    for (unsigned i = 0; i < core->block_count; i++)
        core->blocks[i].block->collect(core->blocks[i].arg, core->values + core->blocks[i].first);
    core->values[COUNTERS_PUBLISHED] = leat_loop_now(core->loop);
}

static void on_timer(struct leat_timer *timer, void *arg)
{
    (void)timer;
    ((struct counters_core *)arg)->is_due = true; /* the flush of this turn sees all of it */
}

static void flush_counters(struct leat_source *source)
{
    struct counters_core *core = (struct counters_core *)source;
    uint64_t now_ns = leat_loop_now(core->loop);
    core->values[COUNTERS_TURN] = now_ns;
    if (core->is_due) {
        core->is_due = false;
        counters_publish(core);
    } else if (leat_loop_has_worked(core->loop) && !leat_timer_is_started(&core->timer)) {
        uint64_t due_ns = core->values[COUNTERS_PUBLISHED] + COUNTERS_PUBLISH_NS;
        if (now_ns >= due_ns)
            counters_publish(core);
        else
            leat_timer_start_at(&core->timer, due_ns);
    }
}

static void arm_counters(struct leat_source *source, struct leat_nap *nap)
{
    struct counters_core *core = (struct counters_core *)source;
    (void)nap;
    core->values[COUNTERS_ASLEEP] = leat_loop_now(core->loop);
}

static void disarm_counters(struct leat_source *source)
{
    ((struct counters_core *)source)->values[COUNTERS_ASLEEP] = 0;
}

static const struct leat_source_ops counters_ops = {
    .name = "counters",
    .flush = flush_counters,
    .arm = arm_counters,
    .disarm = disarm_counters,
};

void counters_open(struct counters_core *core, struct counters *counters, struct leat_loop *loop)
{
    *core = (struct counters_core){.loop = loop, .counters = counters};
    uint32_t index = leat_loop_index(loop);
    if (counters == NULL || index >= counters->file->core_count)
        return;
    uint8_t *cores = (uint8_t *)counters->file + counters->file->cores_offset;
    core->values = (uint64_t *)(void *)(cores + (size_t)index * counters->file->core_bytes);
    core->values[COUNTERS_TURN] = leat_loop_now(loop);
    core->source.ops = &counters_ops;
    leat_timer_init(&core->timer, loop, on_timer, core);
    leat_timer_unref(&core->timer);
    CHECK(leat_source_add(loop, &core->source) == 0); /* it does not wait */
    leat_core_now->counters = core;
}

struct counters_core *counters_here(void)
{
    return leat_core_now != NULL ? leat_core_now->counters : NULL;
}

void counters_close(struct counters_core *core)
{
    if (core->values == NULL)
        return;
    leat_core_now->counters = NULL;
    leat_timer_stop(&core->timer);
    leat_source_remove(&core->source);
    core->values = NULL;
}

/* Where the block's names stand, or where they stand from now on; COUNTERS_NAMES_MAX: no room. */
static unsigned names_place(struct counters *c, const struct counters_block *block)
{
    uint32_t count = c->file->name_count;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(name_at(c, i)->text, block->names[0].text) == 0)
            return i;
    if (count + block->count > COUNTERS_NAMES_MAX)
        return COUNTERS_NAMES_MAX;
    memcpy(name_at(c, count), block->names, block->count * sizeof(*block->names));
    __atomic_store_n(&c->file->name_count, count + block->count, __ATOMIC_RELEASE);
    return count;
}

void counters_add(struct counters_core *core, const struct counters_block *block, void *arg)
{
    if (core == NULL || core->values == NULL || core->block_count == COUNTERS_BLOCKS_MAX)
        return;
    pthread_mutex_lock(&core->counters->lock);
    unsigned first = names_place(core->counters, block);
    pthread_mutex_unlock(&core->counters->lock);
    if (first == COUNTERS_NAMES_MAX)
        return;
    unsigned i = core->block_count++;
    core->blocks[i].block = block;
    core->blocks[i].arg = arg;
    core->blocks[i].first = first;
}

void counters_remove(struct counters_core *core, void *arg)
{
    if (core == NULL || core->values == NULL) /* closed: nobody reads them any more */
        return;
    for (unsigned i = 0; i < core->block_count; i++) {
        if (core->blocks[i].arg != arg)
            continue;
        core->blocks[i].block->collect(arg, core->values + core->blocks[i].first);
        core->blocks[i--] = core->blocks[--core->block_count];
    }
}

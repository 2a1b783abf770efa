/* The thread that reads files for a loop. */
#include "runtime/os/reader.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

#define STACK_BYTES (64u << 10)
#define RETRY_NS    LEAT_NS_PER_MS /* when the loop's mailbox is full */

struct job_list {
    struct reader_job *first, **last;
};

struct reader {
    enum reader_kind kind;
    struct leat_loop *loop;
    leat_callback *on_done;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_jobs;
    struct job_list waiting, finished;
    bool is_stopping, is_posted; /* posted: on_done is on its way */
};

static void list_init(struct job_list *list)
{
    *list = (struct job_list){NULL, &list->first};
}

static void list_push(struct job_list *list, struct reader_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

static struct reader_job *list_pull(struct job_list *list)
{
    struct reader_job *job = list->first;
    list->first = job->next;
    if (job->next == NULL)
        list->last = &list->first;
    return job;
}

static void read_all(struct reader_job *job)
{
    size_t have = 0;
    while (have < job->length_bytes) {
        ssize_t n = pread(job->fd, (uint8_t *)job->to + have, job->length_bytes - have,
                          (off_t)(job->offset_bytes + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            job->result = -errno;
            return;
        }
        if (n == 0)
            break;
        have += (size_t)n;
    }
    job->result = (int64_t)have;
}

static void tell_loop(struct reader *r)
{
    const struct timespec nap = {.tv_nsec = RETRY_NS};
    while (leat_loop_post(r->loop, r->on_done, NULL) < 0) {
        pthread_mutex_lock(&r->lock);
        bool is_stopping = r->is_stopping;
        pthread_mutex_unlock(&r->lock);
        if (is_stopping)
            return;
        nanosleep(&nap, NULL);
    }
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->is_stopping) {
        if (r->waiting.first == NULL) {
            pthread_cond_wait(&r->has_jobs, &r->lock);
            continue;
        }
        struct reader_job *job = list_pull(&r->waiting);
        pthread_mutex_unlock(&r->lock);
        read_all(job);
        pthread_mutex_lock(&r->lock);
        list_push(&r->finished, job);
        if (r->is_posted)
            continue;
        r->is_posted = true;
        pthread_mutex_unlock(&r->lock);
        tell_loop(r);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* No signals; and the CPUs of the program's first thread, not the one that the loop is pinned to.
 */
static int start_thread(struct reader *r)
{
    sigset_t all, before;
    cpu_set_t cpus;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0)
        pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
    int failed = pthread_create(&r->thread, &attr, reader_main, r);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        pthread_setname_np(r->thread, "leat-reader");
    return -failed;
}

struct reader *reader_new(struct leat_loop *loop, enum reader_kind kind, leat_callback *on_done,
                          struct leat_error *error)
{
    struct reader *r = leat_heap_alloc(sizeof(*r));
    if (r == NULL) {
        leat_fail(error, -ENOMEM, "no memory to read files");
        return NULL;
    }
    *r = (struct reader){.kind = kind, .loop = loop, .on_done = on_done};
    list_init(&r->waiting);
    list_init(&r->finished);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->has_jobs, NULL);
    int result = kind == READER_THREAD ? start_thread(r) : 0;
    if (result < 0) {
        leat_fail(error, result,
                  "cannot start the thread that reads files: %s; raise the limit on threads "
                  "(ulimit -u)",
                  strerror(-result));
        pthread_cond_destroy(&r->has_jobs);
        pthread_mutex_destroy(&r->lock);
        leat_heap_free(r);
        return NULL;
    }
    return r;
}

static void submit_inline(struct reader *r, struct reader_job *job)
{
    read_all(job);
    list_push(&r->finished, job);
    if (!r->is_posted)
        r->is_posted = leat_loop_post(r->loop, r->on_done, NULL) == 0;
}

void reader_submit(struct reader *r, struct reader_job *job)
{
    if (r->kind == READER_INLINE) {
        submit_inline(r, job);
        return;
    }
    pthread_mutex_lock(&r->lock);
    bool was_idle = r->waiting.first == NULL;
    list_push(&r->waiting, job);
    pthread_mutex_unlock(&r->lock);
    if (was_idle)
        pthread_cond_signal(&r->has_jobs);
}

static void give_back(struct job_list *list)
{
    while (list->first != NULL) {
        struct reader_job *job = list_pull(list);
        job->done(job);
    }
}

void reader_collect(struct reader *r)
{
    struct job_list finished;
    list_init(&finished);
    pthread_mutex_lock(&r->lock);
    r->is_posted = false;
    while (r->finished.first != NULL)
        list_push(&finished, list_pull(&r->finished));
    pthread_mutex_unlock(&r->lock);
    give_back(&finished);
}

void reader_free(struct reader *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->is_stopping = true;
    pthread_mutex_unlock(&r->lock);
    pthread_cond_signal(&r->has_jobs);
    if (r->kind == READER_THREAD)
        pthread_join(r->thread, NULL);
    give_back(&r->finished);
    for (struct reader_job *job = r->waiting.first; job != NULL; job = job->next)
        job->result = -ECANCELED;
    give_back(&r->waiting);
    pthread_cond_destroy(&r->has_jobs);
    pthread_mutex_destroy(&r->lock);
    leat_heap_free(r);
}

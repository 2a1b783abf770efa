/* Handlers that are tasks: they may await, and their request stays until they return. */
#include <leat/task.h>

#include <errno.h>

#include "net/http/http_internal.h"
#include "runtime/async/tasks.h"

struct http_task {
    struct leat_request *req;
    leat_handler *handler;
};

static void request_pin(struct leat_request *req)
{
    req->x.handles |= HTTP_PINNED;
    req->http->calls++;
}

/* Its client has gone, and so has all but what the handler could still look at. */
static void request_end_late(struct leat_request *req)
{
    http_exchange_fini(req);
    if (!req->is_ready && !req->in_pump)
        http_request_give(req);
}

/* What the server put off until now. */
static void request_unpin(struct leat_request *req, int code)
{
    struct leat_http *http = req->http;

    req->x.handles &= (uint8_t)~HTTP_PINNED;
    if (req->phase == HTTP_PHASE_HELD) {
        req->phase = HTTP_PHASE_EXCHANGE;
        if (!req->in_pump)
            http_request_ready(req);
    }
    leat_request_end_with(req, code);
    http_check_charge(req);
    if (req->phase == HTTP_PHASE_GONE)
        request_end_late(req);
    http->calls--;
    if (http->freeing || http->draining)
        http_server_settle(http);
}

static struct leat_result http_task_run(void *arg)
{
    struct http_task task = *(struct http_task *)arg;
    int code = task.handler(task.req);

    leat_future_unref(task.req->task);
    request_unpin(task.req, code);
    return leat_nothing();
}

void http_task_cancel(struct leat_request *req)
{
    leat_future_cancel(req->task);
}

/* ---- Waiting for the body ---- */

static void body_tell(struct leat_request *req, struct leat_result result)
{
    struct leat_future *body = req->body;

    req->body = NULL;
    if (body != NULL)
        leat_settle(body, result);
}

int http_task_body_there(struct leat_request *req)
{
    body_tell(req, leat_nothing());
    return 0;
}

void http_task_body_over(struct leat_request *req)
{
    body_tell(req, leat_failure(-EPIPE, NULL));
}

int http_task_wait_body(struct leat_request *req, int code)
{
    if (code < 0)
        return code;
    if (req->x.ended)
        return -EPIPE;
    req->body = leat_future_new(req->http->loop, NULL);
    struct leat_result result = leat_await(req->body);
    body_tell(req, leat_nothing()); /* the await was cut short: nobody will say it any more */
    return leat_result_drop(&result);
}

/* ---- Starting ---- */

/* The route's handler: starts the task, or says that there is no room for it. */
static int http_task_start(struct leat_request *req)
{
    struct http_task task = {req, (leat_handler *)(uintptr_t)req->x.user};
    const struct task_call call = {
        .fn = http_task_run,
        .arg = &task,
        .arg_bytes = sizeof(task),
        .options.name = req->match.route->pattern,
        .site = (const char *)(uintptr_t)task.handler + 1, /* reports name the handler */
    };

    req->x.user = NULL;
    req->task = task_start(req->http->loop, &call);
    if (likely(leat_future_result(req->task) == NULL)) {
        request_pin(req);
        return 0;
    }
    leat_future_ignore(req->task);
    leat_future_unref(req->task);
    return http_reply_overload(req);
}

void leat_http_task(struct leat_http *http, const char *method, const char *pattern,
                    leat_handler *handler)
{
    leat_http_route(http, method, pattern, handler != NULL ? http_task_start : NULL,
                    (void *)(uintptr_t)handler);
}

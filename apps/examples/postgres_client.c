/* libpq on leat_watch: connections, and what they wait for. */
#include "postgres.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <sys/epoll.h>

static struct leat_result cancel_send(void *cancel) /* it connects anew, and blocks */
{
    char why[256];
    return leat_number(PQcancel(cancel, why, sizeof(why)));
}

static void cancel_told(void *cancel, const struct leat_result *result)
{
    PQfreeCancel(cancel);
}

static void conn_close(struct conn *conn)
{
    bool is_active = PQtransactionStatus(conn->pg) == PQTRANS_ACTIVE;
    PGcancel *cancel = is_active ? PQgetCancel(conn->pg) : NULL; /* nobody waits for what it does */
    struct leat_loop *loop = conn->store->loop;
    leat_watch_stop(&conn->watch);
    if (cancel != NULL &&
        leat_run_is_draining(loop)) { /* jobs of the pool may not begin any more */
        (void)cancel_send(cancel);
        PQfreeCancel(cancel);
    } else if (cancel != NULL) {
        leat_call(leat_pool_run(loop, LEAT_LANE_USER, cancel_send, cancel), cancel_told, cancel);
    }
    PQfinish(conn->pg);
    conn->store->count--;
    free(conn);
}

static void conn_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct conn *conn = arg, **at = &conn->store->idle;
    struct leat_future *waiting = conn->waiting;
    leat_watch_stop(watch);
    conn->waiting = NULL;
    if (waiting != NULL) {
        leat_settle(waiting, leat_nothing());
        return;
    }
    while (*at != conn) /* an idle one that has something to say is about to go */
        at = &(*at)->next;
    *at = conn->next;
    conn_close(conn);
}

static int conn_wait(struct conn *conn, uint32_t events)
{
    leat_watch_init(&conn->watch, conn->store->loop, PQsocket(conn->pg), conn_ready, conn);
    if (leat_watch_start(&conn->watch, events) < 0)
        return -EAGAIN;
    struct leat_future *ready = conn->waiting = leat_future_new(conn->store->loop, NULL);
    struct leat_result result = leat_await(leat_with_deadline(ready, SILENCE_NS));
    if (conn->waiting != NULL) { /* cancelled, or too late */
        leat_watch_stop(&conn->watch);
        conn->waiting = NULL;
        leat_settle(ready, leat_nothing());
    }
    return leat_result_drop(&result);
}

static int conn_open(struct conn *conn)
{
    PostgresPollingStatusType poll = PGRES_POLLING_WRITING;
    int code = 0;
    while (code == 0 && poll != PGRES_POLLING_OK) {
        if (PQstatus(conn->pg) == CONNECTION_BAD || poll == PGRES_POLLING_FAILED)
            code = -EAGAIN;
        else
            code = conn_wait(conn, poll == PGRES_POLLING_READING ? EPOLLIN : EPOLLOUT);
        if (code == 0)
            poll = PQconnectPoll(conn->pg);
    }
    return code < 0 ? code : PQsetnonblocking(conn->pg, 1) == 0 ? 0 : -EAGAIN;
}

int conn_take(struct store *store, struct conn **to)
{
    struct conn *conn = *to = store->idle;
    if (conn != NULL) {
        store->idle = conn->next;
        leat_watch_stop(&conn->watch);
        return 0;
    }
    conn = store->count < CONNECTIONS_MAX ? calloc(1, sizeof(*conn)) : NULL;
    if ((*to = conn) == NULL)
        return -EAGAIN;
    store->count++;
    conn->store = store;
    conn->pg = PQconnectStart(""); /* PGHOST and its kin */
    leat_watch_init(&conn->watch, store->loop, -1, conn_ready, conn);
    int code = conn_open(conn);
    if (code == 0)
        return 0;
    LEAT_LOG_WARN("postgres: %s", PQerrorMessage(conn->pg));
    conn_close(conn);
    return code;
}

void conn_give(struct conn *conn)
{
    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE) { /* in the middle of something, or gone */
        conn_close(conn);
        return;
    }
    leat_watch_init(&conn->watch, conn->store->loop, PQsocket(conn->pg), conn_ready, conn);
    leat_watch_unref(&conn->watch); /* an idle one keeps no loop alive */
    conn->next = conn->store->idle;
    conn->store->idle = conn;
    if (leat_watch_start(&conn->watch, EPOLLIN) < 0)
        conn_ready(&conn->watch, 0, conn);
}

int conn_send(struct conn *conn, const char *sql, const char *param, bool row_by_row)
{
    if (PQsendQueryParams(conn->pg, sql, 1, NULL, &param, NULL, NULL, 0) != 1)
        return -EAGAIN;
    return row_by_row && PQsetSingleRowMode(conn->pg) != 1 ? -EIO : 0;
}

int conn_next(struct conn *conn, PGresult **result)
{
    int code = 0, unsent;
    while (code == 0 && ((unsent = PQflush(conn->pg)) == 1 || PQisBusy(conn->pg))) {
        code = conn_wait(conn, unsent == 1 ? EPOLLIN | EPOLLOUT : EPOLLIN);
        if (code == 0 && PQconsumeInput(conn->pg) != 1)
            code = -EAGAIN;
    }
    *result = code == 0 ? PQgetResult(conn->pg) : NULL;
    ExecStatusType status = PQresultStatus(*result);
    if (*result == NULL || status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE)
        return code;
    const char *severity = PQresultErrorField(*result, PG_DIAG_SEVERITY_NONLOCALIZED);
    bool has_gone = severity == NULL || strcmp(severity, "ERROR") != 0; /* FATAL: it shuts down */
    LEAT_LOG_WARN("postgres: %s", PQresultErrorMessage(*result));
    PQclear(*result);
    *result = NULL;
    return has_gone ? -EAGAIN : -EIO;
}

void store_close(void *arg)
{
    struct store *store = arg;
    while (store->idle != NULL) {
        struct conn *conn = store->idle;
        store->idle = conn->next;
        conn_close(conn);
    }
}

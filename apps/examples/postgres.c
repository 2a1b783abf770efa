/* PostgreSQL behind HTTP.
 *
 *   GET /people/:id      a row as JSON, or 404
 *   GET /rows/:count     so many rows as lines of JSON, no faster than the client reads them
 *   GET /sleep/:seconds  a query that lasts; it ends with its client
 *
 * PGHOST, PGUSER and their kin say where the server is, by address or by the folder of its socket:
 * libpq would look a name up on the spot. A server that is not there is 503, and asked again by the
 * next request. */
#include "postgres.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>

struct query { /* with one parameter, of which the first row counts */
    struct store *store;
    const char *sql;
    char param[32];
};

static void row_drop(void *row)
{
    PQclear(row);
}

static struct leat_result query_run(void *arg)
{
    struct query *query = arg;
    struct conn *conn;
    PGresult *row = NULL, *end = NULL;
    int code = conn_take(query->store, &conn);
    if (code < 0)
        return leat_failure(code, NULL);
    code = conn_send(conn, query->sql, query->param, false);
    if (code == 0)
        code = conn_next(conn, &row);
    if (code == 0)
        code = conn_next(conn, &end);
    conn_give(conn);
    if (code == 0 && PQntuples(row) > 0)
        return leat_pointer(row, LEAT_KIND_USER, row_drop);
    PQclear(row);
    return leat_failure(code < 0 ? code : -ENOENT, NULL);
}

/* A query as a future, which a task awaits. */
static int answer(struct leat_request *req, const char *sql, const char *name)
{
    struct query query = {.store = leat_http_user(leat_request_http(req)), .sql = sql};
    if (!leat_view_copy(leat_request_param(req, name), query.param, sizeof(query.param)))
        return -ENOENT;
    struct leat_result row =
        leat_await(leat_task_start(query.store->loop, query_run, &query, sizeof(query)));
    if (row.code < 0)
        return leat_result_drop(&row);
    PGresult *found = leat_result_pointer(&row, LEAT_KIND_USER);
    int code = leat_respond_json(req, 200, PQgetvalue(found, 0, 0));
    leat_result_drop(&row);
    return code;
}

static int person(struct leat_request *req)
{
    return answer(req, "SELECT row_to_json(p) FROM people p WHERE id::text = $1", "id");
}

static int nap(struct leat_request *req)
{
    return answer(req, "SELECT to_json($1::text) FROM pg_sleep($1::float)", "seconds");
}

/* What the client has not taken libpq has not read, and the server waits. */
static int rows_write(struct conn *conn, struct leat_stream *out, PGresult **row)
{
    int code = 0;
    while (code == 0 && *row != NULL) {
        if (PQntuples(*row) > 0)
            code = leat_write_bytes(out, PQgetvalue(*row, 0, 0), (size_t)PQgetlength(*row, 0, 0));
        if (code == 1) {
            struct leat_result ready = leat_await(leat_writable_ready(out));
            code = leat_result_drop(&ready);
        }
        PQclear(*row);
        *row = NULL;
        if (code == 0)
            code = conn_next(conn, row);
    }
    return code;
}

static int rows_answer(struct leat_request *req, struct conn *conn, PGresult **row)
{
    int code = leat_response_begin(req, 200, "application/x-ndjson", LEAT_LENGTH_UNKNOWN);
    struct leat_stream *out = code == 0 ? leat_response_writable(req) : NULL;
    if (out == NULL)
        return code < 0 ? code : -EAGAIN;
    code = rows_write(conn, out, row);
    if (code == 0)
        leat_stream_end(out);
    else
        leat_stream_destroy(out, leat_nothing()); /* the client sees that it was cut off */
    leat_stream_unref(out);
    return 0;
}

static int rows(struct leat_request *req)
{
    struct conn *conn;
    char count[32];
    PGresult *row = NULL;
    if (!leat_view_copy(leat_request_param(req, "count"), count, sizeof(count)))
        return -ENOENT;
    int code = conn_take(leat_http_user(leat_request_http(req)), &conn);
    if (code < 0)
        return code;
    code = conn_send(conn,
                     "SELECT row_to_json(r) || E'\\n' FROM (SELECT n, md5(n::text) FROM "
                     "(SELECT generate_series(1, $1::bigint) AS n) s) r", /* in FROM it is stored */
                     count, true);
    if (code == 0)
        code = conn_next(conn, &row); /* before the head: a refused query is no 200 */
    if (code == 0)
        code = rows_answer(req, conn, &row);
    PQclear(row);
    conn_give(conn);
    return code;
}

static void store_end(void *store)
{
    store_close(store);
    free(store);
}

static int start(struct leat_loop *loop)
{
    struct store *store = calloc(1, sizeof(*store));
    struct leat_http *http = leat_http_new(loop);
    if (store == NULL || leat_run_on_end(loop, store_end, store) < 0)
        return -ENOMEM;
    store->loop = loop;
    leat_http_set_user(http, store);
    leat_http_task(http, "GET", "/people/:id", person);
    leat_http_task(http, "GET", "/rows/:count", rows);
    leat_http_task(http, "GET", "/sleep/:seconds", nap);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

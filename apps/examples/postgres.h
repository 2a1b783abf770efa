/* libpq on leat_watch: a core's connections, queries as futures. */
#ifndef LEAT_EXAMPLE_POSTGRES_H
#define LEAT_EXAMPLE_POSTGRES_H

#include <leat/leat.h>

typedef struct pg_conn PGconn; /* of libpq-fe.h */
typedef struct pg_result PGresult;

#define CONNECTIONS_MAX 16                   /* of a core */
#define SILENCE_NS      (60 * LEAT_NS_PER_S) /* of a server that answers no more: then -ETIME */

struct store { /* a core's own; zero but for loop */
    struct leat_loop *loop;
    struct conn *idle;
    unsigned count;
};
struct conn { /* has one query at a time; the watch of an idle one sees the server go */
    struct store *store;
    PGconn *pg;
    struct leat_watch watch;
    struct leat_future *waiting; /* for the socket */
    struct conn *next;
};

void store_close(void *arg); /* the idle ones; all others belong to tasks */

/* In a task; 0 or -errno: -EAGAIN, the server is not there, or too many wait for it; -EIO, it
 * refuses the query; -ECANCELED. A connection is idle, or a new one, and given back always. */
int conn_take(struct store *store, struct conn **to);
void conn_give(struct conn *conn);
int conn_send(struct conn *conn, const char *sql, const char *param, bool row_by_row);
int conn_next(struct conn *conn, PGresult **result); /* the caller's; NULL: that was the last */

#endif

/* A server with the application's routes on the transport in memory, with a fixed wall clock. */
#ifndef TEST_HTTP_BENCH_H
#define TEST_HTTP_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/http/http_internal.h"
#include "test/http/app.h"
#include "test/http/conversations.h"
#include "test/http/wire.h"

#define OUTCOME_BYTES 4096

struct bench {
    struct wire *wire;
    struct leat_http *http;
    struct app app;
    uint64_t live_count; /* of buffers, before anything happened */
};

/* The limits that the table of conversations expects. */
struct leat_http_options bench_options(void);
void bench_init(struct bench *bench, const struct leat_http_options *options);
/* Frees the server and checks that nothing is left of it. */
void bench_fini(struct bench *bench);

struct wire_conn *bench_connect(struct bench *bench);
void bench_send(struct bench *bench, struct wire_conn *conn, const char *text); /* and settles */
struct leat_http_stats bench_stats(const struct bench *bench);
/* Checks that no request is in progress, and no buffer in use. */
void bench_check_rest(const struct bench *bench);
/* What conn got so far, as the table writes it. */
char *bench_outcome(const struct wire_conn *conn, uint32_t heads, char text[OUTCOME_BYTES]);
#define assert_outcome(conn, expected)                                                             \
    do {                                                                                           \
        char outcome_[OUTCOME_BYTES];                                                              \
        assert_string_equal(bench_outcome(conn, 0, outcome_), expected);                           \
    } while (0)

#endif

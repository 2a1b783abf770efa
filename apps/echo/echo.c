/* `leat echo`: the flags of both sides. */
#include "apps/echo/echo_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/commands.h"

#define ECHO_DURATION_NS (5 * LEAT_NS_PER_S)

static int start(struct leat_loop *loop)
{
    struct echo *echo = leat_run_user(loop);
    return echo->connect != NULL ? echo_client_start(loop, echo) : echo_server_start(loop);
}

static int block_make(struct echo *echo)
{
    if (echo->bytes == 0)
        echo->bytes = echo->mode == ECHO_BACK ? ECHO_BYTES : ECHO_STREAM_BYTES;
    echo->block = malloc(echo->bytes);
    if (echo->block == NULL) {
        fprintf(stderr, "leat echo: no memory for --bytes %llu: use fewer\n",
                (unsigned long long)echo->bytes);
        return 1;
    }
    for (uint64_t i = 0; i < echo->bytes; i++) /* no period that is a power of two */
        echo->block[i] = (uint8_t)(i % 251);
    return 0;
}

static int check(const struct leat_command_line *line, const struct leat_run_options *options,
                 void *user)
{
    struct echo *echo = user;
    struct leat_error error = {0};
    if (echo->is_sink && echo->is_source) {
        fprintf(stderr, "leat echo: --sink and --source are opposites: choose one\n");
        return 2;
    }
    if (echo->connect != NULL && options->listen.count > 0) {
        fprintf(stderr, "leat echo: --connect measures, --listen serves: choose one\n");
        return 2;
    }
    echo->mode = echo->is_sink ? ECHO_SINK : echo->is_source ? ECHO_SOURCE : ECHO_BACK;
    if (echo->trips_count != 0 && echo->mode != ECHO_BACK) {
        fprintf(stderr, "leat echo: --count counts round trips: leave out --sink and --source\n");
        return 2;
    }
    if (echo->is_udp && (echo->connect != NULL ? echo->is_sink : echo->is_source)) {
        fprintf(stderr,
                "leat echo: over UDP only a client is a --source, and only a server a --sink\n");
        return 2;
    }
    if (echo->is_udp && echo->bytes == 0)
        echo->bytes = echo->mode == ECHO_BACK ? ECHO_BYTES : ECHO_UDP_BYTES;
    if (echo->is_udp && echo->bytes > LEAT_UDP_BYTES_MAX_V4) {
        fprintf(stderr, "leat echo: a datagram has at most %d bytes: use fewer --bytes\n",
                LEAT_UDP_BYTES_MAX_V4);
        return 2;
    }
    int count = 0;
    if (echo->connect != NULL &&
        (count = addr_resolve(echo->addrs, echo->connect, ECHO_PORT, &error)) < 0) {
        fprintf(stderr, "leat echo: %s\n", error.sentence);
        return count == -EINVAL ? 2 : 1;
    }
    echo->addrs_count = (unsigned)count;
    return block_make(echo);
}

int echo_main(int argc, char **argv)
{
    struct echo echo = {.duration_ns = ECHO_DURATION_NS, .connections_count = 1};
    const struct leat_option options[] = {
        {"connect", LEAT_OPTION_TEXT, &echo.connect, "ADDR:PORT",
         "measure with the server there: round trips, or a stream", 0, 0},
        {"sink", LEAT_OPTION_FLAG, &echo.is_sink, NULL,
         "this side swallows what it gets (the other: --source)", 0, 0},
        {"source", LEAT_OPTION_FLAG, &echo.is_source, NULL,
         "this side sends without end (the other: --sink)", 0, 0},
        {"bytes", LEAT_OPTION_BYTES, &echo.bytes, "SIZE",
         "of a message (default: 64; of a source's piece: 64k)", 1, ECHO_BYTES_MAX},
        {"c|connections", LEAT_OPTION_COUNT, &echo.connections_count, "N",
         "connections of a client, over all cores (default: 1)", 1, ECHO_CONNECTIONS_MAX},
        {"d|duration", LEAT_OPTION_DURATION, &echo.duration_ns, "TIME",
         "how long a client measures (default: 5s)", LEAT_NS_PER_MS, 0},
        {"n|count", LEAT_OPTION_COUNT, &echo.trips_count, "N",
         "round trips after which a client ends", 1, UINT64_C(1) << 62},
        {"udp", LEAT_OPTION_FLAG, &echo.is_udp, NULL,
         "datagrams: a client says how many were lost (no echo for a second)", 0, 0},
        {"json", LEAT_OPTION_FLAG, &echo.is_json, NULL, "a client's report as JSON", 0, 0},
    };
    const struct leat_program program = {
        .name = "leat echo",
        .summary = "Sends back what it receives over TCP or UDP, on " ECHO_ADDRESS
                   " unless --listen says otherwise;\nor, with --connect, measures.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .check = check,
        .start = start,
        .is_data = &echo.is_json,
        .user = &echo,
        .cores = "1",
    };
    int code = leat_program_main(&program, argc, argv);
    if (echo.cores != NULL)
        code = echo_client_report(&echo) != 0 ? 1 : code;
    free(echo.block);
    return code;
}

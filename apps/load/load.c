/* `leat load`: asks a server for the same thing, over and over, and measures how it answers. */
#include "apps/load/load_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/commands.h"
#include "buffers/heap.h"

#define LOAD_CONNECTIONS 64
#define LOAD_DURATION_NS (10 * LEAT_NS_PER_S)
#define LOAD_TIMEOUT_NS  (5 * LEAT_NS_PER_S)

static int start(struct leat_loop *loop)
{
    struct load *load = leat_run_user(loop);
    if (load->cores == NULL) { /* cores start one after the other */
        uint32_t count = leat_run_core_count(loop);
        if (load->connections_count < count) {
            return leat_run_fail(loop, -EINVAL,
                                 "%llu connections are fewer than the %u cores: use fewer --cores",
                                 (unsigned long long)load->connections_count, count);
        }
        load->cores = calloc(count, sizeof(void *));
        if (load->cores == NULL)
            return leat_run_fail(loop, -ENOMEM, "no memory for %u cores", count);
        load->cores_count = count;
    }
    return load_core_start(load, loop);
}

static int say(const struct leat_error *error, int code)
{
    fprintf(stderr, "leat load: %s\n", error->sentence);
    return code;
}

static int check(const struct leat_command_line *line, const struct leat_run_options *options,
                 void *user)
{
    struct load *load = user;
    struct leat_error error = {0};
    if (line->operand_count == 0) {
        fprintf(stderr, "leat load: which URL? Such as: leat load http://127.0.0.1:8080/\n");
        return 2;
    }
    if (load->is_per_request && load->pipeline_count > 1) {
        fprintf(stderr, "leat load: --connection-per-request leaves nothing to --pipeline: use "
                        "one of them\n");
        return 2;
    }
    if (load->is_ramp && load->is_per_request) {
        fprintf(stderr, "leat load: --ramp keeps the connections that --connection-per-request "
                        "would close: use one of them\n");
        return 2;
    }
    if (load->rate != 0 && load->in_flight_count != 0) {
        fprintf(stderr, "leat load: --rate asks on a schedule, --in-flight when there is room: use "
                        "one of them\n");
        return 2;
    }
    if (load->duration_ns == 0 && load->requests_count == 0)
        load->duration_ns = LOAD_DURATION_NS;
    load->url = line->operand_items[0];
    load->conn_options = (struct leat_conn_options){.connect_timeout_ns = load->timeout_ns,
                                                    .linger_ns = LOAD_LINGER_NS};
    int result = load_target_parse(&load->target, load->url, &error);
    if (result < 0)
        return say(&error, result == -EINVAL ? 2 : 1);
    result = load_sources_parse(load, &error);
    if (result < 0)
        return say(&error, 2);
    result = load_request_make(load, &error);
    return result < 0 ? say(&error, result == -EINVAL ? 2 : 1) : 0;
}

static void load_fini(struct load *load)
{
    for (uint32_t i = 0; load->cores != NULL && i < load->cores_count; i++) {
        if (load->cores[i] != NULL)
            leat_heap_free(load->cores[i]->slots);
        free(load->cores[i]);
    }
    free(load->cores);
    free(load->request);
}

int load_main(int argc, char **argv)
{
    struct load load = {
        .connections_count = LOAD_CONNECTIONS,
        .pipeline_count = 1,
        .timeout_ns = LOAD_TIMEOUT_NS,
        .head_bytes_max = HTTP_READER_HEAD_BYTES,
    };
    const struct leat_option options[] = {
        {"c|connections", LEAT_OPTION_COUNT, &load.connections_count, "N",
         "connections, over all cores (default: 64)", 1, LOAD_CONNECTIONS_MAX},
        {"d|duration", LEAT_OPTION_DURATION, &load.duration_ns, "TIME", "how long (default: 10s)",
         LEAT_NS_PER_MS, 0},
        {"n|requests", LEAT_OPTION_COUNT, &load.requests_count, "N", "end after so many requests",
         1, UINT64_C(1) << 62},
        {"rate", LEAT_OPTION_COUNT, &load.rate, "N",
         "requests per second on a schedule; latency counts from when each\n"
         "was due (default: the next when the last was answered)",
         1, LEAT_NS_PER_S},
        {"pipeline", LEAT_OPTION_COUNT, &load.pipeline_count, "N",
         "requests under way on a connection (default: 1)", 1, LOAD_PIPELINE_MAX},
        {"in-flight", LEAT_OPTION_COUNT, &load.in_flight_count, "N",
         "requests under way over all connections, which take turns\n"
         "(default: --pipeline on each)",
         1, LOAD_CONNECTIONS_MAX},
        {"ramp", LEAT_OPTION_FLAG, &load.is_ramp, NULL,
         "measure when all connections are open and had an answer, with a\n"
         "second of rest before and after; says so on standard error",
         0, 0},
        {"from", LEAT_OPTION_LIST, &load.from, "ADDR[-ADDR]",
         "connect from these addresses, 28000 connections from each; may be\n"
         "repeated",
         0, 0},
        {"m|method", LEAT_OPTION_TEXT, &load.method, "NAME",
         "method (default: GET, with a body POST)", 0, 0},
        {"body", LEAT_OPTION_TEXT, &load.body, "TEXT|@FILE", "body of each request", 0, 0},
        {"H|header", LEAT_OPTION_LIST, &load.headers, "'NAME: VALUE'",
         "a header field; may be repeated", 0, 0},
        {"timeout", LEAT_OPTION_DURATION, &load.timeout_ns, "TIME",
         "for a connection, and for each answer (default: 5s)", LEAT_NS_PER_MS, 0},
        {"expect-status", LEAT_OPTION_COUNT, &load.expect_status, "N",
         "the status that is right (default: the first one, if below 400)", 100, 999},
        {"max-head", LEAT_OPTION_BYTES, &load.head_bytes_max, "SIZE",
         "status line and fields of an answer (default: 16k)", 256, HTTP_HEAD_BYTES_WALL},
        {"any-body", LEAT_OPTION_FLAG, &load.is_any_body, NULL,
         "answers may differ in length and body", 0, 0},
        {"connection-per-request", LEAT_OPTION_FLAG, &load.is_per_request, NULL,
         "a connection for each request; its latency includes connecting", 0, 0},
        {"json", LEAT_OPTION_FLAG, &load.is_json, NULL, "the report as JSON", 0, 0},
    };
    const struct leat_program program = {
        .name = "leat load",
        .summary = "Asks an HTTP server for URL, over and over, and measures how it answers.",
        .operands = "URL",
        .operand_count_max = 1,
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .check = check,
        .start = start,
        .user = &load,
        .cores = "1",
        .is_client = true,
        .is_data = &load.is_json,
    };
    int code = leat_program_main(&program, argc, argv);
    if (load.cores != NULL && load.cores[load.cores_count - 1] != NULL)
        code = load_report(&load) != 0 ? 1 : code;
    load_fini(&load);
    return code;
}

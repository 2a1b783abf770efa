/* leat_main: the command line of a program whose cores are run by leat_run. */
#include <leat/run.h>

#include <leat/task.h>
#include <leat/version.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/program/listen_names.h"
#include "runtime/base/output.h"

#define COUNT_OF(table) ((unsigned)(sizeof(table) / sizeof((table)[0])))

int leat_command_line_answer(struct leat_command_line *line, int argc, char **argv)
{
    struct leat_error error = {0};
    switch (leat_command_line_parse(line, argc, argv, &error)) {
    case LEAT_PARSED_HELP: {
        int result = leat_command_line_help(line, STDOUT_FILENO);
        if (result < 0)
            fprintf(stderr, "%s: cannot write to standard output: %s\n", line->name,
                    strerror(-result));
        return result < 0 ? 1 : 0;
    }
    case LEAT_PARSED_VERSION:
        printf("leat %s\n%s\n", leat_version(), leat_version_build());
        return leat_output_end(line->name, 0);
    case LEAT_PARSED_RUN:
        return -1;
    default:
        fprintf(stderr, "%s: %s\n", line->name, error.sentence);
        return 2;
    }
}

/* Returns -1, or the exit code. */
static int listens_prepare(struct leat_run_options *options, struct listen_names *names)
{
    struct leat_error error = {0};
    if (listen_names_resolve(names, &options->listen, &error) == 0)
        return -1;
    fprintf(stderr, "%s: %s\n", options->name, error.sentence);
    return error.code == -EINVAL ? 2 : 1;
}

/* With the table of flags made: the command line, the program's own checks, the run. */
static int program_go(const struct leat_program *program, struct leat_run_options *options,
                      struct leat_command_line *line, int argc, char **argv)
{
    struct listen_names names;
    int code = leat_command_line_answer(line, argc, argv);
    if (code < 0 && program->check != NULL) {
        code = program->check(line, options, program->user);
        code = code == 0 ? -1 : code;
    }
    options->ready_on_stderr = program->is_data != NULL && *program->is_data;
    if (code < 0)
        code = listens_prepare(options, &names);
    return code < 0 ? leat_run(options) : code;
}

static const char *name_typed(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    return slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "leat";
}

static struct leat_command_line line_of(const struct leat_program *program,
                                        const struct leat_option *common, unsigned common_count)
{
    return (struct leat_command_line){
        .summary = program->summary,
        .operands = program->operands,
        .operand_count_max = program->operand_count_max,
        .tables = {program->options, common},
        .table_counts = {program->option_count, common_count},
    };
}

int leat_program_main(const struct leat_program *program, int argc, char **argv)
{
    struct leat_run_options options = {.start = program->start,
                                       .user = program->user,
                                       .cores = program->cores};
    const struct leat_option common[] = {
        {"listen", LEAT_OPTION_LIST, &options.listen, "ADDR:PORT",
         "where to listen; may be repeated: 127.0.0.1:8080, [::1]:8080,\n"
         ":8080 (every address), localhost:8080, unix:/path",
         0, 0},
        {"t|cores", LEAT_OPTION_TEXT, &options.cores, "N|LIST",
         program->cores != NULL ? "how many cores, or which: 4, 0,2-5"
                                : "how many cores, or which: 4, 0,2-5 (default: all usable)",
         0, 0},
        {"Network", LEAT_OPTION_GROUP, NULL, NULL, NULL, 0, 0},
        {"net", LEAT_OPTION_TEXT, &options.net, "NAME",
         "auto, uring or epoll: kernel sockets (default: auto); or a port for\n"
         "Leat's own stack: tun:NAME, pci:ADDR, xdp:IFACE, packet:IFACE,\n"
         "tap:NAME, memif:PATH[,server], dpdk:VDEV (all but tun need DPDK)",
         0, 0},
        {"ip", LEAT_OPTION_LIST, &options.ips, "ADDR/LEN",
         "an address of the stack; may be repeated: 10.0.0.2/24, fd00::2/64,\n"
         "10.0.0.2-10.0.0.9/24; dhcp, slaac: what the network gives",
         0, 0},
        {"gateway", LEAT_OPTION_LIST, &options.gateways, "ADDR",
         "the router to other networks; once for IPv4 and once for IPv6", 0, 0},
        {"mac", LEAT_OPTION_TEXT, &options.mac, "ADDR",
         "link address of the port (default: the device's, or a random one)", 0, 0},
        {"mtu", LEAT_OPTION_COUNT, &options.mtu_bytes, "BYTES",
         "largest packet of the port (default: the device's, at most 1500)", 576, 65517},
        {"mss", LEAT_OPTION_COUNT, &options.mss_bytes, "BYTES",
         "largest TCP segment (default: what the MTU allows)", 88, 65477},
        {"vlan", LEAT_OPTION_COUNT, &options.vlan, "ID", "tag frames with this VLAN", 1, 4094},
        {"queues", LEAT_OPTION_COUNT, &options.queue_count, "N",
         "queues of the port (default: one for each core)", 1, 64},
        {"net-faults", LEAT_OPTION_TEXT, &options.net_faults, "LIST",
         "for tests, what the port does to packets of both directions:\n"
         "loss=1%,reorder=1%,duplicate=0.5%,seed=7",
         0, 0},
        {"Memory, time and log", LEAT_OPTION_GROUP, NULL, NULL, NULL, 0, 0},
        {"hugepages", LEAT_OPTION_FLAG, &options.hugepages, NULL,
         "buffers on hugetlb pages that are free; not beside DPDK, which needs them", 0, 0},
        {"busy-poll", LEAT_OPTION_FLAG, &options.busy_poll, NULL,
         "never sleep: lower latency for all of a core", 0, 0},
        {"buffers", LEAT_OPTION_BYTES, &options.buffer_bytes_max, "SIZE",
         "bound of each core's buffer memory: 256M", UINT64_C(1) << 20, 0},
        {"codec-memory", LEAT_OPTION_BYTES, &options.codec_bytes_max, "SIZE",
         "bound of what compressing takes on each core (default: 64M)", UINT64_C(1) << 20, 0},
        {"tasks", LEAT_OPTION_COUNT, &options.tasks_max, "N",
         "tasks at once on each core (default: 100000)", 1, LEAT_TASKS_MAX},
        {"drain-timeout", LEAT_OPTION_DURATION, &options.drain_timeout_ns, "TIME",
         "how long SIGTERM lets requests finish (default: 10s)", LEAT_NS_PER_MS, 0},
        {"log-buffer", LEAT_OPTION_BYTES, &options.log_buffer_bytes, "SIZE",
         "of each core's log lines that are not written yet (default: 128k)", 4096,
         UINT64_C(1) << 30},
        {"log-level", LEAT_OPTION_TEXT, &options.log_level, "LEVEL",
         "error, warn, info or debug (default: info)", 0, 0},
        {"json-log", LEAT_OPTION_FLAG, &options.json_log, NULL, "log lines are JSON objects", 0, 0},
        {"stats", LEAT_OPTION_FLAG, &options.stats, NULL,
         "at the end and on SIGUSR1, what each loop did: a line of JSON a core\n"
         "on standard error",
         0, 0},
    };
    unsigned skipped = program->is_client ? 1 : 0; /* --listen */
    struct leat_command_line line = line_of(program, common + skipped, COUNT_OF(common) - skipped);
    options.name = line.name = program->name != NULL ? program->name : name_typed(argc, argv);
    return program_go(program, &options, &line, argc, argv);
}

int leat_main(int argc, char **argv, leat_start_fn *start)
{
    const struct leat_program program = {.start = start};
    return leat_program_main(&program, argc, argv);
}

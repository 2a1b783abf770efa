/* `leat serve`: a folder, a greeting for benchmarks, or the welcome page. */
#include "apps/commands.h"
#include "apps/welcome.h"

#include <leat/files.h>
#include <leat/leat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVE_HOST            "127.0.0.1"
#define SERVE_PORT            "8080"
#define SERVE_ADDRESS         SERVE_HOST ":" SERVE_PORT
#define SERVE_PORT_NONE       UINT64_MAX
#define SERVE_CONNECTIONS_MAX (UINT32_C(1) << 24) /* transports have no room for more */
#define SERVE_HEADERS_MAX     250
#define SERVE_HEAD_BYTES_MIN  256
#define SERVE_HEAD_BYTES_MAX  65535

struct serve { /* set up before the cores start, read by all of them */
    bool hello, access_log, list_directories, profile;
    const char *directory;     /* NULL: none was given */
    const char *symlinks_text; /* of --symlinks; NULL: the default */
    enum leat_symlinks symlinks;
    uint64_t connections_max, keepalive_ns; /* 0: the default */
    uint64_t header_count_max, head_bytes_max;
    uint64_t port;                        /* of --port, or SERVE_PORT_NONE */
    char address[sizeof(SERVE_HOST) + 8]; /* without --listen */
};

static int hello(struct leat_request *req)
{
    return leat_respond_text(req, 200, "Hello, World!");
}

static void report(const char *format, ...) LEAT_PRINTF(1, 2);
static void report(const char *format, ...)
{
    char line[LEAT_LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    (void)leat_log_report(line, length > 0 ? (size_t)length : 0);
}

/* At the end, once a core: where the cycles of each request went. */
static void say_profile(void *http)
{
    struct leat_loop_metrics metrics;
    struct leat_http_stats stats;
    struct leat_loop *loop = leat_http_loop(http);
    leat_loop_metrics(loop, &metrics);
    leat_http_stats(http, &stats);
    double requests = stats.requests_count > 0 ? (double)stats.requests_count : 1;
    report("core %u: %llu requests, cycles for each by layer", leat_loop_index(loop),
           (unsigned long long)stats.requests_count);
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        report("  %-12s%10.1f", leat_layer_name(i), (double)metrics.layer_cycles[i] / requests);
    report("  %-12s%10.1f", "all", (double)metrics.work_cycles / requests);
}

static void free_files(void *files)
{
    leat_files_free(files);
}

static int mount_directory(struct leat_loop *loop, struct leat_http *http,
                           const struct serve *serve)
{
    const struct leat_files_options options = {.list_directories = serve->list_directories,
                                               .symlinks = serve->symlinks};
    struct leat_files *files = leat_files_new(loop, serve->directory, &options);
    if (files == NULL)
        return leat_loop_error(loop)->code;
    int result = leat_run_on_end(loop, free_files, files);
    if (result < 0) {
        leat_files_free(files);
        return result;
    }
    leat_files_mount(files, http);
    return 0;
}

static int start(struct leat_loop *loop)
{
    const struct serve *serve = leat_run_user(loop);
    struct leat_http *http = leat_http_new(loop);
    struct leat_http_options options = {
        .access_log = serve->access_log,
        .json_log = leat_run_options(loop)->json_log,
        .connections_max = (uint32_t)serve->connections_max,
        .keepalive_ns = serve->keepalive_ns,
        .header_count_max = (uint32_t)serve->header_count_max,
        .head_bytes_max = (uint32_t)serve->head_bytes_max,
    };
    leat_http_set_options(http, &options);
    if (serve->hello) {
        leat_http_get(http, "/", hello);
        leat_http_get(http, "/*path", hello);
    } else if (serve->directory != NULL) {
        int result = mount_directory(loop, http, serve);
        if (result < 0)
            return result;
    } else {
        welcome_mount(http);
    }
    if (serve->profile) {
        int result = leat_run_on_end(loop, say_profile, http);
        if (result < 0)
            return result;
    }
    return leat_http_listen(http, serve->address);
}

/* One sentence, before anything is started, for a folder that cannot be served. */
static int check_directory(const char *name)
{
    struct stat info;
    const char *why = NULL;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    switch (errno) {
    case ENOENT:
        why = "there is no such directory: name one that exists";
        break;
    case ENOTDIR:
        why = stat(name, &info) == 0 ? "it is a file: name the directory that it is in"
                                     : "there is no such directory: name one that exists";
        break;
    case EACCES:
        why = "this user may not read it: change its mode or serve as a user who may";
        break;
    default:
        why = strerror(errno);
    }
    fprintf(stderr, "leat serve: cannot serve %s: %s\n", name, why);
    return 1;
}

/* --port N is --listen 127.0.0.1:N. Returns the exit code. */
static int port_set(struct serve *serve, const struct leat_run_options *options)
{
    if (serve->port == SERVE_PORT_NONE)
        return 0;
    if (options->listen.count > 0) {
        fprintf(stderr, "leat serve: --port N is short for --listen " SERVE_HOST ":N: use one of "
                        "them\n");
        return 2;
    }
    snprintf(serve->address, sizeof(serve->address), SERVE_HOST ":%u", (unsigned)serve->port);
    return 0;
}

/* Sockets are descriptors, of which leat_run takes as many as it may have. */
static void connections_check(const struct serve *serve, const struct leat_run_options *options)
{
    struct rlimit files;
    bool is_on_sockets = options->net == NULL || strchr(options->net, ':') == NULL;
    if (is_on_sockets && getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        serve->connections_max > files.rlim_max)
        fprintf(stderr,
                "leat serve: warning: --max-connections %llu is more than the %llu files that this "
                "process may open: raise the hard limit (ulimit -Hn, or LimitNOFILE= of the "
                "service)\n",
                (unsigned long long)serve->connections_max, (unsigned long long)files.rlim_max);
}

/* 0, or the exit code. */
static int symlinks_set(struct serve *serve)
{
    static const char *const names[] = {[LEAT_SYMLINKS_INSIDE] = "inside",
                                        [LEAT_SYMLINKS_NONE] = "none",
                                        [LEAT_SYMLINKS_ALL] = "all"};

    if (serve->symlinks_text == NULL)
        return 0;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(serve->symlinks_text, names[i]) == 0) {
            serve->symlinks = (enum leat_symlinks)i;
            return 0;
        }
    }
    fprintf(stderr, "leat serve: --symlinks is inside, none or all, not %s\n",
            serve->symlinks_text);
    return 2;
}

static int check(const struct leat_command_line *line, const struct leat_run_options *options,
                 void *user)
{
    struct serve *serve = user;
    if (line->operand_count > 0)
        serve->directory = line->operand_items[0];
    if (port_set(serve, options) != 0)
        return 2;
    if (serve->hello && serve->directory != NULL) {
        fprintf(stderr, "leat serve: --hello answers everything itself: leave out it or %s\n",
                serve->directory);
        return 2;
    }
    if (serve->list_directories && serve->directory == NULL) {
        fprintf(stderr, "leat serve: --list-directories needs a DIR to list: leat serve .\n");
        return 2;
    }
    connections_check(serve, options);
    int result = symlinks_set(serve);
    if (result != 0)
        return result;
    return serve->directory != NULL ? check_directory(serve->directory) : 0;
}

int serve_main(int argc, char **argv)
{
    struct serve serve = {.port = SERVE_PORT_NONE, .address = SERVE_ADDRESS};
    const struct leat_option options[] = {
        {"p|port", LEAT_OPTION_COUNT, &serve.port, "N",
         "listen on this port of " SERVE_HOST " (default: " SERVE_PORT ")", 0, UINT16_MAX},
        {"hello", LEAT_OPTION_FLAG, &serve.hello, NULL,
         "answer any GET with Hello, World! (for benchmarks)", 0, 0},
        {"access-log", LEAT_OPTION_FLAG, &serve.access_log, NULL,
         "a line on standard output for each response", 0, 0},
        {"list-directories", LEAT_OPTION_FLAG, &serve.list_directories, NULL,
         "list folders that have no index.html", 0, 0},
        {"symlinks", LEAT_OPTION_TEXT, &serve.symlinks_text, "WHICH",
         "followed in DIR: inside (relative ones that stay in it; the default),\n"
         "none, or all (wherever they lead, absolute ones too)",
         0, 0},
        {"max-connections", LEAT_OPTION_COUNT, &serve.connections_max, "N",
         "per core; one more gets a 503 (default: 100000)", 1, SERVE_CONNECTIONS_MAX},
        {"max-headers", LEAT_OPTION_COUNT, &serve.header_count_max, "N",
         "of a request; one with more gets a 431 (default: 100)", 1, SERVE_HEADERS_MAX},
        {"max-head", LEAT_OPTION_BYTES, &serve.head_bytes_max, "BYTES",
         "request line and headers; a larger head gets a 431 (default: 32k)", SERVE_HEAD_BYTES_MIN,
         SERVE_HEAD_BYTES_MAX},
        {"profile", LEAT_OPTION_FLAG, &serve.profile, NULL,
         "at the end, the cycles of a request by layer, on standard error", 0, 0},
        {"keepalive", LEAT_OPTION_DURATION, &serve.keepalive_ns, "TIME",
         "how long an idle connection is kept (default: 75s)", LEAT_NS_PER_MS, 0},
    };
    const struct leat_program program = {
        .name = "leat serve",
        .summary = "Serves DIR over HTTP; without DIR, a welcome page. Listens on " SERVE_ADDRESS
                   " unless --listen says otherwise.",
        .operands = "[DIR]",
        .operand_count_max = 1,
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .check = check,
        .start = start,
        .user = &serve,
    };
    return leat_program_main(&program, argc, argv);
}

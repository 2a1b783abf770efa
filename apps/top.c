/* `leat top`: what the cores of a running program do, from its counters alone
 * (net/watch/counters_file.h): it needs nothing of the program, however busy that is. */
#include "apps/commands.h"
#include "apps/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/watch/view.h"
#include "runtime/base/clock.h"
#include "runtime/base/output.h"

#define STUCK_NS   (200 * LEAT_NS_PER_MS) /* in one turn: a callback keeps the loop */
#define DROPS_MAX  12                     /* reasons shown for a core */
#define NAME_BYTES sizeof(((struct counters_name *)0)->text)

struct top {
    struct counters_view view;
    uint64_t interval_ns;
    bool is_once, is_json, shows_columns;
};

/* All values of all cores at one time. */
struct reading {
    uint64_t at_ns;
    unsigned name_count;
    uint64_t values[]; /* [core * COUNTERS_NAMES_MAX + index] */
};

static struct reading *reading_new(const struct counters_view *view)
{
    size_t cores = view->header->core_count;
    return calloc(1, sizeof(struct reading) + cores * COUNTERS_NAMES_MAX * sizeof(uint64_t));
}

static void reading_take(const struct counters_view *view, struct reading *r)
{
    r->at_ns = clock_monotonic();
    r->name_count = counters_view_count(view);
    for (unsigned core = 0; core < view->header->core_count; core++)
        for (unsigned i = 0; i < r->name_count; i++)
            r->values[core * COUNTERS_NAMES_MAX + i] = counters_view_value(view, core, i);
}

static uint64_t value_of(const struct top *top, const struct reading *r, unsigned core,
                         const char *name)
{
    for (unsigned i = 0; i < r->name_count; i++)
        if (strncmp(counters_view_name(&top->view, i)->text, name, NAME_BYTES) == 0)
            return r->values[core * COUNTERS_NAMES_MAX + i];
    return 0;
}

static double rate_of(const struct top *top, const struct reading *before,
                      const struct reading *now, unsigned core, const char *name)
{
    uint64_t change = value_of(top, now, core, name) - value_of(top, before, core, name);
    uint64_t time_ns = now->at_ns - before->at_ns;
    return time_ns > 0 ? (double)change * 1e9 / (double)time_ns : 0;
}

static uint64_t asleep_since(const struct reading *r, unsigned core)
{
    return r->values[core * COUNTERS_NAMES_MAX + COUNTERS_ASLEEP];
}

/* How long it has been in one turn, awake; 0: not long enough to be told. */
static uint64_t stuck_ns(const struct reading *r, unsigned core)
{
    uint64_t turn_ns = r->values[core * COUNTERS_NAMES_MAX + COUNTERS_TURN];
    bool is_stuck = asleep_since(r, core) == 0 && turn_ns != 0 && r->at_ns > turn_ns + STUCK_NS;
    return is_stuck ? r->at_ns - turn_ns : 0;
}

/* Idle time up to the reading: what was published, and the sleep that goes on since. */
static uint64_t idle_ns(const struct top *top, const struct reading *r, unsigned core)
{
    uint64_t published = r->values[core * COUNTERS_NAMES_MAX + COUNTERS_PUBLISHED];
    uint64_t since = asleep_since(r, core);
    uint64_t from = since > published ? since : published;
    uint64_t more = since != 0 && r->at_ns > from ? r->at_ns - from : 0;
    return value_of(top, r, core, "loop.idle_ns") + more;
}

/* What the loop's thread used of its CPU: with io_uring the kernel works for it while it sleeps.
 * It is published now and then, and counts for the time between. */
static double cpu_share(const struct top *top, const struct reading *before,
                        const struct reading *now, unsigned core)
{
    unsigned at = core * COUNTERS_NAMES_MAX + COUNTERS_PUBLISHED;
    uint64_t time_ns = now->at_ns - before->at_ns;
    uint64_t published_ns = now->values[at] - before->values[at];
    uint64_t cpu_ns =
        value_of(top, now, core, "loop.cpu_ns") - value_of(top, before, core, "loop.cpu_ns");
    time_ns = published_ns > time_ns ? published_ns : time_ns;
    double share = time_ns > 0 ? (double)cpu_ns / (double)time_ns : 0;
    return share < 1 ? share : 1;
}

static double utilisation(const struct top *top, const struct reading *before,
                          const struct reading *now, unsigned core)
{
    uint64_t time_ns = now->at_ns - before->at_ns;
    uint64_t idle = idle_ns(top, now, core), was = idle_ns(top, before, core);
    double share = idle > was && time_ns > 0 ? (double)(idle - was) / (double)time_ns : 0;
    double busy = share < 1 ? 1 - share : 0, cpu = cpu_share(top, before, now, core);
    return cpu > busy ? cpu : busy;
}

static const char *state_of(const struct reading *r, unsigned core)
{
    return asleep_since(r, core) != 0 ? "asleep" : stuck_ns(r, core) != 0 ? "stuck" : "awake";
}

static uint64_t connections(const struct top *top, const struct reading *r, unsigned core)
{
    uint64_t http = value_of(top, r, core, "http.connections");
    uint64_t tcp = value_of(top, r, core, "tcp.connections");
    return http > tcp ? http : tcp; /* those of the stack are counted by both */
}

/* ---- A core, as it is shown ---- */

struct top_row {
    uint32_t core;
    const char *state;
    uint64_t stuck_ms, connections;
    double utilisation, busy_percent, requests, packets_in, packets_out, drops, buffers_mib;
};

#define AT(member) offsetof(struct top_row, member)
static const struct view_column top_columns[] = {
    {"core", "core", 4, VIEW_U32, AT(core), 0, "its number"},
    {"state", "state", -6, VIEW_TEXT, AT(state), 0, "asleep, awake, or stuck in one turn"},
    {"stuck_ms", "stuck ms", 8, VIEW_U64, AT(stuck_ms), 0, "in one turn; 0: not stuck"},
    {"busy_percent", "busy %", 7, VIEW_DOUBLE, AT(busy_percent), 1, "of the time between readings"},
    {"requests_per_second", "requests/s", 11, VIEW_DOUBLE, AT(requests), 1, "answered"},
    {"connections", "connections", 11, VIEW_U64, AT(connections), 0, "open now"},
    {"packets_in_per_second", "packets in/s", 12, VIEW_DOUBLE, AT(packets_in), 1,
     "received by Leat's own stack"},
    {"packets_out_per_second", "out/s", 11, VIEW_DOUBLE, AT(packets_out), 1, "sent by it"},
    {"drops_per_second", "drops/s", 9, VIEW_DOUBLE, AT(drops), 1, "packets, for all reasons"},
    {"buffers_mib", "buffers MiB", 11, VIEW_DOUBLE, AT(buffers_mib), 1, "in use"},
    {"utilisation", NULL, 0, VIEW_DOUBLE, AT(utilisation), 4, "as busy_percent, of 1"},
};
#undef AT
static const struct view top_view = {top_columns, sizeof(top_columns) / sizeof(top_columns[0])};

static struct top_row top_row_of(const struct top *top, const struct reading *before,
                                 const struct reading *now, unsigned core)
{
    double busy = utilisation(top, before, now, core), drops = 0;
    for (unsigned i = 0; i < now->name_count; i++) {
        const char *name = counters_view_name(&top->view, i)->text;
        if (strncmp(name, "drop.", 5) == 0)
            drops += rate_of(top, before, now, core, name);
    }
    return (struct top_row){
        .core = core,
        .state = state_of(now, core),
        .stuck_ms = stuck_ns(now, core) / LEAT_NS_PER_MS,
        .connections = connections(top, now, core),
        .utilisation = busy,
        .busy_percent = 100 * busy,
        .requests = rate_of(top, before, now, core, "http.requests"),
        .packets_in = rate_of(top, before, now, core, "stack.rx_packets"),
        .packets_out = rate_of(top, before, now, core, "stack.tx_packets"),
        .drops = drops,
        .buffers_mib = (double)value_of(top, now, core, "buffers.live_bytes") / 1048576,
    };
}

/* ---- JSON ---- */

/* The row, and the counters as one more field of it. */
static void json_core(const struct top *top, const struct reading *before,
                      const struct reading *now, unsigned core)
{
    const struct top_row row = top_row_of(top, before, now, core);
    char text[1024];
    size_t length = view_json(&top_view, &row, text, sizeof(text));
    printf("%.*s, \"counters\": {", length > 0 ? (int)length - 1 : 0, text);
    for (unsigned i = 0; i < now->name_count; i++)
        printf("%s\"%.*s\": %" PRIu64, i > 0 ? ", " : "", (int)NAME_BYTES,
               counters_view_name(&top->view, i)->text, now->values[core * COUNTERS_NAMES_MAX + i]);
    printf("}}");
}

static void say_json(const struct top *top, const struct reading *before, const struct reading *now)
{
    const struct counters_header *h = top->view.header;
    printf("{\"pid\": %u, \"program\": \"%.*s\", \"net\": \"%.*s\", \"seconds\": %.3f, \"cores\": "
           "[",
           h->pid, COUNTERS_TEXT_BYTES - 1, h->program, COUNTERS_TEXT_BYTES - 1, h->net,
           (double)(now->at_ns - before->at_ns) / 1e9);
    for (unsigned core = 0; core < h->core_count; core++) {
        printf(core > 0 ? ", " : "");
        json_core(top, before, now, core);
    }
    printf("]}\n");
}

/* ---- text ---- */

/* The reasons that grew most since the last reading; at the first, all that there were. */
static void say_drops(const struct top *top, const struct reading *before,
                      const struct reading *now)
{
    for (unsigned i = 0, shown = 0; i < now->name_count && shown < DROPS_MAX; i++) {
        const char *name = counters_view_name(&top->view, i)->text;
        uint64_t total = 0, change = 0;
        if (strncmp(name, "drop.", 5) != 0 && strncmp(name, "log.lost_", 9) != 0)
            continue;
        for (unsigned core = 0; core < top->view.header->core_count; core++) {
            unsigned at = core * COUNTERS_NAMES_MAX + i;
            total += now->values[at];
            change += now->values[at] - before->values[at];
        }
        if (total == 0)
            continue;
        double seconds = (double)(now->at_ns - before->at_ns) / 1e9;
        printf("%-24.*s %12" PRIu64 " %12.0f\n", (int)NAME_BYTES - 5,
               name[0] == 'd' ? name + 5 : name, total, seconds > 0 ? (double)change / seconds : 0);
        shown++;
    }
}

/* What of the port's claims a core believes, in words; nothing for a core without a port. */
static void say_beliefs(const struct top *top, const struct reading *now, unsigned core)
{
    static const char *const links[] = {"", "link up", "link down", "THE DEVICE IS GONE"};
    static const char *const wakes[] = {"naps of at most 1 ms", "woken by its descriptor",
                                        "naps, interrupts to be proven", "woken by interrupts",
                                        "naps: frames came without an interrupt"};
    static const char *const states[] = {NULL, "to be proven", "proven", "given up", "never said"};
    static const char *const claims[] = {"rx_ip", "rx_l4", "tx_l4", "tso"};
    uint64_t link = value_of(top, now, core, "port.link");
    uint64_t wake = value_of(top, now, core, "port.wake");
    char name[NAME_BYTES];
    printf("%4u %s%s%s", core, links[link < 4 ? link : 0], link != 0 ? ", " : "",
           wakes[wake < 5 ? wake : 0]);
    for (unsigned i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        snprintf(name, sizeof(name), "offload.%s", claims[i]);
        uint64_t state = value_of(top, now, core, name);
        if (state > 0 && state < sizeof(states) / sizeof(states[0]))
            printf(", %s %s", claims[i], states[state]);
    }
    printf("\n");
}

static bool has_value(const struct top *top, const struct reading *r, const char *name)
{
    for (unsigned i = 0; i < r->name_count; i++)
        if (strncmp(counters_view_name(&top->view, i)->text, name, NAME_BYTES) == 0)
            return true;
    return false;
}

static void say_text(const struct top *top, const struct reading *before, const struct reading *now)
{
    const struct counters_header *h = top->view.header;
    uint64_t age_s = (now->at_ns - h->started_ns) / LEAT_NS_PER_S;
    char line[512];
    if (!top->is_once && isatty(STDOUT_FILENO))
        printf("\033[H\033[2J");
    printf("%.*s, process %u, net %.*s, up %" PRIu64 " s\n\n", COUNTERS_TEXT_BYTES - 1, h->program,
           h->pid, COUNTERS_TEXT_BYTES - 1, h->net, age_s);
    printf("%s\n", view_header(&top_view, line, sizeof(line)));
    for (unsigned core = 0; core < h->core_count; core++) {
        const struct top_row row = top_row_of(top, before, now, core);
        printf("%s\n", view_row(&top_view, &row, line, sizeof(line)));
    }
    if (has_value(top, now, "port.wake"))
        printf("\ncore port\n");
    for (unsigned core = 0; has_value(top, now, "port.wake") && core < h->core_count; core++)
        say_beliefs(top, now, core);
    printf("\n%-24s %12s %12s\n", "dropped because", "total", "per second");
    say_drops(top, before, now);
    printf("\n");
    fflush(stdout);
}

static void pause_for(uint64_t ns)
{
    struct timespec time = {(time_t)(ns / LEAT_NS_PER_S), (long)(ns % LEAT_NS_PER_S)};
    nanosleep(&time, NULL);
}

static int watch(const struct top *top, struct reading *before, struct reading *now)
{
    reading_take(&top->view, before);
    for (;;) {
        pause_for(top->interval_ns);
        if (!counters_view_is_alive(&top->view)) {
            fprintf(stderr, "leat top: process %u has ended\n", top->view.header->pid);
            return top->is_once ? 1 : 0;
        }
        reading_take(&top->view, now);
        if (top->is_json)
            say_json(top, before, now);
        else
            say_text(top, before, now);
        if (fflush(stdout) != 0 || top->is_once)
            return leat_output_end("leat top", 0);
        struct reading *last = before;
        before = now;
        now = last;
    }
}

int top_main(int argc, char **argv)
{
    struct top top = {.interval_ns = LEAT_NS_PER_S};
    const struct leat_option options[] = {
        {"interval", LEAT_OPTION_DURATION, &top.interval_ns, "TIME",
         "between two readings (default: 1s)", LEAT_NS_PER_MS, 0},
        {"once", LEAT_OPTION_FLAG, &top.is_once, NULL, "end after one interval", 0, 0},
        {"json", LEAT_OPTION_FLAG, &top.is_json, NULL,
         "a line of JSON for each interval, with every counter", 0, 0},
        {"columns", LEAT_OPTION_FLAG, &top.shows_columns, NULL,
         "what each key of a core's JSON, and each column, means", 0, 0},
    };
    struct leat_command_line line = {
        .name = "leat top",
        .summary =
            "Shows what the cores of a running Leat program do: how busy they are, requests,\n"
            "connections, packets and why some were dropped. Without PID, of the only one\n"
            "that serves. It reads shared memory and needs no help of the program.",
        .tables = {options},
        .table_counts = {sizeof(options) / sizeof(options[0])},
    };
    int pid;
    int code = watch_parse(&line, argc, argv, &pid);
    if (code < 0 && top.shows_columns)
        return watch_columns_say(line.name, &top_view);
    code = code < 0 ? watch_open(line.name, pid, &top.view) : code;
    if (code >= 0)
        return code;
    struct reading *before = reading_new(&top.view), *now = reading_new(&top.view);
    if (before != NULL && now != NULL)
        code = watch(&top, before, now);
    free(before);
    free(now);
    counters_view_close(&top.view);
    return code < 0 ? 1 : code;
}

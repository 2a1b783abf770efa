/* What `leat load` says, while it runs and at the end. */
#include "apps/load/load_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/output.h"

static const double percents[] = {50, 90, 99, 99.9, 99.99, 100};
static const char *const percent_names[] = {"p50", "p90", "p99", "p99.9", "p99.99", "max"};
#define PERCENTS_COUNT (sizeof(percents) / sizeof(percents[0]))

static const char *const error_names[] = {
#define LEAT_X(name, sentence) #name,
    LOAD_ERRORS(LEAT_X)
#undef LEAT_X
};
static const char *const error_sentences[] = {
#define LEAT_X(name, sentence) sentence,
    LOAD_ERRORS(LEAT_X)
#undef LEAT_X
};

const char *load_error_name(enum load_error error)
{
    return error_names[error];
}

struct load_cpu load_cpu_now(struct leat_loop *loop)
{
    struct leat_loop_metrics metrics;
    leat_loop_metrics(loop, &metrics);
    struct load_cpu cpu = {.awake_ns = metrics.busy_ns, .work_ns = metrics.work_ns};
    memcpy(cpu.layer_cycles, metrics.layer_cycles, sizeof(cpu.layer_cycles));
    struct timespec now;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0)
        cpu.run_ns = (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
    char text[96];
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (length > 0) { /* "RUN WAIT SLICES"; RUN may lag by a tick */
        text[length] = '\0';
        const char *space = strchr(text, ' ');
        cpu.wait_ns = space != NULL ? strtoull(space, NULL, 10) : 0;
    }
    if (fd >= 0)
        close(fd);
    return cpu;
}

void load_progress(struct load_core *core, uint64_t now_ns)
{
    const struct load *load = core->load;
    atomic_store_explicit(&core->published_count, core->results.requests_count,
                          memory_order_relaxed);
    if (core->index != 0 || load->is_json || core->stage != LOAD_RUNNING ||
        now_ns - core->progress_ns < LEAT_NS_PER_S || isatty(STDERR_FILENO) == 0)
        return;
    uint64_t count = 0;
    for (uint32_t i = 0; i < load->cores_count; i++)
        count += atomic_load_explicit(&load->cores[i]->published_count, memory_order_relaxed);
    double seconds = (double)(now_ns - core->progress_ns) / (double)LEAT_NS_PER_S;
    dprintf(STDERR_FILENO, "\r%4" PRIu64 " s  %.0f requests/s   ",
            (now_ns - core->results.begin_ns) / LEAT_NS_PER_S,
            (double)(count - core->progress_count) / seconds);
    core->progress_ns = now_ns;
    core->progress_count = count;
}

/* All cores together. */
struct total {
    struct load_results sum;
    uint64_t errors_count;
    double seconds, per_second;
    double busy_max; /* sum.busy and sum.wait are means */
    const char *error;
};

static void total_add(struct total *total, const struct load_results *from)
{
    struct load_results *sum = &total->sum;
    sum->requests_count += from->requests_count;
    sum->received_bytes += from->received_bytes;
    sum->sent_bytes += from->sent_bytes;
    sum->connects_count += from->connects_count;
    sum->resent_count += from->resent_count;
    sum->unfinished_count += from->unfinished_count;
    sum->ramp_ns = from->ramp_ns > sum->ramp_ns ? from->ramp_ns : sum->ramp_ns;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        sum->errors[i] += from->errors[i];
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        sum->layer_cycles[i] += from->layer_cycles[i];
    histogram_merge(&sum->latency, &from->latency);
    histogram_merge(&sum->late, &from->late);
    sum->busy += from->busy;
    sum->wait += from->wait;
    total->busy_max = from->busy > total->busy_max ? from->busy : total->busy_max;
    if (total->error == NULL && from->error.code != 0)
        total->error = from->error.sentence;
    if (from->begin_ns == 0)
        return;
    sum->begin_ns =
        sum->begin_ns == 0 || from->begin_ns < sum->begin_ns ? from->begin_ns : sum->begin_ns;
    sum->end_ns = from->end_ns > sum->end_ns ? from->end_ns : sum->end_ns;
}

/* Each core compared with its own first answer: those must agree, too. */
static void compare_answers(struct total *total, const struct load *load)
{
    struct load_answer *first = &total->sum.answer;
    for (uint32_t i = 0; i < load->cores_count && !load->is_any_body; i++) {
        if (load->cores[i] == NULL)
            continue;
        const struct load_answer *other = &load->cores[i]->results.answer;
        if (!first->is_set)
            *first = *other;
        else if (other->is_set && other->status != first->status)
            total->sum.errors[LOAD_ERROR_status]++;
        else if (other->is_set && other->length_bytes != first->length_bytes)
            total->sum.errors[LOAD_ERROR_length]++;
        else if (other->is_set && other->digest != first->digest)
            total->sum.errors[LOAD_ERROR_body]++;
    }
}

static void total_make(struct total *total, const struct load *load)
{
    for (uint32_t i = 0; i < load->cores_count; i++)
        if (load->cores[i] != NULL)
            total_add(total, &load->cores[i]->results);
    compare_answers(total, load);
    total->sum.busy /= load->cores_count;
    total->sum.wait /= load->cores_count;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        total->errors_count += total->sum.errors[i];
    total->seconds = (double)(total->sum.end_ns - total->sum.begin_ns) / (double)LEAT_NS_PER_S;
    total->per_second = total->seconds > 0 ? (double)total->sum.requests_count / total->seconds : 0;
}

static double us_of(const struct histogram *histogram, double percent)
{
    return (double)histogram_percentile(histogram, percent) / 1000;
}

static double mean_us(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count / 1000;
}

static void json_latency(const char *key, const struct histogram *histogram)
{
    printf("\"%s\": {\"mean\": %.3f", key, mean_us(histogram));
    for (unsigned i = 0; i < PERCENTS_COUNT; i++)
        printf(", \"%s\": %.3f", percent_names[i], us_of(histogram, percents[i]));
    printf("}");
}

static void say_json(const struct load *load, const struct total *total, bool is_client_limited)
{
    const struct load_results *sum = &total->sum;
    printf("{\"url\": \"%s%s\", \"requests\": %" PRIu64 ", \"requests_per_second\": %.3f, ",
           load->target.scheme, load->target.shown, sum->requests_count, total->per_second);
    printf("\"errors\": {");
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", error_names[i], sum->errors[i]);
    printf("}, ");
    json_latency("latency_us", &sum->latency);
    if (load_is_open_loop(load)) {
        printf(", \"rate\": %" PRIu64 ", ", load->rate);
        json_latency("late_us", &sum->late);
    }
    printf(", \"latency_error_percent\": %.2f", 100.0 / (1 << HISTOGRAM_BITS));
    printf(", \"bytes\": %" PRIu64 ", \"bytes_sent\": %" PRIu64 ", \"duration_s\": %.6f",
           sum->received_bytes, sum->sent_bytes, total->seconds);
    printf(", \"busy\": %.4f, \"busy_max\": %.4f, \"cpu_wait\": %.4f, \"client_limited\": %s",
           sum->busy, total->busy_max, sum->wait, is_client_limited ? "true" : "false");
    printf(", \"cycles_per_request\": {");
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        printf("%s\"%s\": %.1f", i > 0 ? ", " : "", leat_layer_name(i),
               sum->requests_count > 0 ? (double)sum->layer_cycles[i] / (double)sum->requests_count
                                       : 0);
    printf("}, \"connections\": %" PRIu64 ", \"connects\": %" PRIu64 ", \"cores\": %u",
           load->connections_count, sum->connects_count, load->cores_count);
    if (load->is_ramp)
        printf(", \"ramp_s\": %.6f", (double)sum->ramp_ns / (double)LEAT_NS_PER_S);
    printf(", \"resent\": %" PRIu64 ", \"unfinished\": %" PRIu64 ", \"status\": %u}\n",
           sum->resent_count, sum->unfinished_count, sum->answer.status);
}

static void text_time(char text[16], double us)
{
    if (us < 1000)
        snprintf(text, 16, "%.0f us", us);
    else if (us < 1e6)
        snprintf(text, 16, "%.2f ms", us / 1e3);
    else
        snprintf(text, 16, "%.3f s", us / 1e6);
}

static void text_row(const char *name, const struct histogram *histogram)
{
    printf("%-12s", name);
    for (unsigned i = 0; i < PERCENTS_COUNT; i++) {
        char time[16];
        text_time(time, us_of(histogram, percents[i]));
        printf("%11s", time);
    }
    printf("\n");
}

static void text_latency(const struct load *load, const struct load_results *sum)
{
    printf("\n%-12s", "");
    for (unsigned i = 0; i < PERCENTS_COUNT; i++)
        printf("%11s", percent_names[i]);
    printf("\n");
    text_row("latency", &sum->latency);
    if (load_is_open_loop(load))
        text_row("sent late by", &sum->late);
    printf("%-12s  %s; at most %.1f %% too high\n", "",
           load_is_open_loop(load) ? "counted from when each request was due"
                                   : "counted from when each request was sent",
           100.0 / (1 << HISTOGRAM_BITS));
}

static void text_limits(const struct load *load, const struct total *total, bool is_client_limited)
{
    printf("\nclient      %.0f %% of a core busy", total->sum.busy * 100);
    if (load->cores_count > 1)
        printf(" on each of %u, the busiest %.0f %%", load->cores_count, total->busy_max * 100);
    printf("\n");
    if (is_client_limited) {
        printf(
            "            the client was the limit: the server may be faster; use more --cores\n");
    }
    if (total->sum.wait >= LOAD_WAIT_LIMIT) {
        printf("            it waited for a processor %.0f %% of the time: other programs use "
               "its cores\n",
               total->sum.wait * 100);
    }
}

static void say_text(const struct load *load, const struct total *total, bool is_client_limited)
{
    const struct load_results *sum = &total->sum;
    printf("requests    %" PRIu64 " in %.2f s: %.0f per second over %" PRIu64 " connections\n",
           sum->requests_count, total->seconds, total->per_second, load->connections_count);
    printf("received    %.3f MB: %.3f MB per second\n", (double)sum->received_bytes / 1e6,
           total->seconds > 0 ? (double)sum->received_bytes / 1e6 / total->seconds : 0);
    printf("errors      %" PRIu64 "\n", total->errors_count);
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        if (sum->errors[i] > 0) {
            printf("            %" PRIu64 " %s: %s\n", sum->errors[i], error_names[i],
                   error_sentences[i]);
        }
    }
    if (load->is_ramp)
        printf("ramp        %.2f s until each connection had an answer\n",
               (double)sum->ramp_ns / (double)LEAT_NS_PER_S);
    if (sum->unfinished_count > 0) {
        printf("unfinished  %" PRIu64 ": due or sent, but not answered when time was up\n",
               sum->unfinished_count);
    }
    if (sum->resent_count > 0) {
        printf("resent      %" PRIu64 ": the server closed their connections as it had announced\n",
               sum->resent_count);
    }
    if (sum->latency.count > 0)
        text_latency(load, sum);
    text_limits(load, total, is_client_limited);
}

int load_report(const struct load *load)
{
    struct total *total = calloc(1, sizeof(*total));
    if (total == NULL) {
        fprintf(stderr, "leat load: no memory for the report\n");
        return 1;
    }
    total_make(total, load);
    if (!load->is_json && isatty(STDERR_FILENO) != 0)
        fprintf(stderr, "\r%40s\r", "");
    bool has_begun = total->sum.begin_ns != 0;
    bool is_limited = total->busy_max >= LOAD_BUSY_LIMIT;
    if (load->is_json)
        say_json(load, total, is_limited);
    else if (has_begun)
        say_text(load, total, is_limited);
    int code = total->errors_count > 0 || total->sum.requests_count == 0;
    if (total->error != NULL) {
        fprintf(stderr, "leat load: %s\n", total->error);
    } else if (code != 0) {
        fprintf(stderr, "leat load: %s\n",
                has_begun ? "no answer came: give it longer with --duration, or look at the server"
                          : "ended before any connection was made");
    }
    free(total);
    return leat_output_end("leat load", code);
}

/* What the machine alone does to latency: how long a program that only spins is kept from running,
 * by the kernel, by others, or by the hypervisor, and what a request would wait for that.
 *
 *   stalls CORE OTHER_CORE SECONDS SHARE...
 *
 * Spins on both cores at once, as a server and its client do, and notes each time that CORE was
 * lost. For each SHARE (0 to 1) it then lets requests arrive evenly at that share of the capacity
 * of a server which does nothing but answer them in turn, and which is stopped when the spinning
 * was. How long they wait is the least that latency can be on this machine. Prints JSON. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/histogram.h"

#define STALL_NS    UINT64_C(1000) /* less is not noted: looking at the clock takes its time */
#define STALLS_MAX  (1 << 20)
#define ARRIVAL_NS  UINT64_C(1000) /* between two requests */
#define SECONDS_MAX 60
#define SHARES_MAX  8

struct stall {
    uint64_t begin_ns, end_ns; /* since the start */
};

static struct stall stalls[STALLS_MAX];
static struct clock_machine machine_clock;
static atomic_bool is_over;

static int pin(pthread_t thread, unsigned core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return pthread_setaffinity_np(thread, sizeof(set), &set);
}

static void *spin(void *unused)
{
    (void)unused;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed))
        ;
    return NULL;
}

/* Returns how many there were. It takes longer than asked where the end comes in a stall. */
static size_t watch(uint64_t duration_ns, uint64_t *took_ns)
{
    size_t count = 0;
    uint64_t start_ns = clock_machine_now(&machine_clock), last_ns = start_ns;
    while (last_ns - start_ns < duration_ns && count < STALLS_MAX) {
        uint64_t now_ns = clock_machine_now(&machine_clock);
        if (now_ns - last_ns > STALL_NS)
            stalls[count++] = (struct stall){last_ns - start_ns, now_ns - start_ns};
        last_ns = now_ns;
    }
    *took_ns = last_ns - start_ns;
    return count;
}

/* Requests in the order of their arrival: each begins when it has come and the one before is done,
 * takes its share of ARRIVAL_NS, and stands still in a stall. */
static void wait_for_stalls(struct histogram *waits, double share, size_t count,
                            uint64_t duration_ns)
{
    uint64_t work_ns = (uint64_t)(share * (double)ARRIVAL_NS), done_ns = 0;
    size_t next = 0;
    for (uint64_t due_ns = 0; due_ns < duration_ns; due_ns += ARRIVAL_NS) {
        done_ns = done_ns > due_ns ? done_ns : due_ns;
        while (next < count && stalls[next].end_ns <= done_ns)
            next++;
        if (next < count && stalls[next].begin_ns <= done_ns)
            done_ns = stalls[next++].end_ns;
        done_ns += work_ns;
        for (; next < count && stalls[next].begin_ns < done_ns; next++)
            done_ns += stalls[next].end_ns - stalls[next].begin_ns;
        histogram_record(waits, done_ns - due_ns - work_ns);
    }
}

static void print(const char *share, const struct histogram *waits)
{
    static const double percents[] = {50, 90, 99, 99.9, 99.99};
    printf(", \"%s\": {", share);
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
        printf("%s\"p%g\": %.1f", i > 0 ? ", " : "", percents[i],
               (double)histogram_percentile(waits, percents[i]) * 1e-3);
    printf("}");
}

int main(int argc, char **argv)
{
    static struct histogram waits;
    double seconds = argc > 4 ? strtod(argv[3], NULL) : 0;
    if (!(seconds > 0 && seconds <= SECONDS_MAX) || argc > 4 + SHARES_MAX) {
        fprintf(stderr, "usage: stalls CORE OTHER_CORE SECONDS SHARE...\n");
        return 2;
    }
    pthread_t other;
    uint64_t duration_ns = (uint64_t)(seconds * 1e9), took_ns = 0, lost_ns = 0;
    clock_machine_init(&machine_clock);
    if (pthread_create(&other, NULL, spin, NULL) != 0 ||
        pin(other, (unsigned)strtoul(argv[2], NULL, 10)) != 0 ||
        pin(pthread_self(), (unsigned)strtoul(argv[1], NULL, 10)) != 0) {
        fprintf(stderr,
                "stalls: cannot run on cores %s and %s; name two that this process may "
                "use (taskset -p $$)\n",
                argv[1], argv[2]);
        return 1;
    }
    size_t count = watch(duration_ns, &took_ns);
    atomic_store(&is_over, true);
    pthread_join(other, NULL);
    for (size_t i = 0; i < count; i++)
        lost_ns += stalls[i].end_ns - stalls[i].begin_ns;
    printf("{\"lost\": %.6f, \"stalls\": %zu", (double)lost_ns / (double)took_ns, count);
    for (int i = 4; i < argc; i++) {
        histogram_reset(&waits);
        wait_for_stalls(&waits, strtod(argv[i], NULL), count, duration_ns);
        print(argv[i], &waits);
    }
    printf("}\n");
    return 0;
}

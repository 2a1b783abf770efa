/* The machine's clock, read from the time-stamp counter where that can be trusted. */
#include "runtime/base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

uint64_t clock_monotonic(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * LEAT_NS_PER_S + (uint64_t)time.tv_nsec;
}

#if defined(__x86_64__)
static bool kernel_keeps_time_by_tsc(void)
{
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char text[8] = {0};
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    return length == 4 && memcmp(text, "tsc\n", 4) == 0;
}

/* Intel SDM volume 3, 18.17.1; AMD APM volume 3, E.4.6. */
static bool is_tsc_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
}
#else
static bool kernel_keeps_time_by_tsc(void)
{
    return false;
}

static bool is_tsc_invariant(void)
{
    return false;
}
#endif

/* The two clocks at one instant: the pair that was read the fastest, since an interrupt or another
 * thread may come between the two readings. */
static void read_pair(uint64_t *tsc, uint64_t *kernel_ns)
{
    uint64_t gap_min = UINT64_MAX;
    for (int i = 0; i < 4; i++) {
        uint64_t before = clock_tsc(), ns = clock_monotonic(), gap = clock_tsc() - before;
        if (gap < gap_min) {
            gap_min = gap;
            *tsc = before + gap / 2;
            *kernel_ns = ns;
        }
    }
}

void clock_machine_init(struct clock_machine *clock)
{
    bool is_invariant = is_tsc_invariant();
    *clock = (struct clock_machine){
        .counts = is_invariant,
        .has_tsc = is_invariant && kernel_keeps_time_by_tsc(),
    };
    read_pair(&clock->first_tsc, &clock->first_ns);
    clock->middle_tsc = clock->first_tsc;
    clock->middle_ns = clock->first_ns;
    clock->last_ns = clock->first_ns;
}

static uint64_t counts_to_ns(uint64_t counts, uint64_t rate)
{
    return (uint64_t)(((unsigned __int128)counts * rate) >> 32);
}

/* Anchors to (tsc, kernel_ns). A clock that is ahead of the kernel's is not set back: it goes
 * slower, so that they meet within this anchor's time. */
static void clock_anchor(struct clock_machine *clock, uint64_t tsc, uint64_t kernel_ns)
{
    uint64_t span_ns = kernel_ns - clock->first_ns, hold_ns = span_ns / 4;
    if (hold_ns > CLOCK_ANCHOR_NS)
        hold_ns = CLOCK_ANCHOR_NS;
    clock->rate = (uint64_t)(((unsigned __int128)span_ns << 32) / (tsc - clock->first_tsc));
    clock->tsc_age_max = (uint64_t)(((unsigned __int128)hold_ns << 32) / clock->rate);
    clock->anchor_tsc = tsc;
    clock->anchor_ns = kernel_ns;
    if (clock->last_ns > kernel_ns) {
        uint64_t ahead_ns = clock->last_ns - kernel_ns;
        clock->anchor_ns = clock->last_ns;
        clock->rate -= (uint64_t)((unsigned __int128)clock->rate * ahead_ns / (hold_ns + ahead_ns));
    }
    if (kernel_ns - clock->middle_ns > CLOCK_RATE_NS) {
        clock->first_tsc = clock->middle_tsc;
        clock->first_ns = clock->middle_ns;
        clock->middle_tsc = tsc;
        clock->middle_ns = kernel_ns;
    }
}

static void clock_calibrate_anew(struct clock_machine *clock, uint64_t tsc, uint64_t kernel_ns)
{
    clock->tsc_age_max = 0;
    clock->first_tsc = clock->middle_tsc = tsc;
    clock->first_ns = clock->middle_ns = kernel_ns;
}

uint64_t clock_machine_slow(struct clock_machine *clock)
{
    uint64_t tsc, kernel_ns = clock_monotonic();
    if (!clock->has_tsc || kernel_ns - clock->first_ns < CLOCK_CALIBRATE_NS) {
        if (kernel_ns > clock->last_ns)
            clock->last_ns = kernel_ns;
        return clock->last_ns;
    }
    read_pair(&tsc, &kernel_ns);
    if (clock->tsc_age_max != 0) {
        uint64_t ours = clock->anchor_ns + counts_to_ns(tsc - clock->anchor_tsc, clock->rate);
        uint64_t error = ours > kernel_ns ? ours - kernel_ns : kernel_ns - ours;
        if (error > CLOCK_ERROR_NS_MAX) /* suspended, migrated, set back */
            clock_calibrate_anew(clock, tsc, kernel_ns);
        else if (ours > clock->last_ns)
            clock->last_ns = ours;
    }
    if (tsc > clock->first_tsc)
        clock_anchor(clock, tsc, kernel_ns);
    if (kernel_ns > clock->last_ns)
        clock->last_ns = kernel_ns;
    return clock->last_ns;
}

uint64_t clock_machine_counts(const struct clock_machine *clock, uint64_t ns)
{
    uint64_t tsc, kernel_ns;
    if (!clock->counts)
        return 0;
    read_pair(&tsc, &kernel_ns);
    uint64_t span_ns = kernel_ns - clock->first_ns;
    if (span_ns < CLOCK_CALIBRATE_NS)
        return 0;
    return (uint64_t)((unsigned __int128)ns * (tsc - clock->first_tsc) / span_ns);
}

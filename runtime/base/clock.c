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

static bool is_tsc_usable(void)
{
    unsigned a, b, c, d;
    /* Invariant TSC: Intel SDM volume 3, 18.17.1; AMD APM volume 3, E.4.6. */
    if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1u << 8)) == 0)
        return false;
    return kernel_keeps_time_by_tsc();
}
#else
static bool is_tsc_usable(void)
{
    return false;
}
#endif

void clock_machine_init(struct clock_machine *clock)
{
    *clock = (struct clock_machine){.has_tsc = is_tsc_usable()};
    clock->first_tsc = clock_tsc();
    clock->first_ns = clock_monotonic();
    clock->last_ns = clock->first_ns;
}

/* Anchors to (tsc, kernel_ns). A clock that is ahead of the kernel's is not set back: it goes
 * slower until the next anchor, by which time they meet. */
static void clock_anchor(struct clock_machine *clock, uint64_t tsc, uint64_t kernel_ns)
{
    uint64_t ours = clock->last_ns, counts = tsc - clock->first_tsc;
    clock->rate = (uint64_t)(((unsigned __int128)(kernel_ns - clock->first_ns) << 32) / counts);
    clock->tsc_age_max = (uint64_t)(((unsigned __int128)CLOCK_ANCHOR_NS << 32) / clock->rate);
    clock->anchor_tsc = tsc;
    clock->anchor_ns = ours > kernel_ns ? ours : kernel_ns;
    if (ours > kernel_ns)
        clock->rate -=
            (uint64_t)((unsigned __int128)clock->rate * (ours - kernel_ns) / (CLOCK_ANCHOR_NS * 2));
    /* The rate is that of the last ten seconds or so, for the kernel's own changes with NTP. */
    if (kernel_ns - clock->first_ns > 10 * LEAT_NS_PER_S) {
        clock->first_tsc = tsc;
        clock->first_ns = kernel_ns;
    }
}

uint64_t clock_machine_slow(struct clock_machine *clock)
{
    uint64_t tsc = clock_tsc(), kernel_ns = clock_monotonic();
    uint64_t span_ns = kernel_ns - clock->first_ns;
    if (clock->tsc_age_max != 0) {
        uint64_t age = tsc - clock->anchor_tsc;
        uint64_t ours = clock->anchor_ns + (uint64_t)(((unsigned __int128)age * clock->rate) >> 32);
        uint64_t error = ours > kernel_ns ? ours - kernel_ns : kernel_ns - ours;
        if (error > CLOCK_ERROR_NS_MAX) { /* suspended, migrated: calibrate anew */
            clock->tsc_age_max = 0;
            clock->first_tsc = tsc;
            clock->first_ns = kernel_ns;
        } else if (span_ns >= CLOCK_CALIBRATE_NS) {
            if (ours > clock->last_ns)
                clock->last_ns = ours;
            clock_anchor(clock, tsc, kernel_ns);
        }
    } else if (clock->has_tsc && span_ns >= CLOCK_CALIBRATE_NS && tsc > clock->first_tsc) {
        clock_anchor(clock, tsc, kernel_ns);
    }
    if (kernel_ns > clock->last_ns)
        clock->last_ns = kernel_ns;
    return clock->last_ns;
}

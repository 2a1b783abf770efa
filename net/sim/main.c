/* leat-sim: plays seeds against the stack; the last line is the count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/sim/play.h"

static int usage(void)
{
    fprintf(stderr, "usage: leat-sim --seed N | --seeds N [--from S] [--scenario NAME] "
                    "[--pcap FILE] [--verbose]\nscenarios:");
    for (unsigned i = 0; play_scenario(i) != NULL; i++)
        fprintf(stderr, " %s", play_scenario(i));
    fprintf(stderr, "\n");
    return 2;
}

struct options {
    uint64_t from, count;
    const char *scenario, *pcap;
    bool verbose;
};

static bool parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
            continue;
        }
        if (value == NULL)
            return false;
        if (strcmp(argv[i], "--seed") == 0) {
            o->from = strtoull(value, NULL, 0);
            o->count = 1;
        } else if (strcmp(argv[i], "--seeds") == 0)
            o->count = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--from") == 0)
            o->from = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--scenario") == 0)
            o->scenario = value;
        else if (strcmp(argv[i], "--pcap") == 0)
            o->pcap = value;
        else
            return false;
        i++;
    }
    return o->count > 0;
}

static void report(const struct options *o, uint64_t seed, const struct play_result *r)
{
    printf("seed %llu: %s\n  again: leat-sim --seed %llu", (unsigned long long)seed, r->sentence,
           (unsigned long long)seed);
    if (o->scenario != NULL)
        printf(" --scenario %s", o->scenario);
    printf(" --pcap seed-%llu.pcap\n", (unsigned long long)seed);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    uint64_t failed = 0, frames = 0, faults = 0;
    if (!parse(&o, argc, argv))
        return usage();
    for (uint64_t seed = o.from; seed < o.from + o.count; seed++) {
        struct play_result r;
        if (!play_seed(seed, o.scenario, o.pcap, &r))
            return usage();
        frames += r.frame_count;
        faults += r.fault_count;
        if (o.verbose)
            printf("seed %llu: %llu flows, %llu frames, %llu faults, %llu retransmissions, "
                   "%llu timeouts, %llu undone, %llu of %llu predicted\n",
                   (unsigned long long)seed, (unsigned long long)r.flow_count,
                   (unsigned long long)r.frame_count, (unsigned long long)r.fault_count,
                   (unsigned long long)r.retransmitted, (unsigned long long)r.rtos,
                   (unsigned long long)r.undone, (unsigned long long)r.predicted,
                   (unsigned long long)r.segments);
        if (r.violation_count > 0) {
            report(&o, seed, &r);
            failed++;
        }
    }
    printf("%llu seeds, %llu with violations, %llu frames, %llu faults\n",
           (unsigned long long)o.count, (unsigned long long)failed, (unsigned long long)frames,
           (unsigned long long)faults);
    return failed > 0 ? 1 : 0;
}

/* leat-sim: plays seeds against the stack; the last line is the count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/sim/runner.h"

static int print_usage(void)
{
    fprintf(stderr,
            "usage: leat-sim --seed N | --seeds N [--from S]\n"
            "  --scenario NAME  instead of one that each seed chooses\n"
            "  --faults LIST    these instead of the seed's: \"client drop 3 7, server delay 5\"\n"
            "                   (client or server; drop, double, delay, damage; frames it sends)\n"
            "  --pcap FILE      what was on the wire\n"
            "  --jobs N         processes that play (one for each CPU)\n"
            "  --stop N         after so many violations (%d)\n"
            "  --verbose        a line for each seed, and what its hosts log\nscenarios:",
            RUNNER_FAILED_MAX);
    for (unsigned i = 0; play_scenario(i) != NULL; i++)
        fprintf(stderr, " %s", play_scenario(i));
    fprintf(stderr, "\n");
    return 2;
}

static bool parse_value(struct runner_options *o, const char *flag, const char *value)
{
    if (strcmp(flag, "--seed") == 0) {
        o->from = strtoull(value, NULL, 0);
        o->count = 1;
    } else if (strcmp(flag, "--seeds") == 0)
        o->count = strtoull(value, NULL, 0);
    else if (strcmp(flag, "--from") == 0)
        o->from = strtoull(value, NULL, 0);
    else if (strcmp(flag, "--jobs") == 0)
        o->jobs = (unsigned)strtoul(value, NULL, 0);
    else if (strcmp(flag, "--stop") == 0)
        o->failed_max = (unsigned)strtoul(value, NULL, 0);
    else if (strcmp(flag, "--scenario") == 0)
        o->scenario = value;
    else if (strcmp(flag, "--faults") == 0)
        o->faults = value;
    else if (strcmp(flag, "--pcap") == 0)
        o->pcap = value;
    else
        return false;
    return true;
}

/* *alone: --seed, to be played in this process. */
static bool parse_flags(struct runner_options *o, bool *alone, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
            continue;
        }
        *alone |= strcmp(argv[i], "--seed") == 0;
        if (i + 1 == argc || !parse_value(o, argv[i], argv[i + 1]))
            return false;
        i++;
    }
    return o->count > 0 && play_is_known(o->scenario) && play_faults_are_good(o->faults);
}

int main(int argc, char **argv)
{
    struct runner_options o = {0};
    struct runner_tally t = {0};
    bool alone = false;
    if (!parse_flags(&o, &alone, argc, argv))
        return print_usage();
    if (alone) {
        runner_play(&o, o.from, &t);
    } else if (!runner_run(&o, &t)) {
        fprintf(stderr, "leat-sim: no process could be started\n");
        return 1;
    }
    printf("%llu seeds, %llu with violations, %llu connections, %llu frames, %llu faults; "
           "no seed had fewer than %llu connections and %llu faults\n",
           (unsigned long long)t.seeds, (unsigned long long)t.failed, (unsigned long long)t.flows,
           (unsigned long long)t.frames, (unsigned long long)t.faults,
           (unsigned long long)t.flows_least, (unsigned long long)t.faults_least);
    return t.failed > 0 || t.seeds == 0 ? 1 : 0;
}

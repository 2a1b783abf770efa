/* Plays the notes (notes.h) from seeds, and with one fault at every place there is.
 *
 *     test-sim-notes --seeds N [--from S]    every tenth is played twice, and is the same again
 *     test-sim-notes --every KIND [--at N]   KIND: leave, power, allocation, call; one place alone
 *
 * A violation names the command that plays it again. */
#include "test/sim/notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX   20000 /* more is a mistake of the test: it would never end */
#define PLACES_LEAST 20    /* fewer as well: nothing was tried */
#define FAILED_MAX   5

static const char *const fault_names[] = {
    [FAULT_LEAVE] = "leave",
    [FAULT_POWER] = "power",
    [FAULT_ALLOCATION] = "allocation",
    [FAULT_CALL] = "call",
};
#define FAULT_COUNT (sizeof(fault_names) / sizeof(fault_names[0]))

static unsigned seeds_play(uint64_t from, uint64_t count)
{
    struct outcome sum = {0};
    unsigned failed = 0;
    for (uint64_t seed = from; seed < from + count && failed < FAILED_MAX; seed++) {
        struct outcome one = notes_play_seed(seed);
        if (one.violation_count == 0 && seed % 10 == 0) {
            struct outcome other = notes_play_seed(seed);
            if (other.trace != one.trace)
                snprintf(one.sentence, sizeof(one.sentence), "played again it is another world");
            one.violation_count += other.trace != one.trace;
        }
        sum.answered_count += one.answered_count;
        sum.failed_count += one.failed_count;
        sum.cut_count += one.cut_count;
        sum.disk_failed_count += one.disk_failed_count;
        if (one.violation_count > 0)
            printf("seed %llu: %s\n  again: test-sim-notes --seeds 1 --from %llu\n",
                   (unsigned long long)seed, one.sentence, (unsigned long long)seed);
        failed += one.violation_count > 0;
    }
    printf("%llu seeds, %u with violations: %llu answers, %llu of them failures, %llu cut off, "
           "%llu calls of the disk failed\n",
           (unsigned long long)count, failed, (unsigned long long)sum.answered_count,
           (unsigned long long)sum.failed_count, (unsigned long long)sum.cut_count,
           (unsigned long long)sum.disk_failed_count);
    return failed;
}

/* Every place, up to the first that is not there. */
static unsigned places_play(enum fault fault, uint64_t at)
{
    unsigned failed = 0;
    uint64_t nth = at != 0 ? at : 1;
    for (; nth < PLACES_MAX && failed < FAILED_MAX; nth++) {
        struct outcome one = notes_play_place(fault, nth);
        if (one.violation_count > 0)
            printf("%s at place %llu: %s\n  again: test-sim-notes --every %s --at %llu\n",
                   fault_names[fault], (unsigned long long)nth, one.sentence, fault_names[fault],
                   (unsigned long long)nth);
        failed += one.violation_count > 0;
        if (!one.has_happened || at != 0)
            break;
    }
    bool is_short = at == 0 && failed == 0 && (nth < PLACES_LEAST || nth == PLACES_MAX);
    printf("%s: %llu places, %u with violations%s\n", fault_names[fault], (unsigned long long)nth,
           failed, is_short ? ": that cannot be all" : "");
    return failed + is_short;
}

static uint64_t value_of(int argc, char **argv, const char *flag, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    return otherwise;
}

int main(int argc, char **argv)
{
    uint64_t count = value_of(argc, argv, "--seeds", 0);
    if (count > 0)
        return seeds_play(value_of(argc, argv, "--from", 1), count) > 0;
    for (unsigned i = 0; i < FAULT_COUNT && argc > 2; i++)
        if (strcmp(argv[1], "--every") == 0 && strcmp(argv[2], fault_names[i]) == 0)
            return places_play((enum fault)i, value_of(argc, argv, "--at", 0)) > 0;
    fprintf(stderr, "usage: test-sim-notes --seeds N [--from S] | --every leave|power|allocation|"
                    "call [--at N]\n");
    return 2;
}

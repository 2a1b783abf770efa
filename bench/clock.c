/* How fast the core runs beside the time-stamp counter that Leat's cycles are counts of: the
 * counter has one rate, and the core's clock moves above and below it.
 *
 *   clock
 *
 * A multiplication of 32 bits whose operand is the last one's result takes three clocks on Intel's
 * cores since Nehalem and on AMD's since Zen, whatever else they can do at once. Times a chain of
 * them a few times and takes the fastest, since what else runs only adds. Prints JSON; on other
 * processors {}. */
#include <stdio.h>

#include "runtime/base/clock.h"

#define CHAIN  16
#define LOOPS  UINT64_C(200000)
#define ROUNDS 20
#define CLOCKS 3 /* of one multiplication */

#if defined(__x86_64__)
static void multiply(void)
{
    uint32_t value = 1;
    for (uint64_t i = 0; i < LOOPS; i++)
        __asm__ volatile(".rept %c1\n\timull %0, %0\n\t.endr" : "+r"(value) : "i"(CHAIN));
}
#endif

int main(void)
{
#if defined(__x86_64__)
    double core_ghz = 0, tsc_ghz = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t begin_ns = clock_monotonic(), begin_tsc = clock_tsc();
        multiply();
        double tsc = (double)(clock_tsc() - begin_tsc), ns = (double)(clock_monotonic() - begin_ns);
        double ghz = (double)(LOOPS * CHAIN * CLOCKS) / ns;
        if (ghz > core_ghz) {
            core_ghz = ghz;
            tsc_ghz = tsc / ns;
        }
    }
    printf("{\"core_ghz\": %.3f, \"tsc_ghz\": %.3f}\n", core_ghz, tsc_ghz);
#else
    printf("{}\n");
#endif
    return 0;
}

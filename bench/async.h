/* What files, pipes, coders and parked tasks cost as programs use them, beside what the machine
 * alone takes for the same: `async WORK SECONDS [COUNT]` prints the figures of one work as JSON.
 * Each work is a function in a file of its own; `./dev bench async` runs them in interleaved
 * rounds. */
#ifndef BENCH_ASYNC_H
#define BENCH_ASYNC_H

#include <stdint.h>

/* For so many seconds each, or for so many files or tasks: then seconds has no effect. */
void async_read(double seconds, unsigned count);
void async_files(double seconds, unsigned count);
void async_pipe(double seconds, unsigned count);
void async_gzip(double seconds, unsigned count);
void async_parked(double seconds, unsigned count);
void async_uncached(double seconds, unsigned count);

/* Into what is printed. name is static. */
void async_figure(const char *name, double value);

/* Seconds of CPU time of this process, all its threads; of this thread; of the clock. */
double async_process_s(void);
double async_thread_s(void);
double async_now_s(void);

/* ns of the process's CPU time per operation of run(state), which does a batch and returns how many
 * it did: for so many seconds, after a tenth of that as a start. */
double async_measure(uint64_t (*run)(void *state), void *state, double seconds);

#endif

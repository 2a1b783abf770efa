// The one C++ file: registers the C cases of harness.h with Google Benchmark.
#include "bench/harness.h"

#include <benchmark/benchmark.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#if BENCH_HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

extern "C" const struct bench_group *const bench_groups[];

struct bench_report {
    std::map<std::string, double> values;
};

extern "C" void bench_counter(struct bench_report *report, const char *name, double value)
{
    report->values[name] = value;
}

namespace
{

// The state lives from the first run of a case to the first run of the next one.
class Session
{
  public:
    ~Session()
    {
        leave();
    }
    bool enter(const bench_case *next, uint64_t argument)
    {
        if (now_ == next)
            return true;
        leave();
        state_ = next->setup != nullptr ? next->setup(argument) : nullptr;
        if (next->setup != nullptr && state_ == nullptr)
            return false;
        now_ = next;
        return true;
    }
    void leave()
    {
        if (now_ != nullptr && now_->teardown != nullptr)
            now_->teardown(state_);
        now_ = nullptr;
        state_ = nullptr;
    }
    void *state() const
    {
        return state_;
    }

  private:
    const bench_case *now_ = nullptr;
    void *state_ = nullptr;
};

uint64_t cycles()
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return 0;
#endif
}

void run_case(benchmark::State &state, Session *session, const bench_case *what)
{
    if (!session->enter(what, what->argument)) {
        state.SkipWithError("setup failed");
        return;
    }
    uint64_t start = 0;
    uint64_t end = 0;
    while (state.KeepRunningBatch(state.max_iterations)) {
        start = cycles();
        what->run(session->state(), static_cast<uint64_t>(state.max_iterations));
        end = cycles();
    }
    state.counters["cycles"] =
        benchmark::Counter(static_cast<double>(end - start), benchmark::Counter::kAvgIterations);
    int64_t iterations = static_cast<int64_t>(state.iterations());
    if (what->bytes_per_iteration != 0)
        state.SetBytesProcessed(iterations * static_cast<int64_t>(what->bytes_per_iteration));
    if (what->items_per_iteration != 0)
        state.SetItemsProcessed(iterations * static_cast<int64_t>(what->items_per_iteration));
    if (what->report != nullptr) {
        bench_report report;
        what->report(session->state(), &report);
        for (const auto &entry : report.values)
            state.counters[entry.first] = entry.second;
    }
}

template <typename Visit> void each_case(Visit visit)
{
    for (const bench_group *const *group = bench_groups; *group != nullptr; group++)
        for (size_t i = 0; i < (*group)->case_count; i++)
            visit(std::string((*group)->name) + "/" + (*group)->cases[i].name, &(*group)->cases[i]);
}

// A tenth of the iterations runs first, outside the count: first-time costs are not the question.
int count(uint64_t iterations, const char *pattern, bool ours_only)
{
    int failed = 0;
    each_case([&](const std::string &name, const bench_case *what) {
        if (name.find(pattern) == std::string::npos || what->is_uncounted ||
            (ours_only && what->is_alternative))
            return;
        Session session;
        uint64_t smaller = what->counted_argument;
        if (!session.enter(what, smaller != 0 ? smaller : what->argument)) {
            std::fprintf(stderr, "%s: setup failed\n", name.c_str());
            failed = 1;
            return;
        }
        what->run(session.state(), iterations / 10 + 1);
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
        what->run(session.state(), iterations);
        CALLGRIND_DUMP_STATS_AT(name.c_str());
        CALLGRIND_STOP_INSTRUMENTATION;
        std::printf("%s %llu\n", name.c_str(), static_cast<unsigned long long>(iterations));
    });
    return failed;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
        each_case([](const std::string &name, const bench_case *) { std::puts(name.c_str()); });
        return 0;
    }
    if (argc >= 3 && std::strcmp(argv[1], "--count") == 0)
        return count(std::strtoull(argv[2], nullptr, 10), argc > 3 ? argv[3] : "", false);
    if (argc == 3 && std::strcmp(argv[1], "--count-ours") == 0)
        return count(std::strtoull(argv[2], nullptr, 10), "", true);
    Session session;
    each_case([&](const std::string &name, const bench_case *what) {
        benchmark::RegisterBenchmark(name.c_str(), run_case, &session, what);
    });
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

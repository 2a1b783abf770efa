/* C++ in tasks: exceptions that are thrown and caught around awaits stay the task's own. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <leat/leat.h>

namespace
{

unsigned wrong_count;

void ensure(bool is_right, const char *what)
{
    if (is_right)
        return;
    std::fprintf(stderr, "%s\n", what);
    wrong_count++;
}

struct part {
    struct leat_loop *loop;
    int number;
};

void pause(struct leat_loop *loop)
{
    struct leat_result result = leat_await(leat_delay(loop, LEAT_NS_PER_MS));
    leat_result_drop(&result);
}

/* Destructors run when the exception passes, also when it waits meanwhile. */
struct pausing {
    struct leat_loop *loop;
    int *count;
    ~pausing()
    {
        pause(loop);
        ++*count;
    }
};

int thrown_through(struct leat_loop *loop, int number)
{
    int count = 0;
    try {
        pausing first{loop, &count};
        pausing second{loop, &count};
        throw std::runtime_error(std::to_string(number));
    } catch (const std::exception &caught) {
        pause(loop); /* other tasks throw and catch meanwhile */
        ensure(caught.what() == std::to_string(number), "the exception is another task's");
        try {
            throw number;
        } catch (int inner) {
            pause(loop);
            ensure(inner == number, "the inner exception is another task's");
        }
        try {
            throw; /* which is the outer one again */
        } catch (const std::exception &again) {
            ensure(again.what() == std::to_string(number), "another exception is thrown again");
        }
    }
    ensure(std::uncaught_exceptions() == 0, "an exception is left");
    return count;
}

struct leat_result throwing(void *arg)
{
    struct part part = *static_cast<struct part *>(arg);
    for (int i = 0; i < 20; i++)
        ensure(thrown_through(part.loop, part.number * 100 + i) == 2, "a destructor did not run");
    return leat_number(part.number);
}

void play_many()
{
    struct leat_loop *loop = leat_loop_new(nullptr, nullptr);
    struct leat_future *futures[10];
    for (int i = 0; i < 10; i++) {
        struct part part = {loop, i};
        futures[i] = leat_task_start(loop, throwing, &part, sizeof(part));
    }
    leat_loop_run(loop);
    for (int i = 0; i < 10; i++) {
        const struct leat_result *result = leat_future_result(futures[i]);
        ensure(result != nullptr && leat_result_number(result) == i, "a task did not end");
        leat_future_unref(futures[i]);
    }
    leat_loop_free(loop);
}

struct leat_result leaving(void *)
{
    throw std::runtime_error("left");
}

[[noreturn]] void terminated()
{
    std::_Exit(42);
}

/* In a child: an exception that leaves a task's function terminates the program. */
void play_leaving()
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        std::set_terminate(terminated);
        struct leat_loop *loop = leat_loop_new(nullptr, nullptr);
        leat_future_unref(leat_task_start(loop, leaving, nullptr, 0));
        leat_loop_run(loop);
        std::_Exit(0);
    }
    int status = 0;
    ensure(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42,
           "an exception left a task");
}

} // namespace

int main()
{
    play_many();
    play_leaving();
    return wrong_count == 0 ? 0 : 1;
}

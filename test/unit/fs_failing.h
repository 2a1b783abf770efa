/* System calls of files of which the nth fails, once, with -EIO; and how many were made. */
#ifndef TEST_FS_FAILING_H
#define TEST_FS_FAILING_H

#include <errno.h>
#include <stdatomic.h>

#include "runtime/base/list.h"
#include "runtime/os/fs_sys.h"

struct failing_sys {
    struct fs_sys sys; /* first */
    struct fs_sys *inner;
    _Atomic uint64_t fail_at; /* 1: the next; 0: none */
    _Atomic uint64_t failed_count;
};

static bool failing_fails(struct fs_sys *sys)
{
    struct failing_sys *failing = container_of(sys, struct failing_sys, sys);
    uint64_t left = atomic_load(&failing->fail_at);
    while (left != 0 && !atomic_compare_exchange_weak(&failing->fail_at, &left, left - 1))
        ;
    failing->failed_count += left == 1;
    return left == 1;
}

/* A close that fails has closed all the same. */
#define FAILING_CALL(name, parameters, ...)                                                        \
    static int64_t failing_##name parameters                                                       \
    {                                                                                              \
        struct fs_sys *inner = container_of(sys, struct failing_sys, sys)->inner;                  \
        bool fails = failing_fails(sys);                                                           \
        if (fails && inner->name != (void *)inner->close)                                          \
            return -EIO;                                                                           \
        int64_t result = inner->name(inner, __VA_ARGS__);                                          \
        return fails ? -EIO : result;                                                              \
    }
FS_SYS_CALLS(FAILING_CALL)
#undef FAILING_CALL

static void failing_init(struct failing_sys *failing, struct fs_sys *inner)
{
    *failing = (struct failing_sys){.inner = inner};
#define FAILING_ROW(name, ...) failing->sys.name = failing_##name;
    FS_SYS_CALLS(FAILING_ROW)
#undef FAILING_ROW
}

#endif

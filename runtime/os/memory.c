/* What the memory of a program is used for. */
#include <leat/buf.h>
#include <leat/memory.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/async/async.h"
#include "runtime/base/core.h"

/* The second number of statm is resident pages (proc(5)). */
static uint64_t resident_read(void)
{
    char text[128];
    unsigned long long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    if (sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void leat_memory_usage(struct leat_memory *memory)
{
    struct leat_heap_stats heap;
    struct leat_buf_stats buffers;
    LEAT_CHECK(leat_core_now != NULL); /* on a thread that has a loop */
    leat_heap_stats(leat_core_now, &heap);
    leat_buf_stats(&buffers);
    *memory = (struct leat_memory){
        .resident_bytes = resident_read(),
        .heap_bytes = heap.allocated_bytes - heap.freed_bytes,
        .heap_count = heap.allocated_count - heap.freed_count,
        .buffer_bytes = buffers.live_bytes,
        .buffer_count = buffers.live_count,
        .buffer_reserved_bytes = buffers.arena_bytes,
    };
    async_counts(&memory->future_count, &memory->reaction_count);
}

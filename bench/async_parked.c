/* Memory of a task that waits: 100,000 of them unless told, what is resident and the kernel's page
 * tables for it, in bytes for each. */
#include "bench/async.h"
#include "bench/settle.h"

#include <leat/future.h>
#include <leat/loop.h>
#include <leat/task.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct leat_result park(void *gate)
{
    struct leat_result result = leat_await(leat_future_ref(gate));
    return leat_number(leat_result_number(&result));
}

/* The field of /proc/self/status, which is in KiB. */
static double status_bytes(const char *field)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL)
        abort();
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtoul(line + strlen(field), NULL, 10);
    fclose(file);
    if (kib == 0)
        abort();
    return (double)kib * 1024;
}

void async_parked(double seconds, unsigned count)
{
    struct leat_loop *loop = bench_loop_new();
    struct leat_future *gate = leat_future_new(loop, NULL);
    struct leat_future **tasks = calloc(count, sizeof(struct leat_future *));
    if (tasks == NULL)
        abort();
    memset(tasks, 0xff, count * sizeof(struct leat_future *)); /* resident before it counts */
    double resident = status_bytes("VmRSS:"), tables = status_bytes("VmPTE:");
    for (unsigned i = 0; i < count; i++)
        tasks[i] = leat_task_start(loop, park, gate, 0);
    leat_loop_gate(loop);
    resident = status_bytes("VmRSS:") - resident;
    tables = status_bytes("VmPTE:") - tables;
    leat_settle(gate, leat_number(1));
    leat_future_unref(gate);
    leat_loop_gate(loop);
    for (unsigned i = 0; i < count; i++) { /* each was there, and woke */
        const struct leat_result *result = leat_future_result(tasks[i]);
        if (result == NULL || result->code < 0 || leat_result_number(result) != 1)
            abort();
        leat_future_unref(tasks[i]);
    }
    free(tasks);
    bench_loop_free(loop);
    async_figure("parked/resident", resident / count);
    async_figure("parked/tables", tables / count);
    async_figure("parked/task", (resident + tables) / count);
}

/* Preloaded, it ends the process as a driver of DPDK's may: LEAT_ENDER says where ("setup",
 * "running") and how ("panic", "exit", "abort", "fault"). */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 40

/* Of DPDK, whose headers stay in net/port/dpdk/. */
_Noreturn void __rte_panic(const char *function, const char *format, ...);
_Noreturn void rte_exit(int code, const char *format, ...);
int rte_eth_dev_configure(uint16_t port, uint16_t rx_queues, uint16_t tx_queues, const void *conf);

static void process_end(const char *where)
{
    const char *wanted = getenv("LEAT_ENDER");
    const char *how = wanted != NULL ? strchr(wanted, ':') : NULL;
    if (how == NULL || strncmp(wanted, where, strlen(where)) != 0)
        return;
    fprintf(stderr, "words of a library below\n");
    if (strcmp(how, ":panic") == 0)
        __rte_panic(__func__, "the driver has lost %s\n", "its ring");
    if (strcmp(how, ":exit") == 0)
        rte_exit(EXIT_FAILURE, "the driver wants no more of it\n");
    if (strcmp(how, ":fault") == 0)
        raise(SIGSEGV);
    abort();
}

/* From a deep call: DPDK lists all that led to a panic, and that must not push its reason away. */
__attribute__((noinline)) static void process_end_deep(const char *where, unsigned depth)
{
    if (depth > 0)
        process_end_deep(where, depth - 1);
    else
        process_end(where);
    __asm__ volatile(""); /* a call remains a call */
}

/* Instead of DPDK's: a program of a wider scope is asked first. */
__attribute__((visibility("default"))) int rte_eth_dev_configure(uint16_t port, uint16_t rx_queues,
                                                                 uint16_t tx_queues,
                                                                 const void *conf)
{
    (void)port, (void)rx_queues, (void)tx_queues, (void)conf;
    process_end_deep("setup", DEPTH);
    return -ENOTSUP;
}

/* Preloaded, it ends the process as a driver of DPDK's may: LEAT_ENDER says where ("setup",
 * "running") and how ("panic", "exit", "abort", "fault"). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

static void process_end(const char *where)
{
    const char *wanted = getenv("LEAT_ENDER");
    const char *how = wanted != NULL ? strchr(wanted, ':') : NULL;
    if (how == NULL || strncmp(wanted, where, strlen(where)) != 0)
        return;
    fprintf(stderr, "words of a library below\n");
    if (strcmp(how, ":panic") == 0)
        rte_panic("the driver has lost %s\n", "its ring");
    if (strcmp(how, ":exit") == 0)
        rte_exit(EXIT_FAILURE, "the driver wants no more of it\n");
    if (strcmp(how, ":fault") == 0)
        raise(SIGSEGV);
    abort();
}

/* Instead of DPDK's: a program of a wider scope is asked first. */
__attribute__((visibility("default"))) int rte_eth_dev_configure(uint16_t port, uint16_t rx_queues,
                                                                 uint16_t tx_queues,
                                                                 const struct rte_eth_conf *conf)
{
    (void)port, (void)rx_queues, (void)tx_queues, (void)conf;
    process_end("setup");
    return -ENOTSUP;
}

/* What the library and the modules of ports know of each other.
 *
 * Each is loaded when a --net asks for it (runtime/os/module.h). What the DPDK module needs of the
 * library comes in a struct dpdk_host; it exports one symbol, leat_dpdk_module. Internal: not
 * installed. */
#ifndef LEAT_MODULE_H
#define LEAT_MODULE_H

#include "net/port/ports.h"

/* Of the two structs below and of all that they reach; a module with another one is refused. */
#define DPDK_MODULE_ABI 4

struct dpdk_host {
    int (*fail)(struct leat_error *error, int code, const char *format, ...) LEAT_PRINTF(3, 4);
    void (*buf_unref)(struct leat_buf buf);
    void (*random_mac)(uint8_t mac[6]);
};

struct dpdk_module {
    uint32_t abi;
    /* The host must live as long as the process. */
    struct leat_port *(*open)(const struct dpdk_host *host, const struct port_options *options,
                              struct leat_error *error);
};

/* The simulator's module (net/sim/world.c) has a copy of the library inside, and calls back only
 * for what belongs to the program. */
#define SIM_MODULE_ABI 1

struct sim_module_host {
    void (*buf_unref)(struct leat_buf buf);
    uint64_t (*nap_ns)(void); /* how long the loop of this thread could sleep; UINT64_MAX */
};

struct sim_module {
    uint32_t abi;
    /* The host must live as long as the process. */
    struct leat_port *(*open)(const struct sim_module_host *host,
                              const struct port_options *options, struct leat_error *error);
};

#endif

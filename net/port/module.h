/* What the library and the DPDK module know of each other.
 *
 * The module is a shared object that is loaded when a --net asks for it, so that the same program
 * runs where DPDK is not installed. It links nothing of Leat: what it needs of the library comes in
 * a struct dpdk_host. It exports one symbol, leat_dpdk_module. It is never unloaded, because DPDK
 * cannot be. Internal: not installed. */
#ifndef LEAT_MODULE_H
#define LEAT_MODULE_H

#include "net/port/ports.h"

#define DPDK_MODULE_FILE "leat-dpdk.so"
/* Of the two structs below and of all that they reach; a module with another one is refused. */
#define DPDK_MODULE_ABI 2

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

#endif

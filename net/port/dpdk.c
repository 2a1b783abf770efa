/* Loads the DPDK module. */
#include "net/port/module.h"
#include "runtime/os/module.h"

#include <errno.h>

static const struct module_kind dpdk_kind = {
    .file = "leat-dpdk.so",
    .symbol = "leat_dpdk_module",
    .abi = DPDK_MODULE_ABI,
    .code = -ENOENT,
    .missing = "this Leat was installed without its DPDK module: install libdpdk-dev and build "
               "again (./dev deps dpdk && ./dev build), or use tun:NAME, which needs no DPDK",
    .broken = "DPDK is not installed: sudo apt install libdpdk-dev (./dev deps dpdk), or use "
              "tun:NAME, which needs no DPDK",
};

struct leat_port *dpdk_port_open(const struct port_options *options, struct leat_error *error)
{
    static const struct dpdk_host host = {
        .fail = leat_fail,
        .buf_unref = leat_buf_unref,
        .random_mac = port_random_mac,
    };
    const struct dpdk_module *module = module_load(&dpdk_kind, error);
    return module != NULL ? module->open(&host, options, error) : NULL;
}

int dpdk_module_check(struct leat_error *error)
{
    return module_load(&dpdk_kind, error) != NULL ? 0 : error->code;
}

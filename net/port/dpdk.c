/* Loads the DPDK module. */
#include "net/port/module.h"

#include <errno.h>

static const struct dpdk_module *load_module(struct leat_error *error)
{
    char path[MODULE_PATH_BYTES];
    struct leat_error why = {0};
    const struct dpdk_module *module =
        module_load(DPDK_MODULE_FILE, "leat_dpdk_module", path, &why);
    if (path[0] == '\0') {
        leat_fail(error, -ENOENT,
                  "this Leat was installed without its DPDK module: install libdpdk-dev and build "
                  "again (./dev deps dpdk && ./dev build), or use tun:NAME, which needs no DPDK");
        return NULL;
    }
    if (why.code == -ENOENT) {
        leat_fail(error, -ENOENT,
                  "DPDK is not installed: sudo apt install libdpdk-dev (./dev deps dpdk), or use "
                  "tun:NAME, which needs no DPDK (%.200s)",
                  why.sentence);
        return NULL;
    }
    if (module == NULL || module->abi != DPDK_MODULE_ABI) {
        leat_fail(error, -EPROTO, MODULE_OTHER_VERSION, path);
        return NULL;
    }
    return module;
}

struct leat_port *dpdk_port_open(const struct port_options *options, struct leat_error *error)
{
    static const struct dpdk_host host = {
        .fail = leat_fail,
        .buf_unref = leat_buf_unref,
        .random_mac = port_random_mac,
    };
    const struct dpdk_module *module = load_module(error);
    return module != NULL ? module->open(&host, options, error) : NULL;
}

int dpdk_module_check(struct leat_error *error)
{
    return load_module(error) != NULL ? 0 : error->code;
}

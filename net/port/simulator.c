/* Loads the simulator's module. */
#include <leat/loop.h>

#include "net/port/module.h"
#include "runtime/base/core.h"
#include "runtime/os/module.h"

#include <errno.h>

static const struct module_kind simulator_kind = {
    .file = "leat-simulator.so",
    .symbol = "leat_sim_module",
    .abi = SIM_MODULE_ABI,
    .code = -ENOENT,
    .missing = "this Leat was installed without its simulator: run the program from the folder it "
               "was built in, or name that folder in LEAT_MODULES",
    .broken = "the simulator cannot be loaded: build it again (./dev build)",
};

static uint64_t nap_ns(void)
{
    return leat_loop_nap_ns(leat_core_now->loop);
}

struct leat_port *simulator_port_open(const struct port_options *options, struct leat_error *error)
{
    static const struct sim_module_host host = {.buf_unref = leat_buf_unref, .nap_ns = nap_ns};
    const struct sim_module *module = module_load(&simulator_kind, error);
    return module != NULL ? module->open(&host, options, error) : NULL;
}

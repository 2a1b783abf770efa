/* Loads the simulator's module. */
#include <leat/loop.h>

#include "net/port/module.h"
#include "runtime/base/core.h"

#include <errno.h>

static uint64_t nap_ns(void)
{
    return leat_loop_nap_ns(leat_core_now->loop);
}

struct leat_port *simulator_port_open(const struct port_options *options, struct leat_error *error)
{
    static const struct sim_module_host host = {.buf_unref = leat_buf_unref, .nap_ns = nap_ns};
    char path[MODULE_PATH_BYTES];
    struct leat_error why = {0};
    const struct sim_module *module = module_load(SIM_MODULE_FILE, "leat_sim_module", path, &why);
    if (path[0] == '\0') {
        leat_fail(error, -ENOENT,
                  "this Leat was installed without its simulator: run the program from the folder "
                  "it was built in, or name that folder in LEAT_MODULES");
        return NULL;
    }
    if (module == NULL || module->abi != SIM_MODULE_ABI) {
        if (module == NULL)
            leat_fail(error, -EPROTO, "the simulator cannot be loaded: %.300s", why.sentence);
        else
            leat_fail(error, -EPROTO, MODULE_OTHER_VERSION, path);
        return NULL;
    }
    return module->open(&host, options, error);
}

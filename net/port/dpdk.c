/* Finds and loads the DPDK module. */
#include "net/port/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <leat_config.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the program or library that this code is in; "" when it is not known. */
static void own_folder(char folder[PATH_MAX])
{
    Dl_info info;
    char path[PATH_MAX];
    folder[0] = '\0';
    if (dladdr((const void *)&dpdk_port_open, &info) == 0 || info.dli_fname == NULL)
        return;
    if (realpath(strchr(info.dli_fname, '/') != NULL ? info.dli_fname : "/proc/self/exe", path) ==
        NULL)
        return;
    *strrchr(path, '/') = '\0';
    memcpy(folder, path, strlen(path) + 1);
}

/* Writes the path of the module; false when there is none. LEAT_MODULES, for tests and unusual
 * places, comes first; programs of other users' rights do not look at it. */
static bool find_module(char path[PATH_MAX])
{
    const char *named = secure_getenv("LEAT_MODULES");
    char own[PATH_MAX];
    own_folder(own);
    const struct {
        const char *folder, *below;
    } places[] = {
        {named, ""},
        {own, ""},
        {own, "/leat"},
        {LEAT_MODULE_DIR, ""},
    };
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i].folder == NULL || places[i].folder[0] == '\0')
            continue;
        int length = snprintf(path, PATH_MAX, "%s%s/%s", places[i].folder, places[i].below,
                              DPDK_MODULE_FILE);
        if (length < PATH_MAX && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

static const struct dpdk_module *load_module(struct leat_error *error)
{
    char path[PATH_MAX];
    if (!find_module(path)) {
        leat_fail(error, -ENOENT,
                  "this Leat was installed without its DPDK module: install libdpdk-dev and build "
                  "again (./dev deps dpdk && ./dev build), or use tun:NAME, which needs no DPDK");
        return NULL;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        leat_fail(error, -ENOENT,
                  "DPDK is not installed: sudo apt install libdpdk-dev (./dev deps dpdk), or use "
                  "tun:NAME, which needs no DPDK (%s)",
                  dlerror());
        return NULL;
    }
    const struct dpdk_module *module = dlsym(handle, "leat_dpdk_module");
    if (module == NULL || module->abi != DPDK_MODULE_ABI) {
        dlclose(handle);
        leat_fail(error, -EPROTO,
                  "%s belongs to another version of Leat: build and install both "
                  "together",
                  path);
        return NULL;
    }
    // cppcheck-suppress resourceLeak ; it is never unloaded
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

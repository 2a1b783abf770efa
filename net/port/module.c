/* Finds and loads modules. */
#include "net/port/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <leat_config.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(MODULE_PATH_BYTES >= PATH_MAX, "any path");

/* The folder of the program or library that this code is in; "" when it is not known. */
static void own_folder(char folder[PATH_MAX])
{
    Dl_info info;
    char path[PATH_MAX];
    folder[0] = '\0';
    if (dladdr((const void *)&module_load, &info) == 0 || info.dli_fname == NULL)
        return;
    if (realpath(strchr(info.dli_fname, '/') != NULL ? info.dli_fname : "/proc/self/exe", path) ==
        NULL)
        return;
    *strrchr(path, '/') = '\0';
    memcpy(folder, path, strlen(path) + 1);
}

/* Writes the path of the module; false when there is none. LEAT_MODULES, for tests and unusual
 * places, comes first; programs of other users' rights do not look at it. */
static bool find_module(const char *file, char path[PATH_MAX])
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
        int length = snprintf(path, PATH_MAX, "%s%s/%s", places[i].folder, places[i].below, file);
        if (length < PATH_MAX && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

const void *module_load(const char *file, const char *symbol, char path[MODULE_PATH_BYTES],
                        struct leat_error *error)
{
    if (!find_module(file, path)) {
        path[0] = '\0';
        return NULL;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        leat_fail(error, -ENOENT, "%s", dlerror());
        return NULL;
    }
    const uint32_t *module = dlsym(handle, symbol); /* each begins with its ABI */
    if (module == NULL)
        leat_fail(error, -EPROTO, "%s is no module of Leat", path);
    // cppcheck-suppress resourceLeak ; it is never unloaded
    return module;
}

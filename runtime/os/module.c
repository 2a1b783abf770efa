/* Finds and loads modules. */
#include "runtime/os/module.h"

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
    if (dladdr((const void *)&module_load, &info) == 0 || info.dli_fname == NULL)
        return;
    if (realpath(strchr(info.dli_fname, '/') != NULL ? info.dli_fname : "/proc/self/exe", path) ==
        NULL)
        return;
    *strrchr(path, '/') = '\0';
    memcpy(folder, path, strlen(path) + 1);
}

/* LEAT_MODULES is for tests and unusual places; programs of other users' rights do not look at it.
 */
static bool module_find(const char *file, char path[PATH_MAX])
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

const void *module_load(const struct module_kind *kind, struct leat_error *error)
{
    char path[PATH_MAX];
    if (!module_find(kind->file, path)) {
        leat_fail(error, kind->code, "%s", kind->missing);
        return NULL;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        leat_fail(error, kind->code, "%s (%.100s)", kind->broken, dlerror());
        return NULL;
    }
    const uint32_t *abi = dlsym(handle, kind->symbol);
    if (abi == NULL || *abi != kind->abi) {
        leat_fail(error, -EPROTO,
                  "%.200s belongs to another version of Leat: build and install both together",
                  path);
        abi = NULL;
    }
    // cppcheck-suppress resourceLeak ; it is never unloaded
    return abi;
}

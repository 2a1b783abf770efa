/* Names of functions, as the dynamic linker knows them. */
#include "runtime/base/function_name.h"

#include <dlfcn.h>
#include <stdio.h>

void function_name(const void *address, char name[FUNCTION_NAME_BYTES])
{
    Dl_info info;

    if (dladdr(address, &info) == 0)
        snprintf(name, FUNCTION_NAME_BYTES, "%p", address);
    else if (info.dli_sname != NULL && info.dli_saddr == address)
        snprintf(name, FUNCTION_NAME_BYTES, "%s", info.dli_sname);
    else
        snprintf(name, FUNCTION_NAME_BYTES, "%s+0x%zx", info.dli_fname,
                 (size_t)((const char *)address - (const char *)info.dli_fbase));
}

/* Modules of Leat: shared objects that are loaded when something first asks for them, so that the
 * same program runs where the libraries that they stand on are not installed.
 *
 * A module links nothing of Leat: what it needs of the library comes in a struct that the loader's
 * caller passes on. It exports one symbol of each kind, whose first member is a uint32_t: the ABI
 * of all that both sides see. It is never unloaded. Internal to the library: not installed. */
#ifndef LEAT_OS_MODULE_H
#define LEAT_OS_MODULE_H

#include <leat/defs.h>
#include <leat/error.h>

/* Both sentences say what to do. */
struct module_kind {
    const char *file, *symbol;
    uint32_t abi;
    int code;            /* of the two failures below */
    const char *missing; /* there is no such file: Leat was built without it */
    const char *broken;  /* it does not load: what it stands on is not there; at most 200 bytes */
};

/* Finds and loads a module, once and for ever; any thread. It reads files: milliseconds. The folder
 * that LEAT_MODULES names comes first, but for programs with other users' rights; then where this
 * library is, and where Leat is installed. NULL: error has one sentence with the remedy, and the
 * kind's code, or -EPROTO: it belongs to another version of Leat. */
const void *module_load(const struct module_kind *kind, struct leat_error *error) LEAT_MUST_CHECK;

#endif

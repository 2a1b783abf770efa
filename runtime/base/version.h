/* Which Leat this is, and what its next versions promise.
 *
 * Versions are MAJOR.MINOR.PATCH. A patch changes no declaration of a public header. A minor
 * version adds some; while MAJOR is 0 it may also change or remove some, and CHANGELOG.md says
 * which. The name of the shared library follows: libleat.so.0.MINOR while MAJOR is 0, then
 * libleat.so.MAJOR, so that a program never meets a library that it was not built for. */
#ifndef LEAT_VERSION_H
#define LEAT_VERSION_H

#include <leat/defs.h>

LEAT_BEGIN

/* "0.1.0", of the library that runs. Static. */
LEAT_API const char *leat_version(void);

/* How it was built, in one line: compiler, processor, and what it has: "gcc 12.2.0, x86_64,
 * io_uring, DPDK 22.11.4, libdw". Static. */
LEAT_API const char *leat_version_build(void);

LEAT_END
#endif

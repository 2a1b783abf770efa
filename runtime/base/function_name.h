/* Names of functions, for lines that tell a programmer which one it was.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_FUNCTION_NAME_H
#define LEAT_FUNCTION_NAME_H

#include <stddef.h>

#define FUNCTION_NAME_BYTES 256

/* The name of the function at address where the program exports it (-rdynamic), else a place that
 * addr2line understands. Always NUL-terminated. */
void function_name(const void *address, char name[FUNCTION_NAME_BYTES]);

#endif

/* What every public header of Leat stands on: visibility, units, and nothing else.
 *
 * Units stand in names: _ns nanoseconds, _ms milliseconds, _bytes bytes, _count numbers of things.
 * A duration or a point in time without a unit in its name is nanoseconds of the loop's clock. */
#ifndef LEAT_DEFS_H
#define LEAT_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define LEAT_BEGIN extern "C" {
#define LEAT_END   }
#else
#define LEAT_BEGIN
#define LEAT_END
#endif

#define LEAT_API              __attribute__((visibility("default")))
#define LEAT_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define LEAT_MUST_CHECK       __attribute__((warn_unused_result))

#define LEAT_NS_PER_US UINT64_C(1000)
#define LEAT_NS_PER_MS UINT64_C(1000000)
#define LEAT_NS_PER_S  UINT64_C(1000000000)

#endif

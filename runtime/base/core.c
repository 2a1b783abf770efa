/* The one thread-local variable. */
#include "runtime/base/core.h"

__thread struct leat_core *leat_core_now;

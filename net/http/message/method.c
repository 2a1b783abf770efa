/* The names of the methods that have a number. */
#include "net/http/message/parser_internal.h"

static const char *const method_names[LEAT_METHOD_COUNT] = {[LEAT_METHOD_OTHER] = "OTHER",
#define LEAT_X(name) [LEAT_METHOD_##name] = #name,
                                                            LEAT_METHODS(LEAT_X)
#undef LEAT_X
};

const char *leat_method_name(enum leat_method method)
{
    return method_names[(unsigned)method < LEAT_METHOD_COUNT ? method : LEAT_METHOD_OTHER];
}

enum leat_method leat_method_find(const void *bytes, size_t length_bytes)
{
#define LEAT_X(name)                                                                               \
    if (length_bytes == sizeof(#name) - 1 && memcmp(bytes, #name, sizeof(#name) - 1) == 0)         \
        return LEAT_METHOD_##name;
    LEAT_METHODS(LEAT_X)
#undef LEAT_X
    return LEAT_METHOD_OTHER;
}

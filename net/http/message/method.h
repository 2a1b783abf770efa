/* The methods of HTTP that Leat knows by number (RFC 9110 9.3, RFC 5789). */
#ifndef LEAT_METHOD_H
#define LEAT_METHOD_H

#include <leat/defs.h>

LEAT_BEGIN

#define LEAT_METHODS(X)                                                                            \
    X(GET)                                                                                         \
    X(HEAD)                                                                                        \
    X(POST)                                                                                        \
    X(PUT)                                                                                         \
    X(DELETE)                                                                                      \
    X(CONNECT)                                                                                     \
    X(OPTIONS)                                                                                     \
    X(TRACE)                                                                                       \
    X(PATCH)

enum leat_method {
    LEAT_METHOD_OTHER, /* any other token; its text stands in the request. Methods are
                          case-sensitive: "get" is one of these */
#define LEAT_X(name) LEAT_METHOD_##name,
    LEAT_METHODS(LEAT_X)
#undef LEAT_X
        LEAT_METHOD_COUNT
};

/* "GET"; "OTHER" for LEAT_METHOD_OTHER and anything out of range. Static. */
LEAT_API const char *leat_method_name(enum leat_method method);

/* LEAT_METHOD_OTHER when it is not one of the list. */
LEAT_API enum leat_method leat_method_find(const void *bytes, size_t length_bytes);

LEAT_END
#endif

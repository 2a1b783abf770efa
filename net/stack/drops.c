/* Names and sentences of drops. */
#include "net/stack/drops.h"

#include <stddef.h>

static const char *const names[] = {
#define LEAT_X(name, counter, sentence) counter,
    STACK_DROPS(LEAT_X)
#undef LEAT_X
};

static const char *const sentences[] = {
#define LEAT_X(name, counter, sentence) sentence,
    STACK_DROPS(LEAT_X)
#undef LEAT_X
};

const char *stack_drop_name(enum stack_drop drop)
{
    return (size_t)drop < STACK_DROP_COUNT ? names[drop] : "?";
}

const char *stack_drop_sentence(enum stack_drop drop)
{
    return (size_t)drop < STACK_DROP_COUNT ? sentences[drop] : "unknown reason";
}

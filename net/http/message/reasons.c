/* Why a message is refused: names, sentences and statuses of HTTP_REASONS. */
#include "net/http/message/parser_internal.h"

static const struct {
    const char *name, *sentence;
    int status;
} reasons[HTTP_REASON_COUNT] = {[HTTP_REASON_NONE] = {"NONE", "nothing is wrong", 0},
#define LEAT_X(name, status, sentence) [HTTP_REASON_##name] = {#name, sentence, status},
                                HTTP_REASONS(LEAT_X)
#undef LEAT_X
};

const char *http_reason_name(enum http_reason reason)
{
    return reasons[(unsigned)reason < HTTP_REASON_COUNT ? reason : HTTP_REASON_NONE].name;
}

const char *http_reason_sentence(enum http_reason reason)
{
    return reasons[(unsigned)reason < HTTP_REASON_COUNT ? reason : HTTP_REASON_NONE].sentence;
}

int http_reason_status(enum http_reason reason)
{
    return reasons[(unsigned)reason < HTTP_REASON_COUNT ? reason : HTTP_REASON_NONE].status;
}

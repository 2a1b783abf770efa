/* Requests and what becomes of them: the table that is played over the transport in memory, split
 * everywhere, and over real sockets. */
#ifndef TEST_HTTP_CONVERSATIONS_H
#define TEST_HTTP_CONVERSATIONS_H

#include <leat/defs.h>

struct conversation {
    const char *name;
    const char *request;
    /* "200 body | 404 body | close": a body longer than 40 bytes as (N); interim responses as
     * "100". close: the server ended it; abort: it was reset; nothing: it stays open. */
    const char *outcome;
    const char *has;   /* in the raw response; NULL: nothing more */
    const char *lacks; /* not in the raw response */
    uint32_t heads;    /* bit n: the n-th final response answers HEAD */
    bool ends;         /* the client half-closes behind the request */
    /* It sends on although it asked for the close, which RFC 9112 9.6 forbids: over TCP, piece by
     * piece, a reset may overtake the answer. */
    bool overruns;
};

extern const struct conversation conversations[];
extern const unsigned conversation_count;

/* The outcome of what was received. is_head_bits as in heads. Returns text. */
char *outcome_of(const char *bytes, size_t length, uint32_t heads, const char *end, char *text,
                 size_t size);
/* Removes "100 | " everywhere. */
void outcome_strip_interim(char *text);

#endif

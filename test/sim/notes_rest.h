/* What may be left on a core when nothing is under way. */
#ifndef TEST_SIM_NOTES_REST_H
#define TEST_SIM_NOTES_REST_H

#include <stddef.h>

struct leat_loop;

/* On the loop's core: what is left of tasks, futures and streams, into to; NULL: nothing is. */
const char *notes_left(struct leat_loop *loop, char *to, size_t to_bytes);

#endif

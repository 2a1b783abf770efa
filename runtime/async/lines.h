/* Lines out of bytes: JSON Lines, logs. Node's readline over a stream.
 *
 *     struct leat_stream *lines = leat_lines(loop, 0);
 *     leat_pipe(file, lines, false);
 *     ... leat_readable_next(lines) gives one line after the other
 *
 * For the core that made it. */
#ifndef LEAT_LINES_H
#define LEAT_LINES_H

#include <leat/stream.h>

LEAT_BEGIN

#define LEAT_LINE_BYTES_MAX (UINT32_C(1) << 20)

/* A transform: it takes bytes, and each chunk that it gives is one line, without its "\n" or
 * "\r\n". Empty lines are left out; a last line needs no end. bytes_max 0: LEAT_LINE_BYTES_MAX; a
 * longer line destroys it with -EMSGSIZE. NULL: memory is out, with a sentence in leat_loop_error.
 */
LEAT_API struct leat_stream *leat_lines(struct leat_loop *loop, uint32_t bytes_max) LEAT_MUST_CHECK;

LEAT_END
#endif

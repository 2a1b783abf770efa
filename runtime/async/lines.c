/* A transform from bytes to lines. */
#include <leat/lines.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

#define LINES_ROOM_BYTES_MIN 256

struct lines {
    struct leat_stream stream; /* first */
    char *begun;               /* a line whose end has not come */
    uint32_t begun_bytes, room_bytes, bytes_max;
    uint64_t line_count; /* that have ended, empty ones included */
};

static int begun_add(struct lines *lines, const void *bytes, size_t length_bytes)
{
    if (length_bytes > lines->bytes_max - lines->begun_bytes)
        return -EMSGSIZE;
    uint32_t needed_bytes = lines->begun_bytes + (uint32_t)length_bytes;
    if (needed_bytes > lines->room_bytes) {
        uint32_t room_bytes = lines->room_bytes == 0 ? LINES_ROOM_BYTES_MIN : lines->room_bytes * 2;
        room_bytes = room_bytes < needed_bytes ? needed_bytes : room_bytes;
        char *begun = leat_heap_realloc(lines->begun, room_bytes);
        if (begun == NULL)
            return -ENOMEM;
        lines->begun = begun;
        lines->room_bytes = room_bytes;
    }
    memcpy(lines->begun + lines->begun_bytes, bytes, length_bytes);
    lines->begun_bytes = needed_bytes;
    return 0;
}

/* Readers hear of a failed push by the stream's own end. */
static void line_push(struct lines *lines, const char *line, size_t length_bytes)
{
    lines->line_count++;
    if (length_bytes > 0 && line[length_bytes - 1] == '\r')
        length_bytes--;
    if (length_bytes > 0)
        (void)leat_push_bytes(&lines->stream, line, length_bytes);
}

/* line ends there; what was begun before belongs to it. */
static int line_end(struct lines *lines, const char *line, size_t length_bytes)
{
    if (lines->begun_bytes == 0) {
        if (length_bytes > lines->bytes_max)
            return -EMSGSIZE;
        line_push(lines, line, length_bytes);
        return 0;
    }
    int code = begun_add(lines, line, length_bytes);
    if (code < 0)
        return code;
    line_push(lines, lines->begun, lines->begun_bytes);
    lines->begun_bytes = 0;
    return 0;
}

static int bytes_split(struct lines *lines, const char *bytes, size_t length_bytes)
{
    const char *end = bytes + length_bytes;
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        if (newline == NULL)
            return begun_add(lines, bytes, (size_t)(end - bytes));
        int code = line_end(lines, bytes, (size_t)(newline - bytes));
        if (code < 0)
            return code;
        bytes = newline + 1;
    }
    return 0;
}

static struct leat_result lines_result(const struct lines *lines, int code)
{
    unsigned long long number = lines->line_count + 1;
    if (code == -EMSGSIZE)
        return leat_failure(code, "line %llu is longer than %u bytes", number, lines->bytes_max);
    return code < 0 ? leat_failure(code, "no memory for line %llu", number) : leat_nothing();
}

static void lines_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct lines *lines = (struct lines *)stream;
    int code = 0;
    for (unsigned i = 0; i < count && code == 0; i++)
        code = bytes_split(lines, (const char *)chunks[i].buf.data, chunks[i].buf.length_bytes);
    leat_stream_wrote(stream, lines_result(lines, code));
}

static void lines_final(struct leat_stream *stream)
{
    struct lines *lines = (struct lines *)stream;
    if (lines->begun_bytes > 0)
        line_push(lines, lines->begun, lines->begun_bytes);
    lines->begun_bytes = 0;
    leat_stream_wrote(stream, leat_nothing());
}

static void lines_drop(struct leat_stream *stream)
{
    leat_heap_free(((struct lines *)stream)->begun);
}

static const struct leat_stream_class lines_class = {
    .name = "lines",
    .length_bytes = sizeof(struct lines),
    .gives = LEAT_CHUNK_BYTES,
    .takes = LEAT_CHUNK_BYTES,
    .is_transform = true,
    .write = lines_write,
    .final = lines_final,
    .drop = lines_drop,
};

struct leat_stream *leat_lines(struct leat_loop *loop, uint32_t bytes_max)
{
    struct leat_stream *stream = leat_stream_new(loop, &lines_class, NULL);
    if (stream != NULL)
        ((struct lines *)stream)->bytes_max = bytes_max != 0 ? bytes_max : LEAT_LINE_BYTES_MAX;
    return stream;
}

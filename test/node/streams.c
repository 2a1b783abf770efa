/* Plays programs of streams on Leat; streams.js plays the same under Node, streams.py compares.
 * A program is lines; streams.txt says which. Programs come on standard input, parted by "--"; each
 * answers with a line of its trace. After each all streams are destroyed, and nothing may be left
 * of them. */
#include <leat/buf.h>
#include <leat/error.h>
#include <leat/loop.h>
#include <leat/stream.h>
#include <leat/timer.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_BYTES 65536
#define STREAMS_MAX 16
#define HOOKS_MAX   32
#define WORDS_MAX   12
#define PROGRAM_MAX (1 << 20)
#define END_OF_LIST 99

struct line {
    int count;
    char *words[WORDS_MAX];
};

struct end {
    struct leat_stream stream; /* first */
    char *name;
    char *read, *write, *final, *destroy;
    int chunks, fails, burst, times, read_count, write_count, written;
    bool final_fails, is_out, is_closed, has_data, has_readable;
    int out_count, out[64];
};

struct hook {
    char *name, *event;
    struct line line;
};

static struct {
    struct leat_loop *loop;
    char trace[TRACE_BYTES];
    size_t length;
    bool is_muted;
    struct end *ends[STREAMS_MAX];
    int end_count, hook_count;
    struct hook hooks[HOOKS_MAX];
} self;

static void line_run(struct line line);

static void say(const char *format, ...) LEAT_PRINTF(1, 2);

#include <stdarg.h>
static void say(const char *format, ...)
{
    va_list args;
    if (self.is_muted || self.length + 128 > TRACE_BYTES)
        return;
    if (self.length > 0)
        self.trace[self.length++] = ' ';
    va_start(args, format);
    int length = vsnprintf(self.trace + self.length, TRACE_BYTES - self.length, format, args);
    va_end(args);
    self.length += (size_t)length;
}

static const char *code_name(const struct leat_result *result)
{
    return result->code < 0 ? leat_errno_name(result->code) : "ok";
}

/* ---- later ---- */

struct later {
    void (*fn)(struct end *end, int number);
    struct end *end;
    int number;
    struct line line;
};

static void later_run(void *arg)
{
    struct later *later = arg;
    if (later->fn == NULL)
        line_run(later->line);
    else
        later->fn(later->end, later->number);
    if (later->end != NULL)
        leat_stream_unref(&later->end->stream);
    free(later);
}

static void later_fired(struct leat_timer *timer, void *arg)
{
    later_run(arg);
}

static void later_queue(const char *mode, struct later wanted)
{
    struct later *later = malloc(sizeof(*later));
    *later = wanted;
    if (later->end != NULL)
        (void)leat_stream_ref(&later->end->stream);
    if (strcmp(mode, "sync") == 0)
        later_run(later);
    else if (strcmp(mode, "tick") == 0)
        (void)leat_next_tick(self.loop, later_run, later);
    else if (strcmp(mode, "job") == 0)
        (void)leat_queue_microtask(self.loop, later_run, later);
    else if (strcmp(mode, "immediate") == 0)
        (void)leat_set_immediate(self.loop, later_run, later);
    else
        (void)leat_set_timeout(self.loop, later_fired, later, (uint64_t)atoi(mode + 5));
}

static void when(const char *mode, void (*fn)(struct end *, int), struct end *end, int number)
{
    later_queue(mode != NULL ? mode : "sync",
                (struct later){.fn = fn, .end = end, .number = number});
}

/* ---- ends ---- */

static struct end *end_of(struct leat_stream *stream)
{
    return (struct end *)stream;
}

static struct leat_chunk chunk_of(int number)
{
    return leat_chunk_object((void *)(intptr_t)number, NULL);
}

static int number_of(const struct leat_chunk *chunk)
{
    return (int)(intptr_t)chunk->object;
}

static void read_now(struct end *end, int number)
{
    for (int i = 0; i < end->burst; i++) {
        struct leat_chunk chunk = chunk_of(++end->read_count);
        if (end->read_count == end->fails)
            leat_stream_destroy(&end->stream, leat_failure(-EIO, "boom"));
        else if (end->read_count > end->chunks)
            leat_push_end(&end->stream);
        else
            (void)leat_push(&end->stream, &chunk, 1);
        if (end->read_count > end->chunks)
            break;
    }
}

static void end_read(struct leat_stream *stream, unsigned takes)
{
    say("%s:read", end_of(stream)->name);
    when(end_of(stream)->read, read_now, end_of(stream), 0);
}

static void write_now(struct end *end, int number)
{
    if (!end->is_out || end->write_count != number)
        return;
    bool fails = number == end->fails;
    end->is_out = false;
    if (end->stream.of->is_transform)
        for (int i = 0; i < end->times && !fails; i++) {
            struct leat_chunk chunk = chunk_of(end->out[0]);
            (void)leat_push(&end->stream, &chunk, 1);
        }
    leat_stream_wrote(&end->stream, fails ? leat_failure(-EIO, "boom") : leat_nothing());
}

static void end_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct end *end = end_of(stream);
    char text[256] = "";
    for (unsigned i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", i > 0 ? "," : "",
                 number_of(&chunks[i]));
    say("%s:%s(%s)", end->name, stream->of->is_transform ? "transform" : "write", text);
    end->out[0] = number_of(&chunks[0]);
    end->is_out = true;
    when(end->write, write_now, end, ++end->write_count);
}

static void final_now(struct end *end, int number)
{
    struct leat_chunk last = chunk_of(END_OF_LIST);
    if (leat_stream_is_destroyed(&end->stream))
        return;
    if (end->stream.of->is_transform)
        (void)leat_push(&end->stream, &last, 1);
    leat_stream_wrote(&end->stream, end->final_fails ? leat_failure(-EIO, "boom") : leat_nothing());
}

static void end_final(struct leat_stream *stream)
{
    struct end *end = end_of(stream);
    if (end->final == NULL) {
        leat_stream_wrote(stream, leat_nothing());
        return;
    }
    say("%s:final", end->name);
    when(end->final, final_now, end, 0);
}

static void destroy_now(struct end *end, int number)
{
    leat_stream_destroyed(&end->stream, leat_nothing());
}

static void end_destroy(struct leat_stream *stream)
{
    struct end *end = end_of(stream);
    if (end->destroy == NULL) {
        leat_stream_destroyed(stream, leat_nothing());
        return;
    }
    say("%s:destroy", end->name);
    if (end->is_out) {
        end->is_out = false;
        leat_stream_wrote(stream, leat_failure(-ECANCELED, "gone"));
    }
    when(end->destroy, destroy_now, end, 0);
}

#define END_CLASS(kind, gives_what, takes_what, is_it, with_final)                                 \
    {                                                                                              \
        .name = #kind, .length_bytes = sizeof(struct end), .gives = gives_what,                    \
        .takes = takes_what, .is_transform = is_it, .read = end_read_of_##kind,                    \
        .write = end_write, .final = with_final, .destroy = end_destroy                            \
    }
#define end_read_of_readable  end_read
#define end_read_of_writable  NULL
#define end_read_of_duplex    end_read
#define end_read_of_transform NULL

/* With final, and without one. */
static const struct leat_stream_class classes[2][4] = {
    {END_CLASS(readable, LEAT_CHUNK_OBJECT, 0, false, NULL),
     END_CLASS(writable, 0, LEAT_CHUNK_OBJECT, false, NULL),
     END_CLASS(duplex, LEAT_CHUNK_OBJECT, LEAT_CHUNK_OBJECT, false, NULL),
     END_CLASS(transform, LEAT_CHUNK_OBJECT, LEAT_CHUNK_OBJECT, true, NULL)},
    {END_CLASS(readable, LEAT_CHUNK_OBJECT, 0, false, NULL),
     END_CLASS(writable, 0, LEAT_CHUNK_OBJECT, false, end_final),
     END_CLASS(duplex, LEAT_CHUNK_OBJECT, LEAT_CHUNK_OBJECT, false, end_final),
     END_CLASS(transform, LEAT_CHUNK_OBJECT, LEAT_CHUNK_OBJECT, true, end_final)},
};

/* ---- what is told ---- */

static void hooks_run(const struct end *end, const char *event)
{
    struct hook hooks[HOOKS_MAX];
    int count = self.hook_count;
    memcpy(hooks, self.hooks, sizeof(hooks));
    self.hook_count = 0;
    for (int i = 0; i < count; i++)
        if (strcmp(hooks[i].name, end->name) == 0 && strcmp(hooks[i].event, event) == 0)
            line_run(hooks[i].line);
        else
            self.hooks[self.hook_count++] = hooks[i];
}

#define TELL(event)                                                                                \
    static void told_##event(void *end, const struct leat_result *result)                          \
    {                                                                                              \
        say("%s." #event, ((struct end *)end)->name);                                              \
        hooks_run(end, #event);                                                                    \
    }
TELL(end)
TELL(pause)
TELL(resume)
TELL(drain)
TELL(finish)
TELL(pipe)
TELL(unpipe)

static void told_error(void *end, const struct leat_result *result)
{
    say("%s.error(%s)", ((struct end *)end)->name, code_name(result));
    hooks_run(end, "error");
}

static void told_close(void *end, const struct leat_result *result)
{
    ((struct end *)end)->is_closed = true;
    say("%s.close", ((struct end *)end)->name);
    hooks_run(end, "close");
}

static void told_data(void *end, const struct leat_result *result)
{
    say("%s.data(%d)", ((struct end *)end)->name,
        number_of(leat_result_pointer(result, LEAT_KIND_CHUNK)));
    hooks_run(end, "data");
}

static void told_readable(void *arg, const struct leat_result *result)
{
    struct end *end = arg;
    struct leat_chunk chunk;
    say("%s.readable", end->name);
    hooks_run(end, "readable");
    while (leat_read(&end->stream, &chunk)) {
        say("%s=%d", end->name, number_of(&chunk));
        leat_chunk_drop(&chunk);
    }
}

static const struct {
    enum leat_stream_event event;
    leat_done *fn;
} tellers[] = {
    {LEAT_STREAM_END, told_end},       {LEAT_STREAM_PAUSE, told_pause},
    {LEAT_STREAM_RESUME, told_resume}, {LEAT_STREAM_DRAIN, told_drain},
    {LEAT_STREAM_FINISH, told_finish}, {LEAT_STREAM_PIPE, told_pipe},
    {LEAT_STREAM_UNPIPE, told_unpipe}, {LEAT_STREAM_ERROR, told_error},
    {LEAT_STREAM_CLOSE, told_close},
};

/* ---- operations ---- */

static void option_set(struct end *end, const char *key, char *value)
{
    const struct {
        const char *key;
        char **text;
        int *number;
    } options[] = {
        {"read", &end->read, NULL},     {"write", &end->write, NULL},
        {"final", &end->final, NULL},   {"destroy", &end->destroy, NULL},
        {"chunks", NULL, &end->chunks}, {"fails", NULL, &end->fails},
        {"burst", NULL, &end->burst},   {"times", NULL, &end->times},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(options[i].key, key) != 0)
            continue;
        if (options[i].text != NULL)
            *options[i].text = value;
        else
            *options[i].number = atoi(value);
    }
}

static const char *option_find(const struct line *line, const char *key)
{
    size_t length = strlen(key);
    for (int i = 2; i < line->count; i++)
        if (strncmp(line->words[i], key, length) == 0 && line->words[i][length] == '=')
            return line->words[i] + length + 1;
    return NULL;
}

static void end_new(int kind, struct line *line)
{
    const char *mark = option_find(line, "mark");
    struct leat_stream_options options = {
        .readable_mark = mark != NULL ? (uint32_t)atoi(mark) : 16,
        .ends_together = option_find(line, "together") != NULL,
    };
    options.writable_mark = options.readable_mark;
    bool has_final = option_find(line, "final") != NULL;
    struct leat_stream *stream = leat_stream_new(self.loop, &classes[has_final][kind], &options);
    struct end *end = end_of(stream);
    self.ends[self.end_count++] = end;
    end->name = line->words[1];
    end->burst = end->times = 1;
    end->final_fails = option_find(line, "final_fails") != NULL;
    for (int i = 2; i < line->count; i++) {
        char *value = strchr(line->words[i], '=');
        if (value == NULL)
            continue;
        char key[32];
        snprintf(key, sizeof(key), "%.*s", (int)(value - line->words[i]), line->words[i]);
        option_set(end, key, value + 1);
    }
    for (size_t i = 0; i < sizeof(tellers) / sizeof(tellers[0]); i++)
        (void)!leat_stream_on(stream, tellers[i].event, tellers[i].fn, end);
}

static struct end *end_find(const char *name)
{
    for (int i = 0; i < self.end_count; i++)
        if (strcmp(self.ends[i]->name, name) == 0)
            return self.ends[i];
    return NULL;
}

static void say_written(struct end *end, int result)
{
    if (result < 0)
        say("%s=no", end->name);
    else
        say("%s=%d", end->name, result);
}

static void op_write(struct end *end, struct line *line)
{
    struct leat_chunk chunk = chunk_of(++end->written);
    int result = leat_write(&end->stream, &chunk, 1);
    say_written(end, result);
}

struct written {
    struct end *end;
    int number;
};

static void told_done(void *arg, const struct leat_result *result)
{
    struct written *written = arg;
    say("%s.done%d(%s)", written->end->name, written->number, code_name(result));
    free(written);
}

static void op_writec(struct end *end, struct line *line)
{
    struct written *written = malloc(sizeof(*written));
    *written = (struct written){end, ++end->written};
    struct leat_chunk chunk = chunk_of(end->written);
    int result = leat_write_call(&end->stream, &chunk, 1, told_done, written);
    if (result < 0)
        free(written);
    say_written(end, result);
}

static void op_writev(struct end *end, struct line *line)
{
    struct leat_chunk chunks[64];
    int count = atoi(line->words[2]);
    for (int i = 0; i < count; i++)
        chunks[i] = chunk_of(++end->written);
    say_written(end, leat_write(&end->stream, chunks, (unsigned)count));
}

static void op_end(struct end *end, struct line *line)
{
    leat_stream_end(&end->stream);
}

static void op_destroy(struct end *end, struct line *line)
{
    leat_stream_destroy(&end->stream,
                        line->count > 2 ? leat_failure(-EIO, "boom") : leat_nothing());
}

static void op_pause(struct end *end, struct line *line)
{
    leat_stream_pause(&end->stream);
}

static void op_resume(struct end *end, struct line *line)
{
    leat_stream_resume(&end->stream);
}

static void op_read(struct end *end, struct line *line)
{
    struct leat_chunk chunk;
    if (leat_read(&end->stream, &chunk))
        say("%s=%d", end->name, number_of(&chunk));
    else
        say("%s=null", end->name);
}

static void op_flow(struct end *end, struct line *line)
{
    if (end->has_data)
        return;
    end->has_data = true;
    (void)!leat_stream_on(&end->stream, LEAT_STREAM_DATA, told_data, end);
}

static void op_readable(struct end *end, struct line *line)
{
    if (end->has_readable)
        return;
    end->has_readable = true;
    (void)!leat_stream_on(&end->stream, LEAT_STREAM_READABLE, told_readable, end);
}

static void op_pipe(struct end *end, struct line *line)
{
    (void)!leat_pipe(&end->stream, &end_find(line->words[2])->stream, line->count > 3);
}

static void op_unpipe(struct end *end, struct line *line)
{
    leat_unpipe(&end->stream, line->count > 2 ? &end_find(line->words[2])->stream : NULL);
}

static void pipeline_done(void *arg, const struct leat_result *result)
{
    say("pipeline(%s)", code_name(result));
}

static void op_pipeline(struct end *end, struct line *line)
{
    struct leat_stream *list[WORDS_MAX];
    unsigned count = 0;
    for (int i = 1; i < line->count; i++)
        list[count++] = leat_stream_ref(&end_find(line->words[i])->stream);
    struct leat_future *future = leat_pipeline(list, count);
    leat_on_settled(future, pipeline_done, NULL);
    leat_future_unref(future);
}

static void finished_done(void *arg, const struct leat_result *result)
{
    say("%s.finished(%s)", ((struct end *)arg)->name, code_name(result));
}

static void op_finished(struct end *end, struct line *line)
{
    struct leat_future *future = leat_finished(&end->stream);
    leat_on_settled(future, finished_done, end);
    leat_future_unref(future);
}

static void iterate_next(struct end *end);

static void iterated(void *arg, const struct leat_result *result)
{
    struct end *end = arg;
    if (result->code < 0)
        say("%s~%s", end->name, code_name(result));
    else if (result->code == 0)
        say("%s~end", end->name);
    else
        say("%s~%d", end->name, (int)(intptr_t)leat_result_pointer(result, LEAT_KIND_POINTER));
    if (result->code == 1)
        iterate_next(end);
}

static void iterate_next(struct end *end)
{
    struct leat_future *future = leat_readable_next(&end->stream);
    leat_on_settled(future, iterated, end);
    leat_future_unref(future);
}

static void op_iterate(struct end *end, struct line *line)
{
    iterate_next(end);
}

static void op_say(struct end *end, struct line *line)
{
    say("%s", line->words[2]);
}

static const struct {
    const char *name;
    void (*run)(struct end *end, struct line *line);
} operations[] = {
    {"write", op_write},       {"writec", op_writec},     {"writev", op_writev},
    {"end", op_end},           {"destroy", op_destroy},   {"pause", op_pause},
    {"resume", op_resume},     {"read", op_read},         {"flow", op_flow},
    {"listen", op_readable},   {"pipe", op_pipe},         {"unpipe", op_unpipe},
    {"pipeline", op_pipeline}, {"finished", op_finished}, {"iterate", op_iterate},
    {"say", op_say},
};

/* A kind makes a stream, once. */
static void line_run(struct line line)
{
    struct end *end = end_find(line.words[1]);
    for (int kind = 0; kind < 4 && end == NULL; kind++)
        if (strcmp(classes[0][kind].name, line.words[0]) == 0) {
            end_new(kind, &line);
            return;
        }
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].name, line.words[0]) == 0) {
            operations[i].run(end, &line);
            return;
        }
    fprintf(stderr, "no such operation: %s\n", line.words[0]);
    exit(2);
}

static void line_plan(struct line line)
{
    char *at = line.words[0] + 1, *event = strchr(at, '.');
    struct line rest = line;
    memmove(rest.words, rest.words + 1, sizeof(rest.words) - sizeof(rest.words[0]));
    rest.count--;
    if (event != NULL) {
        *event = '\0';
        self.hooks[self.hook_count++] = (struct hook){at, event + 1, rest};
    } else {
        later_queue(at, (struct later){.line = rest});
    }
}

static void line_play(char *text)
{
    struct line line = {0};
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL && line.count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        line.words[line.count++] = word;
    if (line.count == 0)
        return;
    if (line.words[0][0] == '@')
        line_plan(line);
    else
        line_run(line);
}

static void program_clean(void)
{
    self.is_muted = true;
    self.hook_count = 0;
    for (int i = 0; i < self.end_count; i++)
        leat_stream_destroy(&self.ends[i]->stream, leat_nothing());
    (void)leat_loop_run(self.loop);
    for (int i = 0; i < self.end_count; i++) {
        if (!self.ends[i]->is_closed) {
            fprintf(stderr, "%s did not close\n", self.ends[i]->name);
            exit(1);
        }
        leat_stream_unref(&self.ends[i]->stream);
    }
    self.end_count = 0;
    self.is_muted = false;
}

static void start_run(void *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        line_play(line);
}

static void program_play(char *text)
{
    self.length = 0;
    self.trace[0] = '\0';
    start_run(text);
    (void)leat_loop_run(self.loop);
    puts(self.trace);
    program_clean();
}

int main(void)
{
    static char input[PROGRAM_MAX];
    size_t length = fread(input, 1, sizeof(input) - 1, stdin);
    input[length] = '\0';
    self.loop = leat_loop_new(NULL, NULL);
    for (char *program = input, *next; program != NULL; program = next) {
        next = strstr(program, "\n--\n");
        if (next != NULL) {
            *next = '\0';
            next += 4;
        }
        if (program[strspn(program, " \n")] != '\0')
            program_play(program);
    }
    leat_loop_free(self.loop);
    return 0;
}

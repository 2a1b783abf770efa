/* A program of standard input and output, for stdio.py: it copies the one to the other, or writes
 * more than a pipe holds, and ends in one way or another. */
#include <leat/leat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words {
    bool copies;       /* standard input goes to standard output */
    bool exits;        /* by leat_run_exit, once it has written */
    bool says_goodbye; /* in its end hook */
    uint64_t write_bytes;
};

static struct leat_stream *output;

static void copied(void *arg, const struct leat_result *result)
{
    if (result->code < 0)
        LEAT_LOG_ERROR("copy: %s", leat_result_sentence(result));
    if (result->code < 0)
        leat_run_exit(arg, 1);
}

static int copy(struct leat_loop *loop)
{
    struct leat_stream *in = leat_stdin(loop), *out = leat_stdout(loop);
    if (in == NULL || out == NULL)
        return leat_loop_error(loop)->code;
    leat_call(leat_pipeline((struct leat_stream *[]){in, out}, 2), copied, loop);
    return 0;
}

static void goodbye(void *arg)
{
    struct leat_stream *last = leat_stdout(arg);
    if (last == NULL || leat_write_bytes(last, "goodbye\n", 8) < 0)
        LEAT_LOG_ERROR("no goodbye");
    if (last != NULL)
        leat_stream_unref(last);
}

static void release(void *arg)
{
    leat_stream_unref(output);
}

/* Lines of 64 bytes with a number, as many as the stream takes. */
static int write_lines(struct leat_loop *loop, uint64_t length_bytes)
{
    char line[65];
    output = leat_stdout(loop);
    if (output == NULL)
        return leat_loop_error(loop)->code;
    leat_run_on_end(loop, release, NULL);
    for (uint64_t at = 0; at < length_bytes; at += 64) {
        snprintf(line, sizeof(line), "%063llu\n", (unsigned long long)(at / 64));
        if (leat_write_bytes(output, line, 64) < 0)
            return leat_run_fail(loop, -EAGAIN, "more than a stream takes");
    }
    return 0;
}

static void on_running(void *loop)
{
    const struct words *words = leat_run_user(loop);
    if (words->write_bytes > 0)
        LEAT_LOG_INFO("written");
    if (words->exits)
        leat_run_exit(loop, 7);
}

static int start(struct leat_loop *loop)
{
    const struct words *words = leat_run_user(loop);
    int result = 0;
    if (words->copies)
        result = copy(loop);
    if (result == 0 && words->write_bytes > 0)
        result = write_lines(loop, words->write_bytes);
    if (words->says_goodbye)
        leat_run_on_end(loop, goodbye, loop);
    if (result == 0)
        (void)leat_set_immediate(loop, on_running, loop);
    return result;
}

int main(int argc, char **argv)
{
    struct words words = {0};
    const struct leat_option options[] = {
        {"copy", LEAT_OPTION_FLAG, &words.copies, NULL, "standard input to output", 0, 0},
        {"write", LEAT_OPTION_BYTES, &words.write_bytes, "BYTES", "to standard output", 1,
         1u << 20},
        {"exit", LEAT_OPTION_FLAG, &words.exits, NULL, "leat_run_exit", 0, 0},
        {"goodbye", LEAT_OPTION_FLAG, &words.says_goodbye, NULL, "in the end hook", 0, 0},
    };
    const struct leat_program program = {.name = "stdio",
                                         .options = options,
                                         .option_count = 4,
                                         .start = start,
                                         .user = &words};
    return leat_program_main(&program, argc, argv);
}

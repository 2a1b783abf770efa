/* cat FILE | zipsum: the SHA-256 of standard input, compressed, as gzip | sha256sum prints it. Its
 * stages are streams, and the last but one is made here: a transform that gives one line when all
 * has come. */
#include <leat/leat.h>

#include <stdio.h>

struct sum {                   /* a stream: what is written to it is digested */
    struct leat_stream stream; /* first */
    struct leat_digest digest;
};

static void sum_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct sum *sum = (struct sum *)stream;
    for (unsigned i = 0; i < count; i++)
        leat_digest_update(&sum->digest, chunks[i].buf.data, chunks[i].buf.length_bytes);
    leat_stream_wrote(stream, leat_nothing());
}

static void sum_final(struct leat_stream *stream)
{
    struct sum *sum = (struct sum *)stream;
    uint8_t digest[LEAT_DIGEST_BYTES_MAX];
    char line[2 * LEAT_DIGEST_BYTES_MAX + 8];
    size_t digest_bytes = leat_digest_finish(&sum->digest, digest);
    for (size_t i = 0; i < digest_bytes; i++)
        snprintf(line + 2 * i, 3, "%02x", digest[i]);
    snprintf(line + 2 * digest_bytes, 8, "  -\n");
    (void)leat_push_bytes(stream, line, 2 * digest_bytes + 4); /* a failure is the stream's */
    leat_stream_wrote(stream, leat_nothing());
}

static struct leat_stream *sum_new(struct leat_loop *loop)
{
    static const struct leat_stream_class of = {.name = "sum",
                                                .length_bytes = sizeof(struct sum),
                                                .gives = LEAT_CHUNK_BYTES,
                                                .takes = LEAT_CHUNK_BYTES,
                                                .is_transform = true,
                                                .write = sum_write,
                                                .final = sum_final};
    struct leat_stream *stream = leat_stream_new(loop, &of, NULL);
    if (stream != NULL)
        leat_digest_init(&((struct sum *)stream)->digest, LEAT_SHA256);
    return stream;
}

static void summed(void *loop, const struct leat_result *result)
{
    if (result->code < 0) {
        LEAT_LOG_ERROR("zipsum: %s", leat_result_sentence(result));
        leat_run_exit(loop, 1);
    } /* else nothing is left to do, and the program ends */
}

static int start(struct leat_loop *loop)
{
    struct leat_stream *stages[] = {
        leat_stdin(loop),
        leat_compress_new(loop, &(struct leat_coder_options){.coding = LEAT_GZIP}),
        sum_new(loop),
        leat_stdout(loop),
    };
    for (unsigned i = 0; i < 4; i++)
        if (stages[i] == NULL)
            return leat_run_fail(loop, -EIO, "%s", leat_loop_error(loop)->sentence);
    leat_call(leat_pipeline(stages, 4), summed, loop); /* takes all of them */
    return 0;
}

int main(int argc, char **argv)
{
    const struct leat_program program = {.name = "zipsum",
                                         .summary = "Prints the SHA-256 of what gzip makes of "
                                                    "standard input.",
                                         .start = start,
                                         .cores = "1",
                                         .is_client = true};
    return leat_program_main(&program, argc, argv);
}

/* Standard input through a coder or a digest to standard output, for beside.py.
 *
 *   filter encode CODING LEVEL | decode CODING | digest KIND     and how many bytes at a time */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leat/coder.h>
#include <leat/digest.h>
#include <errno.h>

static const char *const codings[] = {"gzip", "deflate", "raw", "brotli", "zstd"};

static int filter_fail(struct leat_error *error)
{
    fprintf(stderr, "%d %s\n", error->code, error->sentence);
    return error->code == -ENOTSUP ? 77 : 1;
}

static int coder_filter(struct leat_coder *coder, size_t piece_bytes)
{
    uint8_t *in = malloc(piece_bytes), *out = malloc(piece_bytes);
    struct leat_error error;
    enum leat_coder_step step = LEAT_CODER_IN;
    while (step == LEAT_CODER_IN) {
        size_t count = fread(in, 1, piece_bytes, stdin);
        struct leat_coder_io io = {in, count, NULL, 0,
                                   count == 0 ? LEAT_CODER_FINISH : LEAT_CODER_GO};
        do {
            io.out = out;
            io.out_bytes = piece_bytes;
            step = leat_coder_run(coder, &io);
            fwrite(out, 1, piece_bytes - io.out_bytes, stdout);
        } while (step == LEAT_CODER_OUT);
    }
    free(in);
    free(out);
    return step == LEAT_CODER_DONE || leat_coder_error(coder, &error) == 0 ? 0
                                                                           : filter_fail(&error);
}

static int digest_filter(const char *kind, size_t piece_bytes)
{
    struct leat_digest digest;
    uint8_t *in = malloc(piece_bytes), sum[LEAT_DIGEST_BYTES_MAX];
    leat_digest_init(&digest, strcmp(kind, "sha1") == 0 ? LEAT_SHA1 : LEAT_SHA256);
    for (size_t count; (count = fread(in, 1, piece_bytes, stdin)) != 0;)
        leat_digest_update(&digest, in, count);
    fwrite(sum, 1, leat_digest_finish(&digest, sum), stdout);
    free(in);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    size_t piece_bytes = strtoul(argv[4], NULL, 10);
    struct leat_error error = {.code = 0};
    struct leat_coder_options options = {.level = atoi(argv[3]), .ratio_max = UINT32_MAX};
    if (strcmp(argv[1], "digest") == 0)
        return digest_filter(argv[2], piece_bytes);
    while (strcmp(codings[options.coding], argv[2]) != 0)
        options.coding++;
    struct leat_coder *coder = strcmp(argv[1], "encode") == 0 ? leat_encoder_new(&options, &error)
                                                              : leat_decoder_new(&options, &error);
    if (coder == NULL)
        return filter_fail(&error);
    int status = coder_filter(coder, piece_bytes);
    leat_coder_free(coder);
    return status;
}

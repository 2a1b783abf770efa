/* Decoders of every coding: whatever comes, output is bounded, pieces say what the whole says, and
 * no memory is left. */
#include <leat/check.h>
#include <leat/coder.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { OUT_MAX = 1 << 20 };

struct said {
    enum leat_coder_step step;
    int code;
    size_t out_bytes, left_bytes;
};

/* In pieces of that size, in memory of exactly the size; room for as much at a time. */
static struct said decode(struct leat_coder *coder, const uint8_t *data, size_t count,
                          size_t piece_bytes, uint8_t *out)
{
    struct said said = {.step = LEAT_CODER_IN};
    struct leat_error error;
    size_t at = 0;
    leat_coder_reset(coder);
    while (said.step == LEAT_CODER_IN) {
        size_t bytes = count - at < piece_bytes ? count - at : piece_bytes;
        uint8_t *piece = malloc(bytes + 1);
        LEAT_CHECK(piece != NULL);
        memcpy(piece, data + at, bytes);
        at += bytes;
        struct leat_coder_io io = {piece, bytes, NULL, 0,
                                   at == count ? LEAT_CODER_FINISH : LEAT_CODER_GO};
        do {
            io.out = out + said.out_bytes;
            io.out_bytes = piece_bytes < 4096 ? piece_bytes : 4096;
            LEAT_CHECK(said.out_bytes + io.out_bytes <= OUT_MAX);
            size_t room = io.out_bytes;
            said.step = leat_coder_run(coder, &io);
            LEAT_CHECK(io.out_bytes <= room);
            said.out_bytes += room - io.out_bytes;
        } while (said.step == LEAT_CODER_OUT);
        said.left_bytes = io.in_bytes + count - at;
        free(piece);
    }
    said.code = leat_coder_error(coder, &error);
    LEAT_CHECK((said.code != 0) == (said.step == LEAT_CODER_WRONG));
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static struct leat_core core;
    static uint8_t whole[OUT_MAX], pieces[OUT_MAX];
    if (length_bytes < 2)
        return 0;
    leat_core_now = &core;
    if (core.heap == NULL)
        LEAT_CHECK(leat_heap_init(&core, NULL) == 0);
    struct leat_coder_options options = {.coding = data[0] % 5u, .bytes_max = OUT_MAX / 2};
    struct leat_error error;
    struct leat_coder *coder = leat_decoder_new(&options, &error);
    if (coder == NULL) {
        LEAT_CHECK(error.code == -ENOTSUP);
        return 0;
    }
    struct said a = decode(coder, data + 2, length_bytes - 2, SIZE_MAX, whole);
    struct said b = decode(coder, data + 2, length_bytes - 2, 1 + data[1] % 64u, pieces);
    /* The ratio is what it is after each piece, so that a limit may be reached in one way only. */
    bool is_limited = a.code == -EMSGSIZE || b.code == -EMSGSIZE;
    LEAT_CHECK(a.step == b.step || is_limited);
    LEAT_CHECK(is_limited || a.step != LEAT_CODER_DONE || a.left_bytes == b.left_bytes);
    LEAT_CHECK(is_limited || a.step != LEAT_CODER_DONE || a.out_bytes == b.out_bytes);
    LEAT_CHECK(memcmp(whole, pieces, a.out_bytes < b.out_bytes ? a.out_bytes : b.out_bytes) == 0);
    leat_coder_free(coder);
    LEAT_CHECK(core.codec_bytes == 0);
    return 0;
}

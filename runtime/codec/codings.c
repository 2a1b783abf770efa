/* Which codings this build of Leat has. */
#include "leat_config.h"
#include "runtime/codec/coder_internal.h"

extern const struct coder_ops coder_gzip, coder_deflate, coder_deflate_raw;
extern const struct coder_ops coder_brotli_encoder, coder_brotli_decoder;
extern const struct coder_ops coder_zstd_encoder, coder_zstd_decoder;

const struct coder_ops *const coder_encoders[] = {
#if LEAT_HAVE_ZLIB
    [LEAT_GZIP] = &coder_gzip,
    [LEAT_DEFLATE] = &coder_deflate,
    [LEAT_DEFLATE_RAW] = &coder_deflate_raw,
#endif
#if LEAT_HAVE_BROTLI
    [LEAT_BROTLI] = &coder_brotli_encoder,
#endif
#if LEAT_HAVE_ZSTD
    [LEAT_ZSTD] = &coder_zstd_encoder,
#else
    [LEAT_ZSTD] = NULL,
#endif
};

const struct coder_ops *const coder_decoders[] = {
#if LEAT_HAVE_ZLIB
    [LEAT_GZIP] = &coder_gzip,
    [LEAT_DEFLATE] = &coder_deflate,
    [LEAT_DEFLATE_RAW] = &coder_deflate_raw,
#endif
#if LEAT_HAVE_BROTLI
    [LEAT_BROTLI] = &coder_brotli_decoder,
#endif
#if LEAT_HAVE_ZSTD
    [LEAT_ZSTD] = &coder_zstd_decoder,
#else
    [LEAT_ZSTD] = NULL,
#endif
};

/* Which codings this build of Leat has. */
#include "leat_config.h"
#include "runtime/codec/coder_internal.h"

extern const struct coder_ops coder_gzip, coder_deflate, coder_deflate_raw;
extern const struct coder_ops coder_brotli_encoder, coder_brotli_decoder;
extern const struct coder_ops coder_zstd_encoder, coder_zstd_decoder;

#if LEAT_HAVE_ZLIB
#define ZLIB(ops) &(ops)
#else
#define ZLIB(ops) NULL
#endif
#if LEAT_HAVE_BROTLI
#define BROTLI(ops) &(ops)
#else
#define BROTLI(ops) NULL
#endif
#if LEAT_HAVE_ZSTD
#define ZSTD(ops) &(ops)
#else
#define ZSTD(ops) NULL
#endif

const struct coding codings[] = {
    [LEAT_GZIP] = {ZLIB(coder_gzip), ZLIB(coder_gzip), "zlib1g-dev"},
    [LEAT_DEFLATE] = {ZLIB(coder_deflate), ZLIB(coder_deflate), "zlib1g-dev"},
    [LEAT_DEFLATE_RAW] = {ZLIB(coder_deflate_raw), ZLIB(coder_deflate_raw), "zlib1g-dev"},
    [LEAT_BROTLI] = {BROTLI(coder_brotli_encoder), BROTLI(coder_brotli_decoder), "libbrotli-dev"},
    [LEAT_ZSTD] = {ZSTD(coder_zstd_encoder), ZSTD(coder_zstd_decoder), "libzstd-dev"},
};

/* The choice of the instruction set, and the limits that come with it. */
#include "net/http/message/parser_internal.h"

const struct http_isa *http_isa_at(unsigned index)
{
    const struct http_isa *found[4] = {&http_isa_scalar};
    unsigned count = 1;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        found[count++] = &http_isa_sse42;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        found[count++] = &http_isa_avx2;
#endif
    return index < count ? found[index] : NULL;
}

const struct http_isa *http_isa_best(void)
{
    const struct http_isa *best = NULL, *isa;

    for (unsigned i = 0; (isa = http_isa_at(i)); i++)
        best = isa;
    return best;
}

void http_limits_init(struct http_limits *limits)
{
    *limits = (struct http_limits){
        .head_bytes_max = 16384,
        .target_bytes_max = 8192,
        .fields_max = HTTP_FIELDS_DEFAULT,
        .trailer_fields_max = 32,
        .chunk_ext_bytes_max = 4096,
        .isa = http_isa_best(),
    };
}

/* Response bytes against the reference parser, split at places that the bytes themselves choose. */
#include "test/http/differential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    uint64_t seed = length_bytes;

    for (size_t i = 0; i < length_bytes; i++)
        seed = (seed ^ data[i]) * UINT64_C(0x100000001b3);
    differential_response(data, length_bytes, seed);
    return 0;
}

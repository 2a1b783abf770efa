/* Scanning by vectors: a template, included once per vector width by a file that defines
 *   HTTP_TARGET, VECTOR_BYTES, vector_mask (an unsigned type with a bit per byte), and
 *   stop_token, stop_value, stop_target (at): bits of the bytes among the VECTOR_BYTES at at that
 *   are outside of the class.
 *
 * The last bytes are looked at through a vector that ends where they end: it begins in bytes that
 * were scanned before, so that nothing outside of [begin, end) is read. Only a head shorter than
 * one vector is scanned by bytes. */
#define SCAN(class, stop, bit)                                                                     \
    static inline __attribute__((always_inline))                                                   \
    HTTP_TARGET const uint8_t *scan_##class(const uint8_t *begin, const uint8_t *at,               \
                                            const uint8_t *end)                                    \
    {                                                                                              \
        vector_mask mask;                                                                          \
                                                                                                   \
        for (; end - at >= VECTOR_BYTES; at += VECTOR_BYTES) {                                     \
            mask = stop(at);                                                                       \
            if (http_likely(mask != 0))                                                            \
                return at + __builtin_ctzll(mask);                                                 \
        }                                                                                          \
        if (http_likely(end - begin >= VECTOR_BYTES)) {                                            \
            mask =                                                                                 \
                at == end ? 0 : stop(end - VECTOR_BYTES) >> (VECTOR_BYTES - (unsigned)(end - at)); \
            return mask ? at + __builtin_ctzll(mask) : end;                                        \
        }                                                                                          \
        while (at < end && (http_class[*at] & (bit)))                                              \
            at++;                                                                                  \
        return at;                                                                                 \
    }

SCAN(token, stop_token, HTTP_IS_TOKEN)
SCAN(value, stop_value, HTTP_IS_VALUE)
SCAN(target, stop_target, HTTP_IS_TARGET)

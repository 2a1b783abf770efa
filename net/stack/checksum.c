/* The Internet checksum (RFC 1071). */
#include "net/stack/wire.h"

#include "runtime/base/core.h"

#if defined(__x86_64__)
#define LANES_BYTES 32 /* AVX2, which is asked for at run time */
#define WIDE        __attribute__((target("avx2")))
#define HAS_WIDE    __builtin_cpu_supports("avx2")
#else
#define LANES_BYTES 16
#define WIDE
#define HAS_WIDE true
#endif
#define WIDE_BYTES_MIN 256 /* below, the scalar sum is as fast */

/* 64-bit sums take the 32-bit halves of what is loaded: no carry is lost before 2^32 additions. */
typedef uint64_t lanes __attribute__((vector_size(LANES_BYTES)));

WIDE static uint64_t sum_wide(const uint8_t *p, size_t count)
{
    lanes low = {0}, a = {0}, b = {0};
    uint64_t sum = 0;
    low += 0xffffffff;
    for (size_t i = 0; i < count; i++, p += 2 * LANES_BYTES) {
        lanes x, y;
        memcpy(&x, p, sizeof(x));
        memcpy(&y, p + LANES_BYTES, sizeof(y));
        a += (x & low) + (x >> 32);
        b += (y & low) + (y >> 32);
    }
    a += b;
    for (unsigned i = 0; i < LANES_BYTES / 8; i++)
        sum += a[i];
    return sum;
}

static uint64_t fold32(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    return (sum & 0xffffffff) + (sum >> 32);
}

/* With the carry brought round. */
static uint64_t add_round(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* 32 bytes as words of 64 bits, the carry brought round. Compilers keep a carry in the processor's
 * flag over one addition only. */
static uint64_t add_32_bytes(uint64_t sum, const uint8_t *p)
{
#if defined(__x86_64__)
    __asm__("addq 0(%1), %0\n\tadcq 8(%1), %0\n\tadcq 16(%1), %0\n\tadcq 24(%1), %0\n\tadcq $0, %0"
            : "+r"(sum)
            : "r"(p), "m"(*(const uint8_t(*)[32])p)
            : "cc");
    return sum;
#else
    for (unsigned i = 0; i < 32; i += 8)
        sum = add_round(sum, load64(p + i));
    return sum;
#endif
}

/* Where a word of 16 bits stands in a word of 64 does not matter to the sum. */
static uint64_t sum_narrow(const uint8_t *p, size_t length_bytes)
{
    uint64_t sum = 0;
    for (; length_bytes >= 32; length_bytes -= 32, p += 32)
        sum = add_32_bytes(sum, p);
    if (length_bytes & 16) {
        sum = add_round(add_round(sum, load64(p)), load64(p + 8));
        p += 16;
    }
    if (length_bytes & 8) {
        sum = add_round(sum, load64(p));
        p += 8;
    }
    uint64_t rest = 0; /* seven bytes at most: no carry */
    if (length_bytes & 4) {
        uint32_t word;
        memcpy(&word, p, sizeof(word));
        rest = word;
        p += 4;
    }
    if (length_bytes & 2) {
        uint16_t word;
        memcpy(&word, p, sizeof(word));
        rest += word;
        p += 2;
    }
    if (length_bytes & 1)
        rest += *p; /* the first byte of a word, as it lies */
    return add_round(sum, rest);
}

csum csum_add(csum sum, const void *data, size_t length_bytes)
{
    const uint8_t *p = data;
    uint64_t part = 0;
    if (length_bytes >= WIDE_BYTES_MIN && HAS_WIDE) {
        size_t blocks = length_bytes / (2 * LANES_BYTES);
        part = sum_wide(p, blocks);
        p += blocks * 2 * LANES_BYTES;
        length_bytes -= blocks * 2 * LANES_BYTES;
    }
    part = add_round(part, sum_narrow(p, length_bytes));
    return (csum){fold32(sum.sum) + fold32(part)};
}

WIDE static uint64_t copy_wide(uint8_t *to, const uint8_t *from, size_t count)
{
    lanes low = {0}, a = {0}, b = {0};
    uint64_t sum = 0;
    low += 0xffffffff;
    for (size_t i = 0; i < count; i++, from += 2 * LANES_BYTES, to += 2 * LANES_BYTES) {
        lanes x, y;
        memcpy(&x, from, sizeof(x));
        memcpy(&y, from + LANES_BYTES, sizeof(y));
        memcpy(to, &x, sizeof(x));
        memcpy(to + LANES_BYTES, &y, sizeof(y));
        a += (x & low) + (x >> 32);
        b += (y & low) + (y >> 32);
    }
    a += b;
    for (unsigned i = 0; i < LANES_BYTES / 8; i++)
        sum += a[i];
    return sum;
}

csum csum_copy(void *to, const void *from, size_t length_bytes)
{
    const uint8_t *p = from;
    uint64_t sum = 0;
    size_t blocks = 0;
    if (length_bytes >= WIDE_BYTES_MIN && HAS_WIDE) {
        blocks = length_bytes / (2 * LANES_BYTES);
        sum = copy_wide(to, p, blocks);
    }
    size_t done = blocks * 2 * LANES_BYTES;
    memcpy((uint8_t *)to + done, p + done, length_bytes - done);
    return (csum){fold32(add_round(sum, sum_narrow(p + done, length_bytes - done)))};
}

csum csum_append(csum sum, csum part, size_t offset_bytes)
{
    uint64_t s = fold32(part.sum);
    if (offset_bytes & 1)
        s = ((s & 0x00ff00ff) << 8) | ((s >> 8) & 0x00ff00ff);
    return (csum){fold32(sum.sum) + s};
}

/* Of an IPv4 address the bytes before it are summed too: ::ffff: adds ffff, which is nothing. */
csum csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol,
                 uint32_t length_bytes)
{
    be32 length = be32_put(length_bytes), kind = be32_put(protocol);
    uint64_t fixed = (uint64_t)length.raw + kind.raw, a = load64(src->b), b = load64(dst->b);
    uint64_t c = load64(src->b + 8), d = load64(dst->b + 8);
    if (likely((a | b) == 0)) /* IPv4: no carry is lost in four halves of 32 bits */
        return (csum){fixed + (uint32_t)c + (c >> 32) + (uint32_t)d + (d >> 32)};
    return (csum){fixed + fold32(add_round(add_round(a, b), add_round(c, d)))};
}

be16 csum_replace16(be16 checksum, be16 from, be16 to)
{
    uint32_t sum = (uint32_t)(uint16_t)~checksum.raw + (uint16_t)~from.raw + to.raw;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (be16){(uint16_t)~sum};
}

be16 csum_replace32(be16 checksum, be32 from, be32 to)
{
    checksum = csum_replace16(checksum, (be16){(uint16_t)from.raw}, (be16){(uint16_t)to.raw});
    return csum_replace16(checksum, (be16){(uint16_t)(from.raw >> 16)},
                          (be16){(uint16_t)(to.raw >> 16)});
}

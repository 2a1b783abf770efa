#include "net/stack/wire.h"

/* Two vectors of 64-bit sums take the 32-bit halves of 16 bytes each: no carry is lost before 2^32
 * additions, and the compiler maps it on whatever the CPU has. */
typedef uint64_t lanes __attribute__((vector_size(16)));

static uint64_t sum_blocks(const uint8_t *p, size_t count)
{
    const lanes low = {0xffffffff, 0xffffffff};
    lanes a = {0, 0}, b = {0, 0};
    for (size_t i = 0; i < count; i++, p += 32) {
        lanes x, y;
        memcpy(&x, p, sizeof(x));
        memcpy(&y, p + 16, sizeof(y));
        a += (x & low) + (x >> 32);
        b += (y & low) + (y >> 32);
    }
    a += b;
    return a[0] + a[1];
}

static uint64_t fold32(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    return (sum & 0xffffffff) + (sum >> 32);
}

static uint64_t sum_tail(const uint8_t *p, size_t length_bytes)
{
    uint64_t sum = 0;
    uint32_t word;
    for (; length_bytes >= 4; length_bytes -= 4, p += 4) {
        memcpy(&word, p, 4);
        sum += word;
    }
    word = 0;
    memcpy(&word, p, length_bytes);
    return sum + word;
}

csum csum_add(csum sum, const void *data, size_t length_bytes)
{
    const uint8_t *p = data;
    size_t blocks = length_bytes / 32;
    uint64_t part = sum_blocks(p, blocks) + sum_tail(p + blocks * 32, length_bytes % 32);
    return (csum){fold32(sum.sum) + fold32(part)};
}

csum csum_append(csum sum, csum part, size_t offset_bytes)
{
    uint64_t s = fold32(part.sum);
    if (offset_bytes & 1)
        s = ((s & 0x00ff00ff) << 8) | ((s >> 8) & 0x00ff00ff);
    return (csum){fold32(sum.sum) + s};
}

csum csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol,
                 uint32_t length_bytes)
{
    be32 length = be32_put(length_bytes), kind = be32_put(protocol);
    uint64_t sum = (uint64_t)length.raw + kind.raw;
    if (ip_addr_is_v4(src))
        sum += (uint64_t)ip_addr_get_v4(src).raw + ip_addr_get_v4(dst).raw;
    else
        sum += csum_add(csum_add(CSUM_ZERO, src->b, 16), dst->b, 16).sum;
    return (csum){sum};
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

/* Numbers as text. */
#include "net/http/http_internal.h"

size_t http_put_number(uint8_t *to, uint64_t number)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                "31323334353637383940414243444546474849505152535455565758596061"
                                "62636465666768697071727374757677787980818283848586878889909192"
                                "93949596979899";
    char digits[20];
    unsigned at = sizeof(digits);

    if (number < 10) {
        *to = (uint8_t)('0' + number);
        return 1;
    }
    if (number < 100) {
        memcpy(to, pairs + number * 2, 2);
        return 2;
    }
    for (; number >= 100; number /= 100) { /* by a constant: a multiplication */
        at -= 2;
        memcpy(digits + at, pairs + (number % 100) * 2, 2);
    }
    if (number >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + number * 2, 2);
    } else {
        digits[--at] = (char)('0' + number);
    }
    memcpy(to, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

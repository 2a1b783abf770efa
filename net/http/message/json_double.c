/* Doubles as text and back, correctly rounded both ways, whatever the locale. */
#include "net/http/message/json_internal.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A decimal: its digits without the point, and how many of them stand before it. */
struct decimal {
    char digits[20];
    int count, before_point;
};

/* Clinger's case: both the digits and the power of ten are doubles exactly, so one multiplication
 * or division rounds once ("How to Read Floating Point Numbers Accurately", 1990). */
static bool is_read_exactly(const char *text, size_t length_bytes, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    size_t at = text[0] == '-';
    uint64_t digits = 0;
    int exponent = 0, written = 0;
    bool is_behind_point = false, is_negative = false;
    for (; at < length_bytes && (text[at] | 0x20) != 'e'; at++) {
        if (text[at] == '.') {
            is_behind_point = true;
            continue;
        }
        digits = digits * 10 + (uint64_t)(text[at] - '0');
        if (digits > UINT64_C(1) << 53)
            return false;
        exponent -= is_behind_point;
    }
    if (at < length_bytes && ++at < length_bytes && (text[at] == '-' || text[at] == '+'))
        is_negative = text[at++] == '-';
    for (; at < length_bytes; at++) {
        written = written * 10 + (text[at] - '0');
        if (written > 9999)
            return false;
    }
    exponent += is_negative ? -written : written;
    if (exponent < -22 || exponent > 22)
        return false;
    double read = (double)digits;
    read = exponent < 0 ? read / powers[-exponent] : read * powers[exponent];
    *value = text[0] == '-' ? -read : read;
    return true;
}

int json_double_read(const char *text, size_t length_bytes, double *value)
{
    char copy[LEAT_JSON_NUMBER_BYTES_MAX + 1];
    CHECK(length_bytes < sizeof(copy));
    if (is_read_exactly(text, length_bytes, value))
        return 0;
    memcpy(copy, text, length_bytes);
    copy[length_bytes] = '\0';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0)
        return -ENOMEM;
    double read = strtod_l(copy, NULL, plain);
    freelocale(plain);
    if (isinf(read))
        return -ERANGE;
    *value = read;
    return 0;
}

/* count digits of value, which is finite and positive, the nearest that there are. */
static void decimal_set(struct decimal *decimal, double value, int count)
{
    char text[40];
    snprintf(text, sizeof(text), "%.*e", count - 1, value);
    char *exponent = strchr(text, 'e');
    *decimal = (struct decimal){.count = 0};
    for (const char *at = text; at < exponent; at++)
        if (*at >= '0' && *at <= '9') /* the point is whatever the locale has */
            decimal->digits[decimal->count++] = *at;
    decimal->before_point = (int)strtol(exponent + 1, NULL, 10) + 1;
}

/* One more in the last place. */
static void decimal_increase(struct decimal *decimal)
{
    int at = decimal->count - 1;
    for (; at >= 0 && decimal->digits[at] == '9'; at--)
        decimal->digits[at] = '0';
    if (at >= 0) {
        decimal->digits[at]++;
    } else {
        decimal->digits[0] = '1';
        decimal->before_point++;
    }
}

static bool is_decimal_of(const struct decimal *decimal, double value)
{
    char text[40];
    int length =
        snprintf(text, sizeof(text), "%c.%.*s%se%d", decimal->digits[0], decimal->count - 1,
                 decimal->digits + 1, decimal->count == 1 ? "0" : "", decimal->before_point - 1);
    double read;
    return json_double_read(text, (size_t)length, &read) == 0 && read == value;
}

/* The shortest decimal that reads as value, and the nearest of these. That the nearest of its
 * length does not read as value and the next larger one does happens at powers of two, below which
 * doubles lie closer. */
static void decimal_shortest(struct decimal *decimal, double value)
{
    /* Every decimal of 15 digits survives a double that is not subnormal: a shorter one shows as
     * zeros at the end. */
    for (int count = value < 2.2250738585072014e-308 ? 1 : 15; count <= 17; count++) {
        decimal_set(decimal, value, count);
        if (is_decimal_of(decimal, value))
            break;
        struct decimal larger = *decimal;
        decimal_increase(&larger);
        if (count < 17 && is_decimal_of(&larger, value)) {
            *decimal = larger;
            break;
        }
    }
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

/* As ECMAScript's Number::toString lays digits out: plainly from 1e-6 on and below 1e21. */
static size_t decimal_put(const struct decimal *decimal, char *to)
{
    int count = decimal->count, before = decimal->before_point;
    const char *digits = decimal->digits;
    char *at = to;
    if (before > 21 || before <= -6) {
        *at++ = digits[0];
        if (count > 1) {
            *at++ = '.';
            memcpy(at, digits + 1, (size_t)count - 1);
            at += count - 1;
        }
        return (size_t)(at - to) + (size_t)snprintf(at, 8, "e%+d", before - 1);
    }
    if (before <= 0) {
        memcpy(at, "0.000000", 2 + (size_t)-before);
        at += 2 - before;
    }
    for (int i = 0; i < count || i < before; i++) {
        if (i == before && i > 0)
            *at++ = '.';
        *at++ = i < count ? digits[i] : '0';
    }
    return (size_t)(at - to);
}

size_t json_double_put(double value, char text[JSON_DOUBLE_BYTES])
{
    struct decimal decimal;
    size_t sign = signbit(value) != 0;
    double magnitude = fabs(value);
    text[0] = '-';
    if (magnitude < 9007199254740992.0 && magnitude == (double)(uint64_t)magnitude)
        return sign + (size_t)snprintf(text + sign, JSON_DOUBLE_BYTES - 1, "%llu",
                                       (unsigned long long)magnitude);
    decimal_shortest(&decimal, magnitude);
    return sign + decimal_put(&decimal, text + sign);
}

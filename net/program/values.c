/* Sizes and times: their units, read and written. */
#include "net/program/values.h"

#include <stdio.h>
#include <string.h>

#define FRACTION_DIGITS_MAX 9

struct unit {
    const char *suffix;
    uint64_t factor;
    bool is_shown; /* bounds are told in these */
};

#define K UINT64_C(1024)
#define D UINT64_C(1000)
static const struct unit bytes_units[] = {
    {"", 1, true},
    {"B", 1, false},
    {"k", K, true},
    {"KiB", K, false},
    {"kB", D, false},
    {"M", K *K, true},
    {"MiB", K *K, false},
    {"MB", D *D, false},
    {"G", K *K *K, true},
    {"GiB", K *K *K, false},
    {"GB", D *D *D, false},
    {"T", K *K *K *K, true},
    {"TiB", K *K *K *K, false},
    {"TB", D *D *D *D, false},
    {NULL, 0, false},
};

static const struct unit time_units[] = {
    {"", LEAT_NS_PER_S, false},
    {"ns", 1, true},
    {"us", 1000, true},
    {"ms", LEAT_NS_PER_MS, true},
    {"s", LEAT_NS_PER_S, true},
    {"m", 60 * LEAT_NS_PER_S, true},
    {"min", 60 * LEAT_NS_PER_S, false},
    {"h", 3600 * LEAT_NS_PER_S, true},
    {"d", 24 * 3600 * LEAT_NS_PER_S, false},
    {NULL, 0, false},
};

static const struct value_kind kinds[] = {
    {value_count_parse, "a whole number"},
    {value_bytes_parse, "a size such as 4096, 64k, 1.5G or 256MB"},
    {value_duration_parse, "a time such as 500ms, 1.5s or 2m"},
};

const struct value_kind *value_kind_of(enum leat_option_kind kind)
{
    return &kinds[kind == LEAT_OPTION_DURATION ? 2 : kind == LEAT_OPTION_BYTES ? 1 : 0];
}

/* Decimal digits at text; returns what is behind them, NULL when there are none or too many. */
static const char *digits_read(const char *text, uint64_t *number)
{
    const char *at = text;
    uint64_t n = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
            return NULL;
    *number = n;
    return at == text ? NULL : at;
}

bool value_count_parse(const char *text, uint64_t *value)
{
    const char *end = digits_read(text, value);
    return end != NULL && *end == '\0';
}

/* ".5": *billionths is 500,000,000. Returns what is behind it, text itself when it is no fraction,
 * NULL when it has no digits or too many. */
static const char *fraction_read(const char *text, uint64_t *billionths)
{
    *billionths = 0;
    if (*text != '.')
        return text;
    const char *end = digits_read(text + 1, billionths);
    if (end == NULL || end - text - 1 > FRACTION_DIGITS_MAX)
        return NULL;
    for (long digits = end - text - 1; digits < FRACTION_DIGITS_MAX; digits++)
        *billionths *= 10;
    return end;
}

static const struct unit *unit_find(const struct unit *units, const char *suffix)
{
    while (units->suffix != NULL && strcasecmp(units->suffix, suffix) != 0)
        units++;
    return units->suffix != NULL ? units : NULL;
}

static bool value_parse(const struct unit *units, const char *text, uint64_t *value)
{
    uint64_t whole, billionths, product;
    const char *end = digits_read(text, &whole);
    end = end != NULL ? fraction_read(end, &billionths) : NULL;
    const struct unit *unit = end != NULL ? unit_find(units, end) : NULL;
    if (unit == NULL || (unit->factor == 1 && billionths != 0) ||
        __builtin_mul_overflow(whole, unit->factor, &product))
        return false;
    uint64_t part = (uint64_t)((unsigned __int128)billionths * unit->factor / 1000000000);
    return !__builtin_add_overflow(product, part, value);
}

bool value_bytes_parse(const char *text, uint64_t *value)
{
    return value_parse(bytes_units, text, value);
}

bool value_duration_parse(const char *text, uint64_t *value)
{
    return value_parse(time_units, text, value);
}

char *value_format(enum leat_option_kind kind, uint64_t value, char text[32])
{
    const struct unit *units = kind == LEAT_OPTION_DURATION ? time_units : bytes_units;
    const struct unit *best = NULL;
    for (; kind != LEAT_OPTION_COUNT && units->suffix != NULL; units++) {
        bool is_exact = units->is_shown && value != 0 && value % units->factor == 0;
        best = is_exact && (best == NULL || units->factor > best->factor) ? units : best;
    }
    snprintf(text, 32, "%llu%s", (unsigned long long)(best != NULL ? value / best->factor : value),
             best != NULL ? best->suffix : "");
    return text;
}

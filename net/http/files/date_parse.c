/* Dates of HTTP: RFC 9110 5.6.7. */
#include "net/http/files/files_internal.h"

#include <string.h>

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, counted in years that begin
 * in March, so that the leap day is the last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static int digits_read(const char *text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

static int month_of(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (memcmp(text, names + (ptrdiff_t)i * 3, 3) == 0)
            return i + 1;
    return -1;
}

static int64_t seconds_of(int year, int month, int day, const char *clock)
{
    static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int hour = digits_read(clock, 2), minute = digits_read(clock + 3, 2),
        second = digits_read(clock + 6, 2);
    bool is_sane = year >= 1970 && month >= 1 && day >= 1 && day <= lengths[month - 1] &&
                   hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 &&
                   second <= 60 && clock[2] == ':' && clock[5] == ':';
    if (!is_sane)
        return -1;
    return days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

/* A two-digit year more than 50 years ahead is in the past: RFC 9110 5.6.7. */
static int full_year(int year, int64_t now_s)
{
    int now_year = 1970 + (int)(now_s / 31556952);
    if (year < 0)
        return -1;
    year += now_year / 100 * 100;
    return year > now_year + 50 ? year - 100 : year;
}

int64_t files_date_parse(struct leat_view text, int64_t now_s)
{
    const char *at = text.data;
    if (text.length_bytes == 29 && memcmp(at + 3, ", ", 2) == 0 &&
        memcmp(at + 25, " GMT", 4) == 0) {
        /* Sun, 06 Nov 1994 08:49:37 GMT */
        bool is_spaced = at[7] == ' ' && at[11] == ' ' && at[16] == ' ';
        return !is_spaced ? -1
                          : seconds_of(digits_read(at + 12, 4), month_of(at + 8),
                                       digits_read(at + 5, 2), at + 17);
    }
    if (text.length_bytes == 24 && at[3] == ' ' && at[7] == ' ' && at[10] == ' ' && at[19] == ' ') {
        /* Sun Nov  6 08:49:37 1994 */
        int day = at[8] == ' ' ? digits_read(at + 9, 1) : digits_read(at + 8, 2);
        return seconds_of(digits_read(at + 20, 4), month_of(at + 4), day, at + 11);
    }
    const char *comma = memchr(at, ',', text.length_bytes);
    if (comma != NULL && at + text.length_bytes - comma == 24 && comma[1] == ' ' &&
        comma[4] == '-' && comma[8] == '-' && comma[11] == ' ' &&
        memcmp(comma + 20, " GMT", 4) == 0) {
        /* Sunday, 06-Nov-94 08:49:37 GMT */
        return seconds_of(full_year(digits_read(comma + 9, 2), now_s), month_of(comma + 5),
                          digits_read(comma + 2, 2), comma + 12);
    }
    return -1;
}

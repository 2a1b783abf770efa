/* The Date header (RFC 9110 6.6.1): one text per core, formatted at most once a second, when
 * somebody answers. A core at rest does nothing for it. */
#include "net/http/http_internal.h"

static void put2(char *to, unsigned number)
{
    to[0] = (char)('0' + number / 10);
    to[1] = (char)('0' + number % 10);
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

void http_date_format(uint64_t unix_s, char text[HTTP_DATE_BYTES])
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t days = unix_s / 86400;
    unsigned second = (unsigned)(unix_s % 86400), weekday = (unsigned)(days % 7);
    unsigned year = 1970, month = 0;

    for (; year < 9999 && days >= (is_leap(year) ? 366u : 365u); year++)
        days -= is_leap(year) ? 366u : 365u;
    for (; month < 11; month++) {
        unsigned in_month = month_days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
        if (days < in_month)
            break;
        days -= in_month;
    }
    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_BYTES);
    memcpy(text, weekdays + weekday * 3, 3);
    put2(text + 5, (unsigned)days % 31 + 1);
    memcpy(text + 8, months + month * 3, 3);
    put2(text + 12, year / 100);
    put2(text + 14, year % 100);
    put2(text + 17, second / 3600);
    put2(text + 20, second / 60 % 60);
    put2(text + 23, second % 60);
}

void http_date_refresh(struct http_core *core, uint64_t now_ns)
{
    if (likely(now_ns < core->date_until_ns))
        return;
    uint64_t wall_ns = core->wall_ns();
    core->date_until_ns = now_ns + LEAT_NS_PER_S - wall_ns % LEAT_NS_PER_S;
    core->date_number++;
    http_date_format(wall_ns / LEAT_NS_PER_S, core->date);
}

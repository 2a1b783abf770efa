/* The Date header (RFC 9110 6.6.1): one text per core, formatted at most once a second, when
 * somebody answers. A core at rest does nothing for it. */
#include "net/http/http_internal.h"

#define DAYS_OF_400  146097                 /* of 400 years */
#define DAYS_TO_1970 719468                 /* from 1 March of the year 0 */
#define DATE_LAST_S  UINT64_C(253402300799) /* 31 December 9999 */

static void put2(char *to, unsigned number)
{
    to[0] = (char)('0' + number / 10);
    to[1] = (char)('0' + number % 10);
}

void http_date_format(uint64_t unix_s, char text[HTTP_DATE_BYTES])
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (unix_s > DATE_LAST_S)
        unix_s = DATE_LAST_S;
    unsigned days = (unsigned)(unix_s / 86400), second = (unsigned)(unix_s % 86400);
    unsigned weekday = days % 7;
    /* Years from March to February, so that the leap day is the last; 400 of them have the same
     * number of days, and 153 days are in any five months from March or August on. */
    unsigned since = days + DAYS_TO_1970, age = since / DAYS_OF_400, day = since % DAYS_OF_400;
    unsigned year = (day - day / 1460 + day / 36524 - day / (DAYS_OF_400 - 1)) / 365;
    day -= 365 * year + year / 4 - year / 100;
    unsigned from_march = (5 * day + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 2 : from_march - 10;
    day -= (153 * from_march + 2) / 5;
    year += 400 * age + (month < 2);
    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_BYTES);
    memcpy(text, weekdays + weekday * 3, 3);
    put2(text + 5, day % 31 + 1);
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

/* What a handler that is part of the library needs of the server, beyond what http.h gives every
 * application. Internal to the library: not installed. */
#ifndef LEAT_HTTP_HANDLER_H
#define LEAT_HTTP_HANDLER_H

#include <leat/http.h>

#define HTTP_DATE_BYTES 29 /* RFC 9110 5.6.7: IMF-fixdate */
/* Not NUL-terminated. Years up to 9999. */
void http_date_format(uint64_t unix_s, char text[HTTP_DATE_BYTES]);

#endif

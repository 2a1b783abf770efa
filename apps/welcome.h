/* The welcome page, apps/welcome.html, as bytes in the program, and what serves it. */
#ifndef LEAT_WELCOME_H
#define LEAT_WELCOME_H

#include <stddef.h>

struct leat_http;

extern const unsigned char welcome_html[];
extern const size_t welcome_html_bytes;

/* Routes "/" to the page and "/leat/status" to what it shows, as JSON. The status is for a client
 * on this machine that names it localhost or by an address and comes through no proxy: 404 for all
 * others. Before leat_http_listen. */
void welcome_mount(struct leat_http *http);

#endif

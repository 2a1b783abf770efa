/* The welcome page, apps/welcome.html, as bytes in the program. */
#ifndef LEAT_WELCOME_H
#define LEAT_WELCOME_H

#include <stddef.h>

extern const unsigned char welcome_html[];
extern const size_t welcome_html_bytes;

#endif

/* The normal form of a path (RFC 3986 5.2.4 and 6.2.2): no segment is empty but the last, none is
 * "." or "..", which "%2e" spells too. Pure. Internal to the library: not installed. */
#ifndef LEAT_HTTP_PATH_H
#define LEAT_HTTP_PATH_H

#include <leat/view.h>

/* path as received, without query. True for what does not begin with a slash ("*", an authority):
 * that is no path. */
bool http_path_is_normal(struct leat_view path);

/* Writes the normal form to to, which has room for 3 * path.length_bytes: a backslash, which some
 * clients take for a slash, becomes "%5C", so that the result cannot name another host. Returns its
 * length, or -1 when a ".." leads out of the root. */
ptrdiff_t http_path_normal_form(struct leat_view path, char *to);

#endif

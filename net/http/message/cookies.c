/* Cookies, read and written. */
#include "net/http/message/cookies.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "net/http/message/parser_internal.h"

/* ---- Reading ---- */

static struct leat_view view_trim(struct leat_view view)
{
    while (view.length_bytes > 0 && (*view.data == ' ' || *view.data == '\t')) {
        view.data++;
        view.length_bytes--;
    }
    while (view.length_bytes > 0 &&
           (view.data[view.length_bytes - 1] == ' ' || view.data[view.length_bytes - 1] == '\t'))
        view.length_bytes--;
    return view;
}

/* Cuts rest behind its first pair. */
static struct leat_view pair_cut(struct leat_view *rest)
{
    struct leat_view pair = *rest;
    const char *semicolon = memchr(pair.data, ';', pair.length_bytes);
    size_t used = pair.length_bytes;

    if (semicolon != NULL) {
        pair.length_bytes = (size_t)(semicolon - pair.data);
        used = pair.length_bytes + 1;
    }
    rest->data += used;
    rest->length_bytes -= used;
    return pair;
}

bool http_cookie_next(struct leat_view *rest, struct leat_view *name, struct leat_view *value)
{
    while (rest->length_bytes > 0) {
        struct leat_view pair = pair_cut(rest);
        const char *equals =
            pair.length_bytes > 0 ? memchr(pair.data, '=', pair.length_bytes) : NULL;
        if (equals == NULL)
            continue;
        size_t name_bytes = (size_t)(equals - pair.data);
        *name = view_trim((struct leat_view){pair.data, name_bytes});
        *value = view_trim((struct leat_view){equals + 1, pair.length_bytes - name_bytes - 1});
        if (name->length_bytes == 0)
            continue;
        if (value->length_bytes >= 2 && value->data[0] == '"' &&
            value->data[value->length_bytes - 1] == '"') {
            value->data++;
            value->length_bytes -= 2;
        }
        return true;
    }
    return false;
}

bool http_cookie_value_is_valid(struct leat_view value)
{
    for (size_t i = 0; i < value.length_bytes; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == ',' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

/* ---- Writing ---- */

static bool name_is_valid(const char *name)
{
    if (name == NULL || name[0] == '\0')
        return false;
    for (; *name != '\0'; name++)
        if (!(http_class[(uint8_t)*name] & HTTP_IS_TOKEN))
            return false;
    return true;
}

/* path-value: any byte but controls and ";" (RFC 6265 4.1.1). */
static bool path_is_valid(const char *path)
{
    size_t length = strlen(path);

    if (path[0] != '/' || length > LEAT_COOKIE_PATH_MAX || path[length - 1] == ' ')
        return false;
    for (; *path != '\0'; path++)
        if ((unsigned char)*path < 0x20 || *path == 0x7f || *path == ';')
            return false;
    return true;
}

/* Labels of letters, digits and hyphens; a leading dot means nothing (RFC 6265 4.1.2.3), so none is
 * written. */
static bool domain_is_valid(const char *domain)
{
    if (strlen(domain) > LEAT_COOKIE_DOMAIN_MAX || domain[0] == '\0' ||
        strstr(domain, "..") != NULL)
        return false;
    for (const char *at = domain; *at != '\0'; at++) {
        char letter = (char)(*at | 0x20);
        bool is_name = (letter >= 'a' && letter <= 'z') || (*at >= '0' && *at <= '9');
        if (!is_name && *at != '-' && (*at != '.' || at == domain))
            return false;
    }
    return true;
}

static bool has_prefix(const char *name, const char *prefix)
{
    return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

/* RFC 6265bis 4.1.3: what the names promise. Browsers drop a cookie that breaks it. */
static bool prefix_holds(const struct leat_cookie *cookie, const char *path, bool is_secure)
{
    if (has_prefix(cookie->name, "__Secure-"))
        return is_secure;
    if (has_prefix(cookie->name, "__Host-"))
        return is_secure && strcmp(path, "/") == 0 && cookie->domain == NULL;
    return true;
}

static bool cookie_demands_secure(const struct leat_cookie *cookie)
{
    return cookie->same_site == LEAT_SAME_SITE_NONE || cookie->is_partitioned ||
           has_prefix(cookie->name, "__Secure-") || has_prefix(cookie->name, "__Host-");
}

static bool cookie_is_valid(const struct leat_cookie *cookie, const char *value, const char *path)
{
    return name_is_valid(cookie->name) && http_cookie_value_is_valid(leat_view_of(value)) &&
           strlen(cookie->name) + strlen(value) <= LEAT_COOKIE_BYTES_MAX && path_is_valid(path) &&
           (cookie->domain == NULL || domain_is_valid(cookie->domain)) &&
           cookie->same_site <= LEAT_SAME_SITE_NONE && cookie->secure <= LEAT_COOKIE_SECURE_NEVER &&
           (cookie->max_age_s >= 0 || cookie->max_age_s == LEAT_COOKIE_REMOVE);
}

ptrdiff_t http_cookie_write(const struct leat_cookie *cookie, bool is_tls, char *to)
{
    static const char *const same_sites[] = {"Lax", "Strict", "None"};
    const char *value = cookie->value != NULL ? cookie->value : "";
    const char *path = cookie->path != NULL ? cookie->path : "/";

    if (!cookie_is_valid(cookie, value, path))
        return -EINVAL;
    bool demands = cookie_demands_secure(cookie);
    bool is_secure = cookie->secure == LEAT_COOKIE_SECURE_ALWAYS ||
                     (cookie->secure == LEAT_COOKIE_SECURE_AUTO && (demands || is_tls));
    if ((demands && !is_secure) || !prefix_holds(cookie, path, is_secure))
        return -EINVAL;
    char *out = to + sprintf(to, "%s=%s; Path=%s", cookie->name, value, path);
    if (cookie->domain != NULL)
        out += sprintf(out, "; Domain=%s", cookie->domain);
    if (cookie->max_age_s != 0)
        out +=
            sprintf(out, "; Max-Age=%lld",
                    cookie->max_age_s == LEAT_COOKIE_REMOVE ? 0LL : (long long)cookie->max_age_s);
    out += sprintf(out, "; SameSite=%s%s%s%s", same_sites[cookie->same_site],
                   is_secure ? "; Secure" : "", cookie->is_for_scripts ? "" : "; HttpOnly",
                   cookie->is_partitioned ? "; Partitioned" : "");
    return out - to;
}

/* From a URL and flags to addresses and the bytes of a request. */
#include "apps/load/load_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TARGET_FORMS "http://HOST[:PORT][/PATH] or unix:FILE[:/PATH]"

static int fail_url(struct leat_error *error, const char *url, const char *why)
{
    return leat_fail(error, -EINVAL, "cannot use the URL \"%.100s\": %s", url, why);
}

static void address_add(struct load_target *target, const struct sockaddr *from)
{
    struct leat_addr *addr = &target->addresses[target->addresses_count];
    memset(addr, 0, sizeof(*addr));
    if (target->addresses_count == LOAD_ADDRESSES_MAX)
        return;
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
        addr->family = LEAT_FAMILY_IPV4;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip, &in->sin_addr, 4);
        target->addresses_count++;
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
        addr->family = LEAT_FAMILY_IPV6;
        addr->port = ntohs(in6->sin6_port);
        addr->scope = in6->sin6_scope_id;
        memcpy(addr->ip, &in6->sin6_addr, 16);
        target->addresses_count++;
    }
}

static int resolve(struct load_target *target, const char *host, const char *port,
                   struct leat_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int result = getaddrinfo(host, port, &hints, &found);
    if (result != 0) {
        return leat_fail(error, -ENOENT, "cannot find the address of %s: %s", host,
                         gai_strerror(result));
    }
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        address_add(target, at->ai_addr);
    freeaddrinfo(found);
    return target->addresses_count > 0
               ? 0
               : leat_fail(error, -ENOENT, "%s has no IPv4 or IPv6 address", host);
}

/* authority: HOST, HOST:PORT, [IPV6], [IPV6]:PORT; written to target->name, and taken apart. */
static int authority_parse(struct load_target *target, const char *url, struct leat_error *error)
{
    char host[sizeof(target->name)];
    const char *end = target->name;
    if (target->name[0] == '[') {
        end = strchr(target->name, ']');
        if (end == NULL)
            return fail_url(error, url, "an IPv6 address ends in \"]\"");
        snprintf(host, sizeof(host), "%.*s", (int)(end - target->name - 1), target->name + 1);
        end++;
    } else {
        end += strcspn(end, ":");
        snprintf(host, sizeof(host), "%.*s", (int)(end - target->name), target->name);
    }
    if (host[0] == '\0' || strchr(target->name, '@') != NULL)
        return fail_url(error, url, "write it as " TARGET_FORMS);
    const char *port = *end == ':' ? end + 1 : "80";
    size_t digits = strspn(port, "0123456789");
    if ((*end != ':' && *end != '\0') || digits == 0 || digits > 5 || port[digits] != '\0' ||
        atoi(port) < 1 || atoi(port) > 65535)
        return fail_url(error, url, "the port is a number from 1 to 65535");
    return resolve(target, host, port, error);
}

static int unix_parse(struct load_target *target, const char *url, struct leat_error *error)
{
    struct leat_addr *addr = &target->addresses[0];
    const char *file = url + strlen("unix:");
    const char *path = strstr(file, ":/");
    size_t length = path != NULL ? (size_t)(path - file) : strlen(file);
    if (length == 0 || length >= sizeof(addr->path))
        return fail_url(error, url, "write the socket's path, of at most 107 bytes, behind unix:");
    memset(addr, 0, sizeof(*addr));
    addr->family = LEAT_FAMILY_UNIX;
    memcpy(addr->path, file, length);
    target->addresses_count = 1;
    target->path = path != NULL ? path + 1 : "/";
    snprintf(target->name, sizeof(target->name), "localhost");
    return 0;
}

int load_target_parse(struct load_target *target, const char *url, struct leat_error *error)
{
    static const char scheme[] = "http://";
    for (const char *at = url; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 127 || strchr("\"<>\\^`{|}#", *at) != NULL)
            return fail_url(error, url, "a byte in it is not allowed: write it as %XX");
    if (strncmp(url, "unix:", 5) == 0)
        return unix_parse(target, url, error);
    if (strncasecmp(url, "https://", 8) == 0)
        return fail_url(error, url, "there is no TLS yet: measure http://");
    if (strncasecmp(url, scheme, sizeof(scheme) - 1) != 0)
        return fail_url(error, url, "write it as " TARGET_FORMS);
    const char *authority = url + sizeof(scheme) - 1;
    size_t length = strcspn(authority, "/?");
    if (length >= sizeof(target->name))
        return fail_url(error, url, "its host is too long");
    memcpy(target->name, authority, length);
    target->path = authority[length] != '\0' ? authority + length : "/";
    return authority_parse(target, url, error);
}

/* ---- The request ---- */

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL)
            return false;
    return length > 0;
}

/* Writes the -H lines; *has_host: one of them is Host. */
static int headers_write(const struct load *load, FILE *out, bool *has_host,
                         struct leat_error *error)
{
    *has_host = false;
    for (unsigned i = 0; i < load->headers.count; i++) {
        const char *line = load->headers.items[i];
        size_t name = strcspn(line, ":");
        size_t control = 0;
        for (const char *at = line; *at != '\0'; at++)
            control += (*at < ' ' && *at >= 0 && *at != '\t') || *at == 127;
        if (line[name] != ':' || !is_token(line, name) || control > 0)
            return leat_fail(error, -EINVAL, "--header takes 'Name: value', not \"%.100s\"", line);
        if (strncasecmp(line, "content-length:", 15) == 0) {
            return leat_fail(error, -EINVAL,
                             "--header Content-Length: it is written by itself, leave it out");
        }
        *has_host = *has_host || strncasecmp(line, "host:", 5) == 0;
        fprintf(out, "%s\r\n", line);
    }
    return 0;
}

/* malloc'd; NULL with error filled. */
static char *file_read(const char *name, size_t *length, struct leat_error *error)
{
    struct stat info;
    char *bytes = NULL;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        leat_fail(error, -EINVAL, "cannot read the body from %s: %s", name,
                  fd < 0 ? strerror(errno) : "it is not a file");
    } else if ((uint64_t)info.st_size > LOAD_BODY_BYTES_MAX) {
        leat_fail(error, -EFBIG, "the body in %s is larger than 1 GiB: use a smaller one", name);
    } else if ((bytes = malloc((size_t)info.st_size + 1)) == NULL ||
               read(fd, bytes, (size_t)info.st_size) != info.st_size) {
        leat_fail(error, -EIO, "cannot read all of the body in %s", name);
        free(bytes);
        bytes = NULL;
    } else {
        *length = (size_t)info.st_size;
    }
    if (fd >= 0)
        close(fd);
    return bytes;
}

static int request_write(const struct load *load, FILE *out, struct leat_error *error)
{
    const struct load_target *target = &load->target;
    bool has_host, is_file = load->body != NULL && load->body[0] == '@';
    size_t length = load->body != NULL && !is_file ? strlen(load->body) : 0;
    char *file = NULL;
    if (is_file && (file = file_read(load->body + 1, &length, error)) == NULL)
        return error->code;
    fprintf(out, "%s %s%s HTTP/1.1\r\n", load->method, target->path[0] == '?' ? "/" : "",
            target->path);
    int result = headers_write(load, out, &has_host, error);
    if (!has_host)
        fprintf(out, "Host: %s\r\n", target->name);
    if (load->body != NULL || load->method_number == LEAT_METHOD_POST ||
        load->method_number == LEAT_METHOD_PUT || load->method_number == LEAT_METHOD_PATCH)
        fprintf(out, "Content-Length: %zu\r\n", length);
    fprintf(out, "%s\r\n", load->is_per_request ? "Connection: close\r\n" : "");
    fwrite(is_file ? file : load->body != NULL ? load->body : "", 1, length, out);
    free(file);
    return result;
}

int load_request_make(struct load *load, struct leat_error *error)
{
    char *text = NULL;
    size_t length = 0;
    if (load->method == NULL)
        load->method = load->body != NULL ? "POST" : "GET";
    load->method_number = leat_method_find(load->method, strlen(load->method));
    if (!is_token(load->method, strlen(load->method)) ||
        load->method_number == LEAT_METHOD_CONNECT) {
        return leat_fail(error, -EINVAL, "--method takes a method such as GET or POST, not \"%s\"",
                         load->method);
    }
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return leat_fail(error, -ENOMEM, "no memory for the request");
    int result = request_write(load, out, error);
    bool is_whole = fclose(out) == 0;
    uint64_t copies = LOAD_BURST_BYTES / (length + 1);
    copies = copies < load->pipeline_count ? copies : load->pipeline_count;
    load->copies_count = copies > 0 ? (uint32_t)copies : 1;
    load->request_bytes = length;
    load->request = result == 0 && is_whole ? malloc(load->copies_count * length) : NULL;
    for (uint32_t i = 0; load->request != NULL && i < load->copies_count; i++)
        memcpy(load->request + i * length, text, length);
    free(text);
    return result < 0 || load->request != NULL
               ? result
               : leat_fail(error, -ENOMEM, "no memory for the request");
}

/* ---- Where connections come from ---- */

static bool ip_parse(const char *text, struct leat_addr *addr)
{
    *addr = (struct leat_addr){.family = LEAT_FAMILY_IPV4};
    if (inet_pton(AF_INET, text, addr->ip) == 1)
        return true;
    addr->family = LEAT_FAMILY_IPV6;
    return inet_pton(AF_INET6, text, addr->ip) == 1;
}

/* "ADDR" or "ADDR-ADDR", which differ in the last byte only, as the ranges of --ip. */
static bool source_parse(struct load_source *source, const char *text)
{
    char first[64];
    struct leat_addr last;
    size_t length = strcspn(text, "-");
    snprintf(first, sizeof(first), "%.*s", (int)length, text);
    if (length >= sizeof(first) || !ip_parse(first, &source->first) ||
        !ip_parse(text[length] == '-' ? text + length + 1 : first, &last))
        return false;
    size_t at = source->first.family == LEAT_FAMILY_IPV4 ? 3 : 15;
    if (last.family != source->first.family || memcmp(last.ip, source->first.ip, at) != 0 ||
        last.ip[at] < source->first.ip[at])
        return false;
    source->count = (uint32_t)(last.ip[at] - source->first.ip[at]) + 1;
    return true;
}

int load_sources_parse(struct load *load, struct leat_error *error)
{
    for (unsigned i = 0; i < load->from.count; i++) {
        struct load_source *source = &load->sources[load->sources_count++];
        if (!source_parse(source, load->from.items[i]))
            return leat_fail(error, -EINVAL,
                             "--from %s is no address and no range of them: write 10.0.0.5 or "
                             "10.0.0.5-10.0.0.9, whose ends may differ in the last byte only",
                             load->from.items[i]);
        load->sources_addresses_count += source->count;
    }
    return 0;
}

const struct leat_addr *load_source_at(const struct load *load, uint64_t number,
                                       struct leat_addr *addr)
{
    if (load->sources_count == 0)
        return NULL;
    uint32_t index = (uint32_t)(number / LOAD_PORTS % load->sources_addresses_count);
    const struct load_source *source = load->sources;
    for (; index >= source->count; source++)
        index -= source->count;
    *addr = source->first;
    uint8_t *last = &addr->ip[addr->family == LEAT_FAMILY_IPV4 ? 3 : 15];
    *last = (uint8_t)(*last + index);
    return addr;
}

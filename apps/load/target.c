/* From flags to the bytes of a request, and to the addresses it is sent from. */
#include "apps/load/load_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- The request ---- */

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL)
            return false;
    return length > 0;
}

/* Whether one of the -H lines is this field; name ends in a colon. */
static bool header_is_given(const struct load *load, const char *name)
{
    for (unsigned i = 0; i < load->headers.count; i++)
        if (strncasecmp(load->headers.items[i], name, strlen(name)) == 0)
            return true;
    return false;
}

/* Writes the -H lines, and of those that the URL gives the ones they do not have. */
static int headers_write(const struct load *load, FILE *out, struct leat_error *error)
{
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
        fprintf(out, "%s\r\n", line);
    }
    if (!header_is_given(load, "host:"))
        fprintf(out, "Host: %s\r\n", load->target.name);
    if (load->target.credentials[0] != '\0' && !header_is_given(load, "authorization:"))
        fprintf(out, "Authorization: Basic %s\r\n", load->target.credentials);
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
    bool is_file = load->body != NULL && load->body[0] == '@';
    size_t length = load->body != NULL && !is_file ? strlen(load->body) : 0;
    char *file = NULL;
    if (is_file && (file = file_read(load->body + 1, &length, error)) == NULL)
        return error->code;
    fprintf(out, "%s %s%s HTTP/1.1\r\n", load->method, target->path[0] == '?' ? "/" : "",
            target->path);
    int result = headers_write(load, out, error);
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
    load->may_switch = header_is_given(load, "upgrade:");
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

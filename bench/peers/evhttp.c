/* A server on libevent's evhttp: /hello, and the files of a folder by evbuffer_add_file (sendfile).
 *
 *   evhttp PORT FOLDER */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder;

static void answer(struct evhttp_request *request, void *arg)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    struct evbuffer *body = evhttp_request_get_output_buffer(request);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    char name[512];
    struct stat info;
    (void)arg;
    evhttp_add_header(headers, "Content-Type", "text/plain");
    if (path == NULL) {
        evhttp_send_error(request, 400, NULL);
        return;
    }
    if (strcmp(path, "/hello") == 0) {
        evbuffer_add(body, "Hello, World!", 13);
        evhttp_send_reply(request, 200, "OK", NULL);
        return;
    }
    snprintf(name, sizeof(name), "%s%s", folder, path);
    int fd = strstr(path, "..") == NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &info) != 0 || evbuffer_add_file(body, fd, 0, info.st_size) != 0)
        evhttp_send_error(request, 404, NULL);
    else
        evhttp_send_reply(request, 200, "OK", NULL);
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = base != NULL ? evhttp_new(base) : NULL;
    if (argc != 3 || http == NULL)
        return 2;
    folder = argv[2];
    evhttp_set_gencb(http, answer, NULL);
    if (evhttp_bind_socket(http, "127.0.0.1", (unsigned short)atoi(argv[1])) != 0)
        return 1;
    return event_base_dispatch(base);
}

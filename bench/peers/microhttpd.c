/* A server on libmicrohttpd, with one thread on epoll: /hello, and the files of a folder by
 * sendfile.
 *
 *   microhttpd PORT FOLDER CONNECTIONS */
#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder;
static struct MHD_Response *hello; /* may be queued any number of times */

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    char name[512];
    struct stat info;
    (void)arg, (void)method, (void)version, (void)upload, (void)upload_bytes, (void)state;
    if (path == NULL)
        return MHD_NO;
    if (strcmp(path, "/hello") == 0)
        return MHD_queue_response(connection, MHD_HTTP_OK, hello);
    snprintf(name, sizeof(name), "%s%s", folder, path);
    int fd = strstr(path, "..") == NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &info) != 0)
        return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_fd((size_t)info.st_size, fd);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int main(int argc, char **argv)
{
    static char text[] = "Hello, World!";
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc != 4)
        return 2;
    addr.sin_port = htons((unsigned short)atoi(argv[1]));
    folder = argv[2];
    hello = MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(hello, "Content-Type", "text/plain");
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, answer, NULL,
                         MHD_OPTION_SOCK_ADDR, &addr, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)atoi(argv[3]), MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u,
                         MHD_OPTION_END);
    if (daemon == NULL)
        return 1;
    for (;;)
        pause();
}

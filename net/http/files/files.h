/* Files of a directory over HTTP: a handler for GET and HEAD.
 *
 *     struct leat_files *files = leat_files_new(loop, "public", NULL);
 *     leat_files_mount(files, http);                              before leat_http_listen
 *
 * What a client can reach. The request's path is decoded once, segment by segment, and opened
 * beneath the directory, which is held open (openat2 with RESOLVE_BENEATH; where the
 * kernel or a sandbox refuses that, a walk that opens each segment by itself). There is no file,
 * and so a 404, for a path with a segment that is empty, "." or "..", or that holds an encoded
 * slash or NUL; a backslash is a byte like others. Names that begin with a dot are not there
 * either, except
 * ".well-known" at the top. Regular files only: opening a FIFO or socket does not block, and gets a
 * 404.
 *
 * The directory is what its name leads to: it is looked at again when a request comes and 100 ms
 * have passed, and a link that was switched, or a directory that took its place, is served from
 * then on.
 *
 * What a client gets. "dir" is redirected to "dir/" (301), and that is "dir/index.html". ETag
 * (strong, of size, time and inode), Last-Modified, Accept-Ranges; If-Match, If-Unmodified-Since,
 * If-None-Match, If-Modified-Since and If-Range in the order of RFC 9110 13.2.2; one range as 206,
 * several as multipart/byteranges, none satisfiable as 416. For types that are worth it, "name.br"
 * or "name.gz" beside "name" is sent instead when Accept-Encoding prefers it; they are not compared
 * with "name": make them together. A file that shrinks while it is sent aborts its connection.
 *
 * Cost. Opening and looking are blocking calls on the loop's core: one fstatat per request for a
 * file that was asked for lately and is kept open, else an openat2 and an fstat; for types that may
 * be compressed one more openat2 for each coding that the client prefers and the directory does not
 * have; directory listings read the whole directory. Serve from a local disk or memory. Whatever is
 * kept, an answer is what the directory holds when it is asked for. Contents are never read or
 * mapped here: they go to leat_conn_send_file, whatever the size, and so memory does not depend on
 * it.
 *
 * Bounds: LEAT_FILES_PATH_BYTES_MAX for a decoded path (404), ranges_max for the ranges of a
 * request (above it they are ignored, and all of the file is sent; ranges that overlap or touch are
 * joined, so that no byte is sent twice), LEAT_FILES_LIST_MAX for the names of a listing
 * (the first in order are shown, and that there are more is said),
 * the first four fields of a list that comes as several, and 256 files that are kept open, each for
 * 20 s at most after it was last asked for.
 *
 * A struct leat_files belongs to one core. */
#ifndef LEAT_FILES_H
#define LEAT_FILES_H

#include <leat/http.h>

LEAT_BEGIN

#define LEAT_FILES_PATH_BYTES_MAX 4096
#define LEAT_FILES_LIST_MAX       2000

struct leat_files;

enum leat_symlinks {
    LEAT_SYMLINKS_INSIDE, /* relative links that do not leave the directory on their way */
    LEAT_SYMLINKS_NONE,
    LEAT_SYMLINKS_ALL, /* wherever they lead: whoever writes links can publish any file */
};

struct leat_files_options {    /* zero means the default in brackets; strings are copied */
    const char *prefix;        /* [""] of the URL path, "/static": not part of the file's name */
    const char *index_name;    /* ["index.html"]; "": none */
    const char *cache_control; /* [none] value of the header, for 200, 206 and 304 */
    enum leat_symlinks symlinks;
    uint32_t ranges_max;   /* [16, at most 64] */
    bool list_directories; /* [off] where there is no index: names as HTML */
    bool serve_hidden;     /* [off] names that begin with a dot */
    bool no_precompressed; /* [off] do not look for .br and .gz */
};

/* Opens directory. options may be NULL. NULL with a sentence in leat_loop_error: it is not there,
 * no directory, or not readable. */
LEAT_API struct leat_files *leat_files_new(struct leat_loop *loop, const char *directory,
                                           const struct leat_files_options *options);

/* No request may reach it any more; responses under way go on. NULL: no effect. */
LEAT_API void leat_files_free(struct leat_files *files);

/* Routes GET (and so HEAD) of prefix and of everything behind it. */
LEAT_API void leat_files_mount(struct leat_files *files, struct leat_http *http);

/* Answers req, as a handler does whose own routing led to a file: 405 unless GET or HEAD. */
LEAT_API void leat_files_serve(struct leat_files *files, struct leat_request *req);

/* The type of a file by its name's extension, with charset where it is text;
 * "application/octet-stream" when it is not known. Static. */
LEAT_API const char *leat_mime_type(const char *name);

LEAT_END
#endif

/* What the files of the file handler share. Most of it is pure, or needs but a directory, and is
 * tested by itself:
 *   path.c         target -> relative name            open.c        name -> descriptor, beneath
 *   table.c        descriptors that are kept open     date_parse.c  dates of HTTP
 *   conditional.c  preconditions, ranges, encodings   listing.c     directory -> HTML
 *   mime.c         name -> type
 * These three speak to a request:
 *   files.c        options, route, whether it is for a file
 *   answer.c       the answer                         parts.c       several ranges */
#ifndef LEAT_FILES_INTERNAL_H
#define LEAT_FILES_INTERNAL_H

#include <leat/files.h>
#include <leat/timer.h>

#include <sys/stat.h>

#include "net/http/handler.h"

#define FILES_RANGES_MAX 64
#define FILES_ETAG_BYTES 64
#define FILES_FIELDS_MAX 4 /* of one name that are looked at, where a list may be split */
#define FILES_LINKS_MAX  40
#define FILES_DEPTH_MAX  64

#define FILES_ROOT_LOOK_NS (100 * LEAT_NS_PER_MS)

#define FILES_PREFIX_BYTES_MAX  256
#define FILES_INDEX_BYTES_MAX   64
#define FILES_CONTROL_BYTES_MAX 256

/* ---- path.c ---- */

/* Decodes the path of target (origin-form or absolute-form) into path, NUL-terminated, beginning
 * with '/'. Returns its length, or -EINVAL (broken escape), or -ENOENT for what no file can be
 * called (see files.h), -ENAMETOOLONG. */
int files_path_decode(struct leat_view target, bool serve_hidden,
                      char path[LEAT_FILES_PATH_BYTES_MAX]);

/* Writes text with what is not unreserved or '/' (RFC 3986 2.3) as %XX; returns its length whether
 * it fitted or not; NUL-terminated when size > 0. */
size_t files_path_encode(const char *text, char *to, size_t size_bytes);

/* ---- open.c ---- */

/* A served folder: whatever its name leads to. fd is what it led to when it was looked at last. */
struct files_root {
    int fd;
    enum leat_symlinks symlinks;
    bool has_openat2;
    char *directory; /* its name, on the heap */
    dev_t device;
    ino_t inode;
    uint64_t looked_ns;
};

int files_root_open(struct files_root *root, const char *directory, enum leat_symlinks symlinks,
                    struct leat_error *error);
void files_root_close(struct files_root *root);
/* Looks at the folder's name when FILES_ROOT_LOOK_NS have passed since the last time, and opens
 * what it leads to now if that is another: deployments switch a link. Where the name leads nowhere
 * the folder of before is kept. now_ns: of the loop. */
void files_root_refresh(struct files_root *root, uint64_t now_ns);
/* name is relative, without "." and ".." segments; flags are added to O_RDONLY | O_NONBLOCK |
 * O_CLOEXEC | O_NOCTTY. Returns a descriptor or -errno. */
int files_open(const struct files_root *root, const char *name, int flags);

/* ---- conditional.c ---- */

struct files_version { /* of a representation */
    char etag[FILES_ETAG_BYTES];
    char modified[HTTP_DATE_BYTES]; /* modified_s as a date */
    int64_t modified_s;
    uint64_t size_bytes;
};
void files_version_of(struct files_version *version, const struct stat *status);

/* ---- table.c ---- */

#define FILES_TABLE_COUNT      256
#define FILES_TABLE_NAME_BYTES 208

/* Files that were opened, one for each of FILES_TABLE_COUNT hashes of a name, so that the next
 * request for one costs a look at the name (fstatat) instead of opening, looking and closing: what
 * is answered is never older than that look. Names of FILES_TABLE_NAME_BYTES and more are not kept,
 * what was not asked for in 10 to 20 s is closed, and all are when descriptors run out. One core's;
 * zeros to begin with. */
struct files_table {
    struct files_entry *entries;
    struct leat_timer timer;
};
void files_table_fini(struct files_table *table);
struct files_found {
    struct leat_file *file; /* a reference of the caller's */
    struct stat status;
    struct files_version version; /* of a regular file: written down once, while it is kept */
};
/* name as for files_open. Returns 0 with found; or -errno. A directory is opened too, and not kept.
 */
int files_table_open(struct files_table *table, const struct files_root *root, const char *name,
                     struct files_found *found);

/* A directory, to be listed: a descriptor, or -errno. */
int files_table_open_list(struct files_table *table, const struct files_root *root,
                          const char *name);

/* ---- conditional.c: conditions and ranges ---- */

struct files_fields {
    struct leat_view view[FILES_FIELDS_MAX];
    unsigned count;
};
struct files_conditions { /* headers as they came; count 0 or data NULL: absent */
    struct files_fields if_match, if_none_match, accept_encoding;
    struct leat_view if_modified_since, if_unmodified_since, if_range, range;
};

enum files_outcome { FILES_SEND, FILES_SEND_ALL, FILES_NOT_MODIFIED, FILES_FAILED };

/* RFC 9110 13.2.2. SEND: honour Range, if any; SEND_ALL: ignore it. now_s: seconds since 1970. */
enum files_outcome files_evaluate(const struct files_conditions *conditions,
                                  const struct files_version *version, int64_t now_s);

struct files_range {
    uint64_t first, last; /* both included */
};
/* Returns the number of ranges in their order, joined where they overlap or touch; 0: ignore the
 * header; -1: none can be satisfied. */
int files_ranges_parse(struct leat_view range, uint64_t size_bytes, unsigned max,
                       struct files_range ranges[FILES_RANGES_MAX]);

/* RFC 9110 12.5.3. Codings in the order of the client's preference, best first, identity last if
 * it is allowed at all; FILES_CODING_END ends it. Without the header: identity alone. */
enum files_coding { FILES_BROTLI, FILES_GZIP, FILES_IDENTITY, FILES_CODING_END };
void files_codings_parse(const struct files_fields *accept_encoding,
                         enum files_coding order[FILES_CODING_END + 1]);

/* RFC 9110 5.6.7, all three formats; -1: not a date. */
int64_t files_date_parse(struct leat_view text, int64_t now_s);

/* ---- mime.c ---- */
bool files_is_compressible(const char *name); /* worth looking for .br and .gz */
/* Of the table, in its order, for tests; NULL past the last. */
const char *files_mime_extension(unsigned index);

/* ---- listing.c ---- */

/* The directory fd (taken) as an HTML page; data == NULL when memory is out. Reads
 * the whole directory, blocking. */
struct leat_buf files_list(int fd, const char *path, bool serve_hidden);

/* ---- files.c, answer.c, parts.c ---- */

struct leat_files {
    struct files_root root;
    struct files_table table;
    struct leat_files_options options;
    size_t prefix_bytes;
    char prefix[FILES_PREFIX_BYTES_MAX], index_name[FILES_INDEX_BYTES_MAX];
    char cache_control[FILES_CONTROL_BYTES_MAX];
};

/* What is known of the answer on the way to it. */
struct files_answer {
    struct leat_files *files;
    struct leat_request *req;
    struct files_conditions conditions;
    struct files_found found;
    const char *type;
    enum files_coding coding;
    bool varies;
    int64_t now_s;
    size_t path_bytes;
    char path[LEAT_FILES_PATH_BYTES_MAX + FILES_INDEX_BYTES_MAX + 8]; /* prefix, index, coding */
};

/* files, req and path are set: answers req. */
void files_answer(struct files_answer *answer);
/* The head of the answer has its headers: sends count ranges of file, to which it takes a reference
 * of its own. */
void files_parts_begin(const struct files_answer *answer, struct leat_file *file,
                       const struct files_range *ranges, unsigned count);

#endif

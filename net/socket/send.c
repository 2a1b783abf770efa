/* The send queue of a connection, and how it goes to the kernel with ordinary system calls. */
#include "net/socket/socket_internal.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

struct sock_piece *sock_piece_take(struct sock_transport *t)
{
    struct sock_piece *piece = t->pieces;
    if (likely(piece != NULL)) {
        t->pieces = piece->next;
        t->pieces_cached_count--;
        return piece;
    }
    return leat_heap_alloc(sizeof(*piece));
}

void sock_piece_give(struct sock_transport *t, struct sock_piece *piece)
{
    if (likely(t->pieces_cached_count < SOCK_CACHED_COUNT_MAX)) {
        piece->next = t->pieces;
        t->pieces = piece;
        t->pieces_cached_count++;
    } else {
        leat_heap_free(piece);
    }
}

static void queue_append(struct sock_conn *c, struct sock_piece *first, struct sock_piece *last,
                         uint64_t bytes)
{
    if (c->out.first == NULL)
        c->out.first = first;
    else
        c->out.last->next = first;
    c->out.last = last;
    c->out.bytes += bytes;
}

static int queue_push_one(struct sock_conn *c, const struct leat_buf *buf)
{
    struct sock_piece *piece = sock_piece_take(c->transport);
    if (unlikely(piece == NULL))
        return -ENOMEM;
    *piece = (struct sock_piece){.buf = *buf};
    queue_append(c, piece, piece, buf->length_bytes);
    return 0;
}

int sock_queue_push_bufs(struct sock_conn *c, const struct leat_buf *bufs, unsigned count)
{
    struct sock_transport *t = c->transport;
    struct sock_piece *first = NULL, *last = NULL;
    uint64_t bytes = 0;
    if (likely(count == 1 && bufs->length_bytes != 0))
        return queue_push_one(c, bufs);
    for (unsigned i = 0; i < count; i++) {
        if (bufs[i].length_bytes == 0)
            continue;
        struct sock_piece *piece = sock_piece_take(t);
        if (unlikely(piece == NULL)) {
            while (first != NULL) {
                piece = first;
                first = piece->next;
                sock_piece_give(t, piece);
            }
            return -ENOMEM;
        }
        *piece = (struct sock_piece){.buf = bufs[i]};
        bytes += bufs[i].length_bytes;
        *(first == NULL ? &first : &last->next) = piece;
        last = piece;
    }
    for (unsigned i = 0; i < count; i++)
        if (bufs[i].length_bytes == 0)
            leat_buf_unref(bufs[i]); /* empty, and ours now */
    if (first != NULL)
        queue_append(c, first, last, bytes);
    return 0;
}

int sock_queue_push_file(struct sock_conn *c, struct leat_file *file, uint64_t offset_bytes,
                         uint64_t length_bytes)
{
    struct sock_piece *piece = sock_piece_take(c->transport);
    if (piece == NULL)
        return -ENOMEM;
    *piece = (struct sock_piece){.file = leat_file_ref(file), .part = {offset_bytes, length_bytes}};
    queue_append(c, piece, piece, length_bytes);
    return 0;
}

static void queue_drop_first(struct sock_conn *c)
{
    struct sock_piece *piece = c->out.first;
    c->out.first = piece->next;
    if (piece->file != NULL)
        leat_file_unref(piece->file);
    else
        leat_buf_unref(piece->buf);
    sock_piece_give(c->transport, piece);
}

void sock_queue_pull(struct sock_conn *c, uint64_t bytes)
{
    c->sent_bytes += bytes;
    DCHECK(bytes <= c->out.bytes);
    c->out.bytes -= bytes;
    while (bytes > 0) {
        struct sock_piece *piece = c->out.first;
        uint64_t length = piece->file != NULL ? piece->part.length_bytes : piece->buf.length_bytes;
        if (bytes < length) {
            if (piece->file != NULL) {
                piece->part.offset_bytes += bytes;
                piece->part.length_bytes -= bytes;
            } else {
                piece->buf.data += bytes;
                piece->buf.length_bytes -= bytes;
            }
            return;
        }
        bytes -= length;
        queue_drop_first(c);
    }
}

void sock_queue_drop(struct sock_conn *c)
{
    while (c->out.first != NULL)
        queue_drop_first(c);
    c->out.bytes = 0;
}

unsigned sock_queue_gather(const struct sock_conn *c, struct iovec *iov, unsigned max,
                           bool *file_follows)
{
    unsigned count = 0;
    const struct sock_piece *piece = c->out.first;
    while (piece != NULL && piece->file == NULL && count < max) {
        iov[count++] = (struct iovec){piece->buf.data, piece->buf.length_bytes};
        piece = piece->next;
    }
    *file_follows = piece != NULL && piece->file != NULL;
    return count;
}

/* Bytes, or -errno. A head whose body is a file leaves together with the file's first bytes. */
static ssize_t send_memory(struct sock_conn *c, uint64_t *asked_bytes)
{
    const struct leat_buf *head = &c->out.first->buf;
    struct iovec iov[SOCK_IOV_COUNT_MAX];
    bool file_follows;
    unsigned count = sock_queue_gather(c, iov, SOCK_IOV_COUNT_MAX, &file_follows);
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (file_follows ? MSG_MORE : 0);
    ssize_t sent;
    *asked_bytes = head->length_bytes;
    if (count == 1) {
        sent = sock_syscall_send(c->fd, head->data, head->length_bytes, flags);
    } else {
        for (unsigned i = 1; i < count; i++)
            *asked_bytes += iov[i].iov_len;
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
        sent = sendmsg(c->fd, &message, flags);
    }
    return sent < 0 ? -errno : sent;
}

/* For the file systems that refuse sendfile(2). */
static ssize_t copy_file(struct sock_conn *c, const struct sock_piece *piece, size_t length)
{
    size_t room = length < SOCK_FILE_FALLBACK_BYTES ? length : SOCK_FILE_FALLBACK_BYTES;
    struct leat_buf copy = leat_buf_alloc_unsafe(room);
    if (copy.data == NULL)
        return -ENOMEM;
    ssize_t bytes =
        pread(leat_file_fd(piece->file), copy.data, room, (off_t)piece->part.offset_bytes);
    if (bytes > 0) {
        bytes = send(c->fd, copy.data, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        bytes = bytes < 0 ? -errno : bytes;
    } else if (bytes < 0) {
        bytes = -EIO;
    }
    leat_buf_unref(copy);
    return bytes;
}

/* Bytes, 0 at the file's end, or -errno. */
static ssize_t send_file(struct sock_conn *c, uint64_t *asked_bytes)
{
    const struct sock_piece *piece = c->out.first;
    uint64_t length = piece->part.length_bytes;
    if (length > SOCK_FLUSH_BYTES_MAX)
        length = SOCK_FLUSH_BYTES_MAX;
    *asked_bytes = length;
    if ((c->flags & SOCK_NO_SENDFILE) == 0) {
        off_t offset = (off_t)piece->part.offset_bytes;
        ssize_t sent = sendfile(c->fd, leat_file_fd(piece->file), &offset, (size_t)length);
        if (sent >= 0 || (errno != EINVAL && errno != ENOSYS))
            return sent < 0 ? -errno : sent;
        c->flags |= SOCK_NO_SENDFILE;
    }
    ssize_t sent = copy_file(c, piece, (size_t)length);
    /* One short of the file's chunk is not yet a kernel that takes no more. */
    *asked_bytes = sent > 0 ? (uint64_t)sent : *asked_bytes;
    return sent;
}

static bool is_of_file(int error)
{
    return error != EPIPE && error != ECONNRESET && error != ETIMEDOUT && error != EHOSTUNREACH &&
           error != ENETUNREACH && error != ENOTCONN;
}

enum sock_sent sock_send_now(struct sock_conn *c)
{
    uint64_t budget = SOCK_FLUSH_BYTES_MAX;
    while (c->out.first != NULL) {
        uint64_t asked_bytes;
        bool from_file = c->out.first->file != NULL;
        ssize_t sent = from_file ? send_file(c, &asked_bytes) : send_memory(c, &asked_bytes);
        if (sent == -EINTR)
            continue;
        if (sent == -EAGAIN)
            return SOCK_WOULD_BLOCK;
        if (sent <= 0) {
            if (from_file && (sent == 0 || is_of_file((int)-sent))) {
                c->flags |= SOCK_RESETS;
                sock_conn_finish(c, sent == -ENOMEM ? LEAT_CLOSE_NO_MEMORY : LEAT_CLOSE_FILE);
            } else {
                sock_conn_fail(c, (int)-sent);
            }
            return SOCK_FAILED;
        }
        sock_queue_pull(c, (uint64_t)sent);
        sock_moved(c);
        if ((uint64_t)sent < asked_bytes) /* or the file ended: then the next try says so */
            return SOCK_WOULD_BLOCK;
        if ((uint64_t)sent >= budget)
            return c->out.first != NULL ? SOCK_MORE : SOCK_DRAINED;
        budget -= (uint64_t)sent;
    }
    return SOCK_DRAINED;
}

/* Everything queued was handed on, and the user wants no more sent. */
static void send_fin(struct sock_conn *c)
{
    bool has_ended = (c->flags & SOCK_PEER_ENDED) != 0 && (c->flags & SOCK_END_DUE) == 0;
    /* Closing over bytes that nobody has read would be a reset. */
    if (has_ended || (c->flags & (SOCK_SOON | SOCK_READABLE)) == SOCK_SOON) {
        sock_conn_finish(c, LEAT_CLOSE_DONE);
        return;
    }
    if ((c->flags & SOCK_FIN_SENT) != 0)
        return;
    c->flags |= SOCK_FIN_SENT;
    if (shutdown(c->fd, SHUT_WR) < 0) {
        sock_conn_fail(c, errno == ENOTCONN ? ECONNRESET : errno);
        return;
    }
    if ((c->flags & SOCK_CLOSING) != 0 &&
        sock_deadline_set_hard(c, c->settings->options.linger_ns) < 0)
        sock_conn_finish(c, LEAT_CLOSE_DONE);
}

void sock_sent(struct sock_conn *c)
{
    if ((c->flags & SOCK_FINISHED) != 0)
        return;
    if (unlikely((c->flags & (SOCK_SEND_REFUSED | SOCK_WANT_WRITABLE)) != 0) &&
        c->out.bytes < c->settings->options.send_low_bytes)
        sock_conn_ready(c);
    if (unlikely((c->flags & SOCK_END_ASKED) != 0) && c->out.first == NULL)
        send_fin(c);
}

/* What a connection has to send. Responses of one burst of input are written one behind another
 * into one buffer, and go to the transport in one call; large bodies and files go as slices of
 * their own in between. Where little is to be expected the buffer is what is left of one that all
 * connections of the core share: what they leave of it is used on, so that the answers of many lie
 * close together, which counts when a million of them wait to be acknowledged. What the transport
 * refuses stays here, and stops everything that would add to it: at most one response's worth
 * beyond the transport's high mark. */
#include "net/http/http_internal.h"

/* The rest of the shared buffer is lent to one response at a time. */
static bool tail_borrow(struct leat_request *req, size_t bytes)
{
    struct leat_buf *shared = &req->core->shared;

    if (shared->length_bytes < bytes) {
        leat_buf_unref(*shared);
        *shared = leat_buf_alloc_unsafe(HTTP_OUT_BYTES_MAX);
        if (!shared->data)
            return false;
    }
    req->tail = leat_buf_ref(*shared);
    req->tail.length_bytes = 0;
    req->tail_capacity = shared->length_bytes;
    shared->data += shared->length_bytes;
    shared->length_bytes = 0;
    return true;
}

/* What a tail does not use of what was lent to it, unless another was begun meanwhile. */
static void tail_give_back(struct leat_request *req)
{
    struct leat_buf *shared = &req->core->shared;
    size_t used =
        (req->tail.length_bytes + HTTP_SHARED_ALIGN - 1) / HTTP_SHARED_ALIGN * HTTP_SHARED_ALIGN;

    if (shared->block != req->tail.block || shared->data != req->tail.data + req->tail_capacity)
        return;
    shared->data = req->tail.data + used;
    shared->length_bytes = req->tail_capacity - used;
}

static void tail_push(struct leat_request *req)
{
    if (!req->tail.data)
        return;
    tail_give_back(req);
    DCHECK(req->out_count < HTTP_OUT_MAX);
    if (req->tail.length_bytes)
        req->out[req->out_count++] = req->tail;
    else
        leat_buf_unref(req->tail);
    req->tail = (struct leat_buf){0};
}

/* Answers tend to be larger than requests, but not much. */
static bool is_little(const struct leat_request *req, size_t bytes)
{
    return bytes <= HTTP_LITTLE_BYTES && req->out_count == 0 &&
           (!req->in_pump || req->input_end - req->input <= HTTP_LITTLE_INPUT_BYTES);
}

uint8_t *http_out_grow(struct leat_request *req, size_t bytes)
{
    tail_push(req);
    if (likely(is_little(req, bytes) && tail_borrow(req, bytes)))
        return req->tail.data;
    req->tail_capacity = bytes > HTTP_OUT_BYTES_MAX ? bytes : HTTP_OUT_BYTES_MAX;
    struct leat_buf tail = leat_buf_alloc_unsafe(req->tail_capacity);
    req->tail = (struct leat_buf){.data = tail.data, .block = tail.block};
    return tail.data;
}

void http_out_push(struct leat_request *req, struct leat_buf buf)
{
    tail_push(req);
    DCHECK(req->out_count < HTTP_OUT_MAX);
    req->out[req->out_count++] = buf;
}

void http_out_push_file(struct leat_request *req, struct leat_file *file, uint64_t offset_bytes,
                        uint64_t length_bytes)
{
    tail_push(req);
    DCHECK(req->out_count < HTTP_OUT_MAX);
    req->out_files[req->out_count] =
        (struct http_out_file){leat_file_ref(file), offset_bytes, length_bytes};
    req->out[req->out_count++] = (struct leat_buf){0};
}

static void out_free(struct leat_request *req, unsigned index)
{
    if (req->out[index].data)
        leat_buf_unref(req->out[index]);
    else
        leat_file_unref(req->out_files[index].file);
}

void http_out_drop(struct leat_request *req)
{
    if (req->tail.data) {
        req->tail.length_bytes = 0;
        tail_give_back(req);
        leat_buf_unref(req->tail);
    }
    req->tail = (struct leat_buf){0};
    for (unsigned i = 0; i < req->out_count; i++)
        out_free(req, i);
    req->out_count = 0;
    req->is_blocked = false;
}

static void out_pull(struct leat_request *req, unsigned count)
{
    req->out_count -= count;
    memmove(req->out, req->out + count, req->out_count * sizeof(req->out[0]));
    memmove(req->out_files, req->out_files + count, req->out_count * sizeof(req->out_files[0]));
}

/* Sends the slices from the first on that can go in one call; count is set to their number. */
static int out_send(struct leat_request *req, unsigned first, unsigned *count, uint64_t *bytes)
{
    leat_conn conn = req->conn->conn;
    unsigned last = first;

    *bytes = 0;
    if (!req->out[first].data) {
        struct http_out_file *file = &req->out_files[first];
        int result = leat_conn_send_file(conn, file->file, file->offset_bytes, file->length_bytes);
        if (result >= 0)
            leat_file_unref(file->file);
        *count = 1;
        *bytes = file->length_bytes;
        return result;
    }
    for (; last < req->out_count && req->out[last].data; last++)
        *bytes += req->out[last].length_bytes;
    *count = last - first;
    return leat_conn_send(conn, &req->out[first], *count);
}

/* What most bursts come to: one buffer, which goes without having waited. As leat_conn_send;
 * -EAGAIN also when it is not that. */
static int tail_send(struct leat_request *req)
{
    uint64_t bytes = req->tail.length_bytes;

    if (req->out_count || req->is_blocked || !req->conn || !bytes || bytes >= HTTP_BULK_BYTES)
        return -EAGAIN;
    int result = leat_conn_send(req->conn->conn, &req->tail, 1);
    if (result < 0)
        return result;
    tail_give_back(req);
    req->tail = (struct leat_buf){0};
    req->core->stats.sent_bytes += bytes;
    return result;
}

int http_out_flush(struct leat_request *req)
{
    unsigned done = 0, count = 0;
    uint64_t bytes = 0;
    int result = tail_send(req);

    if (likely(result >= 0))
        return result;
    tail_push(req);
    if (req->is_blocked)
        return 1;
    if (!req->conn || req->out_count == 0)
        return 0;
    for (; done < req->out_count; done += count) {
        result = out_send(req, done, &count, &bytes);
        if (result < 0)
            break;
        req->core->stats.sent_bytes += bytes;
        if (bytes >= HTTP_BULK_BYTES)
            req->conn->flags |= HTTP_CONN_BULK;
    }
    if (likely(done == req->out_count)) {
        req->out_count = 0;
        return result;
    }
    out_pull(req, done);
    if (result == -EAGAIN) {
        req->is_blocked = true;
        return 1;
    }
    http_conn_abort(req->conn);
    return 0;
}

uint64_t http_out_bytes(const struct leat_request *req)
{
    uint64_t bytes = req->tail.data != NULL ? req->tail.length_bytes : 0;

    for (unsigned i = 0; i < req->out_count; i++)
        bytes +=
            req->out[i].data != NULL ? req->out[i].length_bytes : req->out_files[i].length_bytes;
    return bytes;
}

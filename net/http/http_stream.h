/* Bodies of requests and responses as streams.
 *
 *     static int put(struct leat_request *req)
 *     {
 *         leat_call(leat_pipeline((struct leat_stream *[]){leat_request_readable(req), file}, 2),
 * ...); return 0;
 *     }
 *
 * A view is made when it is asked for, in the handler or as long as the request has been deferred;
 * it takes charge of the request, which must still be answered. It is what reads the body, or
 * writes it: on_body, pause and on_writable of the request are the view's from then on. When the
 * request ends, or its client goes, before the stream has, the stream is destroyed without an error
 * of its own: a pipeline then says -ECONNABORTED, "closed before its end". */
#ifndef LEAT_HTTP_STREAM_H
#define LEAT_HTTP_STREAM_H

#include <leat/http.h>
#include <leat/stream.h>

LEAT_BEGIN

/* The body of the request. What waits to be read counts against the connection's window (C12). A
 * stream that is destroyed leaves the rest of the body to be discarded. NULL: the body has a
 * reader, or memory is out, with a sentence in leat_loop_error. */
LEAT_API struct leat_stream *leat_request_readable(struct leat_request *req) LEAT_MUST_CHECK;

/* The body of the response: begun as 200 and of unknown length, unless leat_response_begin came
 * before. It is full when its connection is. Ending the stream ends the response. One that is
 * destroyed before that breaks the connection off if the response has begun; else the request is
 * still to be answered. NULL as above. */
LEAT_API struct leat_stream *leat_response_writable(struct leat_request *req) LEAT_MUST_CHECK;

LEAT_END
#endif

/* How the body of a message is framed (RFC 9112 6.3). */
#include "net/http/message/parser_internal.h"

enum http_framing http_framing_of(const struct http_head *head, enum leat_method request_method)
{
    if (head->kind == HTTP_RESPONSE) {
        if (request_method == LEAT_METHOD_HEAD || head->status < 200 || head->status == 204 ||
            head->status == 304)
            return HTTP_BODY_NONE;
        if (request_method == LEAT_METHOD_CONNECT && head->status < 300)
            return HTTP_BODY_NONE;
    }
    if (head->chunked)
        return HTTP_BODY_CHUNKED;
    if (head->has_length)
        return head->content_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    return head->kind == HTTP_RESPONSE ? HTTP_BODY_UNTIL_CLOSE : HTTP_BODY_NONE;
}

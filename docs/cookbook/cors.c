/* CORS: pages of one other site may ask, and are told what they may. */
#include <leat/leat.h>

#define SITE "https://shop.example"

static int cors(struct leat_request *req)
{
    leat_response_header(req, "Vary", "Origin");
    if (leat_view_equal(leat_request_header(req, "Origin"), SITE)) {
        leat_response_header(req, "Access-Control-Allow-Origin", SITE);
        leat_response_header(req, "Access-Control-Allow-Methods", "GET, PUT");
        leat_response_header(req, "Access-Control-Max-Age", "600");
    }
    if (leat_request_method(req) != LEAT_METHOD_OPTIONS)
        return leat_next(req);
    return leat_respond_empty(req, 204);
}

static int price(struct leat_request *req)
{
    return leat_respond_json(req, 200, "{\"price\":7}");
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_use(http, "/", cors, NULL);
    leat_http_get(http, "/price", price);
    return leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

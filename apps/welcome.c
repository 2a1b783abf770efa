/* The welcome page of `leat serve`, and /leat/status, which the page asks about its server. */
#include "apps/welcome.h"
#include "net/watch/counters_read.h"

#include <leat/leat.h>

#include <arpa/inet.h>
#include <leat_config.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of all cores. */
struct totals {
    uint64_t requests, connections;
};

static int page_serve(struct leat_request *req)
{
    return leat_respond_buf(req, 200, "text/html; charset=utf-8",
                            leat_buf_from_static(welcome_html, welcome_html_bytes));
}

/* ---- Who may ask ---- */

static bool is_loopback(const struct leat_addr *addr)
{
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    static const uint8_t loopback6[16] = {[15] = 1};

    if (addr->family == LEAT_FAMILY_IPV4)
        return addr->ip[0] == 127;
    return addr->family == LEAT_FAMILY_IPV6 &&
           (memcmp(addr->ip, loopback6, 16) == 0 || memcmp(addr->ip, mapped, sizeof(mapped)) == 0);
}

/* A name of somebody's own that leads here would let any web page that its visitors open read the
 * answer (DNS rebinding); a literal address, or localhost, cannot be led elsewhere. */
static bool host_is_local(struct leat_view host)
{
    char text[64];
    struct in_addr address;
    const char *colon = memrchr(host.data, ':', host.length_bytes);

    if (host.length_bytes > 0 && host.data[0] == '[')
        return true; /* the parser lets nothing but an address stand in brackets */
    if (colon != NULL)
        host.length_bytes = (size_t)(colon - host.data);
    return leat_view_equal_nocase(host, "localhost") ||
           (leat_view_copy(host, text, sizeof(text)) && inet_pton(AF_INET, text, &address) == 1);
}

/* Who asks through a proxy is not who connects. */
static bool is_forwarded(const struct leat_request *req)
{
    static const char *const fields[] = {"forwarded",         "via",
                                         "x-forwarded-for",   "x-forwarded-host",
                                         "x-forwarded-proto", "x-real-ip"};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (leat_request_header(req, fields[i]).data != NULL)
            return true;
    return false;
}

static bool may_see_status(const struct leat_request *req, struct leat_addr *peer)
{
    return leat_request_peer(req, peer) == 0 && is_loopback(peer) &&
           host_is_local(leat_request_host(req)) && !is_forwarded(req);
}

/* ---- What is said ---- */

/* Of this core as it stands, of the others as they have published it (in counters.h, how late); of
 * this core alone where the program has no counters that can be read. */
static struct totals totals_read(struct leat_loop *loop, const struct leat_http_stats *own)
{
    struct totals totals = {own->requests_count, own->connections_now_count};
    struct counters_view view;

    if (leat_run_core_count(loop) == 1 || counters_view_map(&view, getpid()) < 0)
        return totals;
    totals = (struct totals){0};
    for (unsigned core = 0; core < view.header->core_count; core++) {
        if (core == leat_loop_index(loop)) {
            totals.requests += own->requests_count;
            totals.connections += own->connections_now_count;
            continue;
        }
        totals.requests += counters_view_get(&view, core, "http.requests");
        totals.connections += counters_view_get(&view, core, "http.connections");
    }
    counters_view_close(&view);
    return totals;
}

static int status_serve(struct leat_request *req)
{
    struct leat_loop *loop = leat_request_loop(req);
    struct leat_http_stats stats;
    struct leat_conn_info info = {.transport = leat_run_net(loop)};
    struct leat_addr peer;
    char peer_text[LEAT_ADDR_TEXT_BYTES_MAX] = "", json[512];

    if (!may_see_status(req, &peer))
        return leat_request_fail(req, 404, "only a client on this machine is told the status");
    leat_http_stats(leat_request_http(req), &stats);
    (void)!leat_conn_info(leat_request_conn(req), &info);
    leat_addr_format(&peer, peer_text);
    struct totals totals = totals_read(loop, &stats);
    snprintf(json, sizeof(json),
             "{\"version\":\"%s\",\"transport\":\"%s\",\"cores\":%u,\"core\":%u,\"pid\":%d,"
             "\"requests\":%llu,\"requests_all\":%llu,\"connections_all\":%llu,\"peer\":\"%s\"}\n",
             LEAT_VERSION, info.transport, leat_run_core_count(loop), leat_loop_index(loop),
             getpid(), (unsigned long long)stats.requests_count,
             (unsigned long long)totals.requests, (unsigned long long)totals.connections,
             peer_text);
    leat_response_header(req, "Cache-Control", "no-store");
    return leat_respond_json(req, 200, json);
}

void welcome_mount(struct leat_http *http)
{
    leat_http_get(http, "/", page_serve);
    leat_http_get(http, "/leat/status", status_serve);
}

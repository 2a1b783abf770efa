/* A tree of path segments. Each node of a depth is visited at most once for a path, so a search
 * costs at most the number of nodes whose depth the path reaches, whatever the path is. */
#include "net/http/http_internal.h"
#include "net/http/message/path.h"

#define SEGMENTS_MAX 64

/* ---- Adding ---- */

static int segment_compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    if (a_bytes != b_bytes)
        return a_bytes < b_bytes ? -1 : 1;
    return memcmp(a, b, a_bytes);
}

/* Index of the first literal that is not below text. */
static unsigned literal_find(const struct http_node *node, const char *text, size_t text_bytes)
{
    unsigned low = 0, high = node->literal_count;

    while (low < high) {
        unsigned middle = (low + high) >> 1;
        const struct http_node *child = node->literals[middle];
        if (segment_compare(child->text, child->text_bytes, text, text_bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool literal_is(const struct http_node *node, unsigned at, const char *text, size_t bytes)
{
    return at < node->literal_count && node->literals[at]->text_bytes == bytes &&
           memcmp(node->literals[at]->text, text, bytes) == 0;
}

static char *text_copy(const char *text, size_t bytes)
{
    char *copy = leat_heap_alloc(bytes + 1);

    if (copy) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

static struct http_node *literal_add(struct http_node *node, unsigned at, const char *text,
                                     size_t bytes)
{
    size_t size = (node->literal_count + 1) * sizeof(struct http_node *);
    struct http_node **grown = leat_heap_realloc(node->literals, size);
    struct http_node *child = leat_heap_calloc(1, sizeof(*child));

    if (grown)
        node->literals = grown;
    if (!grown || !child || !(child->text = text_copy(text, bytes))) {
        leat_heap_free(child);
        return NULL;
    }
    child->text_bytes = bytes;
    size_t after = (size_t)(node->literal_count - at);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what is moved */
    memmove(grown + at + 1, grown + at, after * sizeof(*grown));
    grown[at] = child;
    node->literal_count++;
    return child;
}

static struct http_node *special_add(struct http_node **place)
{
    if (!*place)
        *place = leat_heap_calloc(1, sizeof(**place));
    return *place;
}

/* The child of node for one segment of a pattern, made when it is not there; NULL: out of memory.
 */
static struct http_node *node_for(struct http_node *node, const char *text, size_t bytes)
{
    if (bytes && text[0] == ':')
        return special_add(&node->param);
    if (bytes && text[0] == '*')
        return special_add(&node->wild);
    unsigned at = literal_find(node, text, bytes);
    return literal_is(node, at, text, bytes) ? node->literals[at]
                                             : literal_add(node, at, text, bytes);
}

static int param_add(struct http_route *route, const char *text, size_t bytes, bool is_last,
                     struct leat_error *error)
{
    if (bytes == 0 || (text[0] != ':' && text[0] != '*'))
        return 0;
    if (bytes == 1)
        return leat_fail(error, -EINVAL, "the route \"%s\" has a parameter without a name",
                         route->pattern);
    if (text[0] == '*' && !is_last)
        return leat_fail(error, -EINVAL, "the wildcard of the route \"%s\" must come last",
                         route->pattern);
    if (route->param_count == LEAT_ROUTE_PARAMS_MAX)
        return leat_fail(error, -EINVAL, "the route \"%s\" has more than %d parameters",
                         route->pattern, LEAT_ROUTE_PARAMS_MAX);
    route->param_names[route->param_count++] = (struct leat_view){text + 1, bytes - 1};
    return 0;
}

static bool route_same_method(const struct http_route *a, const struct http_route *b)
{
    return a->method == b->method && strcmp(a->method_name, b->method_name) == 0;
}

/* ---- Patterns without parameters ---- */

static inline uint64_t text_load(const char *text, size_t bytes)
{
    uint64_t word = 0;
    uint32_t low, high;

    if (bytes >= 8) {
        memcpy(&word, text, 8);
    } else if (bytes >= 4) {
        memcpy(&low, text, 4);
        memcpy(&high, text + bytes - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else if (bytes) {
        word = (uint64_t)(uint8_t)text[0] << 16 | (uint64_t)(uint8_t)text[bytes >> 1] << 8 |
               (uint8_t)text[bytes - 1];
    }
    return word;
}

/* Of texts of equal length up to SHORT_BYTES no two have the same hash: load takes all of their
 * bytes, and what is done with them can be undone. The keys are the program's, so nobody can choose
 * longer ones to collide. */
#define SHORT_BYTES 8
static inline uint64_t text_hash(const char *text, size_t bytes)
{
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t sum = bytes * factor;

    for (; bytes > 8; text += 8, bytes -= 8)
        sum = (sum ^ text_load(text, 8)) * factor;
    sum = (sum ^ text_load(text, bytes)) * factor;
    return sum ^ sum >> 32;
}

static void exact_put(struct http_exact *table, uint32_t mask, struct http_exact entry)
{
    uint32_t at = (uint32_t)entry.hash & mask;

    while (table[at].node)
        at = (at + 1) & mask;
    table[at] = entry;
}

static int exact_add(struct http_router *router, struct http_node *node, const char *text)
{
    struct http_exact entry = {.node = node, .text = text, .text_bytes = strlen(text)};

    if (router->exact_count * 2 >= router->exact_mask) {
        uint32_t mask = router->exact_mask ? router->exact_mask * 2 + 1 : 15;
        struct http_exact *table = leat_heap_calloc(mask + 1, sizeof(*table));
        if (!table)
            return -ENOMEM;
        for (uint32_t i = 0; router->exact && i <= router->exact_mask; i++)
            if (router->exact[i].node)
                exact_put(table, mask, router->exact[i]);
        leat_heap_free(router->exact);
        router->exact = table;
        router->exact_mask = mask;
    }
    entry.hash = text_hash(text, entry.text_bytes);
    exact_put(router->exact, router->exact_mask, entry);
    router->exact_count++;
    return 0;
}

static const struct http_node *exact_find(const struct http_router *router, struct leat_view text)
{
    uint64_t sum = text_hash(text.data, text.length_bytes);

    for (uint32_t at = (uint32_t)sum & router->exact_mask;; at = (at + 1) & router->exact_mask) {
        const struct http_exact *entry = &router->exact[at];
        if (!entry->node)
            return NULL;
        if (entry->hash == sum && entry->text_bytes == text.length_bytes &&
            (text.length_bytes <= SHORT_BYTES ||
             memcmp(entry->text, text.data, text.length_bytes) == 0))
            return entry->node;
    }
}

static int route_place(struct http_router *router, struct http_route *route,
                       struct leat_error *error)
{
    struct http_node *node = &router->root;
    const char *text = route->pattern + 1;

    for (unsigned depth = 0;; depth++) {
        const char *end = strchrnul(text, '/');
        int result = param_add(route, text, (size_t)(end - text), *end == '\0', error);
        if (result)
            return result;
        if (depth == SEGMENTS_MAX)
            return leat_fail(error, -EINVAL, "the route \"%s\" has more than %d segments",
                             route->pattern, SEGMENTS_MAX);
        node = node_for(node, text, (size_t)(end - text));
        if (!node)
            return leat_fail(error, -ENOMEM, "memory is out for routes");
        if (*end == '\0')
            break;
        text = end + 1;
    }
    if (!node->routes && route->param_count == 0 && exact_add(router, node, route->pattern))
        return leat_fail(error, -ENOMEM, "memory is out for routes");
    for (struct http_route *other = node->routes; other; other = other->next)
        if (route_same_method(route, other))
            return leat_fail(error, -EEXIST, "the route %s \"%s\" is there already as \"%s\"",
                             route->method_name[0] ? route->method_name : "(any)", route->pattern,
                             other->pattern);
    route->next = node->routes;
    node->routes = route;
    return 0;
}

static void route_free(struct http_route *route)
{
    leat_heap_free(route->pattern);
    leat_heap_free(route);
}

int http_router_add(struct http_router *router, const char *method, const char *pattern,
                    leat_handler *handler, void *user, struct leat_error *error)
{
    if (!pattern || pattern[0] != '/' || !handler)
        return leat_fail(error, -EINVAL,
                         "a route needs a handler and a pattern that begins with "
                         "\"/\", not \"%s\"",
                         pattern ? pattern : "");
    if (method && (!method[0] || strlen(method) > HTTP_METHOD_BYTES_MAX))
        return leat_fail(error, -EINVAL, "\"%s\" is not a method", method);
    struct http_route *route = leat_heap_calloc(1, sizeof(*route));
    if (!route || !(route->pattern = text_copy(pattern, strlen(pattern)))) {
        leat_heap_free(route);
        return leat_fail(error, -ENOMEM, "memory is out for routes");
    }
    route->handler = handler;
    route->user = user;
    route->method = LEAT_METHOD_COUNT;
    if (method) {
        route->method = (uint8_t)leat_method_find(method, strlen(method));
        memcpy(route->method_name, method, strlen(method) + 1);
    }
    int result = route_place(router, route, error);
    if (result) {
        route_free(route);
        return result;
    }
    router->methods |= 1u << route->method;
    return 0;
}

static void node_fini(struct http_node *node)
{
    while (node->routes) {
        struct http_route *route = node->routes;
        node->routes = route->next;
        route_free(route);
    }
    for (unsigned i = 0; i < node->literal_count; i++) {
        node_fini(node->literals[i]);
        leat_heap_free(node->literals[i]);
    }
    struct http_node *special[] = {node->param, node->wild};
    for (unsigned i = 0; i < 2; i++)
        if (special[i]) {
            node_fini(special[i]);
            leat_heap_free(special[i]);
        }
    leat_heap_free(node->literals);
    leat_heap_free(node->text);
}

void http_router_fini(struct http_router *router)
{
    node_fini(&router->root);
    leat_heap_free(router->exact);
    *router = (struct http_router){0};
}

/* ---- Finding ---- */

struct search {
    struct http_match *match;
    const struct http_wanted *wanted;
    bool is_escaped; /* the path has escapes */
    bool add_slash;  /* search as if the path had one more slash at its end */
    const char *end; /* of the raw path */
    const char *text_end;
};

static __attribute__((noinline)) const struct http_route *route_among(
    const struct http_node *node, const struct http_wanted *wanted, uint32_t *allowed)
{
    const struct http_route *as_get = NULL, *any = NULL;
    enum leat_method method = wanted->method;
    uint32_t methods = 0;

    for (const struct http_route *route = node->routes; route; route = route->next) {
        if (route->method == method && (method != LEAT_METHOD_OTHER ||
                                        leat_view_equal(wanted->method_name, route->method_name)))
            return route;
        if (route->method == LEAT_METHOD_COUNT)
            any = route;
        else if (route->method == LEAT_METHOD_GET && method == LEAT_METHOD_HEAD)
            as_get = route;
        if (route->method != LEAT_METHOD_COUNT)
            methods |= 1u << route->method;
    }
    *allowed |= methods;
    return as_get ? as_get : any;
}

/* Of the pattern that ends at node; adds the methods that it has to *allowed when there is none. */
static inline const struct http_route *route_for(const struct http_node *node,
                                                 const struct http_wanted *wanted,
                                                 uint32_t *allowed)
{
    const struct http_route *first = node->routes;

    if (likely(first && first->method == wanted->method && wanted->method != LEAT_METHOD_OTHER))
        return first;
    return route_among(node, wanted, allowed);
}

static bool leaf_matches(const struct http_node *node, struct search *search)
{
    struct http_match *match = search->match;

    match->route = route_for(node, search->wanted, &match->allowed);
    return match->route != NULL;
}

static size_t text_length(const struct search *search, const char *raw, const char *end)
{
    size_t bytes = (size_t)(end - raw);

    if (likely(!search->is_escaped))
        return bytes;
    for (const char *at = raw; at < end; at++)
        if (*at == '%')
            bytes -= 2;
    return bytes;
}

static bool node_walk(const struct http_node *node, struct search *search, const char *raw,
                      const char *text);

/* Behind a segment that child matched. */
static bool walk_on(const struct http_node *child, struct search *search, const char *raw_end,
                    const char *text_end)
{
    if (raw_end < search->end)
        return node_walk(child, search, raw_end + 1, text_end + 1);
    if (!search->add_slash)
        return leaf_matches(child, search);
    unsigned at = literal_find(child, "", 0);
    if (literal_is(child, at, "", 0) && leaf_matches(child->literals[at], search))
        return true;
    return child->wild && leaf_matches(child->wild, search);
}

static bool walk_param(const struct http_node *child, struct search *search, const char *raw_end,
                       struct leat_view value)
{
    struct http_match *match = search->match;

    match->params[match->param_count++] = value;
    if (walk_on(child, search, raw_end, value.data + value.length_bytes))
        return true;
    match->param_count--;
    return false;
}

static __attribute__((noinline)) bool walk_segment(const struct http_node *node,
                                                   struct search *search, const char *raw,
                                                   const char *text)
{
    const char *raw_end = memchr(raw, '/', (size_t)(search->end - raw));
    raw_end = raw_end ? raw_end : search->end;
    size_t bytes = text_length(search, raw, raw_end);
    unsigned at = literal_find(node, text, bytes);

    if (literal_is(node, at, text, bytes) &&
        walk_on(node->literals[at], search, raw_end, text + bytes))
        return true;
    return node->param && bytes &&
           walk_param(node->param, search, raw_end, (struct leat_view){text, bytes});
}

/* Adding a route checked the number of parameters, and a node of depth n has at most n above. */
static bool node_walk(const struct http_node *node, struct search *search, const char *raw,
                      const char *text)
{
    struct http_match *match = search->match;

    if ((node->literal_count || node->param) && walk_segment(node, search, raw, text))
        return true;
    if (node->wild) {
        match->params[match->param_count++] =
            (struct leat_view){text, (size_t)(search->text_end - text)};
        if (leaf_matches(node->wild, search))
            return true;
        match->param_count--;
    }
    return false;
}

static __attribute__((noinline)) bool other_slash_matches(const struct http_router *router,
                                                          const struct search *search)
{
    struct leat_view raw = search->wanted->raw, text = search->wanted->text;
    struct http_match match = {0};
    struct search other = *search;

    other.match = &match;
    if (raw.data[raw.length_bytes - 1] == '/') {
        if (raw.length_bytes == 1)
            return false;
        other.end--;
        other.text_end--;
    } else {
        other.add_slash = true;
    }
    return node_walk(&router->root, &other, raw.data + 1, text.data + 1);
}

static __attribute__((noinline)) void search_tree(const struct http_router *router,
                                                  const struct http_wanted *wanted,
                                                  struct http_match *match)
{
    struct leat_view raw = wanted->raw, text = wanted->text;
    struct search search = {.match = match,
                            .wanted = wanted,
                            .is_escaped = raw.data != text.data,
                            .end = raw.data + raw.length_bytes,
                            .text_end = text.data + text.length_bytes};

    if (raw.length_bytes == 0 || raw.data[0] != '/')
        return;
    match->is_odd = !http_path_is_normal(raw);
    if (match->is_odd)
        return;
    if (likely(node_walk(&router->root, &search, raw.data + 1, text.data + 1)))
        return;
    if (match->allowed == 0 &&
        (wanted->method == LEAT_METHOD_GET || wanted->method == LEAT_METHOD_HEAD))
        match->other_slash = other_slash_matches(router, &search);
}

void http_router_find(const struct http_router *router, const struct http_wanted *wanted,
                      struct http_match *match)
{
    const struct http_node *node = NULL;

    match->allowed = 0;
    match->other_slash = match->is_odd = false;
    match->param_count = 0;
    if (likely(wanted->raw.data == wanted->text.data && router->exact))
        node = exact_find(router, wanted->raw);
    match->route = node ? route_for(node, wanted, &match->allowed) : NULL;
    if (!match->route)
        search_tree(router, wanted, match);
}

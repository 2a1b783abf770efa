/* Reading JSON that somebody else wrote. */
#include <leat/leat.h>
#include <stdio.h>
#include <string.h>

static void show(struct leat_json_tree *tree, const char *text)
{
    int64_t number = 0;
    const struct leat_json_node *order = leat_json_parse(tree, text, strlen(text), NULL);
    if (leat_json_int(leat_json_find(order, "id"), &number) < 0) {
        puts("this is not JSON");
        return;
    }
    printf("order %lld\n", (long long)number);
    struct leat_json_each each = leat_json_each(leat_json_find(order, "items"));
    while (leat_json_each_next(&each)) {
        struct leat_view name = leat_json_text(leat_json_find(each.value, "name"));
        if (leat_json_int(leat_json_find(each.value, "count"), &number) == 0)
            printf("- %d x %.*s\n", (int)number, LEAT_VIEW_PRINT(name));
    }
}

static int start(struct leat_loop *loop)
{
    struct leat_json_tree tree;
    leat_json_tree_init(&tree, NULL);
    show(&tree, "{\"id\": 7, \"items\": [{\"name\": \"tea\", \"count\": 2},"
                " {\"count\": 1, \"name\": \"Brötchen\"}]}");
    show(&tree, "{\"id\": 9007199254740991}");
    show(&tree, "{\"id\": 8,}");
    leat_json_tree_fini(&tree);
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}

#include "contract.h"

#include <stdio.h>

static void skip_if_named(const struct world *w, const char *name)
{
    if (w->transport->skips != NULL && strstr(w->transport->skips, name) != NULL) {
        skip();
    }
}

#define WRAP(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        skip_if_named(*state, #name);                                                              \
        name(*state);                                                                              \
    }
CONTRACT_TESTS(WRAP)

int main(int argc, char **argv)
{
    const struct contract_transport *transports[] = {&contract_epoll, &contract_uring,
                                                     &contract_stack};
    const struct contract_transport *transport = NULL;
    for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
        if (argc >= 2 && strcmp(argv[1], transports[i]->name) == 0) {
            transport = transports[i];
        }
    }
    if (transport == NULL) {
        fprintf(stderr, "usage: contract epoll|uring|stack [PATTERN]\n");
        return 2;
    }
#define ENTRY(name)                                                                                \
    {#name, test_##name, world_set_up, world_tear_down, (void *)(uintptr_t)transport},
    const struct CMUnitTest tests[] = {CONTRACT_TESTS(ENTRY)};
    if (argc >= 3) {
        cmocka_set_test_filter(argv[2]);
    }
    return _cmocka_run_group_tests(transport->name, tests, sizeof(tests) / sizeof(tests[0]), NULL,
                                   NULL);
}

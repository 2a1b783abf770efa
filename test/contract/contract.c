#include "contract.h"

#include <stdio.h>

#define WRAP(name)                                                                                 \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        name(*state);                                                                              \
    }
CONTRACT_TESTS(WRAP)
CONTRACT_UDP_TESTS(WRAP)

int main(int argc, char **argv)
{
    const struct contract_transport *transports[] = {&contract_epoll, &contract_uring,
                                                     &contract_stack, &contract_stack_cores};
    const struct contract_transport *transport = NULL;
    for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
        if (argc >= 2 && strcmp(argv[1], transports[i]->name) == 0)
            transport = transports[i];
    if (transport == NULL) {
        fprintf(stderr, "usage: contract epoll|uring|stack|stack-cores [PATTERN]\n");
        return 2;
    }
#define ENTRY(name)                                                                                \
    {#name, test_##name, world_set_up, world_tear_down, (void *)(uintptr_t)transport},
    const struct CMUnitTest all[] = {CONTRACT_TESTS(ENTRY) CONTRACT_UDP_TESTS(ENTRY)};
    struct CMUnitTest tests[sizeof(all) / sizeof(all[0])];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if ((transport->skips == NULL || strstr(transport->skips, all[i].name) == NULL) &&
            (transport->only == NULL || strstr(transport->only, all[i].name) != NULL))
            tests[count++] = all[i];
    if (argc >= 3)
        cmocka_set_test_filter(argv[2]);
    return _cmocka_run_group_tests(transport->name, tests, count, NULL, NULL);
}

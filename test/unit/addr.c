#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <leat/addr.h>

#include "net/api/resolve.h"

static void written_forms_are_read(void **state)
{
    static const struct {
        const char *text, *formatted;
        uint8_t family, via;
    } forms[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", LEAT_FAMILY_IPV4, LEAT_VIA_ANY},
        {"127.0.0.1", "127.0.0.1:99", LEAT_FAMILY_IPV4, LEAT_VIA_ANY},
        {"0.0.0.0:0", "0.0.0.0:0", LEAT_FAMILY_IPV4, LEAT_VIA_ANY},
        {"[::1]:8080", "[::1]:8080", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"[::1]", "[::1]:99", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"[fe80::1%2]:80", "[fe80::1%2]:80", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"[fe80::1%lo]:80", "[fe80::1%1]:80", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {":8080", "[::]:8080", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"*:8080", "[::]:8080", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"*", "[::]:99", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"8080", "[::]:8080", LEAT_FAMILY_IPV6, LEAT_VIA_ANY},
        {"sock:127.0.0.1:65535", "127.0.0.1:65535", LEAT_FAMILY_IPV4, LEAT_VIA_SOCKETS},
        {"net:[fe80::1%1]:80", "[fe80::1%1]:80", LEAT_FAMILY_IPV6, LEAT_VIA_STACK},
        {"net:[fe80::1%none]:80", "[fe80::1]:80", LEAT_FAMILY_IPV6, LEAT_VIA_STACK},
        {"net:10.0.0.2:80", "10.0.0.2:80", LEAT_FAMILY_IPV4, LEAT_VIA_STACK},
        {"unix:/run/a.sock", "unix:/run/a.sock", LEAT_FAMILY_UNIX, LEAT_VIA_ANY},
        {"sock:unix:@abstract", "unix:@abstract", LEAT_FAMILY_UNIX, LEAT_VIA_SOCKETS},
    };
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct leat_addr addr;
        struct leat_error error;
        assert_int_equal(leat_addr_parse(&addr, forms[i].text, 99, &error), 0);
        assert_int_equal(addr.family, forms[i].family);
        assert_int_equal(addr.via, forms[i].via);
        assert_string_equal(leat_addr_format(&addr, text), forms[i].formatted);
    }
}

static void what_is_no_address_is_refused_and_quoted(void **state)
{
    static const char *const wrong[] = {
        "",
        "localhost:80",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:8o",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "::1",
        "::1:8080",
        "[::1",
        "[::1]8080",
        "[::1]:",
        "[12345::]:80",
        "[::1%none]:80",
        "sock:[::1%none]:80",
        "net:[::1%]:80",
        "[fe80::1%0]:80",
        "unix:",
        "unix:@",
        "net:unix:/run/a",
        "sock:",
        "-1",
        "99999",
        "127.0.0.1:+80",
        "127.0.0.1: 80",
        " 127.0.0.1:80",
        "0x7f.1:80",
        "127.0.0.1:99999999999999999",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct leat_addr addr = {.port = 7};
        struct leat_error error = {0};
        assert_int_equal(leat_addr_parse(&addr, wrong[i], 99, &error), -EINVAL);
        assert_int_equal(addr.port, 7);
        assert_non_null(strstr(error.sentence, wrong[i]));
    }
}

static void a_unix_path_of_107_bytes_fits_and_one_more_does_not(void **state)
{
    char text[5 + 108 + 1] = "unix:";
    char formatted[LEAT_ADDR_TEXT_BYTES_MAX];
    struct leat_addr addr;
    memset(text + 5, 'a', 107);
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), 0);
    assert_string_equal(leat_addr_format(&addr, formatted), text);
    text[5 + 107] = 'a';
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), -EINVAL);
}

/* Nothing of this leaves the machine: localhost stands in its hosts file. */
static void names_are_resolved_and_what_is_none_is_not_asked_for(void **state)
{
    static const char *const wrong[] = {
        "",      "1.2.3:80",        "127.0.0.256",  "localhost:x",  "localhost:65536",
        "a b:1", "-localhost:1",    ".localhost:1", "local/host:1", "localhost:1:2",
        "::1",   "net:localhost: ", "sock:unix:",   "sock:",        "loc@lhost:1",
        "[::1",  "0x7f.1:80",       "localhost:-1",
    };
    struct leat_addr addrs[RESOLVED_MAX];
    struct leat_error error;
    int count = addr_resolve(addrs, "localhost:8080", 99, &error);
    assert_in_range(count, 1, RESOLVED_MAX);
    for (int i = 0; i < count; i++) {
        assert_int_equal(addrs[i].port, 8080);
        assert_int_equal(addrs[i].via, LEAT_VIA_ANY);
        for (int k = 0; k < i; k++)
            assert_false(leat_addr_equal(&addrs[i], &addrs[k]));
    }
    assert_true(addr_resolve(addrs, "net:localhost", 99, &error) == count);
    assert_int_equal(addrs[0].port, 99);
    assert_int_equal(addrs[0].via, LEAT_VIA_STACK);
    assert_int_equal(addr_resolve(addrs, "sock:[::1]:7", 99, &error), 1);
    assert_int_equal(addrs[0].family, LEAT_FAMILY_IPV6);
    assert_int_equal(addr_resolve(addrs, "unix:/a", 99, &error), 1);
    assert_int_equal(addrs[0].family, LEAT_FAMILY_UNIX);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        error.sentence[0] = '\0';
        if (addr_resolve(addrs, wrong[i], 99, &error) != -EINVAL)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_non_null(strstr(error.sentence, wrong[i]));
    }
}

static void equality_and_wildcards(void **state)
{
    struct leat_addr a, b;
    assert_int_equal(leat_addr_parse(&a, "127.0.0.1:80", 0, NULL), 0);
    assert_int_equal(leat_addr_parse(&b, "sock:127.0.0.1:80", 0, NULL), 0);
    assert_true(leat_addr_equal(&a, &b));
    b.port = 81;
    assert_false(leat_addr_equal(&a, &b));
    memset(b.ip + 4, 0xff, 12);
    b.port = 80;
    assert_true(leat_addr_equal(&a, &b)); /* bytes beyond an IPv4 address do not matter */
    assert_false(leat_addr_is_wildcard(&a));
    assert_int_equal(leat_addr_parse(&a, "0.0.0.0:80", 0, NULL), 0);
    assert_true(leat_addr_is_wildcard(&a));
    assert_int_equal(leat_addr_parse(&b, ":80", 0, NULL), 0);
    assert_true(leat_addr_is_wildcard(&b));
    assert_false(leat_addr_equal(&a, &b));
    assert_int_equal(leat_addr_parse(&a, "unix:/a", 0, NULL), 0);
    assert_int_equal(leat_addr_parse(&b, "unix:/a", 0, NULL), 0);
    assert_true(leat_addr_equal(&a, &b));
    assert_false(leat_addr_is_wildcard(&a));
    b.path[1] = 'b';
    assert_false(leat_addr_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_forms_are_read),
        cmocka_unit_test(what_is_no_address_is_refused_and_quoted),
        cmocka_unit_test(a_unix_path_of_107_bytes_fits_and_one_more_does_not),
        cmocka_unit_test(names_are_resolved_and_what_is_none_is_not_asked_for),
        cmocka_unit_test(equality_and_wildcards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

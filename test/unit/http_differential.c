/* The parser against the reference: the cases, mutations of them, and random bytes at the end of a
 * page behind which nothing may be read. LEAT_TEST_SEED repeats a run; without it there is a fixed
 * seed and a fresh one, which is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "test/http/cases.h"
#include "test/http/differential.h"

static uint64_t seeds[2];
static unsigned seed_count;

typedef void differential_fn(const uint8_t *bytes, size_t length, uint64_t seed);

/* Bytes and pieces that mean something to a parser. */
static size_t put_piece(uint8_t *to, uint64_t random)
{
    static const char *const pieces[] = {
        "\r\n",
        "\r",
        "\n",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "?",
        "#",
        "%",
        "0",
        "5",
        "/",
        "*",
        "\x7f",
        "\x80",
        "chunked",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: b\r\n",
        "Connection: close\r\n",
        "HTTP/1.0",
        "http://c",
        "\r\n\r\n",
        "Expect: ",
    };
    unsigned index = (unsigned)(random % (sizeof(pieces) / sizeof(*pieces) + 1));

    if (index == sizeof(pieces) / sizeof(*pieces)) {
        to[0] = (uint8_t)(random >> 32);
        return 1;
    }
    memcpy(to, pieces[index], strlen(pieces[index]));
    return strlen(pieces[index]);
}

/* Replaces, inserts or removes at up to four places. */
static size_t mutate(uint8_t *bytes, size_t length, uint64_t *seed)
{
    for (unsigned rounds = 1 + test_random(seed) % 4; rounds > 0; rounds--) {
        uint8_t piece[64];
        size_t place = test_random(seed) % (length + 1), tail = length - place;
        size_t added = put_piece(piece, test_random(seed));
        size_t removed = test_random(seed) % 3 ? 0 : 1 + test_random(seed) % 8;

        if (test_random(seed) % 3 == 0)
            added = 0;
        removed = removed < tail ? removed : tail;
        memmove(bytes + place + added, bytes + place + removed, tail - removed);
        memcpy(bytes + place, piece, added);
        length += added - removed;
    }
    return length;
}

static void check_mutations(differential_fn *check, const struct http_case *cases, unsigned count,
                            unsigned rounds)
{
    static uint8_t bytes[8192];

    for (unsigned s = 0; s < seed_count; s++) {
        uint64_t seed = seeds[s];
        for (unsigned round = 0; round < rounds; round++) {
            const struct http_case *c = &cases[test_random(&seed) % count];
            memcpy(bytes, c->bytes, c->length);
            check(bytes, mutate(bytes, c->length, &seed), test_random(&seed));
        }
    }
}

static void cases_and_mutations_have_the_reference_outcome(void **state)
{
    for (unsigned i = 0; i < http_request_case_count; i++)
        differential_request((const uint8_t *)http_request_cases[i].bytes,
                             http_request_cases[i].length, i);
    for (unsigned i = 0; i < http_response_case_count; i++)
        differential_response((const uint8_t *)http_response_cases[i].bytes,
                              http_response_cases[i].length, i);
    check_mutations(differential_request, http_request_cases, http_request_case_count, 20000);
    check_mutations(differential_response, http_response_cases, http_response_case_count, 5000);
}

static void mutated_bodies_have_the_reference_outcome(void **state)
{
#define BODY(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, NULL                                                               \
    }
    static const struct http_case bodies[] = {
        BODY("5\r\nhello\r\n0\r\n\r\n"),
        BODY("a;b=c\r\n0123456789\r\n1 ;x\r\na\r\n0\r\nX: 1\r\nDate: 2\r\n\r\n"),
        BODY("7fffffffffffffff\r\nab"),
        BODY("0\r\nTrailer-A: 1\r\nTrailer-B: 2\r\n\r\nGET /"),
    };
    check_mutations(differential_chunked, bodies, sizeof(bodies) / sizeof(*bodies), 20000);
}

/* A page of bytes between two that cannot be read. */
static uint8_t *guarded_page(size_t page)
{
    uint8_t *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    return pages + page;
}

/* A parse of bytes copied to place, as text. */
static void parse_at(struct text *text, uint8_t *place, const uint8_t *bytes, size_t length,
                     const struct http_isa *isa)
{
    struct http_limits limits;
    struct http_head head;

    memcpy(place, bytes, length);
    http_limits_init(&limits);
    limits.isa = isa;
    http_head_init(&head, HTTP_REQUEST);
    text->length = 0;
    describe_head(text, &head, place, http_parse_head(&head, place, length, &limits));
    text_add(text, " at %u", head.at);
}

/* At both ends of the page, where a byte read outside of the given ones is a fault, and the bytes
 * next to them on the page would change the outcome if they were looked at. */
static void check_at_page_ends(uint8_t *page, size_t page_bytes, const uint8_t *bytes,
                               size_t length)
{
    static struct text scalar, vector;
    const struct http_isa *isa;

    memset(page, '\n', 512);
    memset(page + page_bytes - 512, '\n', 512);
    parse_at(&scalar, page + 512, bytes, length, http_isa_at(0));
    for (unsigned i = 0; (isa = http_isa_at(i)); i++) {
        parse_at(&vector, page, bytes, length, isa);
        assert_string_equal(vector.bytes, scalar.bytes);
        parse_at(&vector, page + page_bytes - length, bytes, length, isa);
        assert_string_equal(vector.bytes, scalar.bytes);
    }
}

/* filler bytes of a class, with one of every byte at each place, in target, name or value. */
static void vectors_stop_where_the_scalar_scanner_stops(void **state)
{
    static const char *const fronts[] = {"", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA:"};
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *page = guarded_page(page_bytes), bytes[256];
    uint64_t seed = seeds[0];

    for (unsigned f = 0; f < sizeof(fronts) / sizeof(*fronts); f++) {
        for (size_t length = 0; length <= 130; length++) {
            size_t front = strlen(fronts[f]);
            memcpy(bytes, fronts[f], front);
            for (unsigned byte = 0; byte < 257; byte++) {
                for (size_t i = 0; i < length; i++)
                    bytes[front + i] = (uint8_t)('a' + (i + length) % 26);
                if (byte < 256 && length)
                    bytes[front + test_random(&seed) % length] = (uint8_t)byte;
                check_at_page_ends(page, page_bytes, bytes, front + length);
            }
        }
    }
    munmap(page - page_bytes, 3 * page_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_and_mutations_have_the_reference_outcome),
        cmocka_unit_test(mutated_bodies_have_the_reference_outcome),
        cmocka_unit_test(vectors_stop_where_the_scalar_scanner_stops),
    };
    const char *given = getenv("LEAT_TEST_SEED");

    if (given) {
        seeds[seed_count++] = strtoull(given, NULL, 0);
    } else {
        seeds[seed_count++] = 1;
        if (getrandom(&seeds[1], sizeof(seeds[1]), 0) == sizeof(seeds[1]))
            seed_count++;
    }
    for (unsigned i = 0; i < seed_count; i++)
        printf("LEAT_TEST_SEED=0x%llx\n", (unsigned long long)seeds[i]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

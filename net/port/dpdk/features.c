/* Which features are asked for together, and what is given up when a driver refuses. */
#include "net/port/dpdk/features.h"

#include <stdio.h>
#include <string.h>

static const struct {
    uint32_t feature, needs;
    const char *word;
} features[DPDK_FEATURE_COUNT] = {
#define LEAT_X(name, word, needs) {DPDK_FEATURE_##name, needs, word},
    DPDK_FEATURES(LEAT_X)
#undef LEAT_X
};

uint32_t features_fit(uint32_t wanted)
{
    for (uint32_t before = ~wanted; before != wanted;) {
        before = wanted;
        for (unsigned i = 0; i < DPDK_FEATURE_COUNT; i++)
            if ((features[i].needs & wanted) != features[i].needs)
                wanted &= ~features[i].feature;
    }
    return wanted;
}

/* Takes back what of wanted works beside got, one feature at a time. The device is as the last
 * attempt left it, so that after a failure got is asked for again. */
static int features_regain(uint32_t wanted, features_attempt_fn *attempt, void *arg, uint32_t *got)
{
    int result = 0;
    for (unsigned i = DPDK_FEATURE_COUNT; i > 0; i--) {
        uint32_t more = *got | features[i - 1].feature;
        if (!(wanted & features[i - 1].feature) || more == *got || features_fit(more) != more)
            continue;
        result = attempt(arg, more);
        if (result == 0)
            *got = more;
    }
    return result < 0 ? attempt(arg, *got) : 0;
}

int features_settle(uint32_t wanted, uint32_t kept, features_attempt_fn *attempt, void *arg,
                    uint32_t *got)
{
    wanted = features_fit(wanted);
    kept &= wanted;
    *got = wanted;
    int result = attempt(arg, *got);
    if (result == 0)
        return 0;
    for (unsigned i = 0; i < DPDK_FEATURE_COUNT && result < 0; i++) {
        uint32_t less = features_fit(*got & ~features[i].feature);
        if (less == *got || (less & kept) != kept)
            continue;
        *got = less;
        result = attempt(arg, less);
    }
    return result < 0 ? result : features_regain(wanted, attempt, arg, got);
}

char *features_format(uint32_t wanted, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < DPDK_FEATURE_COUNT && length < size; i++)
        if (wanted & features[i].feature)
            length += (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "",
                                       features[i].word);
    return text;
}

/* Answers are compared with the first good one of their core, and the cores' first ones with each
 * other in the report. */
#include "apps/load/load_internal.h"

#include <errno.h>

static bool is_status_good(const struct load *load, const struct load_answer *first,
                           uint16_t status)
{
    if (load->expect_status != 0)
        return status == load->expect_status;
    return first->is_set ? status == first->status : status < 400;
}

void load_check(struct load_core *core, const struct http_reader *reader)
{
    struct load_answer *first = &core->results.answer;
    uint64_t *errors = core->results.errors;
    if (unlikely(!is_status_good(core->load, first, reader->status))) {
        errors[LOAD_ERROR_status]++;
        load_core_say(core, -EPROTO, "an answer had status %u", reader->status);
        return;
    }
    uint64_t digest = http_reader_digest(reader);
    if (unlikely(!first->is_set))
        *first = (struct load_answer){reader->body_bytes, digest, reader->status, true};
    if (core->load->is_any_body)
        return;
    if (unlikely(reader->body_bytes != first->length_bytes)) {
        errors[LOAD_ERROR_length]++;
        load_core_say(core, -EPROTO, "an answer had %llu bytes, the first one %llu",
                      (unsigned long long)reader->body_bytes,
                      (unsigned long long)first->length_bytes);
    } else if (unlikely(digest != first->digest)) {
        errors[LOAD_ERROR_body]++;
        load_core_say(core, -EPROTO, "the body of an answer was not that of the first one");
    }
}

/* Forms with files: what comes of a body does not depend on how it was cut, names of files are one
 * safe segment, and data is what stands between two delimiters. The first byte says how it is
 * cut. */
#include <leat/check.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { BYTES_MAX = 8192, AREA_BYTES = 512, PARTS_MAX = 4 };

struct story {
    char text[3 * BYTES_MAX + 4096];
    size_t length;
    size_t data_bytes;
    int status;
};

static void story_add(struct story *story, const char *bytes, size_t length)
{
    LEAT_CHECK(story->length + length <= sizeof(story->text));
    if (length > 0)
        memcpy(story->text + story->length, bytes, length);
    story->length += length;
}

static void check_filename(struct leat_view name)
{
    LEAT_CHECK(name.length_bytes <= HTTP_FILENAME_BYTES_MAX);
    LEAT_CHECK(!leat_view_equal(name, ".") && !leat_view_equal(name, ".."));
    for (size_t i = 0; i < name.length_bytes; i++)
        LEAT_CHECK((unsigned char)name.data[i] >= 0x20 && name.data[i] != 0x7f &&
                   name.data[i] != '/' && name.data[i] != '\\');
}

static void part_add(struct story *story, const struct http_part *part)
{
    LEAT_CHECK(part->name.data != NULL);
    story_add(story, "\nname ", 6);
    story_add(story, part->name.data, part->name.length_bytes);
    if (part->filename.data != NULL) {
        check_filename(part->filename);
        story_add(story, "\nfile ", 6);
        story_add(story, part->filename.data, part->filename.length_bytes);
    }
    if (part->type.data != NULL) {
        story_add(story, "\ntype ", 6);
        story_add(story, part->type.data, part->type.length_bytes);
    }
    story_add(story, "\ndata ", 6);
}

/* A copy of exactly its size: ASan sees what is read behind it. */
static int piece_read(struct http_multipart *m, struct leat_view piece, struct story *story)
{
    char *copy = malloc(piece.length_bytes);
    struct leat_view input = {copy, piece.length_bytes}, out;
    int event;

    memcpy(copy, piece.data, piece.length_bytes);
    while ((event = http_multipart_read(m, &input, &out)) > HTTP_MULTIPART_MORE) {
        if (event == HTTP_MULTIPART_PART) {
            part_add(story, &m->part);
        } else if (event == HTTP_MULTIPART_DATA) {
            LEAT_CHECK(out.length_bytes > 0);
            story_add(story, out.data, out.length_bytes);
            story->data_bytes += out.length_bytes;
        } else {
            story_add(story, "\nend", 4);
        }
    }
    LEAT_CHECK(event < 0 || input.length_bytes == 0);
    free(copy);
    return event;
}

static void story_of(struct leat_view body, size_t piece_bytes, struct story *story)
{
    struct http_multipart m;
    char area[AREA_BYTES];

    story->length = story->data_bytes = 0;
    story->status = http_multipart_init(&m, leat_view_of("multipart/form-data; boundary=b"),
                                        PARTS_MAX, area, sizeof(area));
    LEAT_CHECK(story->status == 0);
    while (body.length_bytes > 0 && story->status == 0) {
        size_t bytes = body.length_bytes < piece_bytes ? body.length_bytes : piece_bytes;
        story->status = piece_read(&m, (struct leat_view){body.data, bytes}, story);
        body.data += bytes;
        body.length_bytes -= bytes;
    }
    if (story->status == 0)
        story->status = http_multipart_end(&m);
    LEAT_CHECK((story->status == 0) == (m.reason == HTTP_MULTIPART_NONE));
    LEAT_CHECK(m.parts_count <= PARTS_MAX + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static struct story whole, cut;

    if (length_bytes < 2)
        return 0;
    size_t piece = data[0] % 97u + 1;
    struct leat_view body = {(const char *)data + 1,
                             length_bytes - 1 < BYTES_MAX ? length_bytes - 1 : BYTES_MAX};
    story_of(body, BYTES_MAX, &whole);
    LEAT_CHECK(whole.data_bytes <= body.length_bytes);
    story_of(body, piece, &cut);
    LEAT_CHECK(cut.length == whole.length && cut.status == whole.status);
    LEAT_CHECK(memcmp(cut.text, whole.text, whole.length) == 0);
    return 0;
}

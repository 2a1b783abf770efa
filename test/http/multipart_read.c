/* What the parser of forms makes of bodies, for multipart.py to compare: reads records {bytes of
 * the type, of the body, of a piece: 32 bits each, little-endian; type; body} from standard input
 * and prints a line in hexadecimal digits for each part, "name file type data" ("-": none), then
 * "end STATUS". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http/message/multipart.h"

static void print_hex(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        printf("%02x", (unsigned char)bytes[i]);
}

static void print_view(struct leat_view view)
{
    if (view.data == NULL)
        printf("-");
    print_hex(view.data, view.length_bytes);
    printf(" ");
}

static int piece_read(struct http_multipart *m, struct leat_view input)
{
    struct leat_view data;
    int event;

    while ((event = http_multipart_read(m, &input, &data)) > HTTP_MULTIPART_MORE) {
        if (event == HTTP_MULTIPART_PART) {
            print_view(m->part.name);
            print_view(m->part.filename);
            print_view(m->part.type);
            printf(".");
        } else if (event == HTTP_MULTIPART_DATA) {
            print_hex(data.data, data.length_bytes);
        } else {
            printf("\n");
        }
    }
    return event;
}

static void body_read(struct leat_view type, struct leat_view body, size_t piece_bytes)
{
    static char area[8192];
    struct http_multipart m;
    int status = http_multipart_init(&m, type, 64, area, sizeof(area));

    while (status == 0 && body.length_bytes > 0) {
        size_t bytes = body.length_bytes < piece_bytes ? body.length_bytes : piece_bytes;
        status = piece_read(&m, (struct leat_view){body.data, bytes});
        body.data += bytes;
        body.length_bytes -= bytes;
    }
    if (status == 0)
        status = http_multipart_end(&m);
    printf("end %d\n", -status);
}

int main(void)
{
    uint32_t sizes[3];

    while (fread(sizes, sizeof(sizes), 1, stdin) == 1) {
        char *bytes = malloc((size_t)sizes[0] + sizes[1] + 1);
        if (bytes == NULL || fread(bytes, 1, sizes[0] + sizes[1], stdin) != sizes[0] + sizes[1])
            return 1;
        body_read((struct leat_view){bytes, sizes[0]},
                  (struct leat_view){bytes + sizes[0], sizes[1]}, sizes[2]);
        free(bytes);
    }
    return 0;
}

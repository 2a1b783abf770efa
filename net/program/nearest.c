/* The word that was meant: nearest by edits. */
#include <leat/options.h>

#include <string.h>

#define NEAREST_BYTES_MAX 64 /* words longer than this are near to nothing */

static unsigned least_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits that turn a into b: insert, delete, replace, and exchange of two neighbours (Damerau). The
 * optimal string alignment, by rows: what was exchanged is not edited again. */
static unsigned edits_between(const char *a, const char *b)
{
    size_t length = strlen(b);
    unsigned rows[3][NEAREST_BYTES_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            row[j] =
                least_of(last[j - 1] + (a[i - 1] != b[j - 1]), least_of(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], before[j - 2] + 1);
        }
    }
    return row[length];
}

const char *leat_nearest(const char *word, const char *const *candidates, unsigned count)
{
    if (strlen(word) > NEAREST_BYTES_MAX)
        return NULL;
    const char *nearest = NULL;
    unsigned nearest_edits = (unsigned)strlen(word) / 3 + 1;
    for (unsigned i = 0; i < count; i++) {
        if (strlen(candidates[i]) > NEAREST_BYTES_MAX)
            continue;
        unsigned edits = edits_between(word, candidates[i]);
        if (edits < nearest_edits || (edits == nearest_edits && nearest == NULL)) {
            nearest = candidates[i];
            nearest_edits = edits;
        }
    }
    return nearest;
}

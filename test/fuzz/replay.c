/* Runs a fuzz target over each file of a corpus folder: what a fuzzer once found stays found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { INPUT_BYTES_MAX = 1 << 20 };

/* The input lies in memory of exactly its size, so that a read beyond it is seen. */
static int replay(const char *folder, const char *name, uint8_t *scratch)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t length = fread(scratch, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    uint8_t *exact = malloc(length != 0 ? length : 1);
    if (exact == NULL)
        return 1;
    for (size_t i = 0; i < length; i++)
        exact[i] = scratch[i];
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    uint8_t *scratch = malloc(INPUT_BYTES_MAX);
    if (folder == NULL || scratch == NULL) {
        fprintf(stderr, "usage: replay-NAME CORPUS_FOLDER (which exists)\n");
        free(scratch);
        return 2;
    }
    int failed = 0;
    unsigned count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        failed |= replay(argv[1], entry->d_name, scratch);
        count++;
    }
    closedir(folder);
    free(scratch);
    printf("%u inputs replayed\n", count);
    return failed != 0 || count == 0;
}

/* fuzz/replay.c - run a fuzz target over a saved corpus, without a fuzzer.
 *
 * Each input is tried whole and cut short at CUTS places, since parsers break most often at an end that
 * comes early.  It lies in a block of exactly its size, so that AddressSanitizer sees the first byte read
 * beyond it.  Order is by name: a failure comes again at the same place. */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CUTS = 16, PATH_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) {
        fprintf(stderr, "replay: out of memory\n");
        exit(1);
    }
    if (size)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void run_with_cuts(const uint8_t *data, size_t size)
{
    run_copy(data, size);
    size_t last = size;
    for (size_t i = 0; i < CUTS; i++) {
        const size_t cut = size * i / CUTS;
        if (cut != last)   // short inputs have fewer places
            run_copy(data, cut);
        last = cut;
    }
}

/* 1 for a regular file that was run, 0 for something else (a folder), -1 if it cannot be read. */
static int run_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return 0;

    int result = -1;
    const size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    if (data && file && fread(data, 1, size, file) == size) {
        run_with_cuts(data, size);
        result = 1;
    }
    if (file)
        fclose(file);
    free(data);
    return result;
}

/* Number of files run, or -1 at the first that cannot be read. */
static int run_folder(const char *folder)
{
    struct dirent **entries;
    const int entry_count = scandir(folder, &entries, NULL, alphasort);
    if (entry_count < 0)
        return -1;
    int run_count = 0;
    for (int i = 0; i < entry_count; i++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        const int one = run_count < 0 ? 0 : run_file(path);
        if (one < 0)
            fprintf(stderr, "replay: cannot read '%s'\n", path);
        run_count = one < 0 ? -1 : run_count + one;
        free(entries[i]);
    }
    free(entries);
    return run_count;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE|FOLDER\n", argv[0]);
        return 2;
    }
    struct stat st;
    const bool is_folder = stat(argv[1], &st) == 0 && S_ISDIR(st.st_mode);
    const int run_count = is_folder ? run_folder(argv[1]) : run_file(argv[1]);
    if (run_count <= 0) {
        fprintf(stderr, "replay: no input in '%s'\n", argv[1]);
        return 1;
    }
    printf("%d inputs\n", run_count);
    return 0;
}

/* A test removes and writes what it likes in the folder where it runs, which ctest makes for it and names
 * NAME.scratch.  Started by hand anywhere else it would do so there: it refuses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void refuse_other_folders(void)
{
    static const char suffix[] = ".scratch";
    char dir[4096];
    const char *at = getcwd(dir, sizeof dir);
    const size_t len = at ? strlen(at) : 0;
    if (len >= sizeof suffix && strcmp(at + len - (sizeof suffix - 1), suffix) == 0)
        return;
    fprintf(stderr, "tests run in a folder of their own, named *%s; start them with ctest\n", suffix);
    _exit(2);
}

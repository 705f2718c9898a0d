/* Bytes as the answer of a hub, and as the name of a model there: files that are accepted stay inside a
 * folder. */
#include "cli/hub.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
    LM_ASSERT(path[0] != '\0' && path[0] != '/');
    LM_ASSERT(path[0] != '.' && !strstr(path, "/.") && !strstr(path, "//"));
}

static void check_name(const char *source)
{
    struct lm_err err = { 0 };
    struct lm_hub_name name;
    if (!lm_hub_is_name(source))
        return;
    if (lm_hub_name_parse(source, &name, &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return;
    }
    check_path(name.owner);
    check_path(name.name);
    if (name.file)
        check_path(name.file);
    LM_FREE char *url = lm_hub_url("https://hub/", &name, name.revision, "f");
    LM_ASSERT(strncmp(url, "https://hub/", 12) == 0 && !strstr(url + 8, "//"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_err err = { 0 };
    struct lm_hub_listing listing;
    LM_FREE char *text = lm_alloc(size + 1);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_name(text);
    if (lm_hub_listing_parse((struct lm_str){ text, size }, "fuzz", &listing, &err) != LM_OK) {
        LM_ASSERT(err.text[0] != '\0');
        return 0;
    }
    check_path(listing.commit);
    for (size_t i = 0; i < listing.count; i++)
        check_path(listing.files[i].name);
    lm_hub_listing_release(&listing);
    return 0;
}

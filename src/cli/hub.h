#ifndef LM_CLI_HUB_H
#define LM_CLI_HUB_H
/* cli/hub.h - models on a hub that speaks Hugging Face's API.
 *
 *     hf://OWNER/NAME[@REVISION][/FILE.gguf]
 *
 * GET  HUB/api/models/OWNER/NAME/revision/REVISION?blobs=true   the commit, the files, their sizes and
 * SHA-256 GET  HUB/OWNER/NAME/resolve/COMMIT/FILE                       one file of that commit */

#include "base/mem.h"
#include "cli/fetch.h"

enum { LM_HUB_FILES_MAX = 10000, LM_HUB_NAME_MAX = 96 };

struct lm_hub_name {
    char owner[LM_HUB_NAME_MAX + 1], name[LM_HUB_NAME_MAX + 1], revision[LM_HUB_NAME_MAX + 1];
    const char *file;   // one GGUF file of it; NULL: the folder of safetensors
};

struct lm_hub_file {
    const char *name;   // relative, without ".."
    uint64_t bytes;     // UINT64_MAX: not said
    char sha256[LM_SHA256_HEX];
};

struct lm_hub_listing {
    char commit[LM_HUB_NAME_MAX + 1];
    struct lm_hub_file *files;
    size_t count;
    struct lm_arena arena;
};

bool lm_hub_is_name(const char *source);   // begins with hf://
/* LM_EINVAL: not of the form above.  The file points into source. */
enum lm_rc lm_hub_name_parse(const char *source, struct lm_hub_name *ret, struct lm_err *err);

/* The answer of the API; refuses names that lead out of a folder. */
enum lm_rc lm_hub_listing_parse(struct lm_str json, const char *where, struct lm_hub_listing *ret,
                                struct lm_err *err);
enum lm_rc lm_hub_list(const struct lm_fetch *f, const char *hub, const struct lm_hub_name *name,
                       struct lm_hub_listing *ret, struct lm_err *err);
void lm_hub_listing_release(struct lm_hub_listing *listing);

/* The address of a file; free() it. */
char *lm_hub_url(const char *hub, const struct lm_hub_name *name, const char *commit, const char *file);

#endif

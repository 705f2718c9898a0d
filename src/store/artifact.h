#ifndef LM_STORE_ARTIFACT_H
#define LM_STORE_ARTIFACT_H
/* store/artifact.h - content-addressed outputs of stages, each with a manifest of what made it.
 *
 *     .loom/artifacts/<id>/manifest.json    id = first 32 hex digits of SHA-256 over the sorted file table
 *     .loom/artifacts/<id>/<files...>       (path, size, SHA-256 of each) and the recipe
 *     .loom/work/<recipe>/                  being made; safe to delete; kept after a crash so a stage can
 * resume
 *
 * A recipe names the making: stage, its code version, canonical options, the ids of its inputs.  Equal
 * recipes give equal artifacts, so a stage whose recipe has an artifact is not run again.  A manifest holds
 * no time and no machine: it, too, is the same bits everywhere.
 *
 * Threads: none of its own; one process may make one recipe at a time (a lock file in work/ says so). */

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"

enum { LM_ARTIFACT_ID = 33 };   // 32 hex digits and NUL

struct lm_artifact_input {
    const char *role;   // "documents", "tokenizer", "base"; or "source" for files from outside
    const char *id;     // artifact id, or SHA-256 of what came from outside
};

struct lm_recipe {
    const char *stage;       // "prepare"
    int64_t code_version;    // raised when the same options would give other bytes
    struct lm_str options;   // canonical JSON object (lm_opt_to_json with recipe = true)
    const struct lm_artifact_input *inputs;
    size_t input_count;
};

struct lm_artifact_file {
    const char *path;   // relative, "/" between parts
    uint64_t size_bytes;
    char sha256[LM_SHA256_HEX];
};

/* Lives in the arena it was loaded into. */
struct lm_artifact {
    char id[LM_ARTIFACT_ID];
    char recipe[LM_SHA256_HEX];
    const char *dir;   // absolute or as the store was opened
    const char *stage;
    struct lm_str options;   // JSON
    struct lm_str metrics;   // JSON object, what the stage reported
    const struct lm_artifact_input *inputs;
    size_t input_count;
    const struct lm_artifact_file *files;
    size_t file_count;
};

/* Hash of a recipe, 64 hex digits. */
void lm_recipe_hash(const struct lm_recipe *recipe, char ret[LM_SHA256_HEX]);

/* The artifact made by this recipe; LM_ENOENT (err untouched) if there is none yet. */
enum lm_rc lm_artifact_find(const char *store_dir, const struct lm_recipe *recipe, struct lm_arena *arena,
                            struct lm_artifact *ret, struct lm_err *err);

/* By id (a unique prefix of at least 6 digits is enough). */
enum lm_rc lm_artifact_load(const char *store_dir, const char *id, struct lm_arena *arena,
                            struct lm_artifact *ret, struct lm_err *err);

/* All of them, ordered by id. */
enum lm_rc lm_artifact_list(const char *store_dir, struct lm_arena *arena, struct lm_artifact **ret,
                            size_t *ret_count, struct lm_err *err);

/* Re-hashes every file; LM_EFORMAT names the first that differs from its manifest. */
enum lm_rc lm_artifact_verify(const struct lm_artifact *artifact, struct lm_err *err);

/* A making in progress. */
struct lm_making {
    char *store_dir,
        *work_dir;   // write output files below work_dir/out, scratch (checkpoints) below work_dir
    char *out_dir;
    char recipe[LM_SHA256_HEX];
    int lock_fd;
};

/* LM_EEXIST if another process is making it. */
enum lm_rc lm_making_begin(struct lm_making *making, const char *store_dir, const struct lm_recipe *recipe,
                           struct lm_err *err);

/* Hashes out/, writes the manifest, renames into artifacts/, removes the work folder.  metrics: JSON object.
 */
enum lm_rc lm_making_commit(struct lm_making *making, const struct lm_recipe *recipe, struct lm_str metrics,
                            struct lm_arena *arena, struct lm_artifact *ret, struct lm_err *err);

/* Lets go; keeps the work folder for a later resume unless `discard`. */
void lm_making_release(struct lm_making *making, bool discard);

#endif

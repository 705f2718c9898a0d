#ifndef LM_FLOW_PROJECT_H
#define LM_FLOW_PROJECT_H
/* flow/project.h - loom.yaml: one file that declares the whole life cycle.
 *
 *     name: my-assistant
 *     collect:
 *       sources:
 *         - name: manual
 *           path: /usr/share/doc/...
 *     prepare: { anonymize: [email, phone] }
 *     tokenizer: { vocab-size: 4096 }
 *     pretrain: { dim: 256 }
 *     finetune:
 *       epochs: 2                      # for every snapshot
 *       snapshots:
 *         - { name: mail, epochs: 3 }  # a model of its own, fine-tuned on the pairs of this name
 *     review: {}
 *     tune: { trials: 16, pretrain: { lr: "log:1e-3..1e-1" } }   # read by `loom tune`
 *     tracking: { track: ["tensorboard:runs"] }   # read by the command line
 *     serve: { listen: "127.0.0.1:8443" }
 *
 * Each section is an option table; a section that is absent has its defaults.  Relative paths are relative to
 * the file.  Everything lives in the arena. */

#include "base/err.h"
#include "base/mem.h"
#include "corpus/corpus.h"
#include "review/review.h"
#include "token/tokenizer.h"
#include "train/train.h"

enum { LM_SNAPSHOTS_MAX = 64, LM_SOURCES_MAX = 256 };

struct lm_project_snapshot {
    const char *name;
    struct lm_finetune_config config;
};

struct lm_project {
    const char *dir, *state_dir;   // folder of loom.yaml, and <dir>/.loom
    const char *name;
    struct lm_source *sources;
    size_t source_count;
    struct lm_prepare_config prepare;
    struct lm_pairs_config pairs;
    struct lm_tokenizer_config tokenizer;
    struct lm_tokens_config tokens;
    struct lm_pretrain_config pretrain;
    struct lm_finetune_config finetune;   // what snapshots start from
    struct lm_project_snapshot *snapshots;
    size_t snapshot_count;
    struct lm_review_config review;
    const struct lm_tracking *tracking;   // of training runs; NULL: none.  Set by who loads the project
};

enum lm_rc lm_project_load(const char *dir, struct lm_arena *arena, struct lm_project *ret,
                           struct lm_err *err);

#endif

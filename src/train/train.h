#ifndef LM_TRAIN_TRAIN_H
#define LM_TRAIN_TRAIN_H
/* train/train.h - the training stages: pre-training from scratch and supervised fine-tuning.
 *
 * A step: window -> forward -> loss -> backward -> update -> checkpoint.  The loss is the sum over trained
 * tokens divided by their number.  Checkpoints are written to work_dir (atomic, hashed); a stage that finds
 * one there made by the same configuration goes on from it, and ends with the very bytes of an undisturbed
 * run.  The bits do not depend on the number of threads.  Returns LM_ESTOP after a checkpoint when asked to
 * stop.
 *
 * With dp-epsilon or dp-noise the run is private (train/dp.h): privacy.json in out_dir and the metrics say
 * what it promises, and LM_EDENIED means that the ledger's budget does not allow it. */

#include "base/option.h"
#include "base/str.h"
#include "train/loop.h"

struct lm_pretrain_config {
    /* architecture */
    int family;   // enum lm_family
    int64_t dim, layers, heads, kv_heads, ffn_dim, context;
    double rope_theta, norm_eps;
    bool tied;
    /* run */
    int64_t steps, eval_tokens_max;
    struct lm_opt_list mix;   // SOURCE=NUMBER (train/feed.h); empty: the text as it is
    struct lm_training_options training;
    const char *from;   // model folder to go on from; NULL: from scratch.  No option
};
extern const struct lm_opt_table lm_pretrain_options;

/* With `from` the architecture is that of the model there (the options of this name are not looked at), and
 * its weights are the first ones; LM_EINVAL when it is too small for the vocabulary or for `context`.
 *
 * Reads train.tokens and heldout.tokens of tokens_dir and the files of tokenizer_dir; writes a Hugging Face
 * folder (config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json) and
 * metrics.jsonl (one object per step: step, loss, lr, grad_norm, tokens; at evaluations: heldout_loss,
 * heldout_bits_per_byte) to out_dir.  Speed and time go to stderr, never into these files. */
enum lm_rc lm_pretrain(const struct lm_pretrain_config *config, const char *tokens_dir,
                       const char *tokenizer_dir, const char *work_dir, const char *out_dir,
                       struct lm_buf *metrics, struct lm_err *err);

struct lm_finetune_config {
    const char *snapshot;   // which pairs: the snapshot named in pairs.jsonl; NULL: all
    const char *system;     // system message of every pair; NULL: none
    bool skip_unlabelled;   // pairs without an answer are left out, not refused
    int64_t epochs;
    int64_t window_size;     // longer sequences are cut; 0: the context, 512 at most
    int64_t window_stride;   // 0: half a window
    /* adapter (train/lora.h) */
    int64_t lora_rank;   // 0: the whole model is trained
    double lora_alpha, lora_dropout;
    bool lora_stabilized;
    struct lm_opt_list lora_targets;   // empty: all
    double dpo_beta;                   // > 0: learn from preferences (train/dpo.h)
    struct lm_training_options training;
};
extern const struct lm_opt_table lm_finetune_options;

/* pairs_path: JSONL of {id, snapshot, question, answer, document, split}; rows with split "train" train, rows
 * with "heldout" measure.  Writes the same kind of folder as lm_pretrain; with an adapter it holds the merged
 * model, and adapter/ beside it the adapter alone. */
enum lm_rc lm_finetune(const struct lm_finetune_config *config, const char *model_dir, const char *pairs_path,
                       const char *work_dir, const char *out_dir, struct lm_buf *metrics, struct lm_err *err);

#endif

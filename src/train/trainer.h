#ifndef LM_TRAIN_TRAINER_H
#define LM_TRAIN_TRAINER_H
/* train/trainer.h - the loop that pre-training and fine-tuning share.
 *
 * After every step one line of metrics.jsonl: a pure function of step and recipe.  Checkpoint, then
 * evaluation: a fault in the evaluation costs nothing.  A run killed at any moment goes on from its last
 * checkpoint and ends with the same bytes. */

#include "token/tokenizer.h"
#include "train/batch_parts.h"
#include "train/checkpoint.h"
#include "train/dp.h"
#include "train/dpo.h"
#include "train/feed.h"
#include "train/loop.h"
#include "train/optim.h"
#include "train/rung.h"
#include "train/track.h"

#include "base/hash.h"

enum lm_precision { LM_PRECISION_AUTO, LM_PRECISION_F32, LM_PRECISION_BF16 };

/* What the model is let go on from. */
struct lm_sampling {
    const struct lm_tokenizer *tokenizer;   // borrowed
    struct lm_tokens prompt;
    uint32_t end;   // the token that ends a text
    uint64_t seed;
};
/* The options' prompt as text, or as the question of a chat that the model answers.  LM_EINVAL when it leaves
 * no position of a window for a token. */
enum lm_rc lm_sampling_init(struct lm_sampling *s, const struct lm_loop_options *options,
                            const struct lm_tokenizer *tokenizer, bool chat, size_t positions, uint64_t seed,
                            struct lm_err *err);
void lm_sampling_release(struct lm_sampling *s);

struct lm_trainer_config {
    const char *what;   // "pretrain", for messages
    const char *work_dir;
    char recipe[LM_SHA256_HEX];   // digest of everything that shapes the result
    struct lm_optim_config optim;
    uint64_t eval_every, checkpoint_every;   // in steps; 0: only at the end
    uint64_t memory_max_mb;                  // 0: no limit
    enum lm_precision precision;
    double dropout;   // see lm_net_config
    uint64_t seed;    // of its masks
    struct lm_loop_options loop;
    const struct lm_sampling *sampling;   // of loop.sample_every
    const char *tokenizer_dir;            // whose files snapshots have beside them
    struct lm_lora *lora;                 // trained beside the model, merged into it at the end; NULL: none
    const struct lm_dp *dp;   // steps are private; the feed's fill is not asked; NULL: they are not
    struct lm_dpo *dpo;       // steps are of preferences; the feed's fill is not asked; NULL: they are not
    struct lm_rung *rung;     // where to stop early; NULL: nowhere
    const struct lm_track *track;   // told of every line of the log; NULL: nobody is
    struct lm_ranks *ranks;         // who shares the run; NULL: it is alone
    uint64_t batch_parts;   // in which a batch's gradient is summed (train/batch_parts.h); 0: as it suits
};

/* As the options say, for so many steps. */
struct lm_trainer_config lm_trainer_config_of(const struct lm_training_options *options, const char *what,
                                              const char *work_dir, uint64_t steps);

struct lm_trainer_result {
    uint64_t steps, tokens;   // behind the weights: up to the best evaluation, where the best are kept
    uint64_t steps_made;
    double loss;                                  // of the last step; no number in a private run
    double heldout_loss, heldout_bits_per_byte;   // heldout: 0 when nothing is held out
    struct lm_spikes spikes;                      // and what was skipped
    char *snapshots;                              // their folder; NULL: there are none
    struct lm_buf samples;                        // samples.jsonl
    struct lm_buf log;                            // metrics.jsonl
    struct lm_buf privacy;                        // privacy.json; empty when the run was not private
};
void lm_trainer_result_release(struct lm_trainer_result *r);

struct lm_db;

/* Makes a run private: steps, rate and noise, the key, the clipping (which replaces that of the whole
 * gradient), and the entry in the ledger (NULL: none).  dp must live as long as the config. */
enum lm_rc lm_private_run(struct lm_trainer_config *config, const struct lm_dp_options *options,
                          struct lm_db *ledger, const struct lm_dp_source *source, size_t rows,
                          struct lm_dp *dp, struct lm_err *err);

/* Trains the model in place.  LM_ESTOP after a checkpoint when asked to stop; LM_ENOMEM before the first step
 * when the plan does not fit. */
enum lm_rc lm_trainer_run(const struct lm_trainer_config *config, struct lm_llama *model,
                          const struct lm_feed *feed, const struct lm_eval_set *heldout,
                          struct lm_trainer_result *ret, struct lm_err *err);

/* Writes the Hugging Face folder, the tokenizer's files beside it, metrics.jsonl and where there are any
 * samples.jsonl and snapshots/; appends the
 * summary's members to an object that the caller opened. */
enum lm_rc lm_trainer_write(const struct lm_llama *model, const struct lm_trainer_result *result,
                            const char *tokenizer_dir, const char *out_dir, struct lm_buf *metrics,
                            struct lm_err *err);

/* tokenizer.json, and what stands beside it if it does: tokenizer_config.json, chat_template.jinja. */
enum lm_rc lm_tokenizer_files_copy(const char *from_dir, const char *to_dir, struct lm_err *err);

/* Mean loss over the set and bits per byte of its text. */
struct lm_measure {
    double loss, bits_per_byte;
};
enum lm_rc lm_eval_measure(struct lm_net *net, struct lm_batch *batch, const struct lm_eval_set *set,
                           struct lm_measure *ret, struct lm_err *err);

#endif

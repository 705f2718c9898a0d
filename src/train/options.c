/* The settings of training, one row each. */
#include "train/checkpoint.h"
#include "train/optim.h"
#include "train/train.h"

#include "model/llama.h"

static const char *const optimizers[] = { "adamw", "muon", NULL };
static const char *const precisions[] = { "auto", "f32", "bf16", NULL };

// clang-format off

/* Rows that every kind of training has. */
#define PARTS_ROW \
    { "batch-parts",      LM_OPT_INT,    AT(training.batch_parts),          "0",      0,    65536,  "parts",  "of it, summed by themselves; as many ranks at most share the work. 0: two if that costs little" }
#define UPDATE_ROWS \
    { "schedule",         LM_OPT_CHOICE, AT(training.loop.schedule),        "cosine", 0,   0,      "",       "of the learning rate after its rise: down along a cosine; wsd: level, then down in a line; constant", lm_schedules }, \
    { "decay-steps",      LM_OPT_INT,    AT(training.loop.decay_steps),     "0",      0,    1e12,   "steps",  "wsd: on the way down, 0: a fifth of all" }, \
    { "lr-end-share",     LM_OPT_REAL,   AT(training.lr_end_share),         "0",      0,    1,      "",       "what is left of it at the last step" }, \
    { "weight-decay",     LM_OPT_REAL,   AT(training.weight_decay),         "0.01",   0,    10,     "",       "of matrices" }, \
    { "beta1",            LM_OPT_REAL,   AT(training.beta1),                "0.9",    0,    0.9999, "",       "AdamW: decay of the mean" }, \
    { "beta2",            LM_OPT_REAL,   AT(training.beta2),                "0.95",   0,    0.99999, "",      "AdamW: decay of the square" }, \
    { "adam-eps",         LM_OPT_REAL,   AT(training.adam_eps),             "1e-8",   1e-20, 1,     "",       "AdamW: added to the root" }, \
    { "clip",             LM_OPT_REAL,   AT(training.clip),                 "1",      0,    1e9,    "",       "largest norm of the gradient, 0: any" }, \
    { "dropout",          LM_OPT_REAL,   AT(training.dropout),              "0",      0,    0.9,    "",       "share of the embedding, and of what layers add to it, that a step leaves out" }
#define WATCH_ROWS \
    { "patience",         LM_OPT_INT,    AT(training.loop.patience),        "0",      0,    1e6,    "evaluations", "without a better held-out loss: then stop; the best weights are written, 0: those of the last step" }, \
    { "spike-deviations", LM_OPT_REAL,   AT(training.loop.spike_deviations), "0",     0,   1000,   "",       "a loss so far above the mean of the last ones is a spike: go back and skip that data, 0: go on" }, \
    { "spike-back",       LM_OPT_INT,    AT(training.loop.spike_back),      "100",    1,    1e9,    "steps",  "between the points to go back to" }, \
    { "rollbacks-max",    LM_OPT_INT,    AT(training.loop.rollbacks_max),   "4",      0,    LM_ROLLBACKS_MAX, "", "spikes before the run fails" }
#define LEAVE_ROWS \
    { "snapshot-every",   LM_OPT_INT,    AT(training.loop.snapshot_every),  "0",      0,    1e12,   "steps",  "between models that are kept beside the last one, in snapshots/, 0: none" }, \
    { "keep-snapshots",   LM_OPT_INT,    AT(training.loop.keep_snapshots),  "0",      0,    1e6,    "",       "the newest so many, 0: all" }, \
    { "sample-every",     LM_OPT_INT,    AT(training.loop.sample_every),    "0",      0,    1e12,   "steps",  "between texts that the model is let write, in samples.jsonl, 0: none" }, \
    { "sample-prompt",    LM_OPT_STRING, AT(training.loop.sample_prompt),   NULL,     0,    0,      "",       "what they go on from" }, \
    { "sample-tokens",    LM_OPT_INT,    AT(training.loop.sample_tokens),   "48",     1,    65536,  "tokens", "of a text, at most" }
#define MACHINE_ROWS \
    { "memory-max-mb",    LM_OPT_INT,    AT(training.memory_max_mb),        "0",      0,    1e9,    "MB",     "refuse a plan that needs more, 0: none is refused", NULL, true }, \
    { "recompute",        LM_OPT_BOOL,   AT(training.loop.recompute),       "false",  0,    0,      "",       "less memory for about a third more time: activations are computed again on the way back", NULL, true }, \
    { "precision",        LM_OPT_CHOICE, AT(training.precision),            "auto",   0,    0,      "",       "of products; auto: bf16 where the processor has it", precisions }
#define PRIVACY_ROWS \
    { "dp-epsilon",       LM_OPT_REAL,   AT(training.dp.epsilon),           "0",      0,    1e6,    "",       "train with noise so that the privacy of a unit is kept within it, 0: as dp-noise says" }, \
    { "dp-delta",         LM_OPT_REAL,   AT(training.dp.delta),             "1e-5",   1e-15, 0.5,   "",       "probability that epsilon does not hold; below 1 / number of units" }, \
    { "dp-noise",         LM_OPT_REAL,   AT(training.dp.noise),             "0",      0,    1e6,    "",       "noise in clipping norms, 0: from dp-epsilon; both 0: no privacy" }, \
    { "dp-clip",          LM_OPT_REAL,   AT(training.dp.clip),              "1",      1e-9, 1e9,    "",       "largest norm of one unit's gradient" }, \
    { "dp-unit",          LM_OPT_CHOICE, AT(training.dp.unit),              "document", 0, 0,     "",       "what is protected: documents, or persons with all of theirs", lm_dp_units }, \
    { "dp-partition",     LM_OPT_STRING, AT(training.dp.partition),         "all",    0,    0,      "",       "of the ledger: the name of the data", NULL, true }

#define AT(field) LM_OPT_AT(struct lm_pretrain_config, field)
static const struct lm_opt pretrain_rows[] = {
    { "family",           LM_OPT_CHOICE, AT(family),                        "llama",  0,    0,      "",       "of the architecture; gpt2: LayerNorm, learned positions, GELU, biases, as many kv-heads as heads", lm_family_names },
    { "dim",              LM_OPT_INT,    AT(dim),                           "192",    2,    65536,  "",       "width of the model" },
    { "layers",           LM_OPT_INT,    AT(layers),                        "4",      1,    1024,   "",       "transformer layers" },
    { "heads",            LM_OPT_INT,    AT(heads),                         "3",      1,    1024,   "",       "attention heads" },
    { "kv-heads",         LM_OPT_INT,    AT(kv_heads),                      "3",      1,    1024,   "",       "key-value heads; fewer than heads share them" },
    { "ffn-dim",          LM_OPT_INT,    AT(ffn_dim),                       "512",    1,    262144, "",       "width of the feed-forward part" },
    { "context",          LM_OPT_INT,    AT(context),                       "256",    2,    1048576, "tokens", "longest sequence" },
    { "rope-theta",       LM_OPT_REAL,   AT(rope_theta),                    "10000",  1,    1e12,   "",       "base of the rotary positions" },
    { "norm-eps",         LM_OPT_REAL,   AT(norm_eps),                      "1e-5",   1e-12, 0.1,   "",       "added to the mean square in norms" },
    { "tied",             LM_OPT_BOOL,   AT(tied),                          "true",   0,    0,      "",       "the head is the embedding" },
    { "steps",            LM_OPT_INT,    AT(steps),                         "1000",   1,    1e12,   "steps",  "updates" },
    { "batch-tokens",     LM_OPT_INT,    AT(training.batch_tokens),         "2048",   1,    1e9,    "tokens", "tokens of one update, in whole sequences" },
    PARTS_ROW,
    { "warmup-steps",     LM_OPT_INT,    AT(training.warmup_steps),         "20",     0,    1e12,   "steps",  "steps in which the learning rate rises" },
    { "optimizer",        LM_OPT_CHOICE, AT(training.optimizer),            "muon",   0,    0,      "",       "muon: matrices by Muon, the rest by AdamW", optimizers },
    { "lr",               LM_OPT_REAL,   AT(training.lr),                   "0.02",   1e-9, 10,     "",       "peak learning rate of AdamW" },
    { "matrix-lr",        LM_OPT_REAL,   AT(training.matrix_lr),            "0.02",   1e-9, 10,     "",       "peak learning rate of Muon" },
    UPDATE_ROWS,
    { "seed",             LM_OPT_INT,    AT(training.seed),                 "1",      0,    9e15,   "",       "of weights and order" },
    { "eval-every",       LM_OPT_INT,    AT(training.eval_every),           "200",    0,    1e12,   "steps",  "between measurements on held-out text, 0: at the end" },
    { "eval-tokens-max",  LM_OPT_INT,    AT(eval_tokens_max),               "0",      0,    1e15,   "tokens", "held-out tokens measured, 0: all" },
    { "mix",              LM_OPT_LIST,   AT(mix),                           NULL,     0,    0,      "",       "SOURCE=NUMBER for every source: its share of the windows; without: the text as it is" },
    WATCH_ROWS,
    LEAVE_ROWS,
    { "checkpoint-every", LM_OPT_INT,    AT(training.checkpoint_every),     "200",    0,    1e12,   "steps",  "between checkpoints, 0: at the end", NULL, true },
    MACHINE_ROWS,
    PRIVACY_ROWS,
};
#undef AT
const struct lm_opt_table lm_pretrain_options = LM_OPT_TABLE("pretrain", struct lm_pretrain_config, pretrain_rows);

#define AT(field) LM_OPT_AT(struct lm_finetune_config, field)
static const struct lm_opt finetune_rows[] = {
    { "snapshot",         LM_OPT_STRING, AT(snapshot),                      NULL,     0,    0,      "",       "train on pairs of this snapshot; without: on all" },
    { "system",           LM_OPT_STRING, AT(system),                        NULL,     0,    0,      "",       "system message of every pair" },
    { "skip-unlabelled",  LM_OPT_BOOL,   AT(skip_unlabelled),               "false",  0,    0,      "",       "leave out pairs without an answer; without: they are refused" },
    { "epochs",           LM_OPT_INT,    AT(epochs),                        "3",      1,    1000,   "",       "times every pair is seen" },
    { "batch-tokens",     LM_OPT_INT,    AT(training.batch_tokens),         "4096",   1,    1e9,    "tokens", "tokens of one update, in whole rows" },
    PARTS_ROW,
    { "warmup-steps",     LM_OPT_INT,    AT(training.warmup_steps),         "10",     0,    1e12,   "steps",  "steps in which the learning rate rises" },
    { "window-size",      LM_OPT_INT,    AT(window_size),                   "0",      0,    1048576, "tokens", "longest sequence, longer ones are cut into windows; 0: the model's context, 512 at most" },
    { "window-stride",    LM_OPT_INT,    AT(window_stride),                 "0",      0,    1048576, "tokens", "between window starts, 0: half a window" },
    { "optimizer",        LM_OPT_CHOICE, AT(training.optimizer),            "adamw",  0,    0,      "",       "muon: matrices by Muon, the rest by AdamW", optimizers },
    { "lr",               LM_OPT_REAL,   AT(training.lr),                   "0.001",  1e-9, 10,     "",       "peak learning rate of AdamW" },
    { "matrix-lr",        LM_OPT_REAL,   AT(training.matrix_lr),            "0.005",  1e-9, 10,     "",       "peak learning rate of Muon" },
    UPDATE_ROWS,
    { "seed",             LM_OPT_INT,    AT(training.seed),                 "1",      0,    9e15,   "",       "of the order" },
    { "eval-every",       LM_OPT_INT,    AT(training.eval_every),           "0",      0,    1e12,   "steps",  "between measurements on held-out pairs, 0: at the end" },
    WATCH_ROWS,
    LEAVE_ROWS,
    { "checkpoint-every", LM_OPT_INT,    AT(training.checkpoint_every),     "100",    0,    1e12,   "steps",  "between checkpoints, 0: at the end", NULL, true },
    MACHINE_ROWS,
    PRIVACY_ROWS,
    { "lora-rank",        LM_OPT_INT,    AT(lora_rank),                     "0",      0,    1024,   "",       "train an adapter of this rank and leave the model as it is, 0: train the model" },
    { "lora-alpha",       LM_OPT_REAL,   AT(lora_alpha),                    "32",     1e-6, 1e6,    "",       "the adapter's weight, times 1 / rank" },
    { "lora-dropout",     LM_OPT_REAL,   AT(lora_dropout),                  "0",      0,    0.9,    "",       "share of an adapter's input that a step leaves out" },
    { "lora-stabilized",  LM_OPT_BOOL,   AT(lora_stabilized),               "false",  0,    0,      "",       "times 1 / sqrt(rank) instead (rsLoRA)" },
    { "lora-targets",     LM_OPT_LIST,   AT(lora_targets),                  NULL,     0,    0,      "",       "matrices it is put on: q, k, v, o, gate, up, down; without: all" },
    { "dpo-beta",         LM_OPT_REAL,   AT(dpo_beta),                      "0",      0,    1000,   "",       "learn that answers are better than the rejected ones (DPO), as strictly as this, 0: learn the answers" },
};
#undef AT
const struct lm_opt_table lm_finetune_options = LM_OPT_TABLE("finetune", struct lm_finetune_config, finetune_rows);
// clang-format on

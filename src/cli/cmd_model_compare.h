#ifndef LM_CLI_CMD_MODEL_COMPARE_H
#define LM_CLI_CMD_MODEL_COMPARE_H
/* cli/cmd_model_compare.h - what `loom model compare` found, and how it is told.  Private to this module. */

#include "cli/cli.h"
#include "cli/passages.h"
#include "infer/kv.h"
#include "review/bootstrap.h"

/* One model.  Numbers that were not measured are NaN. */
struct lm_candidate {
    const char *path;
    const char *error;   // NULL: it could be opened and scored
    const char *architecture, *license, *quantization;
    const char *begin;   // the token before each passage; NULL: none
    double parameters, context, weight_bytes, kv_bytes_per_token;

    double *nats;   // (passages): -ln P
    double nats_sum;
    uint64_t tokens;
    size_t changed;   // passages that do not come back from their tokens
    double bits_per_byte, perplexity, tokens_per_byte;
    double over_best;                        // bits per byte above the best
    struct lm_interval over_best_interval;   // NaN: too few passages

    double decode, prompt, load;   // tokens/s, tokens/s, s
};

struct lm_comparison {
    const char *text;
    int64_t max_bytes, passage_bytes, runs;
    enum lm_kv_type kv;
    struct lm_passages passages;
    struct lm_candidate *items;
    size_t count, failed;
    const struct lm_candidate *best_text;   // fewest bits per byte; NULL: none was scored
};

enum { LM_COMPARE_PASSAGES_MIN = 20, LM_COMPARE_RESAMPLES = 1000, LM_COMPARE_SEED = 12345 };

/* To cli->result, and a table for people unless --json. */
void lm_compare_tell(struct lm_cli *cli, const struct lm_comparison *c);

#endif

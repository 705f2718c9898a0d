/* review/review.c - one review, from its inputs to its three files. */

#include "review/review.h"

#include "base/file.h"
#include "base/mem.h"
#include "review/result.h"

#include <stdlib.h>

#define ROW(n) LM_OPT_AT(struct lm_review_config, n)
static const struct lm_opt rows[] = {
    { "ngram-order", LM_OPT_INT, ROW(ngram_order), "4", 1, 5, "tokens", "of the n-gram baseline" },
    { "answers-max", LM_OPT_INT, ROW(answers_max), "200", 1, 100000, "questions",
      "asked of each snapshot, spread over its held-out pairs" },
    { "answer-tokens-max", LM_OPT_INT, ROW(answer_tokens_max), "160", 1, 65536, "tokens", "longest answer" },
    { "gate-bits-per-byte-ratio-max", LM_OPT_REAL, ROW(gate_bits_per_byte_ratio_max), "1", 0, 100,
      .help = "gate: bits per byte of unseen text, model / baseline" },
    { "gate-answer-loss-ratio-max", LM_OPT_REAL, ROW(gate_answer_loss_ratio_max), "0.9", 0, 100,
      .help = "gate: loss on unseen answers, snapshot / base" },
    { "gate-answered-share-min", LM_OPT_REAL, ROW(gate_answered_share_min), "0.95", 0, 1,
      .help = "gate: questions with an answer that is not empty" },
    { "heldout-tokens-max", LM_OPT_INT, ROW(heldout_tokens_max), "400000", 1000, 1e12, "tokens",
      "beyond it every n-th held-out document is scored" },
    { "resamples", LM_OPT_INT, ROW(resamples), "1000", 40, 100000, "", "for the 95 % intervals" },
    { "seed", LM_OPT_INT, ROW(seed), "12345", 0, 9007199254740991.0, "", "of the resampling" },
};
#undef ROW
const struct lm_opt_table lm_review_options = LM_OPT_TABLE("review", struct lm_review_config, rows);

/* ---- inputs ---- */

struct shards {
    struct lm_shard train, heldout;
};

static enum lm_rc open_shard(const char *dir, const char *name, const struct lm_speaker *base,
                             struct lm_shard *ret, struct lm_err *err)
{
    LM_FREE char *path = lm_path_join(dir, name);
    LM_TRY(lm_shard_open(ret, path, err));
    if (memcmp(ret->tokenizer_sha256, lm_tokenizer_sha256(base->tokenizer), sizeof(ret->tokenizer_sha256)) !=
        0)
        return lm_fail(err, LM_EINVAL,
                       "'%s' was made with another tokenizer than the model's; make the tokens again with it",
                       path);
    return LM_OK;
}

/* ---- outputs ---- */

static enum lm_rc write_files(const struct lm_review_result *r, const char *out_dir, struct lm_err *err)
{
    LM_FREE char *record_path = lm_path_join(out_dir, "review.json");
    LM_FREE char *answers_path = lm_path_join(out_dir, "answers.jsonl");
    LM_FREE char *report_path = lm_path_join(out_dir, "report.html");
    struct lm_buf text = { 0 };
    lm_record_review(r, &text);
    enum lm_rc rc = lm_file_write(record_path, lm_buf_str(&text), err);
    if (rc == LM_OK)
        rc = lm_record_answers(r, answers_path, err);
    lm_buf_reset(&text);
    if (rc == LM_OK)
        rc = lm_report_html(r, &text, err);
    if (rc == LM_OK)
        rc = lm_file_write(report_path, lm_buf_str(&text), err);
    lm_buf_release(&text);
    return rc;
}

/* ---- the review ---- */

static enum lm_rc judge(struct lm_review_result *r, struct lm_speaker *base, struct shards *shards,
                        struct lm_err *err)
{
    const struct lm_review_inputs *in = r->inputs;
    LM_TRY(lm_speaker_load(base, in->base_dir, err));
    LM_TRY(open_shard(in->tokens_dir, "train.tokens", base, &shards->train, err));
    LM_TRY(open_shard(in->tokens_dir, "heldout.tokens", base, &shards->heldout, err));
    r->base = base->model.config;
    memcpy(r->base_fingerprint, base->fingerprint, sizeof(r->base_fingerprint));
    r->base_parameters = lm_model_parameters(&base->model.config);
    if (shards->train.token_count > 0)
        r->train_bytes_per_token = (double)shards->train.text_bytes / (double)shards->train.token_count;
    LM_TRY(lm_heldout_judge(r->config, &base->model, lm_tokenizer_end_of_text(base->tokenizer),
                            &shards->train, &shards->heldout, &r->heldout, err));
    for (size_t i = 0; in->pairs_path && i < in->snapshot_count; i++) {
        r->snapshot_count = i + 1;   // counted before it is made: released in every case
        LM_TRY(lm_answers_judge(r->config, base, &in->snapshots[i], in->pairs_path, &r->snapshots[i], err));
    }
    lm_gates_decide(r);
    return LM_OK;
}

enum lm_rc lm_review(const struct lm_review_config *config, const struct lm_review_inputs *inputs,
                     const char *out_dir, struct lm_buf *metrics, bool *ret_passed, struct lm_err *err)
{
    LM_ASSERT(inputs->base_dir && inputs->tokens_dir);
    struct lm_review_result result = { .config = config, .inputs = inputs };
    struct lm_speaker base = { 0 };
    struct shards shards = { 0 };
    result.snapshots = lm_zalloc(inputs->snapshot_count + 1, sizeof(*result.snapshots));
    enum lm_rc rc = judge(&result, &base, &shards, err);
    if (rc == LM_OK)
        rc = write_files(&result, out_dir, err);
    if (rc == LM_OK) {
        lm_record_metrics(&result, metrics);
        *ret_passed = result.passed;
    }
    for (size_t i = 0; i < result.snapshot_count; i++)
        lm_answers_release(&result.snapshots[i]);
    free(result.snapshots);
    free(result.gates);
    lm_shard_close(&shards.heldout);
    lm_shard_close(&shards.train);
    lm_speaker_release(&base);
    return rc;
}

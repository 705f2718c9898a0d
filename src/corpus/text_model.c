#include "corpus/text_model.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "corpus/document.h"

#include <math.h>
#include <stdlib.h>

struct lm_text_model {
    struct lm_tokenizer *tokenizer;
    struct lm_ngram *ngram;
};

struct lm_text_judge {
    const struct lm_text_model *model;
    struct lm_encoder *encoder;
    struct lm_tokens tokens;
};

/* The end before it, its tokens, its end. */
static void tokens_of(struct lm_encoder *e, uint32_t end_of_text, struct lm_str text, struct lm_tokens *ret)
{
    lm_grow(&ret->ids, &ret->cap, 1, sizeof *ret->ids);
    ret->ids[0] = end_of_text;
    ret->len = 1;
    lm_encode(e, text, false, ret);
    lm_grow(&ret->ids, &ret->cap, ret->len + 1, sizeof *ret->ids);
    ret->ids[ret->len++] = end_of_text;
}

/* ---- building ---- */

struct totals {
    uint64_t documents, tokens, bytes;
};

static enum lm_rc add_documents(struct lm_ngram *m, const struct lm_tokenizer *t,
                                struct lm_document_reader *reader, struct totals *totals, struct lm_err *err)
{
    const uint32_t end = lm_tokenizer_end_of_text(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_tokens tokens = { 0 };
    struct lm_document doc;
    struct lm_progress progress = lm_progress_start("ngram", "documents", 0);
    enum lm_rc rc;
    while ((rc = lm_document_next(reader, &doc, err)) == LM_OK) {
        tokens_of(e, end, doc.content, &tokens);
        if ((rc = lm_ngram_add(m, tokens.ids, tokens.len, err)) != LM_OK)
            break;
        totals->documents++;
        totals->tokens += tokens.len - 1;
        totals->bytes += doc.content.len;
        lm_progress_at(&progress, totals->documents, NULL);
        if (lm_stop_asked()) {
            rc = lm_fail(err, LM_ESTOP, "ngram: asked to stop; nothing is kept");
            break;
        }
    }
    lm_progress_end(&progress, totals->documents);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    if (rc == LM_ENOTHING)
        rc = totals->documents ? LM_OK : lm_fail(err, LM_ENOENT, "there are no documents to learn from");
    return rc;
}

static enum lm_rc save(struct lm_ngram *m, const struct lm_tokenizer *t, const char *tokenizer_path,
                       const char *out_dir, struct lm_err *err)
{
    LM_FREE char *inside = lm_path_join(tokenizer_path, "tokenizer.json");
    LM_FREE char *copy = lm_path_join(out_dir, "tokenizer.json");
    LM_FREE char *path = lm_path_join(out_dir, "model.ngram");
    LM_TRY(lm_file_copy(lm_path_is_dir(tokenizer_path) ? inside : tokenizer_path, copy, err));
    return lm_ngram_save(m, lm_tokenizer_sha256(t), path, err);
}

enum lm_rc lm_text_model_build(int order, const char *tokenizer_path, const char *const *inputs,
                               size_t input_count, const char *out_dir, struct lm_buf *metrics,
                               struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    struct lm_ngram *m = NULL;
    struct lm_document_reader *reader = NULL;
    struct totals totals = { 0 };
    enum lm_rc rc = lm_tokenizer_load(tokenizer_path, &t, err);
    if (rc == LM_OK && lm_tokenizer_end_of_text(t) == UINT32_MAX)
        rc = lm_fail(err, LM_EINVAL, "'%s' has no special token to end a document with", tokenizer_path);
    if (rc == LM_OK)
        rc = lm_ngram_new(order, lm_tokenizer_vocab_size(t), &m, err);
    if (rc == LM_OK)
        rc = lm_document_open(inputs, input_count, &reader, err);
    if (rc == LM_OK)
        rc = add_documents(m, t, reader, &totals, err);
    if (rc == LM_OK) {
        lm_ngram_end(m);
        rc = save(m, t, tokenizer_path, out_dir, err);
    }
    if (rc == LM_OK) {
        lm_buf_putc(metrics, '{');
        lm_json_key_int(metrics, "order", order);
        lm_json_key_int(metrics, "documents", (int64_t)totals.documents);
        lm_json_key_int(metrics, "tokens", (int64_t)totals.tokens);
        lm_json_key_int(metrics, "text_bytes", (int64_t)totals.bytes);
        lm_buf_putc(metrics, '}');
    }
    lm_document_close(reader);
    lm_ngram_free(m);
    lm_tokenizer_free(t);
    return rc;
}

/* ---- asking ---- */

static enum lm_rc open_model(struct lm_text_model *m, const char *dir, struct lm_err *err)
{
    uint8_t sha256[LM_SHA256_BYTES];
    LM_FREE char *path = lm_path_join(dir, "model.ngram");
    LM_TRY(lm_tokenizer_load(dir, &m->tokenizer, err));
    LM_TRY(lm_ngram_open(path, sha256, &m->ngram, err));
    if (memcmp(sha256, lm_tokenizer_sha256(m->tokenizer), sizeof sha256) != 0 ||
        lm_ngram_vocab_size(m->ngram) != lm_tokenizer_vocab_size(m->tokenizer))
        return lm_fail(err, LM_EINVAL, "'%s' was made with another tokenizer.json than the one beside it",
                       path);
    return LM_OK;
}

enum lm_rc lm_text_model_open(const char *dir, struct lm_text_model **ret, struct lm_err *err)
{
    struct lm_text_model *m = lm_zalloc(1, sizeof *m);
    const enum lm_rc rc = open_model(m, dir, err);
    if (rc == LM_OK)
        *ret = m;
    else
        lm_text_model_free(m);
    return rc;
}

void lm_text_model_free(struct lm_text_model *m)
{
    if (!m)
        return;
    lm_ngram_free(m->ngram);
    lm_tokenizer_free(m->tokenizer);
    free(m);
}

struct lm_text_judge *lm_text_judge_new(const struct lm_text_model *m)
{
    struct lm_text_judge *j = lm_zalloc(1, sizeof *j);
    j->model = m;
    j->encoder = lm_encoder_new(m->tokenizer);
    return j;
}

void lm_text_judge_free(struct lm_text_judge *j)
{
    if (!j)
        return;
    lm_encoder_free(j->encoder);
    lm_tokens_release(&j->tokens);
    free(j);
}

double lm_text_judge_bits(struct lm_text_judge *j, struct lm_str text)
{
    if (text.len == 0)
        return 0;
    tokens_of(j->encoder, lm_tokenizer_end_of_text(j->model->tokenizer), text, &j->tokens);
    return -lm_ngram_score(j->model->ngram, j->tokens.ids, j->tokens.len) / M_LN2 / (double)text.len;
}

/* corpus/tokens.c - document files to token shards and the token table.
 *
 * Documents are read in batches, encoded in parallel, and written in the order they came.  What is encoded is
 * the content; one that does not open with a heading ("# ") gets its title as one.  Every document ends with
 * the end-of-text token. */
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/shard.h"
#include "corpus/token_table.h"

#include <omp.h>

enum {
    BATCH_DOCUMENTS = 1024,
    BATCH_BYTES = 16 << 20
};   // a batch ends with the document that reaches either

#define ROW(field) LM_OPT_AT(struct lm_tokens_config, field)
// clang-format off
static const struct lm_opt rows[] = {
    { "heldout-share", LM_OPT_REAL, ROW(heldout_share), "0.02", 0, 0.9, "of documents",
      .help = "kept out of training, to measure on" },
    { "table", LM_OPT_BOOL, ROW(table), "true",
      .help = "write tokens.db: tokens, their frequency, the documents they occur in" },
};
// clang-format on
const struct lm_opt_table lm_tokens_options = LM_OPT_TABLE("tokens", struct lm_tokens_config, rows);

enum split { TRAIN, HELDOUT, SPLIT_COUNT };
static const char *const split_names[SPLIT_COUNT] = { "train", "heldout" };

struct item {
    struct lm_str id, source, text;
    struct lm_tokens tokens;
};

struct totals {
    int64_t documents, tokens, text_bytes;
};

struct build {
    const struct lm_tokens_config *config;
    const struct lm_tokenizer *t;
    struct lm_document_reader *reader;
    struct lm_encoder **encoders;   // [threads]
    int threads;
    struct lm_arena arena;   // texts of the batch
    struct item items[BATCH_DOCUMENTS];
    size_t item_count;
    struct lm_shard_writer *shards[SPLIT_COUNT];
    struct lm_token_table *table;   // NULL: not wanted
    struct totals totals[SPLIT_COUNT];
};

static struct lm_str document_text(const struct lm_document *doc, struct lm_arena *arena)
{
    const struct lm_str content = doc->content;
    const bool titled = lm_str_starts(content, LM_STR("# ")) || doc->title.len == 0;
    const size_t len = titled ? content.len : content.len + doc->title.len + 4;
    char *text = lm_arena_alloc(arena, len + 1), *at = text;
    if (!titled) {
        memcpy(at, "# ", 2);
        memcpy(at + 2, doc->title.ptr, doc->title.len);
        memcpy(at + 2 + doc->title.len, "\n\n", 2);
        at += doc->title.len + 4;
    }
    if (content.len > 0)
        memcpy(at, content.ptr, content.len);
    return (struct lm_str){ text, len };
}

/* Fills the batch; *ret_more is false when the last document was read. */
static enum lm_rc read_batch(struct build *b, bool *ret_more, struct lm_err *err)
{
    lm_arena_reset(&b->arena);
    b->item_count = 0;
    *ret_more = true;
    for (size_t bytes = 0; b->item_count < BATCH_DOCUMENTS && bytes < BATCH_BYTES;) {
        struct lm_document doc;
        const enum lm_rc rc = lm_document_next(b->reader, &doc, err);
        if (rc == LM_ENOTHING) {
            *ret_more = false;
            return LM_OK;
        }
        LM_TRY(rc);
        struct item *item = &b->items[b->item_count++];
        item->id = (struct lm_str){ lm_arena_strndup(&b->arena, doc.id.ptr, doc.id.len), doc.id.len };
        item->source =
            (struct lm_str){ lm_arena_strndup(&b->arena, doc.source.ptr, doc.source.len), doc.source.len };
        item->text = document_text(&doc, &b->arena);
        bytes += item->text.len;
    }
    return LM_OK;
}

static void encode_batch(struct build *b)
{
#pragma omp parallel num_threads(b->threads)
    {
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < b->item_count; i++) {
            struct item *item = &b->items[i];
            item->tokens.len = 0;
            lm_encode(b->encoders[omp_get_thread_num()], item->text, false, &item->tokens);
            lm_grow(&item->tokens.ids, &item->tokens.cap, item->tokens.len + 1, sizeof(*item->tokens.ids));
            item->tokens.ids[item->tokens.len++] = lm_tokenizer_end_of_text(b->t);
        }
    }
}

static enum lm_rc write_batch(struct build *b, struct lm_err *err)
{
    for (size_t i = 0; i < b->item_count; i++) {
        struct item *item = &b->items[i];
        const enum split split = lm_heldout(item->id, b->config->heldout_share) ? HELDOUT : TRAIN;
        const struct lm_shard_document document = { item->id, item->source, item->text.len, item->tokens.ids,
                                                    item->tokens.len };
        LM_TRY(lm_shard_add(b->shards[split], &document, err));
        b->totals[split].documents++;
        b->totals[split].tokens += (int64_t)item->tokens.len;
        b->totals[split].text_bytes += (int64_t)item->text.len;
        if (b->table)
            LM_TRY(lm_token_table_add(b->table, item->id, split_names[split],
                                      (uint64_t)b->totals[split].documents - 1, item->tokens.ids,
                                      item->tokens.len, err));
    }
    return LM_OK;
}

static enum lm_rc encode_all(struct build *b, struct lm_err *err)
{
    struct lm_progress progress = lm_progress_start("tokens", "documents", 0);
    int64_t done = 0;
    for (bool more = true; more;) {
        LM_TRY(read_batch(b, &more, err));
        encode_batch(b);
        LM_TRY(write_batch(b, err));
        done += (int64_t)b->item_count;
        lm_progress_at(&progress, (uint64_t)done, NULL);
        if (lm_stop_asked())
            return lm_fail(err, LM_ESTOP, "stopped after %lld documents", (long long)done);
    }
    lm_progress_end(&progress, (uint64_t)done);
    return done > 0 ? LM_OK : lm_fail(err, LM_ENOENT, "there are no documents to encode");
}

static enum lm_rc commit_shards(struct build *b, struct lm_err *err)
{
    for (size_t s = 0; s < SPLIT_COUNT; s++) {
        struct lm_shard_writer *w = b->shards[s];
        b->shards[s] = NULL;
        LM_TRY(lm_shard_commit(w, err));
    }
    return LM_OK;
}

static enum lm_rc run(struct build *b, const char *out_dir, struct lm_err *err)
{
    if (lm_tokenizer_end_of_text(b->t) == UINT32_MAX)
        return lm_fail(err, LM_EINVAL, "the tokenizer has no special token to end a document with");
    for (size_t s = 0; s < SPLIT_COUNT; s++) {
        char name[32];
        snprintf(name, sizeof(name), "%s.tokens", split_names[s]);
        LM_FREE char *path = lm_path_join(out_dir, name);
        LM_TRY(lm_shard_create(path, lm_tokenizer_vocab_size(b->t), lm_tokenizer_sha256(b->t), &b->shards[s],
                               err));
    }
    LM_FREE char *table_path = lm_path_join(out_dir, "tokens.db");
    if (b->config->table)
        LM_TRY(lm_token_table_new(b->t, table_path, &b->table, err));
    b->threads = lm_threads();
    b->encoders = lm_zalloc((size_t)b->threads, sizeof(struct lm_encoder *));
    for (int i = 0; i < b->threads; i++)
        b->encoders[i] = i == 0 ? lm_encoder_new(b->t) : lm_encoder_beside(b->encoders[0]);
    LM_TRY(encode_all(b, err));
    LM_TRY(commit_shards(b, err));
    return b->table ? lm_token_table_commit(b->table, err) : LM_OK;
}

static void add_totals(struct totals t, struct lm_buf *ret)
{
    lm_json_key_int(ret, "documents", t.documents);
    lm_json_key_int(ret, "tokens", t.tokens);
    lm_json_key_int(ret, "text_bytes", t.text_bytes);
    lm_json_key_num(ret, "bytes_per_token", t.tokens ? (double)t.text_bytes / (double)t.tokens : 0);
}

static void add_metrics(const struct build *b, struct lm_buf *ret)
{
    struct totals all = { 0 };
    for (size_t s = 0; s < SPLIT_COUNT; s++) {
        all.documents += b->totals[s].documents;
        all.tokens += b->totals[s].tokens;
        all.text_bytes += b->totals[s].text_bytes;
    }
    lm_buf_putc(ret, '{');
    add_totals(all, ret);
    for (size_t s = 0; s < SPLIT_COUNT; s++) {
        lm_json_key(ret, split_names[s]);
        lm_buf_putc(ret, '{');
        add_totals(b->totals[s], ret);
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, '}');
}

static void build_free(struct build *b)
{
    for (size_t s = 0; s < SPLIT_COUNT; s++)
        lm_shard_abort(b->shards[s]);
    for (int i = 0; i < b->threads; i++)
        lm_encoder_free(b->encoders[i]);
    for (size_t i = 0; i < BATCH_DOCUMENTS; i++)
        lm_tokens_release(&b->items[i].tokens);
    free(b->encoders);
    lm_token_table_free(b->table);
    lm_document_close(b->reader);
    lm_arena_release(&b->arena);
    free(b);
}

enum lm_rc lm_tokens_build_with(const struct lm_tokens_config *config, const struct lm_tokenizer *tokenizer,
                                const char *const *inputs, size_t input_count, const char *out_dir,
                                struct lm_buf *metrics, struct lm_err *err)
{
    struct build *b = lm_zalloc(1, sizeof(*b));
    b->config = config;
    b->t = tokenizer;
    enum lm_rc rc = lm_document_open(inputs, input_count, &b->reader, err);
    if (rc == LM_OK)
        rc = run(b, out_dir, err);
    if (rc == LM_OK)
        add_metrics(b, metrics);
    build_free(b);
    return rc;
}

enum lm_rc lm_tokens_build(const struct lm_tokens_config *config, const char *tokenizer_path,
                           const char *const *inputs, size_t input_count, const char *out_dir,
                           struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_tokenizer *t = NULL;
    LM_TRY(lm_tokenizer_load(tokenizer_path, &t, err));
    const enum lm_rc rc = lm_tokens_build_with(config, t, inputs, input_count, out_dir, metrics, err);
    lm_tokenizer_free(t);
    return rc;
}

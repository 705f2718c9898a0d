/* corpus/vocabulary.c - the texts a tokenizer learns from: document records, and plain text files, of which
 * each line is a text.  What is in memory is a batch. */

#include "base/file.h"
#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"

#include <stdlib.h>

enum {
    BATCH_BYTES = 8 << 20,
    BATCH_TEXTS = 4096,
    CHUNK_BYTES = 256 << 10,   // of a plain text file: what one thread takes at a time
};

struct feed {
    struct lm_trainer *trainer;   // or
    struct lm_grower *grower;     // who gets the texts,
    bool old;                     // as old data
    bool document_weights;
    double heldout_share;
    struct lm_arena arena;   // texts of the batch
    struct lm_train_text *texts;
    size_t count, cap, bytes;
    uint64_t bytes_done;
    struct lm_progress progress;
};

static enum lm_rc flush(struct feed *f, struct lm_err *err)
{
    const enum lm_rc rc = f->grower ? lm_grower_add(f->grower, f->texts, f->count, f->old, err)
                                    : lm_trainer_add(f->trainer, f->texts, f->count, err);
    f->bytes_done += f->bytes;
    lm_progress_at(&f->progress, f->bytes_done >> 20, NULL);
    lm_arena_reset(&f->arena);
    f->count = f->bytes = 0;
    return rc;
}

/* Borrows the text until the next flush. */
static enum lm_rc put(struct feed *f, struct lm_train_text text, struct lm_err *err)
{
    lm_grow(&f->texts, &f->cap, f->count + 1, sizeof(*f->texts));
    f->texts[f->count++] = text;
    f->bytes += text.text.len;
    return f->bytes >= BATCH_BYTES || f->count >= BATCH_TEXTS ? flush(f, err) : LM_OK;
}

/* ---- records ---- */

static struct lm_str copy(struct lm_arena *arena, struct lm_str s)
{
    return (struct lm_str){ lm_arena_strndup(arena, s.ptr, s.len), s.len };
}

/* The number in the attribute "weight"; 1 without one. */
static enum lm_rc read_weight(const struct lm_document *doc, struct lm_arena *arena, double *ret,
                              struct lm_err *err)
{
    struct lm_json_reader r;
    enum lm_json_kind kind;
    *ret = 1;
    if (doc->attributes.len == 0 || lm_str_find(doc->attributes, LM_STR("\"weight\"")) < 0)
        return LM_OK;
    lm_json_open(&r, doc->attributes, "attributes", arena);
    LM_TRY(lm_json_want(&r, LM_JSON_OBJECT, err));
    for (;;) {
        LM_TRY(lm_json_next(&r, &kind, err));
        if (kind != LM_JSON_KEY)
            return LM_OK;
        if (!lm_str_eq(r.text, LM_STR("weight"))) {
            LM_TRY(lm_json_skip(&r, err));
            continue;
        }
        LM_TRY(lm_json_next(&r, &kind, err));
        if ((kind != LM_JSON_NUMBER && kind != LM_JSON_STRING) || !lm_str_to_f64(r.text, ret))
            return lm_fail(err, LM_EFORMAT, "document %.*s: its attribute 'weight' is not a number",
                           (int)doc->id.len, doc->id.ptr);
        return LM_OK;
    }
}

static enum lm_rc feed_records(struct feed *f, const char *path, struct lm_err *err)
{
    struct lm_document_reader *reader = NULL;
    struct lm_document doc;
    LM_TRY(lm_document_open(&path, 1, &reader, err));
    enum lm_rc rc;
    while ((rc = lm_document_next(reader, &doc, err)) == LM_OK) {
        struct lm_train_text text = { .weight = 1 };
        if (lm_heldout(doc.id, f->heldout_share))
            continue;
        if (f->document_weights && (rc = read_weight(&doc, &f->arena, &text.weight, err)) != LM_OK)
            break;
        text.text = copy(&f->arena, doc.content);
        text.language = copy(&f->arena, doc.language);
        text.source = copy(&f->arena, doc.source);
        text.name =
            lm_str(lm_arena_printf(&f->arena, "%s, document %.*s", path, (int)doc.id.len, doc.id.ptr));
        if ((rc = put(f, text, err)) != LM_OK)
            break;
    }
    if (rc == LM_ENOTHING)
        rc = flush(f, err);
    lm_document_close(reader);
    return rc;
}

/* ---- plain text ---- */

static enum lm_rc feed_lines(struct feed *f, const char *path, struct lm_err *err)
{
    struct lm_map map = { 0 };
    const struct lm_str source = lm_str(lm_path_base(path));
    LM_TRY(lm_map_open(&map, path, err));
    enum lm_rc rc = LM_OK;
    size_t dropped = 0;   // bytes that are counted and out of memory
    for (size_t at = 0; rc == LM_OK && at < map.len;) {
        size_t end = map.len - at > CHUNK_BYTES ? at + CHUNK_BYTES : map.len;
        const size_t seen = map.len - end > LM_LINE_BYTES_MAX ? LM_LINE_BYTES_MAX : map.len - end;
        const char *newline = memchr(map.ptr + end, '\n', seen);
        if (!newline && end + seen < map.len) {
            rc = lm_fail(err, LM_ELIMIT,
                         "%s: from byte %zu on there is no line end in %d MB; break the text into lines",
                         path, at, LM_LINE_BYTES_MAX >> 20);
            break;
        }
        end = newline ? (size_t)(newline - map.ptr) + 1 : map.len;
        const char *name = lm_arena_printf(&f->arena, "%s, from byte %zu on", path, at);
        rc = put(f,
                 (struct lm_train_text){ .text = { map.ptr + at, end - at },
                                         .source = source,
                                         .weight = 1,
                                         .lines = true,
                                         .name = lm_str(name) },
                 err);
        at = end;
        if (f->count == 0) {
            lm_map_drop(&map, dropped, at - dropped);
            dropped = at;
        }
    }
    if (rc == LM_OK)
        rc = flush(f, err);
    lm_map_close(&map);
    return rc;
}

static bool is_plain(const char *path)
{
    return strcmp(path, "-") != 0 && !lm_path_is_dir(path) && lm_path_exists(path) &&
           !lm_document_is_records(lm_str(path));
}

static enum lm_rc feed_all(struct feed *f, const char *const *inputs, size_t input_count, struct lm_err *err)
{
    for (size_t i = 0; i < input_count; i++)
        LM_TRY(is_plain(inputs[i]) ? feed_lines(f, inputs[i], err) : feed_records(f, inputs[i], err));
    return LM_OK;
}

static enum lm_rc no_text(const char *const *inputs, size_t input_count, struct lm_err *err)
{
    return lm_fail(err, LM_EINVAL,
                   "there is no text to learn from in '%s'%s: give files of documents or of text", inputs[0],
                   input_count > 1 ? " and the other inputs" : "");
}

enum lm_rc lm_vocabulary_build(const struct lm_tokenizer_config *config, double heldout_share,
                               const char *const *inputs, size_t input_count, const char *out_dir,
                               struct lm_buf *metrics, struct lm_err *err)
{
    struct feed f = { .document_weights = config->document_weights, .heldout_share = heldout_share };
    LM_TRY(lm_trainer_new(config, out_dir, &f.trainer, err));
    f.progress = lm_progress_start("count words", "MB", 0);
    enum lm_rc rc = feed_all(&f, inputs, input_count, err);
    lm_progress_end(&f.progress, f.bytes_done >> 20);
    if (rc == LM_OK)
        rc = f.bytes_done > 0 ? lm_trainer_end(f.trainer, out_dir, metrics, err)
                              : no_text(inputs, input_count, err);
    lm_trainer_free(f.trainer);
    lm_arena_release(&f.arena);
    free(f.texts);
    return rc;
}

enum lm_rc lm_vocabulary_grow(const struct lm_tokenizer *t, const struct lm_grow_config *config,
                              const char *const *inputs, size_t input_count, const char *from_dir,
                              const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct feed f = { 0 };
    LM_TRY(lm_grower_new(t, config, out_dir, &f.grower, err));
    f.progress = lm_progress_start("count words", "MB", 0);
    enum lm_rc rc = feed_all(&f, inputs, input_count, err);
    if (rc == LM_OK && f.bytes_done == 0)
        rc = no_text(inputs, input_count, err);
    f.old = true;
    if (rc == LM_OK)
        rc = feed_all(&f, config->old.items, config->old.len, err);
    lm_progress_end(&f.progress, f.bytes_done >> 20);
    if (rc == LM_OK)
        rc = lm_grower_end(f.grower, from_dir, out_dir, metrics, err);
    lm_grower_free(f.grower);
    lm_arena_release(&f.arena);
    free(f.texts);
    return rc;
}

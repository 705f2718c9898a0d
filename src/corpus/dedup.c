#include "corpus/dedup.h"

enum { NAME_BYTES = LM_DOCUMENT_ID - 1 };

static char *name_of(struct lm_dedup *d, uint64_t number)
{
    LM_ASSERT(number >= 1 && number <= d->count);
    return d->names.ptr + NAME_BYTES * (number - 1);
}

/* The id of the kept document that had the digest first; else the digest is this document's. */
static bool was_seen(struct lm_dedup *d, struct lm_seen *seen, const uint8_t digest[LM_SHA256_BYTES],
                     uint64_t number, struct lm_str *ret_kept, struct lm_arena *arena)
{
    uint64_t *first = lm_seen_slot(seen, digest);
    if (*first && name_of(d, *first)[0]) {
        /* A copy: the table of names moves when it grows. */
        *ret_kept = (struct lm_str){ lm_arena_strndup(arena, name_of(d, *first), NAME_BYTES), NAME_BYTES };
        return true;
    }
    *first = number;
    return false;
}

static void reject(struct lm_cleaned *c, enum lm_reason reason, struct lm_str kept)
{
    c->removal = (struct lm_removal){ .reason = reason, .kept = kept, .evidence = kept };
}

/* Marks the paragraphs that were seen; returns their words. */
static int64_t mark_paragraphs(struct lm_dedup *d, struct lm_cleaned *c, uint64_t number,
                               struct lm_arena *scratch)
{
    int64_t words = 0;
    for (size_t i = 0; i < c->paragraph_count; i++) {
        struct lm_paragraph *p = &c->paragraphs[i];
        struct lm_str kept;
        if (!was_seen(d, &d->paragraphs, p->digest, number, &kept, &c->arena))
            continue;
        p->cut = true;
        p->removal = (struct lm_removal){ .reason = LM_REASON_DUPLICATE_PARAGRAPH, .kept = kept };
        const struct lm_str text = { c->text.ptr + p->start, p->end - p->start };
        words += lm_quality_measure(text, scratch).words;
        lm_arena_reset(scratch);
    }
    return words;
}

static void decide(struct lm_dedup *d, const struct lm_prepare_config *config, struct lm_cleaned *c,
                   struct lm_arena *scratch)
{
    const uint64_t number = d->count;
    struct lm_str kept;
    uint8_t digest[LM_SHA256_BYTES];
    lm_document_id_digest(c->doc.id, digest);
    uint64_t *first = lm_seen_slot(&d->ids, digest);
    if (*first) {
        reject(c, LM_REASON_DUPLICATE_ID, c->doc.id);
        return;
    }
    *first = number;
    if (c->removal.reason != LM_KEPT)
        return;
    if (config->dedup_documents && was_seen(d, &d->documents, c->digest, number, &kept, &c->arena)) {
        reject(c, LM_REASON_DUPLICATE, kept);
        return;
    }
    const int64_t words_cut = mark_paragraphs(d, c, number, scratch);
    c->quality.words -= words_cut;
    if (words_cut && c->quality.words < config->words_min)
        c->removal = (struct lm_removal){ .reason = LM_REASON_SHORT_AFTER_DEDUP,
                                          .has_value = true,
                                          .value = (double)c->quality.words,
                                          .threshold = (double)config->words_min };
}

void lm_dedup_decide(struct lm_dedup *d, const struct lm_prepare_config *config, struct lm_cleaned *c,
                     struct lm_arena *scratch)
{
    LM_ASSERT(c->doc.id.len == NAME_BYTES);   // settled by the reader
    lm_buf_add_str(&d->names, c->doc.id);
    d->count++;
    decide(d, config, c, scratch);
    if (c->removal.reason != LM_KEPT)
        name_of(d, d->count)[0] = 0;
}

void lm_dedup_release(struct lm_dedup *d)
{
    lm_seen_release(&d->ids);
    lm_seen_release(&d->documents);
    lm_seen_release(&d->paragraphs);
    lm_buf_release(&d->names);
    *d = (struct lm_dedup){ 0 };
}

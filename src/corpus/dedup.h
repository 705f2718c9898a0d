#ifndef LM_CORPUS_DEDUP_H
#define LM_CORPUS_DEDUP_H
/* corpus/dedup.h - exact repetitions of documents and paragraphs.  Internal to the module.
 *
 * Documents are asked about in corpus order, one at a time, so the first occurrence is the same whatever the
 * threads do.  What a dropped document held does not count as seen: no text is lost from the corpus because a
 * document that repeated it was dropped for another reason. */

#include "corpus/clean.h"
#include "corpus/seen.h"

/* Zero-initialised is empty.  Memory: 24 to 72 bytes a document and a paragraph, 32 a document. */
struct lm_dedup {
    struct lm_seen ids, documents, paragraphs;
    struct lm_buf names;   // the id of document n (from 1) at 32 * (n - 1); its first byte is 0 when dropped
    uint64_t count;
};

/* Sets c->removal, or the `cut` of paragraphs and the number of words that are left. */
void lm_dedup_decide(struct lm_dedup *d, const struct lm_prepare_config *config, struct lm_cleaned *c,
                     struct lm_arena *scratch);
void lm_dedup_release(struct lm_dedup *d);

#endif

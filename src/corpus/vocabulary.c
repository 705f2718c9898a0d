/* corpus/vocabulary.c - the documents a tokenizer learns from. */

#include "corpus/corpus.h"
#include "corpus/document.h"

#include <stdlib.h>

enum lm_rc lm_vocabulary_build(const struct lm_tokenizer_config *config, double heldout_share,
                               const char *const *inputs, size_t input_count, const char *out_dir,
                               struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_document_reader *reader = NULL;
    LM_TRY(lm_document_open(inputs, input_count, &reader, err));

    struct lm_arena arena = { 0 };
    struct lm_str *texts = NULL;
    size_t count = 0, cap = 0;
    struct lm_document doc;
    enum lm_rc rc;
    while ((rc = lm_document_next(reader, &doc, err)) == LM_OK) {
        if (lm_heldout(doc.id, heldout_share))
            continue;
        lm_grow(&texts, &cap, count + 1, sizeof(*texts));
        texts[count++] =
            (struct lm_str){ lm_arena_strndup(&arena, doc.content.ptr, doc.content.len), doc.content.len };
    }
    if (rc == LM_ENOTHING)
        rc = lm_tokenizer_train(config, texts, count, out_dir, metrics, err);
    lm_document_close(reader);
    lm_arena_release(&arena);
    free(texts);
    return rc;
}

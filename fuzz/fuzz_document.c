/* Document records: what is read is written in canonical form, and the form reads and writes as itself.  A
 * record that is accepted has an id of 32 hex digits once it is settled, and settling twice changes nothing.
 * Attributes can be opened, extended and read again. */

#include "corpus/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_attributes(const struct lm_document *doc, struct lm_arena *arena)
{
    static const char *const without[] = { "added", NULL };
    struct lm_buf attributes = { 0 }, line = { 0 };
    lm_document_attributes_open(doc->attributes, without, &attributes);
    lm_json_key_int(&attributes, "added", 1);
    lm_buf_putc(&attributes, '}');
    struct lm_document more = *doc, again;
    more.attributes = lm_buf_str(&attributes);
    lm_document_write(&more, &line);
    /* The one thing that can go wrong: there were as many attributes as a record may have. */
    const enum lm_rc rc = lm_document_parse(lm_buf_str(&line), "more", arena, &again, NULL);
    LM_ASSERT(rc == LM_OK || rc == LM_ELIMIT);
    LM_ASSERT(rc != LM_OK || lm_str_eq(again.attributes, more.attributes));
    lm_buf_release(&attributes);
    lm_buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lm_str line = { (const char *)data, size };
    struct lm_arena arena = { 0 };
    struct lm_buf once = { 0 }, twice = { 0 };
    struct lm_document doc, again;
    struct lm_err err = { 0 };
    if (lm_document_parse(line, "fuzz", &arena, &doc, &err) != LM_OK) {
        LM_ASSERT(err.text[0]);
    } else {
        lm_document_settle(&doc, LM_STR("source"), LM_STR("fuzz:1"), &arena);
        LM_ASSERT(doc.id.len == LM_DOCUMENT_ID - 1);
        lm_document_write(&doc, &once);
        LM_ASSERT(!memchr(once.ptr, '\n', once.len));
        const enum lm_rc rc = lm_document_parse(lm_buf_str(&once), "once", &arena, &again, &err);
        LM_ASSERT(rc == LM_OK || rc == LM_ELIMIT);   // source_id can be one attribute too many
        if (rc == LM_OK) {
            lm_document_settle(&again, LM_STR("source"), LM_STR("once:1"), &arena);
            lm_document_write(&again, &twice);
            LM_ASSERT(lm_str_eq(lm_buf_str(&once), lm_buf_str(&twice)));
            check_attributes(&again, &arena);
        }
    }
    lm_buf_release(&once);
    lm_buf_release(&twice);
    lm_arena_release(&arena);
    return 0;
}

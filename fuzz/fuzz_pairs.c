/* One line of pairs.jsonl: what is read can be written and reads back the same. */
#include "base/json.h"
#include "base/mem.h"
#include "train/pairs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_pair(const struct lm_pair *pair, struct lm_buf *ret)
{
    lm_buf_putc(ret, '{');
    lm_json_key_str(ret, "id", pair->id);
    lm_json_key_str(ret, "snapshot", pair->snapshot);
    lm_json_key_str(ret, "question", pair->question);
    lm_json_key_str(ret, "answer", pair->answer);
    lm_json_key_str(ret, "split", pair->heldout ? LM_STR("heldout") : LM_STR("train"));
    lm_buf_putc(ret, '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_arena arena = { 0 };
    struct lm_err err = { 0 };
    struct lm_pair pair, again;
    const enum lm_rc rc =
        lm_pair_parse((struct lm_str){ (const char *)data, size }, "fuzz", &arena, &pair, &err);
    if (rc == LM_OK) {
        struct lm_buf text = { 0 };
        write_pair(&pair, &text);
        LM_ASSERT(lm_pair_parse(lm_buf_str(&text), "again", &arena, &again, &err) == LM_OK);
        LM_ASSERT(lm_str_eq(pair.id, again.id) && lm_str_eq(pair.snapshot, again.snapshot));
        LM_ASSERT(lm_str_eq(pair.question, again.question) && lm_str_eq(pair.answer, again.answer));
        LM_ASSERT(pair.heldout == again.heldout);
        for (size_t i = 0; i < pair.message_count; i++)
            LM_ASSERT(pair.messages[i].role.ptr && pair.messages[i].content.ptr);
        lm_buf_release(&text);
    } else {
        LM_ASSERT(err.text[0] != 0);
    }
    lm_arena_release(&arena);
    return 0;
}

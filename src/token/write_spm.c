/* token/write_spm.c - a sentencepiece model, out of GGUF's arrays; load_spm.c has the table of fields. */
#include "token/write_files.h"

enum { UNIGRAM = 1, BPE = 2 };   // model_type

/* ---- protobuf ---- */

static void put_varint(uint64_t value, struct lm_buf *ret)
{
    for (; value >= 128; value >>= 7)
        lm_buf_putc(ret, (char)(value | 128));
    lm_buf_putc(ret, (char)value);
}

static void put_number(uint32_t field, int64_t value, struct lm_buf *ret)
{
    put_varint((uint64_t)field << 3, ret);
    put_varint((uint64_t)value, ret);   // negative ones in ten bytes
}

static void put_bytes(uint32_t field, struct lm_str bytes, struct lm_buf *ret)
{
    put_varint((uint64_t)field << 3 | 2, ret);
    put_varint(bytes.len, ret);
    lm_buf_add_str(ret, bytes);
}

static void put_float(uint32_t field, float value, struct lm_buf *ret)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_varint((uint64_t)field << 3 | 5, ret);
    for (size_t i = 0; i < 4; i++)
        lm_buf_putc(ret, (char)(bits >> (8 * i)));
}

/* ---- the model ---- */

static void put_pieces(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    struct lm_buf piece = { 0 };
    for (size_t id = 0; id < p->token_count; id++) {
        lm_buf_reset(&piece);
        put_bytes(1, p->tokens[id], &piece);
        put_float(2, p->scores[id], &piece);
        if (p->types[id] != LM_TOKEN_NORMAL)
            put_number(3, p->types[id], &piece);
        put_bytes(1, lm_buf_str(&piece), ret);
    }
    lm_buf_release(&piece);
}

/* Readers find special pieces by their spelling. */
static void put_trainer(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    const int64_t ids[] = { p->unk_id, p->bos_id, p->eos_id, p->pad_id };   // 40..43, 45..48
    struct lm_buf spec = { 0 };
    bool bytes = false;
    for (size_t id = 0; id < p->token_count; id++)
        bytes |= p->types[id] == LM_TOKEN_BYTE;
    put_number(3, lm_str_eq(p->model, LM_STR("t5")) ? UNIGRAM : BPE, &spec);
    put_number(4, (int64_t)p->token_count, &spec);
    put_number(35, bytes, &spec);
    for (uint32_t i = 0; i < 4; i++)
        put_number(40 + i, ids[i], &spec);
    for (uint32_t i = 0; i < 4; i++)
        if (ids[i] >= 0)
            put_bytes(45 + i, p->tokens[ids[i]], &spec);
    put_bytes(2, lm_buf_str(&spec), ret);
    lm_buf_release(&spec);
}

static void put_normalizer(const struct lm_tokenizer_parts *p, struct lm_buf *ret)
{
    struct lm_buf spec = { 0 };
    put_bytes(1, p->charsmap.len > 0 ? LM_STR("user_defined") : LM_STR("identity"), &spec);
    put_bytes(2, p->charsmap, &spec);
    put_number(3, p->add_space_prefix != 0, &spec);
    put_number(4, p->remove_extra_blanks > 0, &spec);
    put_number(5, true, &spec);   // escape_whitespaces
    put_bytes(3, lm_buf_str(&spec), ret);
    lm_buf_release(&spec);
}

enum lm_rc lm_write_spm(const struct lm_tokenizer *t, struct lm_buf *ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts p = { 0 };
    enum lm_rc rc = lm_tokenizer_to_parts(t, &arena, &p, err);
    if (rc != LM_OK)
        lm_err_prefix(err, rc, "convert: a sentencepiece model says no more than GGUF's arrays");
    else if (!p.scores)
        rc = lm_fail(err, LM_EINVAL, "convert: a sentencepiece model holds BPE of pieces and Unigram only");
    if (rc == LM_OK) {
        put_pieces(&p, ret);
        put_trainer(&p, ret);
        put_normalizer(&p, ret);
    }
    lm_arena_release(&arena);
    return rc;
}

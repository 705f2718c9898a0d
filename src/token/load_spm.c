/* token/load_spm.c - a sentencepiece model: a protobuf message of pieces, scores, types and options.
 *
 *     ModelProto      1 pieces*, 2 trainer_spec, 3 normalizer_spec
 *     SentencePiece   1 piece (bytes), 2 score (float), 3 type (1 when it is missing)
 *     TrainerSpec     3 model_type, 24 treat_whitespace_as_suffix, 40..43 ids of unk, bos, eos, pad
 *     NormalizerSpec  2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces,
 *                     5 escape_whitespaces */
#include "token/load_other.h"

enum { PIECE_BYTES_MAX = 4096 };

/* ---- protobuf ---- */

struct field {
    uint32_t number;
    unsigned wire;         // 0 varint, 1 eight bytes, 2 a length and bytes, 5 four bytes
    uint64_t value;        // of 0, 1 and 5
    struct lm_str bytes;   // of 2
};

static bool next_varint(struct lm_str *rest, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        const uint8_t byte = (uint8_t)*rest->ptr;
        *rest = (struct lm_str){ rest->ptr + 1, rest->len - 1 };
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool next_fixed(struct lm_str *rest, size_t bytes, uint64_t *ret)
{
    uint64_t value = 0;
    if (rest->len < bytes)
        return false;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | (uint8_t)rest->ptr[i];
    *rest = (struct lm_str){ rest->ptr + bytes, rest->len - bytes };
    *ret = value;
    return true;
}

/* The next field of a message; false at damage. */
static bool next_field(struct lm_str *rest, struct field *ret)
{
    uint64_t tag, len;
    *ret = (struct field){ 0 };
    if (!next_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return false;
    ret->number = (uint32_t)(tag >> 3);
    ret->wire = tag & 7;
    if (ret->wire == 0)
        return next_varint(rest, &ret->value);
    if (ret->wire == 1 || ret->wire == 5)
        return next_fixed(rest, ret->wire == 1 ? 8 : 4, &ret->value);
    if (ret->wire != 2 || !next_varint(rest, &len) || len > rest->len)
        return false;
    ret->bytes = (struct lm_str){ rest->ptr, (size_t)len };
    *rest = (struct lm_str){ rest->ptr + len, rest->len - (size_t)len };
    return true;
}

/* ---- the model ---- */

enum { UNIGRAM = 1, BPE = 2 };

struct model {
    struct lm_tokenizer_parts *p;
    struct lm_str *tokens;
    int32_t *types;
    float *scores;
    int64_t kind;
    bool suffix, escape;
    struct lm_str charsmap;
};

static enum lm_rc damaged(const char *name, struct lm_err *err)
{
    return lm_fail(err, LM_EFORMAT, "%s: not a sentencepiece model, or a damaged one", name);
}

static enum lm_rc read_piece(struct lm_str message, const char *name, struct model *m, struct lm_err *err)
{
    const size_t id = m->p->token_count++;
    struct field f;
    m->types[id] = LM_TOKEN_NORMAL;
    while (message.len > 0) {
        if (!next_field(&message, &f))
            return damaged(name, err);
        const uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.wire == 2)
            m->tokens[id] = f.bytes;
        if (f.number == 2 && f.wire == 5)
            memcpy(&m->scores[id], &bits, sizeof(bits));
        if (f.number == 3 && f.wire == 0)
            m->types[id] = f.value < LM_TOKEN_NORMAL || f.value > LM_TOKEN_BYTE ? 0 : (int32_t)f.value;
    }
    if (m->tokens[id].len > PIECE_BYTES_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: piece %zu has %zu bytes, more than %d", name, id,
                       m->tokens[id].len, PIECE_BYTES_MAX);
    return LM_OK;
}

static enum lm_rc read_trainer(struct lm_str message, const char *name, struct model *m, struct lm_err *err)
{
    int64_t *const ids[] = { &m->p->unk_id, &m->p->bos_id, &m->p->eos_id, &m->p->pad_id };   // 40..43
    struct field f;
    while (message.len > 0) {
        if (!next_field(&message, &f))
            return damaged(name, err);
        if (f.wire != 0)
            continue;
        if (f.number == 3)
            m->kind = (int64_t)f.value;
        if (f.number == 24)
            m->suffix = f.value != 0;
        if (f.number >= 40 && f.number <= 43)
            *ids[f.number - 40] = (int32_t)f.value;   // negative ones are written in ten bytes
    }
    return LM_OK;
}

static enum lm_rc read_normalizer(struct lm_str message, const char *name, struct model *m,
                                  struct lm_err *err)
{
    struct field f;
    while (message.len > 0) {
        if (!next_field(&message, &f))
            return damaged(name, err);
        if (f.number == 2 && f.wire == 2)
            m->charsmap = f.bytes;
        if (f.number == 3 && f.wire == 0)
            m->p->add_space_prefix = f.value != 0;
        if (f.number == 4 && f.wire == 0)
            m->p->remove_extra_blanks = f.value != 0;
        if (f.number == 5 && f.wire == 0)
            m->escape = f.value != 0;
    }
    return LM_OK;
}

static enum lm_rc count_pieces(struct lm_str file, const char *name, size_t *ret, struct lm_err *err)
{
    struct field f;
    *ret = 0;
    while (file.len > 0) {
        if (!next_field(&file, &f))
            return damaged(name, err);
        *ret += f.number == 1 && f.wire == 2;
    }
    if (*ret == 0)
        return damaged(name, err);
    if (*ret > LM_VOCAB_SIZE_MAX)
        return lm_fail(err, LM_ELIMIT, "%s: %zu pieces, more than %d", name, *ret, LM_VOCAB_SIZE_MAX);
    return LM_OK;
}

static enum lm_rc read_model(struct lm_str file, const char *name, struct model *m, struct lm_err *err)
{
    struct field f;
    while (file.len > 0) {
        if (!next_field(&file, &f))
            return damaged(name, err);
        if (f.wire != 2)
            continue;
        if (f.number == 1)
            LM_TRY(read_piece(f.bytes, name, m, err));
        if (f.number == 2)
            LM_TRY(read_trainer(f.bytes, name, m, err));
        if (f.number == 3)
            LM_TRY(read_normalizer(f.bytes, name, m, err));
    }
    return LM_OK;
}

static enum lm_rc check(const struct model *m, const char *name, struct lm_err *err)
{
    if (m->kind != BPE && m->kind != UNIGRAM)
        return lm_fail(
            err, LM_EFORMAT,
            "%s: the sentencepiece model is of words or characters; only BPE and Unigram are supported",
            name);
    if (m->suffix || !m->escape)
        return lm_fail(err, LM_EFORMAT, "%s: the sentencepiece option %s is not supported", name,
                       m->suffix ? "treat_whitespace_as_suffix" : "escape_whitespaces = false");
    return LM_OK;
}

bool lm_load_looks_like_spm(struct lm_str file)
{
    struct field f;
    return file.len > 0 && *file.ptr == 0x0a && next_field(&file, &f) && f.wire == 2;
}

enum lm_rc lm_load_spm(struct lm_str file, const char *name, struct lm_arena *arena,
                       struct lm_tokenizer_parts *ret, struct lm_err *err)
{
    size_t count;
    *ret = (struct lm_tokenizer_parts){
        .model = LM_STR("llama"),
        .unk_id = 0,
        .bos_id = 1,
        .eos_id = 2,
        .pad_id = -1,
        .sep_id = -1,
        .cls_id = -1,
        .mask_id = -1,
        .eot_id = -1,
        .add_bos = 1,
        .add_eos = 0,
        .add_space_prefix = 1,
        .remove_extra_blanks = 1,
    };
    LM_TRY(count_pieces(file, name, &count, err));
    struct model m = {
        .p = ret,
        .tokens = lm_arena_alloc(arena, count * sizeof(*m.tokens)),
        .types = lm_arena_alloc(arena, count * sizeof(*m.types)),
        .scores = lm_arena_alloc(arena, count * sizeof(*m.scores)),
        .kind = UNIGRAM,
        .escape = true,
    };
    ret->tokens = m.tokens;
    ret->types = m.types;
    ret->scores = m.scores;
    LM_TRY(read_model(file, name, &m, err));
    ret->score_count = ret->token_count;
    if (ret->bos_id < 0)
        ret->add_bos = 0;
    ret->charsmap = m.charsmap;
    if (m.kind == UNIGRAM) {
        ret->model = LM_STR("t5");
        ret->add_bos = 0;   // as sentencepiece: nothing that nobody asks for
    }
    return check(&m, name, err);
}

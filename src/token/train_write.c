/* token/train_write.c - pieces and words that were learned, as a tokenizer: through the arrays that GGUF
 * files have too, so that nothing is said twice about what such tokenizers are. */
#include "token/train.h"

#include "token/parts_impl.h"
#include "token/pieces.h"

/* ---- the words of sentencepiece ---- */

static bool is_control(char c)
{
    return (uint8_t)c < 0x20 || c == 0x7f;
}

static size_t word_end(const char *s, size_t at, size_t len)
{
    if (is_control(s[at]))
        return at + 1;
    size_t end = at;
    while (end < len && s[end] == ' ')
        end++;
    if (end > at + 1)
        return end < len && !is_control(s[end]) ? end - 1 : end;   // all blanks but the last
    while (end < len && s[end] != ' ' && !is_control(s[end]))
        end++;
    return end;
}

static size_t scan_words(struct lm_str text, size_t *at, uint32_t *ret_ends, size_t ends_max)
{
    size_t count = 0, pos = *at;
    while (count < ends_max && pos < text.len) {
        pos = word_end(text.ptr, pos, text.len);
        ret_ends[count++] = (uint32_t)pos;
    }
    *at = pos;
    return count;
}

const struct lm_grammar lm_grammar_train_pieces = { .name = "train-pieces", .scan = scan_words };

/* ---- the arrays ---- */

static int32_t type_of(const struct lm_learned *l, uint32_t id)
{
    if (l->vocab.items[id].kind == LM_TOKEN_SPECIAL)
        return id == 0 ? LM_TOKEN_UNKNOWN : LM_TOKEN_CONTROL;
    return id < l->alphabet_before ? LM_TOKEN_BYTE : LM_TOKEN_NORMAL;
}

/* Merges of sentencepiece are in the order of scores: minus the number of the token. */
static struct lm_tokenizer_parts piece_parts(const struct lm_learned *l, struct lm_arena *arena)
{
    const size_t count = l->vocab.size;
    struct lm_str *tokens = lm_arena_alloc(arena, count * sizeof(*tokens));
    int32_t *types = lm_arena_alloc(arena, count * sizeof(*types));
    float *scores = lm_arena_alloc(arena, count * sizeof(*scores));
    struct lm_buf text = { 0 };
    for (uint32_t id = 0; id < count; id++) {
        const struct lm_str bytes = lm_vocab_bytes(&l->vocab, id);
        types[id] = type_of(l, id);
        scores[id] = types[id] == LM_TOKEN_NORMAL ? -(float)(id - l->alphabet_before) : 0;
        lm_buf_reset(&text);
        lm_piece_from_text(bytes, &text);
        tokens[id] = (struct lm_str){ lm_arena_strndup(arena, text.ptr, text.len), text.len };
    }
    lm_buf_release(&text);
    return (struct lm_tokenizer_parts){
        .model = LM_STR("llama"),
        .tokens = tokens,
        .types = types,
        .scores = scores,
        .token_count = count,
        .score_count = count,
        .bos_id = 1,
        .eos_id = 2,
        .add_bos = 1,
        .add_eos = 0,
        .add_space_prefix = 1,
        .remove_extra_blanks = 0,
        .unk_id = 0,
        .pad_id = -1,
        .sep_id = -1,
        .cls_id = -1,
        .mask_id = -1,
        .eot_id = -1,
    };
}

static struct lm_tokenizer_parts word_parts(const struct lm_learned *l, struct lm_arena *arena)
{
    const size_t count = l->vocab.size;
    struct lm_str *tokens = lm_arena_alloc(arena, count * sizeof(*tokens));
    int32_t *types = lm_arena_alloc(arena, count * sizeof(*types));
    for (uint32_t id = 0; id < count; id++) {
        tokens[id] = lm_vocab_bytes(&l->vocab, id);
        types[id] = l->vocab.items[id].kind == LM_TOKEN_SPECIAL ? LM_TOKEN_CONTROL : LM_TOKEN_NORMAL;
    }
    return (struct lm_tokenizer_parts){
        .model = LM_STR("bert"),
        .tokens = tokens,
        .types = types,
        .token_count = count,
        .pad_id = 0,
        .unk_id = 1,
        .cls_id = 2,
        .sep_id = 3,
        .mask_id = 4,
        .bos_id = -1,
        .eos_id = -1,
        .eot_id = -1,
    };
}

static enum lm_rc write_words(const struct lm_learned *l, bool lowercase, const char *name,
                              struct lm_arena *arena, struct lm_tokenizer **ret, struct lm_err *err)
{
    const struct lm_tokenizer_parts p = word_parts(l, arena);
    const struct lm_word_rules rules = { .clean = true,
                                         .han_apart = true,
                                         .strip_accents = lowercase,
                                         .lowercase = lowercase,
                                         .cleanup = true,
                                         .chars_max = LM_WORDS_CHARS_MAX };
    struct lm_buf json = { 0 };
    enum lm_rc rc = lm_parts_check(&p, name, err);
    if (rc == LM_OK)
        rc =
            lm_words_write_json(&p, &rules, (struct lm_parts_around){ p.cls_id, p.sep_id }, name, &json, err);
    if (rc == LM_OK)
        rc = lm_tokenizer_parse(lm_buf_str(&json), name, ret, err);
    lm_buf_release(&json);
    for (size_t role = 0; rc == LM_OK && role < LM_ROLE_COUNT; role++)
        if (lm_parts_role(&p, role) >= 0)
            (*ret)->roles[role] = (uint32_t)lm_parts_role(&p, role);
    return rc;
}

enum lm_rc lm_write_learned(const struct lm_learned *l, enum lm_learn_kind kind, bool lowercase,
                            const char *name, struct lm_tokenizer **ret, struct lm_err *err)
{
    struct lm_arena arena = { 0 };
    enum lm_rc rc;
    if (kind == LM_LEARN_PIECES) {
        const struct lm_tokenizer_parts p = piece_parts(l, &arena);
        rc = lm_tokenizer_from_parts(&p, name, ret, err);
    } else {
        rc = write_words(l, lowercase, name, &arena, ret, err);
    }
    lm_arena_release(&arena);
    return rc;
}

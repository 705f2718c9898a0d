/* fuzz_tokenizer_parts: a GGUF file's tokenizer arrays, written as lines:
 *
 *     model pre bos eos unk pad sep cls mask eot add_bos add_eos add_space_prefix remove_extra_blanks
 *     =left right            a merge
 *     TSstring               a token: its type T as a digit, a letter S for its score, its text
 *
 * Arrays are refused with a reason, or make a tokenizer whose text never becomes a control token and whose
 * own arrays make one with the same ids. */
#include <stdlib.h>

#include "base/mem.h"
#include "token/parts.h"
#include "token/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 4096 };

static int64_t next_number(struct lm_str *rest)
{
    struct lm_str word;
    int64_t number = -1;
    return lm_str_split(rest, ' ', &word) && lm_str_to_i64(word, &number) ? number : -1;
}

static void read_head(struct lm_str line, struct lm_tokenizer_parts *p)
{
    int64_t *const ids[] = { &p->bos_id, &p->eos_id, &p->unk_id,  &p->pad_id,
                             &p->sep_id, &p->cls_id, &p->mask_id, &p->eot_id };
    int *const flags[] = { &p->add_bos, &p->add_eos, &p->add_space_prefix, &p->remove_extra_blanks };
    lm_str_split(&line, ' ', &p->model);
    lm_str_split(&line, ' ', &p->pre);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        *ids[i] = next_number(&line);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        *flags[i] = (int)(next_number(&line) % 2);
}

static struct lm_tokenizer_parts read_parts(struct lm_str text, struct lm_arena *arena)
{
    struct lm_tokenizer_parts p = { 0 };
    struct lm_str *tokens = lm_arena_alloc(arena, LINES_MAX * sizeof(*tokens));
    struct lm_str *merges = lm_arena_alloc(arena, LINES_MAX * sizeof(*merges));
    int32_t *types = lm_arena_alloc(arena, LINES_MAX * sizeof(*types));
    float *scores = lm_arena_alloc(arena, LINES_MAX * sizeof(*scores));
    struct lm_str line = LM_STR("");
    lm_str_split(&text, '\n', &line);
    read_head(line, &p);
    while (p.token_count + p.merge_count < LINES_MAX && lm_str_split(&text, '\n', &line)) {
        if (line.len > 0 && *line.ptr == '=') {
            merges[p.merge_count++] = (struct lm_str){ line.ptr + 1, line.len - 1 };
        } else if (line.len > 1) {
            types[p.token_count] = line.ptr[0] - '0';
            scores[p.token_count] = (float)(unsigned char)line.ptr[1] - 'a';
            tokens[p.token_count++] = (struct lm_str){ line.ptr + 2, line.len - 2 };
        }
    }
    p.tokens = tokens;
    p.merges = merges;
    p.types = p.add_bos == 0 && p.eot_id == 7 ? NULL : types;   // files without types exist
    p.scores = scores;
    p.score_count = p.token_count;
    return p;
}

static void encode(const struct lm_tokenizer *t, struct lm_str text, struct lm_tokens *ret)
{
    lm_tokenizer_prepare(t);
    struct lm_encoder *e = lm_encoder_new(t);
    struct lm_buf out = { 0 };
    lm_encode(e, text, false, ret);
    for (size_t i = 0; i < ret->len; i++)
        if (lm_tokenizer_is_special(t, ret->ids[i]) && ret->ids[i] != t->unknown)
            abort();
    if (lm_decode(t, ret->ids, ret->len, false, &out, NULL) != LM_OK)
        abort();
    lm_encode_with_specials(e, text, true, ret);
    lm_buf_release(&out);
    lm_encoder_free(e);
}

static void compare(const struct lm_tokenizer *t, const struct lm_tokenizer *again, struct lm_str text)
{
    struct lm_tokens a = { 0 }, b = { 0 };
    encode(t, text, &a);
    encode(again, text, &b);
    if (a.len != b.len || (a.len > 0 && memcmp(a.ids, b.ids, a.len * sizeof(*a.ids)) != 0))
        abort();
    lm_tokens_release(&a);
    lm_tokens_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char sample[] = "Hello  aab abab\xe2\x96\x81"
                                 "a [UNK]</s> caf\xc3\xa9\n 12'S \xff\xe4\xb8\xad ";
    const struct lm_str input = { (const char *)data, size };
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts parts = read_parts(input, &arena), back;
    struct lm_tokenizer *t = NULL, *again = NULL;
    struct lm_err err = { 0 };
    if (lm_tokenizer_from_parts(&parts, "fuzz", &t, &err) == LM_OK) {
        if (lm_tokenizer_to_parts(t, &arena, &back, &err) == LM_OK) {
            if (lm_tokenizer_from_parts(&back, "again", &again, &err) != LM_OK)
                abort();
            compare(t, again, (struct lm_str){ sample, sizeof(sample) - 1 });
            compare(t, again, (struct lm_str){ input.ptr, size < 2048 ? size : 2048 });
        } else if (!err.text[0]) {
            abort();
        }
    } else if (!err.text[0]) {
        abort();   // a refusal without a reason
    }
    lm_tokenizer_free(again);
    lm_tokenizer_free(t);
    lm_arena_release(&arena);
    return 0;
}

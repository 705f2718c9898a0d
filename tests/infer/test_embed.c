/* Embeddings: pooled by hand from hidden states that a forward pass computes for one text alone. */
#include "base/mem.h"
#include "infer/embed.h"
#include "infer/forward.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, a 4, b 5 ... z 29; a word is cut into letters. */
static struct lm_tokenizer *letters(void)
{
    struct lm_buf json = { 0 };
    lm_buf_puts(&json, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    static const char *const specials[] = { "[PAD]", "[UNK]", "[CLS]", "[SEP]" };
    for (int i = 0; i < 4; i++)
        lm_buf_printf(
            &json,
            "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
            "\"normalized\":false,\"special\":true}",
            i ? "," : "", i, specials[i]);
    lm_buf_puts(&json, "],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
                       "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"
                       "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":"
                       "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"[CLS]\","
                       "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":"
                       "{\"id\":\"[SEP]\",\"type_id\":0}}],\"pair\":[{\"SpecialToken\":{\"id\":\"[CLS]\","
                       "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":"
                       "{\"id\":\"[SEP]\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}},"
                       "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":1}}],\"special_tokens\":{\"[CLS]\":"
                       "{\"id\":\"[CLS]\",\"ids\":[2],\"tokens\":[\"[CLS]\"]},\"[SEP]\":{\"id\":\"[SEP]\","
                       "\"ids\":[3],\"tokens\":[\"[SEP]\"]}}},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":"
                       "\"##\",\"cleanup\":true},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                       "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{");
    for (int i = 0; i < 4; i++)
        lm_buf_printf(&json, "\"%s\":%d,", specials[i], i);
    for (int i = 0; i < 26; i++)
        lm_buf_printf(&json, "\"%c\":%d,\"##%c\":%d%s", 'a' + i, 4 + i, 'a' + i, 30 + i,
                      i < 25 ? "," : "}}}");
    struct lm_tokenizer *t;
    struct lm_err err;
    if (lm_tokenizer_parse(lm_buf_str(&json), "letters", &t, &err) != LM_OK)
        fail_msg("%s", err.text);
    lm_buf_release(&json);
    return t;
}

static const struct lm_embed_config configs[] = {
    { LM_POOL_MEAN, true, 0 }, { LM_POOL_MEAN, false, 0 }, { LM_POOL_CLS, true, 0 },
    { LM_POOL_MAX, false, 0 }, { LM_POOL_MEAN, true, 6 },
};

/* One text, the long way; ids are known because every letter is a token. */
static void by_hand(const struct lm_model *m, const char *text, const struct lm_embed_config *c, float *ret)
{
    struct lm_forward_row rows[64];
    uint32_t blocks[4];
    size_t count = 0, stride;
    const size_t most = c->tokens_max ? c->tokens_max : 32, dim = (size_t)m->config.dim;
    rows[count++] = (struct lm_forward_row){ 2, 0, blocks, true };
    for (const char *p = text; *p && count + 1 < most; p++)
        if (*p != ' ') {
            const bool inside = p > text && p[-1] != ' ';
            const uint32_t id = (uint32_t)(*p - 'a') + (inside ? 30 : 4);
            rows[count] = (struct lm_forward_row){ id, (uint32_t)count, blocks, true };
            count++;
        }
    rows[count] = (struct lm_forward_row){ 3, (uint32_t)count, blocks, true };
    count++;
    struct lm_forward *f;
    assert_int_equal(lm_forward_new(m, &(struct lm_forward_config){ 64, 64, 64, LM_KV_F32 }, &f, NULL),
                     LM_OK);
    assert_true(lm_kv_take(lm_forward_kv(f), 4, blocks));
    const float *hidden = lm_forward_run(f, rows, count, &stride);
    double length = 0;
    for (size_t d = 0; d < dim; d++) {
        double sum = 0, max = -1e30;
        for (size_t r = 0; r < count; r++) {
            sum += (double)hidden[r * stride + d] / (double)count;
            max = fmax(max, (double)hidden[r * stride + d]);
        }
        const double value = c->pooling == LM_POOL_MEAN  ? sum
                             : c->pooling == LM_POOL_MAX ? max
                                                         : (double)hidden[d];
        ret[d] = (float)value;
        length += value * value;
    }
    for (size_t d = 0; d < dim && c->normalise; d++)
        ret[d] = (float)((double)ret[d] / sqrt(length));
    lm_forward_free(f);
}

static void vectors_are_pooled_hidden_states_whatever_stands_beside_a_text(void **state)
{
    (void)state;
    enum { TEXTS = 70, DIM = 32 };
    struct lm_tokenizer *t = letters();
    struct lm_model m;
    struct lm_err err;
    if (lm_model_open(LOOM_TEST_DIR "/golden/models/bert", &m, &err) != LM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(m.config.dim, DIM);
    static const char *const kinds[] = { "", "a", "hello world", "the quick brown fox jumps over",
                                         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz" };
    struct lm_str texts[TEXTS];
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = lm_str(kinds[i * 7 % 5]);
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        struct lm_embedder *e;
        static float got[TEXTS * DIM];
        float want[5][DIM];
        size_t tokens;
        assert_int_equal(lm_embedder_new(&m, t, &configs[c], &e, &err), LM_OK);
        for (size_t k = 0; k < 5; k++)
            by_hand(&m, kinds[k], &configs[c], want[k]);
        lm_embedder_run(e, texts, TEXTS, got, &tokens);
        assert_true(tokens > TEXTS);
        for (size_t i = 0; i < TEXTS * DIM; i++)
            if (!(fabs((double)got[i] - (double)want[i / DIM * 7 % 5][i % DIM]) < 2e-6))
                fail_msg("configuration %zu, text %zu: %g, not %g", c, i / DIM, (double)got[i],
                         (double)want[i / DIM * 7 % 5][i % DIM]);
        lm_embedder_free(e);
    }
    lm_model_close(&m);
    lm_tokenizer_free(t);
}

static void a_decoder_is_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = letters();
    struct lm_model m;
    struct lm_err err;
    struct lm_embedder *e;
    assert_int_equal(lm_model_open(LOOM_TEST_DIR "/golden/models/llama", &m, &err), LM_OK);
    assert_int_equal(lm_embedder_new(&m, t, &configs[0], &e, &err), LM_EINVAL);
    assert_non_null(strstr(err.text, "no encoder"));
    lm_model_close(&m);
    lm_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_pooled_hidden_states_whatever_stands_beside_a_text),
        cmocka_unit_test(a_decoder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

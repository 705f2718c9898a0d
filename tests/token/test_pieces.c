/* sentencepiece's kind of BPE: against sentencepiece, Hugging Face and the rule as dumb as possible. */
#include "check.h"

#include "parts_file.h"

struct sample {
    struct lm_tokenizer_parts parts;
    struct lm_arena arena;
    json_t *file;
    struct lm_tokenizer *t;
};

static struct sample open_sample(void)
{
    struct sample s = { 0 };
    struct lm_err err = { 0 };
    s.file = json_load_file(GOLDEN "llama.parts.json", JSON_ALLOW_NUL, NULL);
    assert_non_null(s.file);
    s.parts = parts_from_json(s.file, &s.arena);
    assert_ok_err(lm_tokenizer_from_parts(&s.parts, "x.gguf", &s.t, &err), &err);
    return s;
}

static void close_sample(struct sample *s)
{
    lm_tokenizer_free(s->t);
    lm_arena_release(&s->arena);
    json_decref(s->file);
}

static void ids_are_those_of_sentencepiece(void **state)
{
    (void)state;
    struct sample s = open_sample();
    check_vectors_file(s.t, GOLDEN "llama.vectors.json", false);
    close_sample(&s);
}

static void ids_are_those_of_hugging_face(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("metaspace");
    check_vectors_file(t, GOLDEN "metaspace.vectors.json", true);
    lm_tokenizer_free(t);
}

static void the_json_of_parts_means_the_same(void **state)
{
    (void)state;
    struct sample s = open_sample();
    struct lm_tokenizer *again = NULL;
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_parse(lm_tokenizer_json(s.t), "again", &again, &err), &err);
    check_vectors_file(again, GOLDEN "llama.vectors.json", false);
    lm_tokenizer_free(again);
    close_sample(&s);
}

/* ---- the rule as dumb as possible: the neighbours that make the piece of the highest score, leftmost ----
 */

enum { SYMBOLS_MAX = 128 };

static uint32_t find_piece(const struct lm_tokenizer_parts *p, struct lm_str text)
{
    for (uint32_t id = 0; id < p->token_count; id++)
        if (p->types[id] == LM_TOKEN_NORMAL && lm_str_eq(p->tokens[id], text))
            return id;
    return UINT32_MAX;
}

/* The text is ASCII letters and blanks, all of which are pieces. */
static size_t encode_naively(const struct lm_tokenizer_parts *p, struct lm_str text, uint32_t *ret)
{
    struct lm_buf spelt = { 0 };
    struct lm_str symbols[SYMBOLS_MAX];
    size_t count = 0;
    for (size_t i = 0; text.len > 0 && i <= text.len; i++) {
        const char c = i == 0 ? ' ' : text.ptr[i - 1];
        lm_buf_add(&spelt, c == ' ' ? "\xe2\x96\x81" : &c, c == ' ' ? 3 : 1);
    }
    for (size_t at = 0; at < spelt.len; at += symbols[count++].len)
        symbols[count] = (struct lm_str){ spelt.ptr + at, (unsigned char)spelt.ptr[at] < 128 ? 1 : 3 };
    for (;;) {
        size_t best = count;
        float score = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const uint32_t id =
                find_piece(p, (struct lm_str){ symbols[i].ptr, symbols[i].len + symbols[i + 1].len });
            if (id != UINT32_MAX && (best == count || p->scores[id] > score)) {
                best = i;
                score = p->scores[id];
            }
        }
        if (best == count)
            break;
        symbols[best].len += symbols[best + 1].len;
        memmove(symbols + best + 1, symbols + best + 2, (count - best - 2) * sizeof(*symbols));
        count--;
    }
    for (size_t i = 0; i < count; i++)
        ret[i] = find_piece(p, symbols[i]);
    lm_buf_release(&spelt);
    return count;
}

static void small_texts_follow_the_rule(void **state)
{
    (void)state;
    static const char letters[] = "  Helowrdthinea";
    struct sample s = open_sample();
    struct lm_encoder *e = lm_encoder_new(s.t);
    struct lm_rng rng = lm_rng_make(11, 0);
    struct lm_tokens got = { 0 };
    for (size_t round = 0; round < 600; round++) {
        char text[40];
        uint32_t want[SYMBOLS_MAX];
        const size_t len = lm_rng_below(&rng, sizeof(text));
        for (size_t i = 0; i < len; i++)
            text[i] = letters[lm_rng_below(&rng, sizeof(letters) - 1)];
        const size_t count = encode_naively(&s.parts, (struct lm_str){ text, len }, want);
        got.len = 0;
        lm_encode(e, (struct lm_str){ text, len }, false, &got);
        assert_int_equal(got.len, count);
        if (count > 0)
            assert_memory_equal(got.ids, want, count * sizeof(*want));
    }
    lm_tokens_release(&got);
    lm_encoder_free(e);
    close_sample(&s);
}

/* ---- decoding ---- */

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct sample s = open_sample();
    struct lm_encoder *e = lm_encoder_new(s.t);
    struct lm_rng rng = lm_rng_make(12, 0);
    struct lm_buf text = { 0 }, back = { 0 };
    struct lm_tokens tokens = { 0 };
    for (size_t round = 0; round < 1500; round++) {
        random_text(&rng, 40, &text);
        for (size_t i = 0; round % 2 && i < text.len; i++)
            if (lm_rng_below(&rng, 4) == 0)
                text.ptr[i] = (char)lm_rng_below(&rng, 256);
        if (lm_str_find(lm_buf_str(&text), LM_STR("\xe2\x96\x81")) >= 0)
            continue;   // U+2581 comes back as a blank
        tokens.len = back.len = 0;
        lm_encode(e, lm_buf_str(&text), false, &tokens);
        assert_int_equal(lm_decode(s.t, tokens.ids, tokens.len, false, &back, NULL), LM_OK);
        assert_true(lm_str_eq(lm_buf_str(&back), lm_buf_str(&text)));
    }
    lm_buf_release(&text);
    lm_buf_release(&back);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    close_sample(&s);
}

static void streaming_gives_whole_characters_without_the_first_blank(void **state)
{
    (void)state;
    struct sample s = open_sample();
    struct lm_encoder *e = lm_encoder_new(s.t);
    struct lm_rng rng = lm_rng_make(13, 0);
    struct lm_buf text = { 0 }, out = { 0 };
    struct lm_tokens tokens = { 0 };
    for (size_t round = 0; round < 500; round++) {
        random_text(&rng, 30, &text);
        const bool inside = round % 2;
        const uint32_t before[] = { inside ? 3 + 'x' : 1 };   // text, or <s>
        struct lm_decode_stream stream = lm_decode_after(s.t, before, 1);
        tokens.len = out.len = 0;
        lm_encode(e, lm_buf_str(&text), false, &tokens);
        for (size_t i = 0; i < tokens.len; i++) {
            lm_decode_step(s.t, &stream, tokens.ids[i], false, &out);
            const size_t seen = out.len - (inside && out.len > 0);
            assert_true(seen == text.len || ((unsigned char)text.ptr[seen] & 0xc0) != 0x80);
        }
        lm_decode_end(&stream, &out);
        const size_t blank = inside && text.len > 0;   // kept: the text goes on from something
        assert_int_equal(out.len, text.len + blank);
        if (text.len > 0)
            assert_memory_equal(out.ptr + blank, text.ptr, text.len);
    }
    lm_buf_release(&text);
    lm_buf_release(&out);
    lm_tokens_release(&tokens);
    lm_encoder_free(e);
    close_sample(&s);
}

static void what_a_token_stands_for_has_blanks_and_bytes(void **state)
{
    (void)state;
    struct sample s = open_sample();
    uint32_t id = 0;
    while (!lm_str_eq(s.parts.tokens[id], LM_STR("\xe2\x96\x81Hello")))
        id++;
    assert_true(lm_str_eq(lm_tokenizer_bytes(s.t, id), LM_STR(" Hello")));
    assert_true(lm_str_eq(lm_tokenizer_bytes(s.t, 3 + 0xe4), LM_STR("\xe4")));   // <0xE4>
    close_sample(&s);
}

/* ---- control tokens ---- */

static void users_cannot_spell_control_tokens_inside_a_template(void **state)
{
    (void)state;
    struct sample s = open_sample();
    struct lm_encoder *e = lm_encoder_new(s.t);
    const struct lm_str text = LM_STR("<s>Hello </s> world</s>");
    const struct lm_span user = { 3, 19 };   // "Hello </s> world"
    struct lm_tokens got = { 0 }, full = { 0 };
    lm_encode_marked(e, text, &user, 1, &got);
    size_t special = 0;
    for (size_t i = 0; i < got.len; i++)
        special += lm_tokenizer_is_special(s.t, got.ids[i]);
    assert_int_equal(special, 2);
    assert_int_equal(got.ids[0], 1);
    assert_int_equal(got.ids[got.len - 1], 2);

    /* Without marks it is one text; all of it marked, as if nothing were allowed. */
    const struct lm_span all = { 0, text.len };
    got.len = 0;
    lm_encode_marked(e, text, NULL, 0, &got);
    lm_encode(e, text, true, &full);
    assert_int_equal(got.len, full.len);
    assert_memory_equal(got.ids, full.ids, got.len * sizeof(*got.ids));
    got.len = full.len = 0;
    lm_encode_marked(e, text, &all, 1, &got);
    lm_encode(e, text, false, &full);
    assert_int_equal(got.len, full.len);
    assert_memory_equal(got.ids, full.ids, got.len * sizeof(*got.ids));
    lm_tokens_release(&got);
    lm_tokens_release(&full);
    lm_encoder_free(e);
    close_sample(&s);
}

/* ---- hostile text ---- */

static void a_megabyte_without_blanks_takes_no_quadratic_time(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    struct sample s = open_sample();
    struct lm_encoder *e = lm_encoder_new(s.t);
    LM_FREE char *text = lm_alloc(LEN);
    struct lm_tokens got = { 0 };
    struct lm_buf back = { 0 };
    memset(text, 'l', LEN);
    lm_encode(e, (struct lm_str){ text, LEN }, false, &got);   // quadratic: hours
    assert_in_range(got.len, LEN / 4, LEN / 2 + 2);            // "ll" is a piece
    assert_int_equal(lm_decode(s.t, got.ids, got.len, false, &back, NULL), LM_OK);
    assert_int_equal(back.len, LEN);
    assert_memory_equal(back.ptr, text, LEN);
    lm_buf_release(&back);
    lm_tokens_release(&got);
    lm_encoder_free(e);
    close_sample(&s);
}

/* ---- the way back, refusals ---- */

static void the_way_back_gives_arrays_that_mean_the_same(void **state)
{
    (void)state;
    struct sample s = open_sample();
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts back;
    struct lm_tokenizer *again = NULL;
    struct lm_err err = { 0 };
    assert_ok_err(lm_tokenizer_to_parts(s.t, &arena, &back, &err), &err);
    assert_true(lm_str_eq(back.model, LM_STR("llama")));
    assert_int_equal(back.token_count, s.parts.token_count);
    for (size_t i = 0; i < back.token_count; i++)
        assert_true(lm_str_eq(back.tokens[i], s.parts.tokens[i]));
    assert_memory_equal(back.types, s.parts.types, back.token_count * sizeof(*back.types));
    assert_int_equal(back.unk_id, 0);
    assert_int_equal(back.add_bos, 1);
    assert_int_equal(back.add_space_prefix, 1);
    assert_ok_err(lm_tokenizer_from_parts(&back, "again", &again, &err), &err);
    assert_true(lm_str_eq(lm_tokenizer_json(again), lm_tokenizer_json(s.t)));
    lm_tokenizer_free(again);
    lm_arena_release(&arena);
    close_sample(&s);
}

static void what_gguf_cannot_say_is_refused(void **state)
{
    (void)state;
    struct lm_tokenizer *t = golden_tokenizer("metaspace");
    struct lm_arena arena = { 0 };
    struct lm_tokenizer_parts parts;
    struct lm_err err = { 0 };
    assert_int_equal(lm_tokenizer_to_parts(t, &arena, &parts, &err), LM_EINVAL);
    assert_contains(err.text, "a blank is put before text only at its start");
    lm_arena_release(&arena);
    lm_tokenizer_free(t);
}

enum change { NO_SCORES, NOT_A_NUMBER, TWICE, UNUSED, BYTE_NAME, BYTE_MISSING, BYTE_SPECIAL, LONG };

static void change_parts(struct lm_tokenizer_parts *p, enum change change)
{
    static char text[600];
    struct lm_str *tokens = (struct lm_str *)p->tokens;
    int32_t *types = (int32_t *)p->types;
    float *scores = (float *)p->scores;
    switch (change) {
    case NO_SCORES:
        p->score_count = 7;
        break;
    case NOT_A_NUMBER:
        scores[261] = 0.0f / 0.0f;
        break;
    case TWICE:
        tokens[262] = tokens[261];
        break;
    case UNUSED:
        types[260] = LM_TOKEN_UNUSED;   // "ll"
        break;
    case BYTE_NAME:
        tokens[9] = LM_STR("<0xzz>");
        break;
    case BYTE_MISSING:
        types[9] = types[0] = LM_TOKEN_NORMAL;
        tokens[9] = LM_STR("<nothing>");
        p->unk_id = -1;
        break;
    case BYTE_SPECIAL:
        types[9] = LM_TOKEN_CONTROL;
        break;
    case LONG:
        memset(text, 'x', sizeof(text));
        tokens[300] = (struct lm_str){ text, sizeof(text) };
        break;
    }
}

static void arrays_that_cannot_be_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        enum change change;
        const char *message;
    } cases[] = {
        { NO_SCORES, "tokenizer.ggml.scores has 7 numbers for 520 tokens" },
        { NOT_A_NUMBER, "tokenizer.ggml.scores[261]" },
        { TWICE, "tokenizer.ggml.tokens[262] 'll" },
        { UNUSED, "tokenizer.ggml.tokens[260] 'll' is unused" },
        { BYTE_NAME, "tokenizer.ggml.tokens[9] is a byte by its type" },
        { BYTE_MISSING, "255 of the 256 bytes and no unk_token" },
        { BYTE_SPECIAL, "<0x06> is a byte" },
        { LONG, "tokenizer.ggml.tokens[300] has 600 bytes" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = open_sample();
        struct lm_tokenizer *t = NULL;
        struct lm_err err = { 0 };
        change_parts(&s.parts, cases[i].change);
        assert_true(lm_tokenizer_from_parts(&s.parts, "x.gguf", &t, &err) < 0);
        assert_null(t);
        assert_contains(err.text, "x.gguf: ");
        if (cases[i].change != TWICE)
            assert_contains(err.text, cases[i].message);
        else
            assert_contains(err.text, "is there twice");
        close_sample(&s);
    }
}

static void components_that_are_not_supported_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *message;
    } cases[] = {
        { "\"type\":\"Metaspace\"", "\"type\":\"WhiteSpace\"", "pre_tokenizer 'WhiteSpace'" },
        { "\"prepend_scheme\":\"first\"", "\"prepend_scheme\":\"second\"", "'prepend_scheme'" },
        { "\"replacement\":\"\\u2581\"", "\"replacement\":\"__\"", "'replacement'" },
        { "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFKX\"}", "normalizer 'NFKX'" },
        { "\"normalizer\":null", "\"normalizer\":{\"type\":\"Prepend\",\"prepend\":7}", "'prepend'" },
        { "{\"type\":\"ByteFallback\"},", "{\"type\":\"ByteFullback\"},", "decoder 'ByteFullback'" },
        { "\"start\":1", "\"start\":-2", "decoder Strip" },
        { "\"ignore_merges\":false", "\"ignore_merges\":7", "ignore_merges = 7" },
        { "\"unk_token\":\"<unk>\"", "\"unk_token\":\"<none>\"", "unk_token is not a token" },
    };
    struct lm_buf file = { 0 }, changed = { 0 };
    assert_int_equal(lm_file_read(GOLDEN "metaspace.tokenizer.json", 1 << 20, &file, NULL), LM_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const ptrdiff_t at = lm_str_find(lm_buf_str(&file), lm_str(cases[i].find));
        if (at < 0)
            fail_msg("no %s in the file", cases[i].find);
        lm_buf_reset(&changed);
        lm_buf_add(&changed, file.ptr, (size_t)at);
        lm_buf_puts(&changed, cases[i].put);
        lm_buf_puts(&changed, file.ptr + at + strlen(cases[i].find));
        struct lm_tokenizer *t = NULL;
        struct lm_err err = { 0 };
        if (lm_tokenizer_parse(lm_buf_str(&changed), "x.json", &t, &err) != LM_EFORMAT)
            fail_msg("loaded in spite of %s", cases[i].put);
        assert_contains(err.text, "x.json");
        assert_contains(err.text, cases[i].message);
    }
    lm_buf_release(&file);
    lm_buf_release(&changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_sentencepiece),
        cmocka_unit_test(ids_are_those_of_hugging_face),
        cmocka_unit_test(the_json_of_parts_means_the_same),
        cmocka_unit_test(small_texts_follow_the_rule),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(streaming_gives_whole_characters_without_the_first_blank),
        cmocka_unit_test(what_a_token_stands_for_has_blanks_and_bytes),
        cmocka_unit_test(users_cannot_spell_control_tokens_inside_a_template),
        cmocka_unit_test(a_megabyte_without_blanks_takes_no_quadratic_time),
        cmocka_unit_test(the_way_back_gives_arrays_that_mean_the_same),
        cmocka_unit_test(what_gguf_cannot_say_is_refused),
        cmocka_unit_test(arrays_that_cannot_be_are_refused_by_name),
        cmocka_unit_test(components_that_are_not_supported_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

/* Chains of components: the best pieces are those of all ways tried, a trie finds what a list does, and
 * hostile maps and files are refused in a sentence.  That components mean what Hugging Face's do is checked
 * by tests/interop/check_tokenizer_components.py. */
#include "check.h"

#include "base/sys.h"
#include "token/chain.h"
#include "token/unigram.h"

enum { KEYS = 60, LETTERS = 3, LEN_MAX = 9 };

static uint64_t seed = 7;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static size_t draw_word(char *ret, size_t max)
{
    const size_t len = 1 + draw((unsigned)max);
    for (size_t i = 0; i < len; i++)
        ret[i] = (char)('a' + draw(LETTERS));
    return len;
}

/* ---- trie ---- */

static void the_longest_key_is_found(void **state)
{
    (void)state;
    for (size_t round = 0; round < 200; round++) {
        static char texts[KEYS][8];
        struct lm_trie_key keys[KEYS];
        size_t count = 0;
        for (size_t i = 0; i < KEYS; i++) {
            const struct lm_str key = { texts[count], draw_word(texts[count], 6) };
            bool there = false;
            for (size_t k = 0; k < count; k++)
                there |= lm_str_eq(keys[k].bytes, key);
            if (!there)
                keys[count] = (struct lm_trie_key){ key, (uint32_t)count };
            count += !there;
        }
        struct lm_trie trie;
        lm_trie_make(&trie, keys, count);   // sorts them: values go along
        char word[12];
        for (size_t i = 0; i < 50; i++) {
            const struct lm_str text = { word, draw_word(word, sizeof(word)) };
            size_t best = 0, len = 0;
            uint32_t expected = LM_TRIE_NONE;
            for (size_t k = 0; k < count; k++)
                if (lm_str_starts(text, keys[k].bytes) && keys[k].bytes.len > best) {
                    best = keys[k].bytes.len;
                    expected = keys[k].value;
                }
            assert_int_equal(lm_trie_longest(&trie, text, 0, &len), expected);
            assert_int_equal(len, best);
        }
        lm_trie_release(&trie);
    }
}

/* ---- Unigram ---- */

struct piece {
    char text[8];
    double score;
};

static const char before[] =
    "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,"
    "\"post_processor\":null,\"decoder\":null,\"model\":{\"type\":\"Unigram\",\"unk_id\":0,"
    "\"byte_fallback\":false,\"vocab\":[[\"<unk>\",-20]";

/* The best sum from here on over all ways to cut; a character without a piece costs `unknown`. */
static double best_sum(const struct piece *pieces, size_t count, struct lm_str rest, double unknown)
{
    double best = -1e300;
    bool single = false;
    if (rest.len == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const struct lm_str piece = lm_str(pieces[i].text);
        if (!lm_str_starts(rest, piece))
            continue;
        single |= piece.len == 1;
        const double sum =
            pieces[i].score +
            best_sum(pieces, count, (struct lm_str){ rest.ptr + piece.len, rest.len - piece.len }, unknown);
        best = sum > best ? sum : best;
    }
    if (!single) {
        const double sum =
            unknown + best_sum(pieces, count, (struct lm_str){ rest.ptr + 1, rest.len - 1 }, unknown);
        best = sum > best ? sum : best;
    }
    return best;
}

static size_t make_pieces(struct piece *pieces, struct lm_buf *json)
{
    size_t count = 0;
    lm_buf_puts(json, before);
    for (size_t i = 0; i < 8; i++) {
        struct piece p = { .score = -1 - (double)draw(64) / 8 };
        p.text[draw_word(p.text, 4)] = 0;
        bool there = false;
        for (size_t k = 0; k < count; k++)
            there |= strcmp(pieces[k].text, p.text) == 0;
        if (there)
            continue;
        pieces[count++] = p;
        lm_buf_printf(json, ",[\"%s\",%g]", p.text, p.score);
    }
    lm_buf_puts(json, "]}}");
    return count;
}

static void the_pieces_have_the_best_sum(void **state)
{
    (void)state;
    for (size_t round = 0; round < 300; round++) {
        struct piece pieces[8];
        struct lm_buf json = { 0 };
        const size_t count = make_pieces(pieces, &json);
        struct lm_tokenizer *t = NULL;
        struct lm_err err = { 0 };
        if (lm_tokenizer_parse(lm_buf_str(&json), "x.json", &t, &err) != LM_OK)
            fail_msg("%s", err.text);
        struct lm_encoder *e = lm_encoder_new(t);
        for (size_t i = 0; i < 40; i++) {
            char word[LEN_MAX];
            const struct lm_str text = { word, draw_word(word, LEN_MAX) };
            struct lm_tokens ids = { 0 };
            lm_encode(e, text, false, &ids);
            double sum = 0;
            size_t known = 0;   // bytes; unknown neighbours are one id, so they are counted by what is left
            for (size_t k = 0; k < ids.len; k++) {
                sum += ids.ids[k] ? pieces[ids.ids[k] - 1].score : 0;
                known += ids.ids[k] ? strlen(pieces[ids.ids[k] - 1].text) : 0;
            }
            sum += -30 * (double)(text.len - known);
            assert_float_equal(sum, best_sum(pieces, count, text, -30), 1e-9);
            lm_tokens_release(&ids);
        }
        lm_encoder_free(e);
        lm_tokenizer_free(t);
        lm_buf_release(&json);
    }
}

/* A long text is decided in windows: as often as it is repeated, so often are its ids, by a piece that ends
 * each repetition. */
static void a_long_text_is_its_parts(void **state)
{
    (void)state;
    struct lm_buf json = { 0 }, text = { 0 };
    lm_buf_printf(&json, "%s,[\"a\",-2],[\"ab\",-3],[\"ba\",-1.5],[\"b.\",-1],[\".\",-4]]}}", before);
    struct lm_tokenizer *t = NULL;
    assert_int_equal(lm_tokenizer_parse(lm_buf_str(&json), "x.json", &t, NULL), LM_OK);
    struct lm_encoder *e = lm_encoder_new(t);
    for (size_t i = 0; i < 40000; i++)
        lm_buf_puts(&text, "abab.xyab.");
    struct lm_tokens one = { 0 }, all = { 0 };
    lm_encode(e, (struct lm_str){ text.ptr, 10 }, false, &one);
    lm_encode(e, lm_buf_str(&text), false, &all);
    assert_int_equal(all.len, 40000 * one.len);
    for (size_t i = 0; i < all.len; i++)
        assert_int_equal(all.ids[i], one.ids[i % one.len]);
    lm_tokens_release(&one);
    lm_tokens_release(&all);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    lm_buf_release(&json);
    lm_buf_release(&text);
}

/* "a" and "b" are better than "ab" by less than a float of the whole sum could say. */
static void sums_in_float_stay_small(void **state)
{
    enum { TIMES = 40000 };
    (void)state;
    struct lm_trie_key keys[] = { { LM_STR("a"), 0 }, { LM_STR("b"), 1 }, { LM_STR("ab"), 2 } };
    double scores[] = { -600, -550, -1150.0625 };
    struct lm_unigram u = {
        .scores = scores, .size = 3, .unknown = 3, .unknown_score = -2000, .single = true
    };
    struct lm_unigram_scratch scratch = { 0 };
    struct lm_buf text = { 0 };
    lm_trie_make(&u.trie, keys, 3);
    for (size_t i = 0; i < TIMES; i++)
        lm_buf_puts(&text, "ab");
    uint32_t *ids = lm_alloc(text.len * sizeof(*ids));
    assert_int_equal(lm_unigram_ids(&u, &scratch, lm_buf_str(&text), ids, NULL), 2 * TIMES);
    for (uint32_t i = 0; i < 2 * TIMES; i++)
        assert_int_equal(ids[i], i % 2);
    free(ids);
    lm_buf_release(&text);
    lm_unigram_scratch_release(&scratch);
    lm_trie_release(&u.trie);
}

/* A model of sentencepiece's: sums in float, words kept.  Scores are few, so that many ways are nearly equal.
 */
static struct lm_tokenizer *make_float_model(void)
{
    struct lm_buf json = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    char texts[KEYS][8];
    size_t count = 0;
    lm_buf_puts(&json,
                "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,"
                "\"post_processor\":null,\"decoder\":null,\"model\":{\"type\":\"Unigram\",\"unk_id\":0,"
                "\"byte_fallback\":false,\"sentencepiece\":{\"add_dummy_prefix\":true,"
                "\"remove_extra_whitespaces\":true,\"unused\":[]},\"vocab\":[[\"<unk>\",0]");
    for (size_t i = 0; i < KEYS; i++) {
        texts[count][draw_word(texts[count], 4)] = 0;
        bool there = false;
        for (size_t k = 0; k < count; k++)
            there |= strcmp(texts[k], texts[count]) == 0;
        if (there)
            continue;
        const double score = -1 - (double)draw(3) - 1e-4 * draw(64);
        lm_buf_printf(&json, ",[\"%s%s\",%.6f]", draw(2) ? "\xe2\x96\x81" : "", texts[count++], score);
    }
    lm_buf_puts(&json, ",[\"\xe2\x96\x81\",-2.001]]}}");
    assert_ok_err(lm_tokenizer_parse(lm_buf_str(&json), "x.json", &t, &err), &err);
    assert_true(t->chain->unigram->single && t->chain->unigram->words);
    lm_buf_release(&json);
    return t;
}

/* With ranges each text is looked through as a whole, without, word by word as they were before. */
static void known_words_have_the_same_ids(void **state)
{
    (void)state;
    for (size_t round = 0; round < 12; round++) {
        struct lm_tokenizer *t = make_float_model();
        struct lm_encoder *e = lm_encoder_new(t);
        for (size_t i = 0; i < 12; i++) {
            struct lm_buf text = { 0 };
            struct lm_tokens got = { 0 }, want = { 0 };
            struct lm_spans spans = { 0 };
            for (size_t words = i == 0 ? 20000 : draw(400); words > 0; words--) {
                char word[LEN_MAX];
                lm_buf_add(&text, word, draw_word(word, 2 + draw(LEN_MAX - 1)));
                lm_buf_puts(&text, draw(40) ? " " : draw(2) ? "  q" : "\xe2\x96\x81");
            }
            lm_encode(e, lm_buf_str(&text), false, &got);
            lm_encode_spans(e, lm_buf_str(&text), false, &want, &spans);
            assert_int_equal(got.len, want.len);
            assert_memory_equal(got.ids, want.ids, got.len * sizeof(*got.ids));
            lm_spans_release(&spans);
            lm_tokens_release(&got);
            lm_tokens_release(&want);
            lm_buf_release(&text);
        }
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
}

/* ---- maps ---- */

/* Each thread has an encoder: texts of a batch have the ids they have one by one. */
static void threads_give_the_same_ids(void **state)
{
    (void)state;
    enum { TEXTS = 500 };
    struct piece pieces[8];
    struct lm_buf json = { 0 };
    struct lm_tokenizer *t = NULL;
    struct lm_err err = { 0 };
    struct lm_tokens want = { 0 }, got = { 0 };
    static char words[TEXTS][LEN_MAX];
    struct lm_str texts[TEXTS];
    size_t want_ends[TEXTS], got_ends[TEXTS];
    (void)make_pieces(pieces, &json);
    assert_ok_err(lm_tokenizer_parse(lm_buf_str(&json), "x.json", &t, &err), &err);
    assert_int_equal(t->family, LM_FAMILY_CHAIN);
    struct lm_encoder *e = lm_encoder_new(t);
    for (size_t i = 0; i < TEXTS; i++) {
        texts[i] = (struct lm_str){ words[i], draw_word(words[i], LEN_MAX) };
        lm_encode(e, texts[i], false, &want);
        want_ends[i] = want.len;
    }
    lm_threads_set(3);
    lm_encode_batch(t, texts, TEXTS, false, &got, got_ends);
    lm_threads_set(0);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ids, want.ids, want.len * sizeof(*got.ids));
    assert_memory_equal(got_ends, want_ends, sizeof(got_ends));
    lm_tokens_release(&want);
    lm_tokens_release(&got);
    lm_encoder_free(e);
    lm_tokenizer_free(t);
    lm_buf_release(&json);
}

static void broken_maps_are_refused(void **state)
{
    (void)state;
    /* The unit of 'a' is at 'a', its value where its distance says. */
    static const struct {
        uint32_t trie_bytes, unit, value;
        const char *message;   // NULL: it is sound
    } cases[] = {
        { 1024, 0x161 | 1 << 10, UINT32_C(1) << 31 | 3, NULL },
        { 1 << 20, 0, 0, "cut off" },
        { 1023, 0, 0, "cut off" },
        { 1024, 0x161 | 1 << 10, UINT32_C(1) << 31 | 1000, "broken" },           // no such text
        { 1024, 0x161 | 1 << 10, 3, "broken" },                                  // no value
        { 1024, 0x161 | UINT32_C(0x1fff) << 10, UINT32_C(1) << 31, "broken" },   // outside
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t words[300] = { cases[i].trie_bytes };
        struct lm_charsmap map = { 0 };
        struct lm_err err = { 0 };
        words[1 + 'a'] = cases[i].unit;
        words[1 + ('a' ^ 1)] = cases[i].value;
        const enum lm_rc rc =
            lm_charsmap_load((struct lm_str){ (const char *)words, sizeof(words) }, &map, &err);
        assert_int_equal(rc, cases[i].message ? LM_EFORMAT : LM_OK);
        if (cases[i].message)
            assert_contains(err.text, cases[i].message);
        lm_charsmap_release(&map);
    }
    struct lm_charsmap map = { 0 };
    assert_int_equal(lm_charsmap_load(LM_STR("abc"), &map, NULL), LM_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_key_is_found), cmocka_unit_test(the_pieces_have_the_best_sum),
        cmocka_unit_test(a_long_text_is_its_parts), cmocka_unit_test(known_words_have_the_same_ids),
        cmocka_unit_test(sums_in_float_stay_small), cmocka_unit_test(threads_give_the_same_ids),
        cmocka_unit_test(broken_maps_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

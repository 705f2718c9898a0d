/* Encoding fast against encoding by the definition: pieces as the rows of the grammars cut them, one at a
 * time, merged by the heap. */
#include "check.h"

#include "base/sys.h"
#include "text/text.h"
#include "token/normal.h"
#include "token/pieces.h"
#include "token/plan.h"
#include "token/words.h"

#include <pthread.h>

static const char *const names[] = {
    "gpt2", "llama3", "smollm", "qwen2", "several_ways", "metaspace", "bert"
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static size_t piece_ids(const struct lm_tokenizer *t, struct lm_str piece, struct lm_bpe_scratch *scratch,
                        struct lm_buf *word, uint32_t *ids)
{
    const uint32_t whole = lm_token_map_find(&t->model, &t->vocab, piece);
    if (t->ignore_merges && whole != LM_TOKEN_NONE && t->vocab.items[whole].kind != LM_TOKEN_SPECIAL) {
        ids[0] = whole;
        return 1;
    }
    if (t->family == LM_FAMILY_WORDS)
        return lm_words_ids(t, piece, word, ids);
    size_t count = 0;
    if (t->family == LM_FAMILY_PIECES)
        count = lm_pieces_ids(t, piece, ids);
    else
        for (size_t i = 0; i < piece.len; i++)
            ids[count++] = t->bpe.byte_id[(uint8_t)piece.ptr[i]];
    return count ? lm_bpe_merge_heap(&t->bpe, scratch, ids, count, NULL) : 0;
}

/* Of text without added tokens. */
static void encode_plainly(const struct lm_tokenizer *t, struct lm_str text, struct lm_tokens *ret)
{
    struct lm_buf normal = { 0 }, late = { 0 }, word = { 0 };
    struct lm_bpe_scratch scratch = { 0 };
    text = lm_token_normal(t, text, true, &normal);
    if (t->family == LM_FAMILY_PIECES && t->pieces.late)
        text = lm_pieces_normal(&t->pieces, text, true, &late);
    lm_grow(&ret->ids, &ret->cap, ret->len + text.len * 3 + 1, sizeof(*ret->ids));
    uint32_t end;
    for (size_t at = 0, start = 0; t->grammar->scan(text, &at, &end, 1) > 0; start = at)
        ret->len += piece_ids(t, (struct lm_str){ text.ptr + start, end - start }, &scratch, &word,
                              ret->ids + ret->len);
    lm_bpe_scratch_release(&scratch);
    lm_buf_release(&normal);
    lm_buf_release(&late);
    lm_buf_release(&word);
}

static void check_same(const char *name, struct lm_str text, const struct lm_tokens *want,
                       const struct lm_tokens *got)
{
    if (want->len != got->len ||
        (want->len && memcmp(want->ids, got->ids, want->len * sizeof(*got->ids)) != 0))
        fail_msg("%s: other ids for '%.*s'", name, (int)text.len, text.ptr);
}

/* Words, runs of one character, letters without an end, what pre-tokenisers treat differently. */
static void hard_text(struct lm_rng *rng, struct lm_buf *ret)
{
    static const char *const words[] = { "the ",    "and", " tokenizer",   "er",
                                         "ing",     " in", "\xe3\x81\xae", "\xe4\xb8\xad\xe6\x96\x87",
                                         "12",      "  ",  "th",           "\xed\x95\x9c",
                                         "\xc3\xa9" };
    struct lm_buf part = { 0 };
    lm_buf_reset(ret);
    for (size_t i = 0, parts = 1 + lm_rng_below(rng, 12); i < parts; i++) {
        const size_t kind = lm_rng_below(rng, 4), len = lm_rng_below(rng, kind == 0 ? 150 : 12);
        const char letter = "a-= e\n\x7f"[lm_rng_below(rng, 7)];
        for (size_t k = 0; kind == 0 && k < len; k++)
            lm_buf_putc(ret, letter);
        const size_t letters = lm_rng_below(rng, 150) ? len * 10 : 3000;   // more than parts are kept of
        for (size_t k = 0; kind == 1 && k < letters; k++)
            lm_buf_putc(ret, (char)('a' + lm_rng_below(rng, 26)));
        for (size_t k = 0; kind == 2 && k < len; k++)
            lm_buf_puts(ret, words[lm_rng_below(rng, sizeof(words) / sizeof(words[0]))]);
        if (kind == 3) {
            random_text(rng, 20, &part);
            lm_buf_add_str(ret, lm_buf_str(&part));
        }
    }
    lm_buf_release(&part);
}

static void ids_are_those_of_the_definition(void **state)
{
    (void)state;
    enum { ROUNDS = 1500 };
    struct lm_rng rng = lm_rng_make(21, 0);
    struct lm_buf text = { 0 };
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        struct lm_encoder *e = lm_encoder_new(t);
        for (size_t round = 0; round < ROUNDS; round++) {
            struct lm_tokens want = { 0 }, first = { 0 }, again = { 0 };
            hard_text(&rng, &text);
            struct lm_added_match match = { 0 };
            if (lm_added_next(&t->added, lm_buf_str(&text), (struct lm_allow){ 0 }, &match))
                continue;
            encode_plainly(t, lm_buf_str(&text), &want);
            lm_encode(e, lm_buf_str(&text), false, &first);
            lm_encode(e, lm_buf_str(&text), false, &again);   // from the cache
            check_same(names[n], lm_buf_str(&text), &want, &first);
            check_same(names[n], lm_buf_str(&text), &want, &again);
            lm_tokens_release(&want);
            lm_tokens_release(&first);
            lm_tokens_release(&again);
        }
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    lm_buf_release(&text);
}

/* Before there is a plan, after it, and across its making. */
static void the_first_texts_give_the_same_ids(void **state)
{
    (void)state;
    enum { TEXTS = 1000 };   // more than the plan waits for
    struct lm_rng rng = lm_rng_make(24, 0);
    struct lm_buf text = { 0 }, back = { 0 };
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]), *young = NULL;
        assert_int_equal(lm_tokenizer_parse(lm_tokenizer_json(t), names[n], &young, NULL), LM_OK);
        struct lm_encoder *e = lm_encoder_new(t), *first = lm_encoder_new(young);
        for (size_t i = 0; i < TEXTS; i++) {
            struct lm_tokens want = { 0 }, got = { 0 };
            hard_text(&rng, &text);
            lm_encode(e, lm_buf_str(&text), i % 2, &want);
            assert_true(i > 0 || !young->plan);
            lm_encode(first, lm_buf_str(&text), i % 2, &got);
            check_same(names[n], lm_buf_str(&text), &want, &got);
            lm_buf_reset(&text);
            lm_buf_reset(&back);
            assert_int_equal(lm_decode(t, want.ids, want.len, i % 3, &text, NULL), LM_OK);
            assert_int_equal(lm_decode(young, want.ids, want.len, i % 3, &back, NULL), LM_OK);
            assert_int_equal(text.len, back.len);
            assert_memory_equal(text.ptr, back.ptr, text.len);
            lm_tokens_release(&want);
            lm_tokens_release(&got);
        }
        assert_non_null(young->plan);
        lm_encoder_free(e);
        lm_encoder_free(first);
        lm_tokenizer_free(t);
        lm_tokenizer_free(young);
    }
    lm_buf_release(&text);
    lm_buf_release(&back);
}

/* Some megabytes, so that texts are cut; between them small ones and empty ones.  One says the same again and
 * again, so that threads meet the same new words at the same time. */
static void threads_give_the_same_ids(void **state)
{
    (void)state;
    enum { TEXTS = 6, REPEATED = 200 << 10 };
    static const size_t lens[TEXTS] = { 100, 1 << 20, 0, 1, 700 << 10, REPEATED };
    struct lm_rng rng = lm_rng_make(22, 0);
    struct lm_buf bufs[TEXTS] = { 0 }, part = { 0 };
    struct lm_str texts[TEXTS];
    for (size_t i = 0; i < TEXTS; i++) {
        const size_t times = lens[i] == REPEATED ? 1 : 20;
        while (bufs[i].len < lens[i]) {
            hard_text(&rng, &part);
            lm_buf_puts(&part, " text with blanks ");
            for (size_t k = 0; k < times; k++)
                lm_buf_add_str(&bufs[i], lm_buf_str(&part));
        }
        lm_buf_reset(&part);
        lm_buf_add_str(&part, lm_buf_str(&bufs[i]));
        while (lens[i] == REPEATED && bufs[i].len < 6 * REPEATED)
            lm_buf_add_str(&bufs[i], lm_buf_str(&part));
        texts[i] = lm_buf_str(&bufs[i]);
    }
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        struct lm_encoder *e = lm_encoder_new(t);
        struct lm_tokens want = { 0 }, got = { 0 };
        size_t want_ends[TEXTS], got_ends[TEXTS];
        for (size_t i = 0; i < TEXTS; i++) {
            lm_encode(e, texts[i], false, &want);
            want_ends[i] = want.len;
        }
        for (int threads = 2; threads <= 5; threads += 3) {
            got.len = 0;
            lm_threads_set(threads);
            lm_encode_batch(t, texts, TEXTS, false, &got, got_ends);
            lm_threads_set(0);
            assert_int_equal(got.len, want.len);
            assert_memory_equal(got.ids, want.ids, want.len * sizeof(*got.ids));
            assert_memory_equal(got_ends, want_ends, sizeof(got_ends));
        }
        lm_tokens_release(&want);
        lm_tokens_release(&got);
        lm_encoder_free(e);
        lm_tokenizer_free(t);
    }
    for (size_t i = 0; i < TEXTS; i++)
        lm_buf_release(&bufs[i]);
    lm_buf_release(&part);
}

/* Encoders side by side, each in a thread of its own, that learn from each other: small texts, so that tables
 * start small and grow while they are used. */
struct neighbour {
    struct lm_encoder *encoder;
    const struct lm_buf *texts;
    struct lm_tokens ids;
};
enum { NEIGHBOURS = 3, NEIGHBOUR_TEXTS = 150 };

static void *encode_beside(void *data)
{
    struct neighbour *n = data;
    for (size_t i = 0; i < NEIGHBOUR_TEXTS; i++)
        lm_encode(n->encoder, lm_buf_str(&n->texts[i]), false, &n->ids);
    lm_encoder_free(n->encoder);
    return NULL;
}

static void encoders_side_by_side_give_the_same_ids(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(25, 0);
    struct lm_buf texts[NEIGHBOUR_TEXTS] = { 0 };
    for (size_t i = 0; i < NEIGHBOUR_TEXTS; i++)
        hard_text(&rng, &texts[i]);
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        struct neighbour alone = { lm_encoder_new(t), texts, { 0 } }, many[NEIGHBOURS];
        pthread_t threads[NEIGHBOURS];
        for (size_t i = 0; i < NEIGHBOURS; i++)
            many[i] = (struct neighbour){ i ? lm_encoder_beside(many[0].encoder) : lm_encoder_new(t),
                                          texts,
                                          { 0 } };
        for (size_t i = 0; i < NEIGHBOURS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, encode_beside, &many[i]), 0);
        encode_beside(&alone);
        for (size_t i = 0; i < NEIGHBOURS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(many[i].ids.len, alone.ids.len);
            assert_memory_equal(many[i].ids.ids, alone.ids.ids, alone.ids.len * sizeof(*alone.ids.ids));
            lm_tokens_release(&many[i].ids);
        }
        lm_tokens_release(&alone.ids);
        lm_tokenizer_free(t);
    }
    for (size_t i = 0; i < NEIGHBOUR_TEXTS; i++)
        lm_buf_release(&texts[i]);
}

static void decoding_adds_what_each_id_adds(void **state)
{
    (void)state;
    enum { ROUNDS = 300, IDS = 60 };
    struct lm_rng rng = lm_rng_make(23, 0);
    for (size_t n = 0; n < NAMES; n++) {
        struct lm_tokenizer *t = golden_tokenizer(names[n]);
        for (size_t round = 0; round < ROUNDS; round++) {
            uint32_t ids[IDS];
            struct lm_buf want = { 0 }, got = { 0 };
            bool inside = false, blank;
            size_t count = 0;
            while (count < IDS) {
                ids[count] = (uint32_t)lm_rng_below(&rng, lm_tokenizer_vocab_size(t));
                count += t->vocab.items[ids[count]].kind != LM_TOKEN_HOLE;
            }
            for (size_t i = 0; i < IDS; i++) {
                if (round % 2 && lm_tokenizer_is_special(t, ids[i]))
                    continue;
                const struct lm_str bytes = lm_decode_bytes(t, ids[i], &inside, &blank);
                if (blank)
                    lm_buf_putc(&want, ' ');
                lm_buf_add_str(&want, bytes);
            }
            assert_int_equal(lm_decode(t, ids, IDS, round % 2, &got, NULL), LM_OK);
            assert_true(lm_str_eq(lm_buf_str(&got), lm_buf_str(&want)));
            ids[IDS - 1] = lm_tokenizer_vocab_size(t);
            struct lm_err err = { 0 };
            assert_int_equal(lm_decode(t, ids, IDS, round % 2, &got, &err), LM_EINVAL);
            assert_contains(err.text, "number 59");
            assert_true(lm_str_eq(lm_buf_str(&got), lm_buf_str(&want)));   // nothing appended
            lm_buf_release(&want);
            lm_buf_release(&got);
        }
        lm_tokenizer_free(t);
    }
}

/* By segments, and all at once. */
static void segments_normalise_as_the_whole(void **state)
{
    (void)state;
    enum { ROUNDS = 4000 };
    static const uint32_t ranges[][2] = { { 'a', 'z' },       { 0xc0, 0x17f },      { 0x300, 0x345 },
                                          { 0x370, 0x3ff },   { 0x5b0, 0x5bd },     { 0x93c, 0x95f },
                                          { 0x1100, 0x11c2 }, { 0xac00, 0xac20 },   { 0x1ea0, 0x1fff },
                                          { 0x2000, 0x232b }, { 0x3040, 0x30ff },   { 0xf900, 0xfaff },
                                          { 0xff00, 0xffef }, { 0x10f46, 0x10f50 }, { 0x1d15e, 0x1d164 },
                                          { 0x2ad0, 0x2ae0 }, { 0x4e00, 0x4e10 } };
    struct lm_rng rng = lm_rng_make(24, 0);
    struct lm_buf text = { 0 }, whole = { 0 }, parts = { 0 };
    for (size_t round = 0; round < ROUNDS; round++) {
        lm_buf_reset(&text);
        for (size_t i = 0, chars = lm_rng_below(&rng, 30); i < chars; i++) {
            const uint32_t *range = ranges[lm_rng_below(&rng, sizeof(ranges) / sizeof(ranges[0]))];
            char bytes[4];
            lm_buf_add(&text, bytes,
                       lm_utf8_put(range[0] + (uint32_t)lm_rng_below(&rng, range[1] - range[0] + 1), bytes));
        }
        const struct lm_str want = lm_token_form(LM_FORM_NFC, lm_buf_str(&text), &whole);
        assert_true(lm_str_eq(lm_token_nfc(lm_buf_str(&text), &parts), want));
    }
    lm_buf_release(&text);
    lm_buf_release(&whole);
    lm_buf_release(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_definition),
        cmocka_unit_test(the_first_texts_give_the_same_ids),
        cmocka_unit_test(threads_give_the_same_ids),
        cmocka_unit_test(encoders_side_by_side_give_the_same_ids),
        cmocka_unit_test(segments_normalise_as_the_whole),
        cmocka_unit_test(decoding_adds_what_each_id_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}

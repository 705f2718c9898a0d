/* Where values of JSON end: as a plain walk, byte by byte, says; for random texts over the bytes that matter.
 */
#include "check.h"

#include "base/json.h"
#include "base/rng.h"
#include "base/sys.h"
#include "token/load.h"
#include "token/plan.h"

/* The rule, one byte at a time, without blocks. */
static size_t plain_end(const char *text, size_t len)
{
    size_t depth = 0;
    bool inside = false;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        if (inside && c == '\\') {
            i++;
        } else if (c == '"') {
            inside = !inside;
        } else if (!inside && (c == '[' || c == '{')) {
            depth++;
        } else if (!inside && (c == ']' || c == '}')) {
            if (--depth == 0)
                return i + 1;
        }
    }
    return 0;
}

/* Random bytes, of which some are frequent: a bracket each 2 to 100 bytes, and so on. */
static void fill(struct lm_rng *rng, char *text, size_t len)
{
    static const char bytes[] = "\"\\[]{}";
    const uint32_t rare = 2 + (uint32_t)lm_rng_below(rng, 100);
    const bool slashes = lm_rng_below(rng, 3) == 0;
    for (size_t i = 0; i < len; i++) {
        char c = lm_rng_below(rng, rare) ? (char)('a' + lm_rng_below(rng, 26)) : bytes[lm_rng_below(rng, 6)];
        text[i] = c == '\\' && !slashes ? '"' : c;
    }
    text[0] = '[';
}

static void values_end_where_a_plain_walk_says(void **state)
{
    (void)state;
    enum { ROUNDS = 100000, LEN_MAX = 400 };
    struct lm_rng rng = lm_rng_make(7, 7);
    size_t ended = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t len = 1 + lm_rng_below(&rng, LEN_MAX);
        LM_FREE char *text = lm_alloc(len);   // exactly as long, so that reading further is seen
        fill(&rng, text, len);
        const size_t expected = plain_end(text, len);
        const char *end = lm_load_value_end(text, text + len);
        assert_ptr_equal(end, expected ? text + expected : NULL);
        ended += expected > 64;
    }
    assert_true(ended > ROUNDS / 100);
}

static void bytes_are_counted(void **state)
{
    (void)state;
    struct lm_rng rng = lm_rng_make(8, 8);
    for (size_t len = 0; len < 200; len++) {
        LM_FREE char *text = lm_alloc(len + 1);
        size_t count = 0;
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)('a' + lm_rng_below(&rng, 3));
            count += text[i] == 'b';
        }
        assert_int_equal(lm_load_count((struct lm_str){ text, len }, 'b'), count);
    }
}

/* ---- large files, which are read by two threads ---- */

static void put_token(struct lm_buf *vocab, struct lm_str bytes, uint32_t id)
{
    struct lm_buf text = { 0 };
    lm_bytes_to_text(bytes, &text);
    lm_json_sep(vocab);
    lm_json_str(vocab, lm_buf_str(&text));
    lm_buf_printf(vocab, ":%u", id);
    lm_buf_release(&text);
}

enum { LETTERS = 52, PAIRS = LETTERS * LETTERS, ENDS = 26 };

static char letter(size_t i)
{
    return (char)(i < 26 ? 'a' + i : 'A' + i - 26);
}

/* All bytes, all pairs of letters, and all with a small letter behind; each is made by one line, in this
 * order, but for line `wrong`, whose right side is no token. */
static void write_large(size_t wrong, struct lm_buf *ret)
{
    struct lm_buf vocab = { 0 }, merges = { 0 };
    uint32_t id = 0;
    for (; id < 256; id++)
        put_token(&vocab, (struct lm_str){ (const char[]){ (char)id }, 1 }, id);
    for (size_t i = 0; i < PAIRS + (size_t)PAIRS * ENDS; i++, id++) {
        const size_t pair = i < PAIRS ? i : (i - PAIRS) / ENDS;
        const char token[] = { letter(pair / LETTERS), letter(pair % LETTERS),
                               i < PAIRS ? 0 : letter((i - PAIRS) % ENDS), 0 };
        const int left = i < PAIRS ? 1 : 2;
        put_token(&vocab, lm_str(token), id);
        lm_buf_printf(&merges, "%s\n      [ \"%.*s\", \"%s%s\" ]", i ? "," : "", left, token, token + left,
                      i == wrong ? "qqq" : "");
    }
    lm_buf_printf(ret,
                  "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":"
                  "\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},\"post_processor\":null,"
                  "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{");
    lm_buf_add_str(ret, lm_buf_str(&vocab));
    lm_buf_puts(ret, "},\"merges\":[");
    lm_buf_add_str(ret, lm_buf_str(&merges));
    lm_buf_puts(ret, "]}}");
    lm_buf_release(&vocab);
    lm_buf_release(&merges);
}

static void two_threads_load_the_same(void **state)
{
    (void)state;
    struct lm_tokenizer *t[2] = { NULL, NULL };
    const struct lm_bpe_wide *wide[2];
    struct lm_buf json = { 0 };
    write_large(SIZE_MAX, &json);
    for (int i = 0; i < 2; i++) {
        struct lm_err err = { 0 };
        lm_threads_set(i + 1);
        assert_ok_err(lm_tokenizer_parse(lm_buf_str(&json), "large", &t[i], &err), &err);
        wide[i] = &lm_token_plan(t[i])->bpe;
    }
    lm_threads_set(0);
    assert_int_equal(t[0]->bpe.len, PAIRS + PAIRS * ENDS);
    assert_int_equal(t[1]->bpe.len, t[0]->bpe.len);
    assert_memory_equal(t[1]->bpe.slots, t[0]->bpe.slots, (t[0]->bpe.mask + 1) * sizeof(*t[0]->bpe.slots));
    assert_int_equal(wide[0]->line_bits, wide[1]->line_bits);
    assert_memory_equal(wide[0]->lines, wide[1]->lines, sizeof(*wide[0]->lines) << wide[0]->line_bits);
    for (uint32_t i = 0, id = 256; i < t[0]->bpe.len; i++, id++) {   // as it was written
        const struct lm_str made = lm_vocab_bytes(&t[1]->vocab, id);
        const uint32_t left = i < PAIRS ? (uint8_t)made.ptr[0] : 256 + (i - PAIRS) / ENDS;
        const struct lm_merge *m = lm_bpe_find(&t[1]->bpe, left, (uint8_t)made.ptr[made.len - 1]);
        assert_true(m && m->id == id && m->rank == i);
    }
    for (int i = 0; i < 2; i++)
        lm_tokenizer_free(t[i]);
    lm_buf_release(&json);
}

static void two_threads_refuse_the_same(void **state)
{
    (void)state;
    static const size_t wrong[] = { 0, 40000, PAIRS + PAIRS * ENDS - 1 };
    for (size_t w = 0; w < sizeof(wrong) / sizeof(wrong[0]); w++) {
        struct lm_buf json = { 0 }, line = { 0 };
        write_large(wrong[w], &json);
        lm_buf_printf(&line, "merge %zu: '", wrong[w]);
        for (int i = 0; i < 2; i++) {
            struct lm_tokenizer *t = NULL;
            struct lm_err err = { 0 };
            lm_threads_set(i + 1);
            assert_int_equal(lm_tokenizer_parse(lm_buf_str(&json), "large", &t, &err), LM_EFORMAT);
            assert_contains(err.text, line.ptr);
            assert_contains(err.text, "qqq' is no ordinary token");
        }
        lm_threads_set(0);
        lm_buf_release(&json);
        lm_buf_release(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_end_where_a_plain_walk_says),
        cmocka_unit_test(bytes_are_counted),
        cmocka_unit_test(two_threads_load_the_same),
        cmocka_unit_test(two_threads_refuse_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

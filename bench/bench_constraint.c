/* Masks of constrained decoding: what a token costs, and compiling.  bench_constraint [--smoke] [MODEL]: with
 * the vocabulary of a model, or a made-up one of 49,152 tokens.
 *
 * A walk follows a text by the longest token that fits each time, or takes tokens that fit at random.  Every
 * run compiles anew, so that all that is found on the way is paid for; the cost of a token is that of its
 * mask and its step, the least of all runs. */
#include "base/mem.h"
#include "base/sys.h"
#include "infer/constraint.h"
#include "model/model.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 9, TOKENS_MAX = 400, VOCAB = 49152 };

static int runs = RUNS;
static struct lm_constraint_vocab *vocab;
static const struct lm_tokenizer *tokenizer;

static void row(const char *name, double value, const char *unit)
{
    printf("constraint,%s,%.4g,%s,%d\n", name, value, unit, runs);
    fflush(stdout);
}

/* The longest token of the mask that the text begins with; UINT32_MAX: none. */
static uint32_t longest(const uint64_t *mask, struct lm_str text)
{
    uint32_t best = UINT32_MAX;
    size_t best_len = 0;
    for (uint32_t id = 0; id < lm_tokenizer_vocab_size(tokenizer); id++) {
        const struct lm_str bytes = lm_tokenizer_bytes(tokenizer, id);
        if (bytes.len > best_len && mask_has(mask, id) && lm_str_starts(text, bytes)) {
            best = id;
            best_len = bytes.len;
        }
    }
    return best;
}

/* text NULL: at random.  Least costs into us[]; returns the number of tokens. */
static size_t walk(const struct lm_constraint *c, const char *text, double us[TOKENS_MAX])
{
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    struct lm_rng rng = lm_rng_make(5, 0);
    struct lm_str rest = lm_str(text);
    size_t count = 0, set;
    while (count < TOKENS_MAX && (!text || rest.len > 0)) {
        const uint64_t start = lm_now_ns();
        const uint64_t *mask = lm_constraint_mask(w, NULL, 0, &set);
        const uint64_t masked = lm_now_ns();
        const uint32_t id = text      ? longest(mask, rest)
                            : set > 0 ? random_token(&rng, mask, lm_tokenizer_vocab_size(tokenizer))
                                      : UINT32_MAX;
        if (id == UINT32_MAX)
            break;
        const uint64_t chosen = lm_now_ns();
        if (!lm_constraint_accept(w, id))
            abort();
        const double cost = (double)(lm_now_ns() - chosen + masked - start) * 1e-3;
        us[count] = us[count] > 0 && us[count] < cost ? us[count] : cost;
        count++;
        if (text) {
            const size_t len = lm_tokenizer_bytes(tokenizer, id).len;
            rest = (struct lm_str){ rest.ptr + len, rest.len - len };
        }
    }
    if (text && rest.len > 0)
        fprintf(stderr, "bench: the text does not fit at: %.40s\n", rest.ptr);
    lm_constraint_walk_free(w);
    return count;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench(const char *name, enum lm_constraint_kind kind, const char *source, const char *text)
{
    double us[TOKENS_MAX] = { 0 }, compile_ms = 1e9;
    size_t count = 0;
    char label[128];
    for (int r = 0; r < runs; r++) {
        struct lm_constraint *c;
        struct lm_err err = { 0 };
        const uint64_t start = lm_now_ns();
        if (lm_constraint_new(vocab, kind, lm_str(source), NULL, &c, &err) != LM_OK) {
            fprintf(stderr, "bench: %s: %s\n", name, err.text);
            abort();
        }
        const double ms = (double)(lm_now_ns() - start) * 1e-6;
        compile_ms = ms < compile_ms ? ms : compile_ms;
        count = walk(c, text, us);
        lm_constraint_free(c);
    }
    qsort(us, count, sizeof(*us), by_value);
    snprintf(label, sizeof(label), "%s of %zu tokens %s", name, count, text ? "along a text" : "at random");
    char full[160];
    snprintf(full, sizeof(full), "%s: compile", label);
    row(full, compile_ms, "ms");
    snprintf(full, sizeof(full), "%s: median", label);
    row(full, count > 0 ? us[count / 2] : 0, "us/token");
    snprintf(full, sizeof(full), "%s: largest", label);
    row(full, count > 0 ? us[count - 1] : 0, "us/token");
}

static const char person[] = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{"
                             "\"type\":\"integer\",\"minimum\":0,"
                             "\"maximum\":150},\"email\":{\"type\":\"string\",\"format\":\"email\"},\"role\":"
                             "{\"enum\":[\"admin\",\"editor\","
                             "\"reader\"]},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
                             "\"maxLength\":40},\"maxItems\":10},"
                             "\"address\":{\"type\":\"object\",\"properties\":{\"street\":{\"type\":"
                             "\"string\"},\"city\":{\"type\":\"string\"}},"
                             "\"required\":[\"street\",\"city\"],\"additionalProperties\":false},\"score\":{"
                             "\"type\":\"number\"}},\"required\":"
                             "[\"name\",\"age\",\"role\"],\"additionalProperties\":false}";
static const char person_text[] = "{\"name\": \"Ada Lovelace, Countess of the Analytical Engine\", \"age\": "
                                  "36, \"email\": \"ada@example.org\", "
                                  "\"role\": \"editor\", \"tags\": [\"mathematics\", \"programs written "
                                  "before computers\"], \"address\": {\"street\": "
                                  "\"12 St James's Square\", \"city\": \"London\"}, \"score\": -12.75}";
static const char free_text[] =
    "{\n  \"title\": \"What does VACUUM do? It reclaims storage, and more: caf\xc3\xa9 \xe2\x82\xac 5.\",\n  "
    "\"list\": "
    "[1, 2.5, -3e10, true, null, {\"a\": {\"b\": [\"deep\", \"\\u00e9\\n\"]}}],\n  \"end\": {}\n}";

/* An object of many optional properties, then open to others. */
static char *wide_schema(size_t properties)
{
    struct lm_buf s = { 0 };
    lm_buf_puts(&s, "{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < properties; i++)
        lm_buf_printf(&s, "%s\"field_%zu\":{\"type\":[\"string\",\"number\"]}", i ? "," : "", i * 7919);
    lm_buf_puts(&s, "},\"additionalProperties\":{\"type\":\"string\"}}");
    return lm_buf_take(&s);
}

static void bench_all(void)
{
    LM_FREE char *wide = wide_schema(100);
    bench("person", LM_CONSTRAINT_JSON_SCHEMA, person, person_text);
    bench("person", LM_CONSTRAINT_JSON_SCHEMA, person, NULL);
    bench("any JSON", LM_CONSTRAINT_JSON, "", free_text);
    bench("any JSON", LM_CONSTRAINT_JSON, "", NULL);
    bench("100 optional properties", LM_CONSTRAINT_JSON_SCHEMA, wide,
          "{\"field_0\": \"a\", \"field_15838\": 7, \"field_776062\": \"the last but one\", \"other\": "
          "\"free\"}");
    bench("string of 2000", LM_CONSTRAINT_JSON_SCHEMA, "{\"type\":\"string\",\"maxLength\":2000}", NULL);
    bench("words", LM_CONSTRAINT_REGEX, "[a-z]+( [a-z]+)*\\.",
          "the quick brown fox jumps over the lazy dog.");
    bench("letters of 500", LM_CONSTRAINT_REGEX, "[A-Za-z ]{1,500}", "The quick brown fox jumps over it");
    bench(
        "arithmetic", LM_CONSTRAINT_GRAMMAR,
        "root ::= sum\nsum ::= term ((\" + \" | \" - \") term)*\nterm ::= [0-9]+ | [a-z]+ | \"(\" sum \")\"",
        "12 + (x - (37 + y)) - 4 + (((a - b) + 100) - z)");
}

int main(int argc, char **argv)
{
    const bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
    const char *path = argc > 1 + smoke ? argv[1 + smoke] : NULL;
    struct lm_err err = { 0 };
    struct lm_tokenizer *own = NULL;
    struct lm_rng rng = lm_rng_make(1, 0);
    runs = smoke ? 1 : RUNS;
    if (path && lm_model_tokenizer(path, &own, &err) != LM_OK) {
        fprintf(stderr, "bench: %s\n", err.text);
        return 1;
    }
    if (!path)
        own =
            random_vocabulary(&rng, smoke ? 4096 : VOCAB, 12, " eeettaaoinsrhldcumfpgwybv,.-(=0123456789\n");
    tokenizer = own;
    const uint64_t start = lm_now_ns();
    vocab = lm_constraint_vocab_new(tokenizer);
    row("vocabulary", (double)(lm_now_ns() - start) * 1e-6, "ms");
    bench_all();
    lm_constraint_vocab_free(vocab);
    lm_tokenizer_free(own);
    return 0;
}

/* interop_constraint WALKS: for each line of standard input, a JSON Schema, a line of JSON on standard
 * output:
 * {"error":"..."}, or {"texts":[...],"unfinished":n}, the texts of WALKS random walks over its masks.
 * tests/interop/check_schemas.py has them judged by jsonschema.
 *
 * interop_constraint masks TOKENIZER: lines are {"schema":...,"text":"..."}; answers {"masks":["hex",...]},
 * the mask before each token of the text (bit 0 of the first byte is id 0; the end of text included), taken
 * byte by byte, with the vocabulary written to the file TOKENIZER.  tests/interop/check_masks.py compares
 * them with llguidance's. */
#include "base/json.h"
#include "base/mem.h"
#include "infer/constraint.h"
#include "infer/constraint_tree.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>

enum { VOCAB = 1500, TOKENS_MAX = 600, END_WORDS = (VOCAB + 63) / 64 };

static struct lm_tokenizer *tokenizer;
static struct lm_constraint_vocab *vocab;

/* Mostly a token that closes something, so that walks come to an end. */
static uint32_t choose(struct lm_rng *rng, const uint64_t *mask)
{
    uint32_t id = random_token(rng, mask, VOCAB);
    for (size_t tries = lm_rng_below(rng, 12); tries > 0; tries--) {
        const struct lm_str bytes = lm_tokenizer_bytes(tokenizer, id);
        if (id == VOCABULARY_END || memchr(bytes.ptr, '"', bytes.len) || memchr(bytes.ptr, '}', bytes.len) ||
            memchr(bytes.ptr, ']', bytes.len))
            break;
        id = random_token(rng, mask, VOCAB);
    }
    return id;
}

/* False when the walk does not come to an end. */
static bool walk(const struct lm_constraint *c, struct lm_rng *rng, struct lm_buf *ret)
{
    static const uint32_t ends[] = { VOCABULARY_END };
    struct lm_constraint_walk *w = lm_constraint_walk_new(c);
    bool ended = false;
    for (size_t i = 0; i < TOKENS_MAX && !ended; i++) {
        size_t count;
        const uint64_t *mask = lm_constraint_mask(w, ends, 1, &count);
        LM_ASSERT(count > 0);
        const uint32_t id = choose(rng, mask);
        ended = id == VOCABULARY_END;
        if (!ended) {
            LM_ASSERT(lm_constraint_accept(w, id));
            lm_buf_add_str(ret, lm_tokenizer_bytes(tokenizer, id));
        }
    }
    lm_constraint_walk_free(w);
    return ended;
}

static struct lm_constraint *compile(struct lm_str schema, struct lm_buf *out)
{
    struct lm_constraint *c = NULL;
    struct lm_err err = { 0 };
    const struct lm_constraint_limits limits = { .ms = 5000 };
    if (lm_constraint_new(vocab, LM_CONSTRAINT_JSON_SCHEMA, schema, &limits, &c, &err) == LM_OK)
        return c;
    lm_buf_puts(out, "{");
    lm_json_key_str(out, "error", lm_str(err.text));
    lm_buf_puts(out, "}");
    return NULL;
}

static void answer_texts(struct lm_str schema, size_t walks, struct lm_rng *rng, struct lm_buf *out)
{
    struct lm_constraint *c = compile(schema, out);
    int64_t unfinished = 0;
    if (!c)
        return;
    lm_buf_puts(out, "{\"texts\":[");
    for (size_t i = 0; i < walks; i++) {
        struct lm_buf text = { 0 };
        if (walk(c, rng, &text)) {
            lm_json_sep(out);
            lm_json_str(out, lm_buf_str(&text));
        } else {
            unfinished++;
        }
        lm_buf_release(&text);
    }
    lm_buf_puts(out, "]");
    lm_json_key_int(out, "unfinished", unfinished);
    lm_buf_puts(out, "}");
    lm_constraint_free(c);
}

static void put_mask(struct lm_constraint_walk *w, struct lm_buf *out)
{
    static const uint32_t ends[] = { VOCABULARY_END };
    size_t count;
    char hex[2 * END_WORDS * 8 + 1];
    const uint64_t *mask = lm_constraint_mask(w, ends, 1, &count);
    lm_hex(mask, END_WORDS * 8, hex);
    lm_json_sep(out);
    lm_json_str(out, lm_str(hex));
}

static void answer_masks(struct lm_str line, struct lm_buf *out)
{
    struct lm_arena arena = { 0 };
    struct lm_tree *root;
    struct lm_buf schema = { 0 };
    if (lm_tree_read(line, "line", &arena, &root, NULL) != LM_OK)
        abort();
    lm_tree_write(lm_tree_get(root, "schema"), &schema);
    const struct lm_str text = lm_tree_get(root, "text")->text;
    struct lm_constraint *c = compile(lm_buf_str(&schema), out);
    if (c) {
        struct lm_constraint_walk *w = lm_constraint_walk_new(c);
        lm_buf_puts(out, "{\"masks\":[");
        put_mask(w, out);
        for (size_t i = 0; i < text.len && lm_constraint_accept(w, VOCABULARY_BYTE + (uint8_t)text.ptr[i]);
             i++)
            put_mask(w, out);
        lm_buf_puts(out, "]}");
        lm_constraint_walk_free(w);
        lm_constraint_free(c);
    }
    lm_buf_release(&schema);
    lm_arena_release(&arena);
}

static void write_tokenizer(const char *path)
{
    const struct lm_str json = lm_tokenizer_json(tokenizer);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(json.ptr, 1, json.len, file) != json.len || fclose(file) != 0)
        abort();
}

int main(int argc, char **argv)
{
    struct lm_rng rng = lm_rng_make(11, 0);
    struct lm_buf out = { 0 };
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    const bool masks = argc == 3 && strcmp(argv[1], "masks") == 0;
    if (argc != 2 && !masks)
        return 2;
    tokenizer = random_vocabulary(&rng, VOCAB, 9, "\"\"{}[]:,0123456789abctrue \n-.\\\xc3\xa9\xe2\x82\xac");
    vocab = lm_constraint_vocab_new(tokenizer);
    if (masks)
        write_tokenizer(argv[2]);
    while ((len = getline(&line, &cap, stdin)) > 0) {
        lm_buf_reset(&out);
        if (masks)
            answer_masks((struct lm_str){ line, (size_t)len }, &out);
        else
            answer_texts((struct lm_str){ line, (size_t)len }, strtoul(argv[1], NULL, 10), &rng, &out);
        puts(out.ptr);
        fflush(stdout);
    }
    free(line);
    lm_buf_release(&out);
    lm_constraint_vocab_free(vocab);
    lm_tokenizer_free(tokenizer);
    return 0;
}

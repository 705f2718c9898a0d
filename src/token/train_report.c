/* token/train_report.c - what a trained vocabulary does to the texts it was made of. */
#include "token/train.h"

#include "base/hash.h"
#include "base/json.h"
#include "text/text.h"
#include "token/unicode.h"
#include "token/write.h"

enum {
    GROUPS_MAX = 256,             // languages, sources; further ones are counted together
    SAMPLES_MAX = 32,             // texts of a group
    SAMPLE_BYTES_MAX = 8 << 10,   // of a text
    LONGEST_COUNT = 20,
    RARE_COUNT = 20,
    RARE_BELOW = 10,
};

struct sample {
    uint64_t hash;   // those with the smallest are kept, whatever the order
    struct lm_buf text;
};

struct group {
    char *name;
    uint64_t texts, bytes;
    struct sample samples[SAMPLES_MAX];   // ascending
    size_t sample_count;
};

struct groups {
    struct group *items[GROUPS_MAX];
    size_t len;
};

struct lm_train_report {
    struct groups languages, sources;
};

struct lm_train_report *lm_train_report_new(void)
{
    return lm_zalloc(1, sizeof(struct lm_train_report));
}

static void groups_release(struct groups *g)
{
    for (size_t i = 0; i < g->len; i++) {
        for (size_t k = 0; k < g->items[i]->sample_count; k++)
            lm_buf_release(&g->items[i]->samples[k].text);
        free(g->items[i]->name);
        free(g->items[i]);
    }
}

void lm_train_report_free(struct lm_train_report *r)
{
    if (!r)
        return;
    groups_release(&r->languages);
    groups_release(&r->sources);
    free(r);
}

/* ---- samples ---- */

static struct group *find_group(struct groups *g, struct lm_str name)
{
    for (size_t i = 0; i < g->len; i++)
        if (lm_str_eq(name, lm_str(g->items[i]->name)))
            return g->items[i];
    if (g->len == GROUPS_MAX)
        return NULL;
    struct group *added = lm_zalloc(1, sizeof(*added));
    struct lm_buf text = { 0 };
    lm_buf_add_str(&text, name);
    added->name = lm_buf_take(&text);
    g->items[g->len++] = added;
    return added;
}

static struct lm_str head_of(struct lm_str text)
{
    if (text.len <= SAMPLE_BYTES_MAX)
        return text;
    size_t len = SAMPLE_BYTES_MAX;
    while (len > 0 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return (struct lm_str){ text.ptr, len };
}

static void add_to(struct groups *groups, struct lm_str name, struct lm_str text, uint64_t hash)
{
    struct group *g = find_group(groups, name.len > 0 ? name : LM_STR("unknown"));
    if (!g)
        return;
    g->texts++;
    g->bytes += text.len;
    if (g->sample_count == SAMPLES_MAX && hash >= g->samples[SAMPLES_MAX - 1].hash)
        return;
    size_t at = g->sample_count < SAMPLES_MAX ? g->sample_count++ : SAMPLES_MAX - 1;
    struct lm_buf kept = g->samples[at].text;
    for (; at > 0 && g->samples[at - 1].hash > hash; at--)
        g->samples[at] = g->samples[at - 1];
    lm_buf_reset(&kept);
    lm_buf_add_str(&kept, head_of(text));
    g->samples[at] = (struct sample){ hash, kept };
}

void lm_train_report_add(struct lm_train_report *r, const struct lm_train_text *text)
{
    const struct lm_str head = head_of(text->text);
    const uint64_t hash = lm_hash64(head.ptr, head.len);
    add_to(&r->languages, text->language, text->text, hash);
    add_to(&r->sources, text->source, text->text, hash);
}

/* ---- fertility ---- */

struct figures {
    uint64_t bytes, chars, words, tokens, unknown;
};

static void count_text(struct lm_str text, struct figures *f)
{
    bool inside = false;
    uint32_t cp;
    f->bytes += text.len;
    for (size_t at = 0; at < text.len;) {
        at += lm_utf8_next(text, at, &cp);
        const bool blank = lm_unicode_class(cp) == LM_UCLASS_SPACE;
        f->chars++;
        f->words += !blank && !inside;
        inside = !blank;
    }
}

/* Tokens that stand for a character that has none: the unknown one, or bytes of sentencepiece. */
static bool is_makeshift(const struct lm_tokenizer *t, uint32_t id)
{
    if (id == t->unknown)
        return true;
    const struct lm_str bytes = lm_vocab_bytes(&t->vocab, id);
    return t->family == LM_FAMILY_PIECES && t->pieces.byte_fallback && bytes.len == 1 &&
           t->bpe.byte_id[(uint8_t)*bytes.ptr] == id;
}

static struct figures measure(const struct group *g, const struct lm_tokenizer *t, struct lm_encoder *e)
{
    struct figures f = { 0 };
    struct lm_tokens tokens = { 0 };
    for (size_t i = 0; i < g->sample_count; i++) {
        tokens.len = 0;
        lm_encode(e, lm_buf_str(&g->samples[i].text), false, &tokens);
        count_text(lm_buf_str(&g->samples[i].text), &f);
        f.tokens += tokens.len;
        for (size_t k = 0; k < tokens.len; k++)
            f.unknown += is_makeshift(t, tokens.ids[k]);
    }
    lm_tokens_release(&tokens);
    return f;
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct group *const *)a)->name, (*(struct group *const *)b)->name);
}

static void write_groups(const char *key, const struct groups *groups, const struct lm_tokenizer *t,
                         struct lm_encoder *e, struct lm_buf *ret)
{
    struct groups sorted = *groups;
    if (sorted.len > 0)
        qsort((void *)sorted.items, sorted.len, sizeof(struct group *), by_name);
    lm_json_key(ret, key);
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < sorted.len; i++) {
        const struct figures f = measure(sorted.items[i], t, e);
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "name", lm_str(sorted.items[i]->name));
        lm_json_key_int(ret, "texts", (int64_t)sorted.items[i]->texts);
        lm_json_key_int(ret, "text_bytes", (int64_t)sorted.items[i]->bytes);
        lm_json_key_int(ret, "sample_bytes", (int64_t)f.bytes);
        lm_json_key_num(ret, "tokens_per_word", ratio(f.tokens, f.words));
        lm_json_key_num(ret, "bytes_per_token", ratio(f.bytes, f.tokens));
        lm_json_key_num(ret, "characters_per_token", ratio(f.chars, f.tokens));
        lm_json_key_num(ret, "covered", 1 - ratio(f.unknown, f.tokens));
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
}

/* ---- tokens ---- */

/* The longest tokens, longer first, smaller ids first. */
static void write_longest(const struct lm_tokenizer *t, struct lm_buf *ret)
{
    uint32_t best[LONGEST_COUNT];
    size_t count = 0;
    for (uint32_t id = 0; id < t->vocab.size; id++) {
        const size_t len = t->vocab.items[id].len;
        if (t->vocab.items[id].kind != LM_TOKEN_MODEL ||
            (count == LONGEST_COUNT && len <= t->vocab.items[best[count - 1]].len))
            continue;
        size_t at = count < LONGEST_COUNT ? count++ : count - 1;
        for (; at > 0 && t->vocab.items[best[at - 1]].len < len; at--)
            best[at] = best[at - 1];
        best[at] = id;
    }
    lm_json_key(ret, "longest");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_int(ret, "id", best[i]);
        lm_json_key_str(ret, "token", lm_tokenizer_bytes(t, best[i]));
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
}

static void write_rare(const struct lm_tokenizer *t, const struct lm_learned *l, uint64_t unit,
                       struct lm_buf *ret)
{
    uint64_t rare = 0, unused = 0, shown = 0;
    lm_json_key(ret, "rare_examples");
    lm_buf_putc(ret, '[');
    for (uint32_t id = 0; id < l->vocab.size; id++) {
        if (l->vocab.items[id].kind != LM_TOKEN_MODEL || l->counts[id] / unit >= RARE_BELOW)
            continue;
        rare++;
        unused += l->counts[id] == 0;
        if (id < l->alphabet_before + 256 || shown++ >= RARE_COUNT)
            continue;
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_int(ret, "id", id);
        lm_json_key_str(ret, "token", lm_tokenizer_bytes(t, id));
        lm_json_key_num(ret, "count", ratio(l->counts[id], unit));
        lm_buf_putc(ret, '}');
    }
    lm_buf_putc(ret, ']');
    lm_json_key_int(ret, "rare", (int64_t)rare);
    lm_json_key_int(ret, "unused", (int64_t)unused);
}

void lm_train_report_write(const struct lm_train_report *r, const struct lm_tokenizer *t,
                           const struct lm_learned *learned, uint64_t unit, struct lm_buf *ret)
{
    struct lm_encoder *e = lm_encoder_new(t);
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "vocab_size", (int64_t)learned->vocab.size);
    lm_json_key_int(ret, "tokens", (int64_t)(learned->tokens / unit));
    lm_json_key_num(ret, "uncovered_characters", ratio(learned->uncovered, unit));
    write_groups("languages", &r->languages, t, e, ret);
    write_groups("sources", &r->sources, t, e, ret);
    write_longest(t, ret);
    write_rare(t, learned, unit, ret);
    lm_buf_putc(ret, '}');
    lm_encoder_free(e);
}

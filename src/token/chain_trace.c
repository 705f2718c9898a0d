/* token/chain_trace.c - which bytes of a text the ids of a chain stand for: what each step makes of each
 * character, and the bytes of a piece that its tokens are. */
#include "token/chain.h"

#include "base/err.h"
#include "text/text.h"
#include "token/spans.h"

/* ---- normalisers ---- */

/* Each character becomes something, or nothing, by itself. */
static void move_characters(const struct lm_chain_normal *n, struct lm_str text, struct lm_trace *t)
{
    struct lm_buf buf = { 0 };
    uint32_t cp;
    bool first = true;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = lm_utf8_next(text, at, &cp);
        const struct lm_str made =
            lm_chain_step(n, (struct lm_str){ text.ptr + at, len }, &first, &buf, NULL);
        if (made.len > 0)
            lm_trace_part(t, made, 1);
        else
            lm_trace_drop(t, 1);
    }
    lm_buf_release(&buf);
}

static void move_stripped(struct lm_str text, struct lm_str rest, struct lm_trace *t)
{
    lm_trace_drop(t, lm_utf8_count((struct lm_str){ text.ptr, (size_t)(rest.ptr - text.ptr) }));
    lm_trace_kept(t, rest);
}

static void move_prepended(struct lm_str content, struct lm_str text, struct lm_trace *t)
{
    uint32_t cp;
    const size_t first = text.len ? lm_utf8_next(text, 0, &cp) : 0;
    if (text.len == 0)
        return;
    if (content.len > 0)
        lm_trace_part(t, content, 1);
    lm_trace_put(t, first, 0);
    if (content.len == 0)   // then the first character comes from nowhere
        lm_trace_drop(t, 1);
    lm_trace_kept(t, (struct lm_str){ text.ptr + first, text.len - first });
}

/* What stands for a match comes from where its last character did. */
static void move_replaced(const struct lm_chain_normal *n, struct lm_str text, struct lm_trace *t)
{
    struct lm_split_facts facts = { 0 };
    size_t at = 0, start, end;
    while (lm_chain_find(&n->pattern, text, at, &facts, &start, &end)) {
        lm_trace_kept(t, (struct lm_str){ text.ptr + at, start - at });
        lm_trace_drop(t, lm_utf8_count((struct lm_str){ text.ptr + start, end - start }));
        lm_trace_part(t, n->content, 0);
        at = end;
    }
    lm_trace_kept(t, (struct lm_str){ text.ptr + at, text.len - at });
}

/* As many new characters as there are old ones are for one each; further ones are for none, and the last is
 * for those that are left.  What becomes nothing falls to the character before, and is forgotten where the
 * text starts. */
static void move_mapped(const struct lm_charsmap *m, struct lm_str text, struct lm_trace *t)
{
    struct lm_charsmap_walk walk = { .text = text };
    while (lm_charsmap_next(m, &walk)) {
        size_t olds = lm_utf8_count(walk.old);
        uint32_t cp;
        for (size_t i = 0, len; i<walk.made.len; i += len, olds -= olds> 0) {
            len = lm_utf8_next(walk.made, i, &cp);
            lm_trace_put(t, len, olds > 0);
        }
        if (olds == 0 || t->move_count == 0)
            continue;
        lm_trace_drop(t, olds);
        t->moves[t->move_count - 1].of = LM_TRACE_OWN;
    }
}

/* BertNormalizer goes over the text up to five times. */
void lm_trace_words(struct lm_trace *t, const struct lm_word_rules *rules, struct lm_str text)
{
    const struct lm_chain_normal steps[] = {
        { .kind = LM_NORMAL_BERT, .rules = { .clean = true } },
        { .kind = LM_NORMAL_BERT, .rules = { .han_apart = true } },
        { .kind = LM_NORMAL_FORM, .form = LM_FORM_NFD },
        { .kind = LM_NORMAL_BERT, .rules = { .strip_accents = true } },
        { .kind = LM_NORMAL_BERT, .rules = { .lowercase = true } },
    };
    const bool wanted[] = { rules->clean, rules->han_apart, rules->strip_accents, rules->strip_accents,
                            rules->lowercase };
    struct lm_buf buf[2] = { { 0 }, { 0 } };
    bool first = true;
    for (size_t i = 0, target = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!wanted[i])
            continue;
        const struct lm_str made = lm_chain_step(&steps[i], text, &first, &buf[target], NULL);
        if (steps[i].kind == LM_NORMAL_FORM)
            lm_trace_form(t, steps[i].form, text);
        else
            move_characters(&steps[i], text, t);
        lm_trace_step(t, text);
        target ^= made.ptr == buf[target].ptr;
        text = made;
    }
    lm_buf_release(&buf[0]);
    lm_buf_release(&buf[1]);
}

void lm_chain_trace(const struct lm_chain_normal *n, struct lm_str text, struct lm_str made,
                    struct lm_trace *t)
{
    switch (n->kind) {
    case LM_NORMAL_BERT:
        lm_trace_words(t, &n->rules, text);
        return;
    case LM_NORMAL_ACCENTS:
    case LM_NORMAL_NMT:
    case LM_NORMAL_BYTES:
        move_characters(n, text, t);
        break;
    case LM_NORMAL_FORM:
        lm_trace_form(t, n->form, text);
        break;
    case LM_NORMAL_STRIP:
        move_stripped(text, made, t);
        break;
    case LM_NORMAL_PREPEND:
        move_prepended(n->content, text, t);
        break;
    case LM_NORMAL_REPLACE:
        move_replaced(n, text, t);
        break;
    case LM_NORMAL_CHARSMAP:
        move_mapped(&n->map, text, t);
        break;
    case LM_NORMAL_SENTENCEPIECE:   // has told while it was at work
        break;
    }
    lm_trace_step(t, text);
}

/* ---- pieces ---- */

/* Bytes that stand for an affix of the piece are none of it.  A piece that a Unigram model does not know is
 * its own token. */
static void put_id(struct lm_span_work *w, uint32_t id, struct lm_str piece, const struct lm_span *from,
                   struct lm_span range)
{
    const size_t end = range.end < piece.len ? range.end : piece.len;
    const size_t start = range.start < end ? range.start : end - 1;
    const bool itself = w->t->chain->model == LM_CHAIN_UNIGRAM && id == w->t->unknown;
    lm_spans_from(w, from + start, end - start,
                  itself ? (struct lm_str){ piece.ptr + start, end - start }
                         : lm_vocab_bytes(&w->t->vocab, id));
}

void lm_spans_chain(struct lm_span_work *w, struct lm_chain_scratch *s, struct lm_str text, bool starts,
                    struct lm_tokens *ret)
{
    const struct lm_chain *c = w->t->chain;
    if (text.len == 0)
        return;
    LM_ASSERT(text.ptr >= w->normal.ptr && text.ptr + text.len <= w->normal.ptr + w->normal.len);
    lm_chain_cut(c, text, starts, w->trace.from + (text.ptr - w->normal.ptr), &s->pieces);
    const struct lm_chain_cut_text *p = &s->pieces.now;
    for (size_t i = 0, start = 0; i < p->count; start = p->ends[i++]) {
        const struct lm_str piece = { p->text.ptr + start, p->ends[i] - start };
        const size_t room = lm_chain_room(c, piece.len);
        lm_tokens_room(ret, ret->len + room);
        lm_grow(&s->spans, &s->spans_cap, room, sizeof(*s->spans));
        uint32_t *ids = ret->ids + ret->len;
        const size_t count = lm_chain_ids(w->t, s, piece, ids, s->spans);
        for (size_t k = 0; k < count; k++)
            put_id(w, ids[k], piece, p->from + start, s->spans[k]);
        ret->len += count;
    }
}

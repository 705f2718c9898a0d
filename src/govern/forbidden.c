#include "govern/forbidden.h"

#include <stdlib.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

/* ---- folding, one character at a time ---- */

enum { FOLDED_MAX = 128 };   // bytes one character can become; the longest is U+FDFA with 33

/* Compatibility case folding, then decomposition: both work on single characters, so a stream folds as the
 * whole does.  Invisible and unassigned characters become nothing. */
static size_t fold(uint32_t cp, char ret[FOLDED_MAX])
{
    if (cp < 0x80) {
        ret[0] = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
        return 1;
    }
    const int8_t category = u_charType((UChar32)cp);
    if (category == U_FORMAT_CHAR || category == U_PRIVATE_USE_CHAR || category == U_UNASSIGNED)
        return 0;
    UErrorCode code = U_ZERO_ERROR;
    UChar one[2], folded[FOLDED_MAX], apart[FOLDED_MAX];
    int32_t one_len = 0, len = 0;
    u_strFromUTF32(one, 2, &one_len, (const UChar32 *)&cp, 1, &code);
    len = unorm2_normalize(unorm2_getNFKCCasefoldInstance(&code), one, one_len, folded, FOLDED_MAX, &code);
    len = unorm2_normalize(unorm2_getNFDInstance(&code), folded, len, apart, FOLDED_MAX, &code);
    u_strToUTF8(ret, FOLDED_MAX, &len, apart, len, &code);
    return U_SUCCESS(code) ? (size_t)len : lm_utf8_put(cp, ret);
}

/* ---- the automaton ---- */

enum { NODES_MAX = 1 << 20, ROOT = 0, NO_NODE = 0 };

struct node {
    uint32_t child, sibling;   // NO_NODE: none
    uint32_t fail;             // the longest proper suffix that is a node
    uint32_t depth;
    uint32_t match_len;             // folded bytes of the longest string that ends here; 0: none
    enum lm_filter_action action;   // the strictest of all that end here
    uint8_t byte;
};

struct lm_forbidden {
    struct node *nodes;
    size_t len, cap;
};

static uint32_t child_of(const struct lm_forbidden *f, uint32_t node, uint8_t byte)
{
    uint32_t child = f->nodes[node].child;
    while (child != NO_NODE && f->nodes[child].byte != byte)
        child = f->nodes[child].sibling;
    return child;
}

static uint32_t step(const struct lm_forbidden *f, uint32_t state, uint8_t byte)
{
    for (;;) {
        const uint32_t child = child_of(f, state, byte);
        if (child != NO_NODE || state == ROOT)
            return child;
        state = f->nodes[state].fail;
    }
}

static uint32_t add_child(struct lm_forbidden *f, uint32_t node, uint8_t byte)
{
    lm_grow(&f->nodes, &f->cap, f->len + 1, sizeof(*f->nodes));
    f->nodes[f->len] =
        (struct node){ .sibling = f->nodes[node].child, .byte = byte, .depth = f->nodes[node].depth + 1 };
    f->nodes[node].child = (uint32_t)f->len;
    return (uint32_t)f->len++;
}

/* A string as a stream would fold it: blanks run together, none at the ends. */
static void fold_string(struct lm_str s, struct lm_buf *ret)
{
    uint32_t cp;
    for (size_t at = 0; at < s.len;) {
        char bytes[FOLDED_MAX];
        at += lm_utf8_next(s, at, &cp);
        if (!u_isUWhiteSpace((UChar32)cp))
            lm_buf_add(ret, bytes, fold(cp, bytes));
        else if (ret->len && ret->ptr[ret->len - 1] != ' ')
            lm_buf_putc(ret, ' ');
    }
    while (ret->len && ret->ptr[ret->len - 1] == ' ')
        ret->len--;
}

static enum lm_rc add_string(struct lm_forbidden *f, struct lm_pair string, struct lm_err *err)
{
    struct lm_buf folded = { 0 };
    fold_string(lm_str(string.key), &folded);
    enum lm_rc rc = LM_OK;
    if (folded.len == 0)
        rc = lm_fail(err, LM_EINVAL, "the forbidden string '%s' is empty", string.key);
    else if (f->len + folded.len > NODES_MAX)
        rc = lm_fail(err, LM_ELIMIT, "the forbidden strings have more than %d bytes together", NODES_MAX);
    uint32_t node = ROOT;
    for (size_t i = 0; rc == LM_OK && i < folded.len; i++) {
        const uint8_t byte = (uint8_t)folded.ptr[i];
        const uint32_t child = child_of(f, node, byte);
        node = child != NO_NODE ? child : add_child(f, node, byte);
    }
    const enum lm_filter_action action = strcmp(string.value, "stop") == 0   ? LM_FILTER_STOP
                                         : strcmp(string.value, "mask") == 0 ? LM_FILTER_MASK
                                                                             : LM_FILTER_PASS;
    if (rc == LM_OK && action != LM_FILTER_PASS) {
        f->nodes[node].match_len = (uint32_t)folded.len;
        if (action > f->nodes[node].action)
            f->nodes[node].action = action;
    }
    lm_buf_release(&folded);
    return rc;
}

/* Breadth first, so that a node's suffix is done before the node. */
static void link_suffixes(struct lm_forbidden *f)
{
    uint32_t *queue = lm_zalloc(f->len, sizeof(*queue));
    size_t done = 0, filled = 1;   // the root
    while (done < filled) {
        const uint32_t node = queue[done++];
        for (uint32_t c = f->nodes[node].child; c != NO_NODE; c = f->nodes[c].sibling) {
            struct node *child = &f->nodes[c];
            child->fail = node == ROOT ? ROOT : step(f, f->nodes[node].fail, child->byte);
            const struct node *suffix = &f->nodes[child->fail];
            if (!child->match_len)
                child->match_len = suffix->match_len;
            if (suffix->action > child->action)
                child->action = suffix->action;
            queue[filled++] = c;
        }
    }
    free(queue);
}

enum lm_rc lm_forbidden_new(struct lm_pairs strings, struct lm_forbidden **ret, struct lm_err *err)
{
    struct lm_forbidden *f = lm_zalloc(1, sizeof(*f));
    lm_grow(&f->nodes, &f->cap, 1, sizeof(*f->nodes));
    f->nodes[f->len++] = (struct node){ 0 };
    for (size_t i = 0; i < strings.len; i++) {
        const enum lm_rc rc = add_string(f, strings.items[i], err);
        if (rc != LM_OK) {
            lm_forbidden_free(f);
            return rc;
        }
    }
    link_suffixes(f);
    *ret = f;
    return LM_OK;
}

void lm_forbidden_free(struct lm_forbidden *f)
{
    if (f)
        free(f->nodes);
    free(f);
}

/* ---- a stream ---- */

static void add_span(struct lm_forbidden_scan *s, size_t start, size_t end)
{
    while (s->span_count && s->spans[s->span_count - 1].end > start) {   // overlapping ones become one
        s->span_count--;
        start = s->spans[s->span_count].start < start ? s->spans[s->span_count].start : start;
    }
    lm_grow(&s->spans, &s->span_cap, s->span_count + 1, sizeof(*s->spans));
    s->spans[s->span_count++] = (struct lm_forbidden_span){ start, end };
}

/* Releases everything before `limit`; never a part of a found span. */
static void release_before(struct lm_forbidden_scan *s, size_t limit, struct lm_buf *ret)
{
    size_t at = 0, done = 0;
    for (; done < s->span_count && s->spans[done].end <= limit; done++) {
        lm_buf_add(ret, s->held.ptr + at, s->spans[done].start - at);
        lm_buf_puts(ret, "[Withheld]");
        at = s->spans[done].end;
    }
    if (done < s->span_count && s->spans[done].start < limit)
        limit = s->spans[done].start;
    if (limit > at)
        lm_buf_add(ret, s->held.ptr + at, limit - at);
    at = limit > at ? limit : at;
    if (at == 0)
        return;

    memmove(s->held.ptr, s->held.ptr + at, s->held.len - at);
    s->held.len -= at;
    for (size_t i = done; i < s->span_count; i++)
        s->spans[i - done] = (struct lm_forbidden_span){ s->spans[i].start - at, s->spans[i].end - at };
    s->span_count -= done;
    size_t gone = 0;
    while (gone < s->start_count && s->starts[gone] < at)
        gone++;
    for (size_t i = gone; i < s->start_count; i++)
        s->starts[i - gone] = s->starts[i] - at;
    s->start_count -= gone;
}

static size_t live_start(const struct lm_forbidden_scan *s)
{
    const uint32_t depth = s->words->nodes[s->state].depth;
    LM_ASSERT(depth <= s->start_count);
    return depth ? s->starts[s->start_count - depth] : s->held.len;
}

/* One folded byte of the character at `from`; false when it completes a string that stops. */
static bool take_byte(struct lm_forbidden_scan *s, uint8_t byte, size_t from)
{
    s->state = step(s->words, s->state, byte);
    lm_grow(&s->starts, &s->start_cap, s->start_count + 1, sizeof(*s->starts));
    s->starts[s->start_count++] = from;
    const struct node *node = &s->words->nodes[s->state];
    if (!node->match_len)
        return true;
    add_span(s, s->starts[s->start_count - node->match_len], s->held.len);
    return node->action != LM_FILTER_STOP;
}

static bool take_character(struct lm_forbidden_scan *s, uint32_t cp)
{
    char bytes[FOLDED_MAX];
    const size_t from = s->held.len;
    lm_buf_add(&s->held, bytes, lm_utf8_put(cp, bytes));
    const bool blank = u_isUWhiteSpace((UChar32)cp), again = blank && s->after_blank;
    size_t len = 1;
    if (blank)
        bytes[0] = ' ';
    else
        len = fold(cp, bytes);
    if (len)   // invisible characters do not part blanks
        s->after_blank = blank;
    for (size_t i = 0; !again && i < len; i++)
        if (!take_byte(s, (uint8_t)bytes[i], from))
            return false;
    return true;
}

/* How many bytes the character at the front needs; 1 for what cannot start one. */
static size_t character_len(uint8_t first)
{
    return first >= 0xf0 && first < 0xf8   ? 4
           : first >= 0xe0 && first < 0xf0 ? 3
           : first >= 0xc0 && first < 0xe0 ? 2
                                           : 1;
}

/* Takes what `partial` holds: all of it when `whole`, else as far as characters are complete. */
static bool take_partial(struct lm_forbidden_scan *s, bool whole)
{
    while (s->partial_len && (whole || s->partial_len >= character_len(s->partial[0]))) {
        uint32_t cp;
        const size_t used = lm_utf8_next((struct lm_str){ (const char *)s->partial, s->partial_len }, 0, &cp);
        s->partial_len -= used;
        memmove(s->partial, s->partial + used, s->partial_len);
        if (!take_character(s, cp))
            return false;
    }
    return true;
}

static enum lm_rc stop(struct lm_forbidden_scan *s, struct lm_buf *ret, struct lm_err *err)
{
    release_before(s, s->spans[s->span_count - 1].start, ret);
    lm_buf_reset(&s->held);
    return lm_fail(err, LM_EDENIED, "the answer contains a forbidden text");
}

enum lm_rc lm_forbidden_add(struct lm_forbidden_scan *s, struct lm_str chunk, struct lm_buf *ret,
                            struct lm_err *err)
{
    for (size_t i = 0; i < chunk.len; i++) {
        s->partial[s->partial_len++] = (uint8_t)chunk.ptr[i];
        if (!take_partial(s, false))
            return stop(s, ret, err);
    }
    release_before(s, live_start(s), ret);
    return LM_OK;
}

enum lm_rc lm_forbidden_end(struct lm_forbidden_scan *s, struct lm_buf *ret, struct lm_err *err)
{
    if (!take_partial(s, true))
        return stop(s, ret, err);
    release_before(s, s->held.len, ret);
    s->state = ROOT;
    s->start_count = 0;
    s->after_blank = false;
    return LM_OK;
}

void lm_forbidden_release(struct lm_forbidden_scan *s)
{
    lm_buf_release(&s->held);
    free(s->starts);
    free(s->spans);
    *s = (struct lm_forbidden_scan){ 0 };
}

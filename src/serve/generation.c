#include "serve/generation.h"

#include "base/mem.h"
#include "base/sys.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

const char *const lm_filter_result_names[LM_FILTER_RESULT_COUNT] = {
    [LM_FILTER_CLEAN] = "clean",
    [LM_FILTER_MASKED] = "masked",
    [LM_FILTER_STOPPED] = "stopped",
};

/* A token as the engine told it; its alternatives are tops[top_start..top_start + top_count). */
struct token {
    struct lm_token_logprob token;
    size_t top_start, top_count;
};

struct token_list {
    struct token *items;
    size_t len, cap;
    struct lm_token_logprob *tops;
    size_t tops_len, tops_cap;
};

struct lm_generation {
    struct lm_engine *engine;
    const struct lm_tokenizer *tokenizer;
    uint64_t ticket;
    bool wants_tokens;
    int ring;   // eventfd: the mailbox is not empty

    pthread_mutex_t lock;   // guards the mailbox
    struct lm_buf mail;     // text since the last look
    struct token_list mail_tokens;
    struct lm_generation_facts facts;

    /* The owner's. */
    struct lm_output_filter *filter;
    struct lm_buf raw, released;   // before and after the filter
    size_t released_before;        // of the last turn
    bool ended;                    // the filter has given out its last byte
    struct token_list tokens;
    struct lm_decode_stream decode;   // repeats the engine's decoding, to know where each token ends
    struct lm_buf decoded;
    size_t *token_ends;   // bytes of text up to the end of each token
    size_t token_ends_cap;
    struct lm_token_text *shown;
    size_t shown_len, shown_cap, shown_before, next_token;
    size_t offset_bytes, offset_chars;   // characters in the first offset_bytes of the text
    struct lm_arena arena;               // alternatives of shown tokens
};

/* ---- the engine's side ---- */

static void add_token(struct token_list *list, struct lm_token_logprob token,
                      const struct lm_token_logprob *top, size_t top_count)
{
    lm_grow(&list->items, &list->cap, list->len + 1, sizeof(*list->items));
    lm_grow(&list->tops, &list->tops_cap, list->tops_len + top_count, sizeof(*list->tops));
    list->items[list->len++] = (struct token){ token, list->tops_len, top_count };
    if (top_count)
        memcpy(list->tops + list->tops_len, top, top_count * sizeof(*top));
    list->tops_len += top_count;
}

static void take_event(void *user, const struct lm_engine_event *event)
{
    struct lm_generation *g = user;
    pthread_mutex_lock(&g->lock);
    struct lm_generation_facts *facts = &g->facts;
    lm_buf_add_str(&g->mail, event->text);
    if (event->has_token) {
        facts->last_token_ns = lm_now_ns();
        if (!facts->first_token_ns)
            facts->first_token_ns = facts->last_token_ns;
        if (g->wants_tokens)
            add_token(&g->mail_tokens, event->token, event->top, event->top_count);
    }
    facts->finish = event->finish;
    facts->prompt_tokens = event->prompt_tokens;
    facts->completion_tokens = event->completion_tokens;
    if (event->text.len ||
        event->finish != LM_FINISH_NONE)   // under the lock: the owner may free us after it
        (void)eventfd_write(g->ring, 1);
    pthread_mutex_unlock(&g->lock);
}

/* ---- making and freeing ---- */

enum lm_rc lm_generation_new(const struct lm_generation_spec *spec, struct lm_generation **ret,
                             struct lm_err *err)
{
    struct lm_generation *g = lm_zalloc(1, sizeof(*g));
    g->engine = spec->engine;
    g->tokenizer = spec->tokenizer;
    g->decode = lm_decode_after(g->tokenizer, spec->prompt, spec->prompt_len);
    g->wants_tokens = spec->sampling->logprobs;
    pthread_mutex_init(&g->lock, NULL);
    g->ring = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum lm_rc rc = LM_OK;
    if (g->ring < 0)
        rc = lm_fail_errno(err, LM_EIO, "cannot make an event counter for an answer");
    if (rc == LM_OK)
        rc = lm_output_filter_new(spec->policy, spec->subject, &g->filter, err);
    if (rc == LM_OK)
        rc = lm_engine_submit(spec->engine, spec->prompt, spec->prompt_len, spec->sampling, take_event, g,
                              &g->ticket, err);
    if (rc != LM_OK) {
        g->facts.finish = LM_FINISH_CANCELLED;   // the engine never had it
        lm_generation_free(g);
        return rc;
    }
    *ret = g;
    return LM_OK;
}

void lm_generation_cancel(struct lm_generation *g)
{
    lm_engine_cancel(g->engine, g->ticket);
}

struct lm_generation_facts lm_generation_facts(struct lm_generation *g)
{
    pthread_mutex_lock(&g->lock);
    const struct lm_generation_facts facts = g->facts;
    pthread_mutex_unlock(&g->lock);
    return facts;
}

void lm_generation_stop(struct lm_generation *g)
{
    if (lm_generation_facts(g).finish == LM_FINISH_NONE)
        lm_generation_cancel(g);
    while (lm_generation_facts(g).finish == LM_FINISH_NONE) {
        struct pollfd fd = { .fd = g->ring, .events = POLLIN };
        eventfd_t count;
        (void)poll(&fd, 1, -1);
        (void)eventfd_read(g->ring, &count);
    }
}

void lm_generation_free(struct lm_generation *g)
{
    if (!g)
        return;
    lm_generation_stop(g);
    if (g->ring >= 0)
        close(g->ring);
    pthread_mutex_destroy(&g->lock);
    lm_output_filter_free(g->filter);
    lm_buf_release(&g->mail);
    lm_buf_release(&g->raw);
    lm_buf_release(&g->released);
    lm_buf_release(&g->decoded);
    free(g->mail_tokens.items);
    free(g->mail_tokens.tops);
    free(g->tokens.items);
    free(g->tokens.tops);
    free(g->token_ends);
    free(g->shown);
    lm_arena_release(&g->arena);
    free(g);
}

/* ---- tokens ---- */

static size_t count_chars(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static void note_token_end(struct lm_generation *g)
{
    const size_t index = g->tokens.len - 1;
    lm_decode_step(g->tokenizer, &g->decode, g->tokens.items[index].token.id, true, &g->decoded);
    lm_grow(&g->token_ends, &g->token_ends_cap, g->tokens.len, sizeof(*g->token_ends));
    g->token_ends[index] = g->decoded.len;
}

/* JSON has no infinity; clients know this number for it. */
static double finite_logprob(float logprob)
{
    return isfinite(logprob) ? (double)logprob : -9999.0;
}

/* Ids above the tokenizer's are padding of the model. */
static struct lm_str token_bytes(const struct lm_generation *g, uint32_t id)
{
    return id < lm_tokenizer_vocab_size(g->tokenizer) ? lm_tokenizer_bytes(g->tokenizer, id) : LM_STR("");
}

static struct lm_token_text show_token(struct lm_generation *g, const struct token *token, size_t start)
{
    for (; g->offset_bytes < start; g->offset_bytes++)
        g->offset_chars += count_chars(g->decoded.ptr + g->offset_bytes, 1);
    struct lm_token_text *top = lm_arena_alloc(&g->arena, token->top_count * sizeof(*top));
    for (size_t k = 0; k < token->top_count; k++) {
        const struct lm_token_logprob *t = &g->tokens.tops[token->top_start + k];
        top[k] =
            (struct lm_token_text){ .bytes = token_bytes(g, t->id), .logprob = finite_logprob(t->logprob) };
    }
    return (struct lm_token_text){
        .bytes = token_bytes(g, token->token.id),
        .logprob = finite_logprob(token->token.logprob),
        .offset = g->offset_chars,
        .top = top,
        .top_count = token->top_count,
    };
}

/* Shows the tokens whose text has been released as it was.  Tokens without text (an end mark) are left out.
 */
static void show_tokens(struct lm_generation *g)
{
    for (; g->next_token < g->tokens.len && g->token_ends[g->next_token] <= g->released.len;
         g->next_token++) {
        const struct token *token = &g->tokens.items[g->next_token];
        if (lm_tokenizer_is_special(g->tokenizer, token->token.id))
            continue;
        const size_t start = g->next_token ? g->token_ends[g->next_token - 1] : 0;
        lm_grow(&g->shown, &g->shown_cap, g->shown_len + 1, sizeof(*g->shown));
        g->shown[g->shown_len++] = show_token(g, token, start);
    }
}

/* ---- the owner's side ---- */

/* Moves the mailbox into our own lists; returns the finish of the sequence. */
static enum lm_finish collect(struct lm_generation *g, struct lm_buf *ret_fresh)
{
    eventfd_t count;
    pthread_mutex_lock(&g->lock);
    (void)eventfd_read(g->ring, &count);   // none there: nothing to reset
    lm_buf_add_str(ret_fresh, lm_buf_str(&g->mail));
    lm_buf_reset(&g->mail);
    for (size_t i = 0; i < g->mail_tokens.len; i++) {
        const struct token *t = &g->mail_tokens.items[i];
        add_token(&g->tokens, t->token, t->top_count ? g->mail_tokens.tops + t->top_start : NULL,
                  t->top_count);
        note_token_end(g);
    }
    g->mail_tokens.len = g->mail_tokens.tops_len = 0;
    const enum lm_finish finish = g->facts.finish;
    pthread_mutex_unlock(&g->lock);
    return finish;
}

static void note_filter(struct lm_generation *g, enum lm_filter_result result)
{
    pthread_mutex_lock(&g->lock);
    if (g->facts.filter < result)
        g->facts.filter = result;
    pthread_mutex_unlock(&g->lock);
}

/* False when the filter forbids the rest; a filter that fails forbids it, too. */
static bool filter(struct lm_generation *g, struct lm_str fresh, bool last)
{
    const size_t before = g->released.len;
    lm_buf_add_str(&g->raw, fresh);
    enum lm_rc rc = lm_output_filter_add(g->filter, fresh, &g->released, NULL);
    if (rc == LM_OK && last)
        rc = lm_output_filter_end(g->filter, &g->released, NULL);
    const size_t len = g->released.len - before;
    if (g->released.len > g->raw.len ||
        (len && memcmp(g->released.ptr + before, g->raw.ptr + before, len) != 0) ||
        (last && g->released.len != g->raw.len))
        note_filter(g, LM_FILTER_MASKED);
    if (rc != LM_OK)
        note_filter(g, LM_FILTER_STOPPED);
    return rc == LM_OK;
}

static enum lm_turn end_turn(struct lm_generation *g)
{
    return lm_generation_facts(g).finish == LM_FINISH_ERROR ? LM_TURN_STUCK : LM_TURN_END;
}

static enum lm_turn take_turn(struct lm_generation *g)
{
    struct lm_buf fresh = { 0 };
    const enum lm_finish finish = collect(g, &fresh);
    const bool last = finish != LM_FINISH_NONE;
    const bool passed = finish == LM_FINISH_CANCELLED || filter(g, lm_buf_str(&fresh), last);
    lm_buf_release(&fresh);
    if (!passed || finish == LM_FINISH_CANCELLED) {
        g->ended = true;
        return passed ? LM_TURN_CUT : LM_TURN_STOPPED;
    }
    if (lm_generation_facts(g).filter == LM_FILTER_CLEAN)
        show_tokens(g);
    g->ended = last;
    const bool more = g->released.len > g->released_before || g->shown_len > g->shown_before;
    return more ? LM_TURN_TEXT : last ? end_turn(g) : LM_TURN_QUIET;
}

enum lm_turn lm_generation_next(struct lm_generation *g, int socket_fd, int wait_ms)
{
    const uint64_t until = lm_now_ns() + (uint64_t)wait_ms * 1000000;
    g->released_before = g->released.len;
    g->shown_before = g->shown_len;
    while (!g->ended) {
        const uint64_t now = lm_now_ns();
        struct pollfd fds[] = { { .fd = g->ring, .events = POLLIN },
                                { .fd = socket_fd, .events = POLLRDHUP } };
        const int left_ms = now < until ? (int)((until - now + 999999) / 1000000) : 0;
        const int ready = poll(fds, 2, left_ms);
        if (ready < 0 && errno != EINTR)
            return LM_TURN_GONE;
        if (ready == 0)
            return LM_TURN_QUIET;
        if (fds[1].revents)
            return LM_TURN_GONE;
        if (!fds[0].revents)
            continue;
        const enum lm_turn turn = take_turn(g);
        if (turn != LM_TURN_QUIET)   // the filter may hold all of it back: wait on
            return turn;
    }
    return end_turn(g);
}

struct lm_str lm_generation_text(const struct lm_generation *g)
{
    return (struct lm_str){ lm_buf_str(&g->released).ptr + g->released_before,
                            g->released.len - g->released_before };
}

struct lm_token_texts lm_generation_tokens(const struct lm_generation *g)
{
    return (struct lm_token_texts){ g->shown_before < g->shown_len ? g->shown + g->shown_before : NULL,
                                    g->shown_len - g->shown_before };
}

struct lm_str lm_generation_all_text(const struct lm_generation *g)
{
    return lm_buf_str(&g->released);
}

struct lm_token_texts lm_generation_all_tokens(const struct lm_generation *g)
{
    return (struct lm_token_texts){ g->shown, g->shown_len };
}

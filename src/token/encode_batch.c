/* token/encode_batch.c - many texts, or large ones, with several threads.
 *
 * Each thread has an encoder and one array of ids; a job is a text, or a part of a large one.  Texts are cut
 * before a blank between two ASCII letters: there a piece starts in every grammar, whatever stands further
 * away.  Jobs are handed out in order, and put together in order: nothing depends on the threads. */
#include "base/sys.h"
#include "token/cuts.h"
#include "token/plan.h"

#include <omp.h>

enum { JOB_BYTES = 1 << 20, JOB_MIN = JOB_BYTES / 4 };

struct job {
    size_t text, start, end;       // bytes of the text
    size_t thread, first, count;   // where its ids are
};

struct batch {
    const struct lm_tokenizer *t;
    const struct lm_str *texts;
    struct job *jobs;
    size_t count, cap;
};

static bool is_letter(char c)
{
    return (unsigned)((c | 0x20) - 'a') < 26;
}

/* Added tokens that hold a blank, or take blanks beside them, could lie across a cut. */
static bool has_blanks(const struct lm_added *a)
{
    for (size_t id = 0; id < a->texts.size; id++) {
        const struct lm_token *token = &a->texts.items[id];
        if (token->kind == LM_TOKEN_HOLE)
            continue;
        const struct lm_str text = lm_vocab_bytes(&a->texts, (uint32_t)id);
        if (token->lstrip || token->rstrip || memchr(text.ptr, ' ', text.len))
            return true;
    }
    return false;
}

static bool may_cut(const struct lm_tokenizer *t)
{
    const struct lm_token_plan *plan = lm_token_plan(t);
    if (t->family == LM_FAMILY_CHAIN || has_blanks(&t->added) || has_blanks(&t->later))
        return false;
    return t->family != LM_FAMILY_PIECES || (plan->cuts && !t->pieces.trim && !t->pieces.late);
}

/* The next place to cut text at or behind `at`; its end when there is none. */
static size_t next_cut(const struct lm_tokenizer *t, struct lm_str text, size_t at)
{
    const uint8_t *cuts = lm_token_plan(t)->cuts;
    for (; at + 1 < text.len; at++)
        if (text.ptr[at] == ' ' && is_letter(text.ptr[at - 1]) && is_letter(text.ptr[at + 1]) &&
            (!cuts || lm_cuts_between(cuts, text.ptr[at - 1], ' ')))
            return at;
    return text.len;
}

static void add_jobs(struct batch *b, size_t index, bool cut)
{
    const struct lm_str text = b->texts[index];
    for (size_t start = 0, end; start < text.len || start == 0; start = end) {
        end = text.len;
        if (cut && text.len - start > JOB_BYTES + JOB_MIN)
            end = next_cut(b->t, text, start + JOB_BYTES);
        lm_grow(&b->jobs, &b->cap, b->count + 1, sizeof(*b->jobs));
        b->jobs[b->count++] = (struct job){ .text = index, .start = start, .end = end };
        if (end == text.len)
            break;
    }
}

static void put_together(const struct batch *b, const struct lm_tokens *parts, struct lm_tokens *ret,
                         size_t *ret_ends)
{
    size_t total = ret->len;
    LM_FREE size_t *places = lm_alloc((b->count + 1) * sizeof(*places));
    for (size_t i = 0; i < b->count; i++) {
        places[i] = total;
        total += b->jobs[i].count;
        if (ret_ends)
            ret_ends[b->jobs[i].text] = total;
    }
    lm_tokens_room(ret, total);
#pragma omp parallel for schedule(dynamic, 1) num_threads(lm_threads())
    for (size_t i = 0; i < b->count; i++)
        if (b->jobs[i].count > 0)
            memcpy(ret->ids + places[i], parts[b->jobs[i].thread].ids + b->jobs[i].first,
                   b->jobs[i].count * sizeof(*ret->ids));
    ret->len = total;
}

static void encode_alone(const struct batch *b, size_t count, bool allow_special, struct lm_tokens *ret,
                         size_t *ret_ends)
{
    struct lm_encoder *e = lm_encoder_new(b->t);
    for (size_t i = 0; i < count; i++) {
        lm_encode(e, b->texts[i], allow_special, ret);
        if (ret_ends)
            ret_ends[i] = ret->len;
    }
    lm_encoder_free(e);
}

void lm_encode_batch(const struct lm_tokenizer *t, const struct lm_str *texts, size_t count,
                     bool allow_special, struct lm_tokens *ret, size_t *ret_ends)
{
    struct batch b = { .t = t, .texts = texts };
    const size_t threads = (size_t)lm_threads();
    if (threads == 1) {
        encode_alone(&b, count, allow_special, ret, ret_ends);
        return;
    }
    const bool cut = may_cut(t);
    for (size_t i = 0; i < count; i++)
        add_jobs(&b, i, cut);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += texts[i].len;
    LM_FREE struct lm_tokens *parts = lm_zalloc(threads, sizeof(*parts));
#pragma omp parallel num_threads(lm_threads())
    {
        const size_t me = (size_t)omp_get_thread_num();
        struct lm_encoder *e = lm_encoder_new(t);
        lm_tokens_room(&parts[me], bytes / threads / 2);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < b.count; i++) {
            struct job *job = &b.jobs[i];
            const struct lm_str text = texts[job->text];
            job->thread = me;
            job->first = parts[me].len;
            lm_encode_part(e, text, job->start, job->end, allow_special, &parts[me]);
            job->count = parts[me].len - job->first;
        }
        lm_encoder_free(e);
    }
    put_together(&b, parts, ret, ret_ends);
    for (size_t i = 0; i < threads; i++)
        lm_tokens_release(&parts[i]);
    free(b.jobs);
}

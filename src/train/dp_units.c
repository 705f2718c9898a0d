/* Who is a unit: a document of a shard, the pairs of a document, the pairs of a person. */
#include "train/dp.h"

#include "base/mem.h"
#include "corpus/shard.h"
#include "train/pairs.h"

#include <stdlib.h>
#include <string.h>

/* ---- documents of a shard ---- */

struct lm_shard_units {
    const struct lm_shard *shard;
    uint32_t end_of_text;
    size_t positions;
    uint32_t *tokens;   // [positions + 1]
    int32_t *targets;   // [positions]
};

/* The document is: end-of-text, its tokens; a window of it predicts the token behind each of its own. */
static void fill_document(void *state, uint64_t unit, uint64_t draw, struct lm_batch *ret)
{
    struct lm_shard_units *u = state;
    const uint64_t first = lm_shard_doc_start(u->shard, unit), count = u->shard->ends[unit] - first;
    if (count == 0)
        return;
    const size_t len = count < u->positions ? (size_t)count : u->positions;
    const uint64_t at = count > len ? draw % (count - len + 1) : 0;
    if (at == 0) {
        u->tokens[0] = u->end_of_text;
        lm_shard_get(u->shard, first, len, u->tokens + 1);
    } else {
        lm_shard_get(u->shard, first + at - 1, len + 1, u->tokens);
    }
    for (size_t i = 0; i < len; i++)
        u->targets[i] = (int32_t)u->tokens[i + 1];
    lm_batch_put(ret, 0, 0, &(struct lm_piece){ u->tokens, u->targets, len });
}

struct lm_shard_units *lm_shard_units_new(const struct lm_shard *shard, uint32_t end_of_text,
                                          size_t positions, struct lm_dp_source *ret)
{
    struct lm_shard_units *u = lm_alloc(sizeof *u);
    *u = (struct lm_shard_units){ .shard = shard,
                                  .end_of_text = end_of_text,
                                  .positions = positions,
                                  .tokens = lm_zalloc(positions + 1, sizeof *u->tokens),
                                  .targets = lm_zalloc(positions, sizeof *u->targets) };
    *ret = (struct lm_dp_source){ u, shard->document_count, fill_document };
    return u;
}

void lm_shard_units_free(struct lm_shard_units *u)
{
    if (!u)
        return;
    free(u->tokens);
    free(u->targets);
    free(u);
}

/* ---- pairs ---- */

struct lm_pair_units {
    const struct lm_pair_set *set;
    const struct lm_pair_owner **owners;   // by key, those of one key side by side
    size_t *first;                         // of every unit, one more than there are
    size_t count;
};

static int by_document(const void *a, const void *b)
{
    const struct lm_pair_owner *x = *(const struct lm_pair_owner *const *)a,
                               *y = *(const struct lm_pair_owner *const *)b;
    return lm_str_cmp(x->document, y->document);
}

static int by_person(const void *a, const void *b)
{
    const struct lm_pair_owner *x = *(const struct lm_pair_owner *const *)a,
                               *y = *(const struct lm_pair_owner *const *)b;
    return lm_str_cmp(x->person, y->person);
}

static const struct lm_piece *piece_at(const struct lm_pair_units *u, uint64_t unit, size_t index)
{
    for (size_t i = u->first[unit];; i++) {
        LM_ASSERT(i < u->first[unit + 1]);
        if (index < u->owners[i]->count)
            return &u->set->train.pieces[u->owners[i]->first + index];
        index -= u->owners[i]->count;
    }
}

static void fill_pairs(void *state, uint64_t unit, uint64_t draw, struct lm_batch *ret)
{
    const struct lm_pair_units *u = state;
    size_t pieces = 0, at = 0;
    for (size_t i = u->first[unit]; i < u->first[unit + 1]; i++)
        pieces += u->owners[i]->count;
    for (size_t i = 0; i < pieces; i++) {
        const struct lm_piece *p = piece_at(u, unit, (size_t)((draw + i) % pieces));
        if (at + p->len > ret->positions)
            break;
        lm_batch_put(ret, 0, at, p);
        at += p->len;
    }
}

enum lm_rc lm_pair_units_new(const struct lm_pair_set *set, enum lm_dp_unit unit, struct lm_pair_units **ret,
                             struct lm_dp_source *ret_source, struct lm_err *err)
{
    for (size_t i = 0; unit == LM_DP_PERSON && i < set->owner_count; i++)
        if (set->owners[i].person.len == 0)
            return lm_fail(
                err, LM_EINVAL,
                "privacy: pair %zu of those to train on has no \"person\"; name the person in every "
                "pair, or take dp-unit=document",
                i + 1);
    struct lm_pair_units *u = lm_alloc(sizeof *u);
    *u = (struct lm_pair_units){ .set = set,
                                 .owners = lm_zalloc(set->owner_count + 1, sizeof(void *)),
                                 .first = lm_zalloc(set->owner_count + 1, sizeof *u->first) };
    for (size_t i = 0; i < set->owner_count; i++)
        u->owners[i] = &set->owners[i];
    int (*order)(const void *, const void *) = unit == LM_DP_PERSON ? by_person : by_document;
    qsort(u->owners, set->owner_count, sizeof *u->owners, order);
    for (size_t i = 0; i < set->owner_count; i++)
        if (i == 0 || order(&u->owners[i - 1], &u->owners[i]) != 0)
            u->first[u->count++] = i;
    u->first[u->count] = set->owner_count;
    *ret = u;
    *ret_source = (struct lm_dp_source){ u, u->count, fill_pairs };
    return LM_OK;
}

void lm_pair_units_free(struct lm_pair_units *u)
{
    if (!u)
        return;
    free(u->owners);
    free(u->first);
    free(u);
}

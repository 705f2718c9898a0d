#include "serve/schemas.h"

#include "base/hash.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct lm_schema {
    char key[LM_SHA256_HEX];   // of kind and source
    struct lm_constraint *constraint;
    size_t bytes, uses;
    struct lm_schema *next;   // used less recently
};

struct lm_schemas {
    const struct lm_tokenizer *tokenizer;
    size_t bytes_max;
    pthread_mutex_t lock;                // guards the rest
    struct lm_constraint_vocab *vocab;   // made when first needed
    struct lm_schema *first;
    size_t bytes;
};

struct lm_schemas *lm_schemas_new(const struct lm_tokenizer *tokenizer, size_t bytes_max)
{
    struct lm_schemas *s = lm_zalloc(1, sizeof(*s));
    s->tokenizer = tokenizer;
    s->bytes_max = bytes_max;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void free_schema(struct lm_schema *schema)
{
    lm_constraint_free(schema->constraint);
    free(schema);
}

void lm_schemas_free(struct lm_schemas *s)
{
    if (!s)
        return;
    for (struct lm_schema *at = s->first, *next; at; at = next) {
        LM_ASSERT(at->uses == 0);
        next = at->next;
        free_schema(at);
    }
    lm_constraint_vocab_free(s->vocab);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const struct lm_constraint *lm_schema_constraint(const struct lm_schema *schema)
{
    return schema->constraint;
}

size_t lm_schemas_bytes(struct lm_schemas *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t bytes = s->bytes;
    pthread_mutex_unlock(&s->lock);
    return bytes;
}

/* ---- under the lock ---- */

/* Moves it to the front and counts a use; NULL when there is none. */
static struct lm_schema *use(struct lm_schemas *s, const char *key)
{
    struct lm_schema **at = &s->first;
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    struct lm_schema *found = *at;
    if (!found)
        return NULL;
    *at = found->next;
    found->next = s->first;
    s->first = found;
    found->uses++;
    return found;
}

/* Where the last one stands that nobody uses; NULL when all are in use. */
static struct lm_schema **last_unused(struct lm_schemas *s)
{
    struct lm_schema **last = NULL;
    for (struct lm_schema **at = &s->first; *at; at = &(*at)->next)
        if ((*at)->uses == 0)
            last = at;
    return last;
}

static void make_room(struct lm_schemas *s)
{
    for (struct lm_schema **at; s->bytes > s->bytes_max && (at = last_unused(s));) {
        struct lm_schema *gone = *at;
        *at = gone->next;
        s->bytes -= gone->bytes;
        free_schema(gone);
    }
}

/* ---- taking and giving ---- */

static void make_key(enum lm_constraint_kind kind, struct lm_str source, char ret[LM_SHA256_HEX])
{
    struct lm_sha256 hash;
    const char tag = (char)('a' + kind);
    lm_sha256_init(&hash);
    lm_sha256_add_field(&hash, (struct lm_str){ &tag, 1 });
    lm_sha256_add_field(&hash, source);
    lm_sha256_end_hex(&hash, ret);
}

/* Two threads may compile the same at once: the one that is later throws its own away. */
static struct lm_schema *keep(struct lm_schemas *s, struct lm_schema *mine)
{
    pthread_mutex_lock(&s->lock);
    struct lm_schema *found = use(s, mine->key);
    if (!found) {
        mine->uses = 1;
        mine->next = s->first;
        s->first = mine;
        s->bytes += mine->bytes;
        make_room(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (found)
        free_schema(mine);
    return found ? found : mine;
}

enum lm_rc lm_schemas_take(struct lm_schemas *s, enum lm_constraint_kind kind, struct lm_str source,
                           struct lm_schema **ret, struct lm_err *err)
{
    char key[LM_SHA256_HEX];
    make_key(kind, source, key);
    pthread_mutex_lock(&s->lock);
    if (!s->vocab)
        s->vocab = lm_constraint_vocab_new(s->tokenizer);
    struct lm_schema *found = use(s, key);
    pthread_mutex_unlock(&s->lock);
    if (!found) {
        struct lm_constraint *constraint;
        LM_TRY(lm_constraint_new(s->vocab, kind, source, NULL, &constraint, err));
        struct lm_schema *made = lm_zalloc(1, sizeof(*made));
        memcpy(made->key, key, sizeof(key));
        made->constraint = constraint;
        made->bytes = sizeof(*made) + lm_constraint_bytes(constraint);
        found = keep(s, made);
    }
    *ret = found;
    return LM_OK;
}

void lm_schemas_give(struct lm_schemas *s, struct lm_schema *schema)
{
    if (!schema)
        return;
    pthread_mutex_lock(&s->lock);
    LM_ASSERT(schema->uses > 0);
    schema->uses--;
    make_room(s);
    pthread_mutex_unlock(&s->lock);
}

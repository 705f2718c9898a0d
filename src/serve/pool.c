/* Handles that are costly to make: database connections, encoders.  There are never more of them than
 * connections, so the pools need no ceiling of their own. */
#include "serve/exchange.h"

#include <stdlib.h>

void lm_pool_init(struct lm_pool *pool)
{
    pthread_mutex_init(&pool->lock, NULL);
}

void *lm_pool_take(struct lm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    void *item = pool->len ? pool->items[--pool->len] : NULL;
    pthread_mutex_unlock(&pool->lock);
    return item;
}

void lm_pool_give(struct lm_pool *pool, void *item)
{
    pthread_mutex_lock(&pool->lock);
    lm_grow(&pool->items, &pool->cap, pool->len + 1, sizeof(*pool->items));
    pool->items[pool->len++] = item;
    pthread_mutex_unlock(&pool->lock);
}

void lm_pool_release(struct lm_pool *pool, void (*free_item)(void *))
{
    for (size_t i = 0; i < pool->len; i++)
        free_item(pool->items[i]);
    free(pool->items);
    pthread_mutex_destroy(&pool->lock);
}

struct lm_db *lm_server_db(struct lm_server *s, struct lm_err *err)
{
    struct lm_db *db = lm_pool_take(&s->dbs);
    if (!db && lm_db_open(s->db_path, &db, err) != LM_OK)
        return NULL;
    return db;
}

void lm_server_db_give(struct lm_server *s, struct lm_db *db)
{
    lm_pool_give(&s->dbs, db);
}

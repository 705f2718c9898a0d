#ifndef LM_CORPUS_POSTINGS_H
#define LM_CORPUS_POSTINGS_H
/* corpus/postings.h - which documents hold a token, in blocks of bytes.
 *
 * A block is a row of tokens.db's table `posting`: up to LM_POSTINGS_MAX documents of a token, ascending. The
 * key of the row (token_id, first_document) says where it starts, so a block that holds a document is found
 * without reading those before it.  Its bytes are, for each document,
 *
 *     number  2 gap + more   gap to the document before; 0 for the first, which is first_document
 *     number  count - 2      only if more is 1; else the count is 1
 *
 * A number has 7 bits a byte, the low ones first, and the high bit set in all bytes but the last. */

#include "store/db.h"

enum { LM_POSTINGS_MAX = 1024 };

struct lm_posting {
    uint64_t document, count;   // count >= 1
};

void lm_posting_put(struct lm_buf *block, uint64_t gap, uint64_t count);   // appends

/* Reads a block; `document` starts as first_document. */
struct lm_block {
    const uint8_t *at, *end;
    uint64_t document;
    bool damaged;   // a number is cut off or too large
};
static inline struct lm_block lm_block_open(struct lm_str bytes, uint64_t first_document)
{
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    return (struct lm_block){ at, at + bytes.len, first_document, false };
}
uint64_t lm_block_long_number(struct lm_block *b);

static inline uint64_t lm_block_number(struct lm_block *b)
{
    return b->at < b->end && *b->at < 0x80 ? *b->at++ : lm_block_long_number(b);   // mostly a byte
}

/* False at the end and when damaged. */
static inline bool lm_block_next(struct lm_block *b, struct lm_posting *ret)
{
    if (b->at == b->end)
        return false;
    const uint64_t step = lm_block_number(b);
    ret->count = step & 1 ? lm_block_number(b) + 2 : 1;
    b->damaged |= step >> 1 > UINT32_MAX;
    if (b->damaged)
        return false;
    b->document += step >> 1;
    ret->document = b->document;
    return true;
}

/* All postings, by token and document. */
struct lm_posting_scan;
enum lm_rc lm_posting_scan_new(struct lm_db *db, struct lm_posting_scan **ret, struct lm_err *err);
/* LM_ENOTHING behind the last. */
enum lm_rc lm_posting_scan_next(struct lm_posting_scan *s, uint32_t *ret_token, struct lm_posting *ret,
                                struct lm_err *err);
void lm_posting_scan_free(struct lm_posting_scan *s);

/* Postings of one token: one by one, or asked for by document, which reads only blocks that may hold it. */
struct lm_posting_list;
enum lm_rc lm_posting_list_new(struct lm_db *db, uint32_t token, struct lm_posting_list **ret,
                               struct lm_err *err);
enum lm_rc lm_posting_list_next(struct lm_posting_list *l, struct lm_posting *ret, struct lm_err *err);
/* LM_OK: the token is in the document; LM_ENOTHING: it is not.  Documents must ascend from call to call. */
enum lm_rc lm_posting_list_find(struct lm_posting_list *l, uint64_t document, struct lm_err *err);
void lm_posting_list_free(struct lm_posting_list *l);

#endif

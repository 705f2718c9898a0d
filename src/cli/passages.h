#ifndef LM_CLI_PASSAGES_H
#define LM_CLI_PASSAGES_H
/* cli/passages.h - a text cut into passages by bytes, so that models with different tokens are asked the
 * same.
 *
 * The text is a file of UTF-8, or documents (a *.jsonl file, plain, .gz or .zst, or a folder of a stage).  A
 * passage ends behind the last line end of its second half, else before the last blank there, else between
 * two characters.  Passages lie in the text without gaps: every byte is in exactly one. */

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { LM_PASSAGE_BYTES_MIN = 16 };

struct lm_passages {
    struct lm_str *items;   // none is empty
    size_t count, cap, documents;
    uint64_t bytes;   // of all
    struct lm_map map;
    struct lm_arena arena;
};

/* The first bytes_max bytes of `path`, cut as a passage is; passage_bytes >= LM_PASSAGE_BYTES_MIN is the
 * longest passage.  LM_EFORMAT for what is not UTF-8, LM_ENOENT when there is no text.  Release ret in every
 * case. */
enum lm_rc lm_passages_read(const char *path, size_t bytes_max, size_t passage_bytes, struct lm_passages *ret,
                            struct lm_err *err);
void lm_passages_release(struct lm_passages *p);

/* Bytes of the first passage of `rest`: all when there are at most `max`.  UTF-8, max >= 4. */
size_t lm_passage_end(struct lm_str rest, size_t max);

#endif

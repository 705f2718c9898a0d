#ifndef LM_TOKEN_COMPILED_H
#define LM_TOKEN_COMPILED_H
/* token/compiled.h - a tokenizer as one file whose tables are used where they lie in memory (.lmtok).
 *
 *     offset  bytes
 *     0       8      "LOOMTOK1"
 *     8       4      version, 2
 *     12      4      0x01020304, as this machine writes it: another byte order is refused
 *     16      8      length of the file
 *     24      8      XXH3 of the header with zeros here, the frame and the template
 *     32      32     SHA-256 of the tokenizer.json
 *     64      ..     struct lm_compiled_header, the rest; then the sections, each at a multiple of 64
 *
 * The frame is the tokenizer.json with an empty vocabulary and no merges: everything small is read from it by
 * the usual reader, which refuses what it does not know.  The tables are the vocabulary, its bytes, the map
 * from bytes to ids, and the merges, or the trie and the scores of a Unigram model (compiled_chain.c); the
 * whole tokenizer.json lies beside them, for models that are written.
 * Every number in a table is checked when the file is opened, so that a damaged file is refused or gives
 * wrong ids, but nothing worse. */

#include "base/file.h"
#include "token/tokenizer_impl.h"

enum lm_compiled_section {
    LM_COMPILED_FRAME,
    LM_COMPILED_TEMPLATE,   // chat template
    LM_COMPILED_ITEMS,      // struct lm_token
    LM_COMPILED_BYTES,
    LM_COMPILED_MAP,      // slots of struct lm_token_map
    LM_COMPILED_MERGES,   // struct lm_merge: slots of struct lm_bpe; none for WordPiece
    LM_COMPILED_TRIE,     // struct lm_trie_node: of a Unigram model
    LM_COMPILED_SCORES,   // double, by id
    LM_COMPILED_JSON,
    LM_COMPILED_SECTIONS
};

struct lm_compiled_header {
    char magic[8];
    uint32_t version, order;
    uint64_t file_len, digest;
    uint8_t sha256[LM_SHA256_BYTES];
    struct {
        uint64_t at, len;
    } sections[LM_COMPILED_SECTIONS];
    uint32_t vocab_size, map_len, merge_count, several_ways;
    uint32_t roles[LM_ROLE_COUNT];
    uint32_t byte_id[256];   // as merges start from them, or a Unigram model has them
    double unknown_score;    // of a Unigram model
    uint32_t chain;          // 1: the frame is read as a chain, whatever it is
    uint32_t reserved;       // 0
};

/* What a file in memory holds, checked: tables borrow from it. */
struct lm_compiled {
    const char *base;
    struct lm_compiled_header header;
};
enum lm_rc lm_compiled_check(struct lm_str file, const char *name, struct lm_compiled *ret,
                             struct lm_err *err);
struct lm_str lm_compiled_section(const struct lm_compiled *c, enum lm_compiled_section section);
bool lm_compiled_looks_like(struct lm_str file);

/* Lets the tables of t lie in the file; vocabulary first, merges too. */
void lm_compiled_attach(const struct lm_compiled *c, struct lm_tokenizer *t);
void lm_compiled_detach(struct lm_tokenizer *t);   // so that they are not freed

/* The same for a Unigram model: what its tables say of themselves, checked, and what a file gets of it. */
struct lm_unigram;
bool lm_compiled_check_unigram(const struct lm_compiled *c, const uint64_t *ordinary);
void lm_compiled_attach_unigram(const struct lm_compiled *c, struct lm_unigram *u);
void lm_compiled_detach_unigram(struct lm_unigram *u);

/* The tokenizer of a file in memory, which must stay for as long as it does. */
enum lm_rc lm_tokenizer_from_compiled(struct lm_str file, const char *name, struct lm_tokenizer **ret,
                                      struct lm_err *err);

/* The tokenizer.json without its vocabulary and merges. */
enum lm_rc lm_load_frame(struct lm_str json, const char *name, struct lm_buf *ret, struct lm_err *err);

#endif

#ifndef LM_TOKEN_CONVERT_H
#define LM_TOKEN_CONVERT_H
/* token/convert.h - a tokenizer as another kind of file. */

#include "token/tokenizer.h"

/* Writes the files of a format into a folder:
 *
 *     tokenizer.json   tokenizer.json and tokenizer_config.json; any tokenizer
 *     vocab+merges     vocab.json and merges.txt; byte-level BPE
 *     vocab.txt        BERT's WordPiece
 *     tiktoken         tokenizer.tiktoken (ranks) and tiktoken.json, the other arguments of
 * tiktoken.Encoding: byte-level BPE with one pattern and the merges of its ids sentencepiece tokenizer.model;
 * BPE of pieces, Unigram that came from such a file
 *
 * What was written is loaded again: LM_EINVAL when the format cannot hold the tokenizer, when its reader
 * refuses the files, or when they mean other ids for a text made of all tokens; the last two say nothing of
 * what goes around a text (BOS).  The folder is of no use
 * then. */
enum lm_rc lm_tokenizer_convert(const struct lm_tokenizer *t, const char *format, const char *dir,
                                struct lm_err *err);

#endif

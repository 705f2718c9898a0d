/* corpus/pairs.c - question-answer pairs: each fact of a page, asked in two to four ways. */

#include "base/file.h"
#include "base/hash.h"
#include "base/line.h"
#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/facts.h"
#include "corpus/seen.h"
#include "text/text.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROW(n) LM_OPT_AT(struct lm_pairs_config, n)
// clang-format off
static const struct lm_opt pairs_rows[] = {
    { .name = "heldout-share", .type = LM_OPT_REAL, .offset = ROW(heldout_share), .fallback = "0.1",
      .min = 0, .max = 0.9, .help = "share kept for testing: of pages, or of settings" },
    { .name = "answer-chars-max", .type = LM_OPT_INT, .offset = ROW(answer_chars_max), .fallback = "800",
      .min = 20, .max = 100000, .unit = "characters", .help = "cut longer answers at a sentence end" },
};
// clang-format on
const struct lm_opt_table lm_pairs_options = LM_OPT_TABLE("pairs", struct lm_pairs_config, pairs_rows);

/* A page of settings holds hundreds of them: held out by page, whole subjects would be missing in training.
 */
static const struct snapshot {
    const char *name;
    bool heldout_by_subject;   // else by document
} snapshots[LM_SNAPSHOT_COUNT] = {
    [LM_SNAPSHOT_SQL] = { "sql", false },
    [LM_SNAPSHOT_TOOLS] = { "tools", false },
    [LM_SNAPSHOT_SETTINGS] = { "settings", true },
};

enum { WORDINGS_MIN = 2, WORDINGS_MAX = 4 };

/* {} is the phrase of the fact.  A row needs at least WORDINGS_MIN.  The id of a pair rests on the words: a
 * new one adds pairs, a changed one replaces them. */
static const struct question {
    enum lm_snapshot snapshot;
    enum lm_fact_kind kind;
    const char *wordings[6];
} questions[] = {
    { LM_SNAPSHOT_SQL,
      LM_FACT_PURPOSE,
      { "What does {} do?", "What is the SQL command {} used for?", "What is {} for in SQL?",
        "Explain briefly what {} does.", "What is the purpose of the command {}?" } },
    { LM_SNAPSHOT_SQL,
      LM_FACT_SYNTAX,
      { "What is the syntax of {}?", "How is the SQL command {} written?", "Show the syntax of {}.",
        "What is the synopsis of {}?" } },
    { LM_SNAPSHOT_SQL,
      LM_FACT_BY_VERB,
      { "Which SQL command would I use to {}?", "What SQL command is there to {}?",
        "Name the SQL command to {}.", "With which SQL command can I {}?" } },
    { LM_SNAPSHOT_TOOLS,
      LM_FACT_PURPOSE,
      { "What does {} do?", "What is the program {} used for?", "What is {} for?",
        "Explain briefly what {} does.", "What is the purpose of the program {}?" } },
    { LM_SNAPSHOT_TOOLS,
      LM_FACT_SYNTAX,
      { "How do I call {} on the command line?", "What is the command-line syntax of {}?",
        "How is {} invoked?", "What is the synopsis of {}?" } },
    { LM_SNAPSHOT_TOOLS,
      LM_FACT_BY_VERB,
      { "Which program would I use to {}?", "What program is there to {}?", "Name the program to {}.",
        "With which program can I {}?" } },
    { LM_SNAPSHOT_TOOLS,
      LM_FACT_BY_NOUN,
      { "Which program is the {}?", "What is the {} called?", "Name the {}." } },
    { LM_SNAPSHOT_SETTINGS,
      LM_FACT_CONTROL,
      { "What does the parameter {} control?", "What is the setting {} for?",
        "Explain the configuration parameter {}.", "What does the setting {} do?" } },
    { LM_SNAPSHOT_SETTINGS,
      LM_FACT_TYPE,
      { "What type of value does {} take?", "Of which type is the parameter {}?",
        "What kind of value does the setting {} expect?" } },
    { LM_SNAPSHOT_SETTINGS,
      LM_FACT_DEFAULT,
      { "What is the default of {}?", "What is the default value of the parameter {}?",
        "Which value does {} have by default?" } },
};

struct counts {
    uint64_t facts, train, heldout;
};

struct pairs {
    const struct lm_pairs_config *config;
    struct lm_line_writer *out;
    struct lm_seen questions;
    struct counts counts[LM_SNAPSHOT_COUNT];
    uint64_t documents, documents_used, repeated, too_long;
    struct lm_arena arena;   // of one document
    struct lm_facts facts;
    struct lm_buf question, line;
};

/* ---- answers that fit ---- */

/* Whole sentences, or whole groups of code lines (between blank lines), as many as fit; "" if none does. */
static struct lm_str cut_answer(const struct lm_fact *fact, size_t chars_max)
{
    const struct lm_str answer = fact->answer;
    if (lm_utf8_count(answer) <= chars_max)
        return answer;
    struct lm_sentences ends = { 0 };
    struct lm_str cut = LM_STR("");
    if (!fact->is_code && lm_sentences_split(answer, NULL, &ends, NULL) != LM_OK)
        ends.len = 0;
    size_t at = 0;
    for (size_t i = 0; fact->is_code || i < ends.len; i++) {
        size_t end;
        if (fact->is_code) {
            const ptrdiff_t gap =
                lm_str_find((struct lm_str){ answer.ptr + at, answer.len - at }, LM_STR("\n\n"));
            if (gap < 0)
                break;   // the last group does not fit
            end = at + (size_t)gap;
            at = end + 2;
        } else {
            end = ends.ends[i];
        }
        const struct lm_str longer = lm_str_trim((struct lm_str){ answer.ptr, end });
        if (lm_utf8_count(longer) > chars_max)
            break;
        cut = longer;
    }
    lm_sentences_release(&ends);
    return cut;
}

/* ---- pairs ---- */

static const struct question *question_of(const struct lm_fact *fact)
{
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (questions[i].snapshot == fact->snapshot && questions[i].kind == fact->kind)
            return &questions[i];
    return NULL;
}

static void fill_in(const char *wording, struct lm_str phrase, struct lm_buf *ret)
{
    const char *hole = strstr(wording, "{}");
    LM_ASSERT(hole);
    lm_buf_reset(ret);
    lm_buf_add(ret, wording, (size_t)(hole - wording));
    lm_buf_add_str(ret, phrase);
    lm_buf_puts(ret, hole + 2);
}

/* One question has one answer: the first page that gives it. */
static bool is_repeated(struct pairs *p, struct lm_str question)
{
    uint8_t digest[LM_SHA256_BYTES];
    lm_document_id_digest(question, digest);
    uint64_t *first = lm_seen_slot(&p->questions, digest);
    const bool repeated = *first != 0;
    *first = 1;
    p->repeated += repeated;
    return repeated;
}

static enum lm_rc write_pair(struct pairs *p, const struct lm_fact *fact, struct lm_str document,
                             struct lm_str fact_id, const char *wording, struct lm_str answer, bool heldout,
                             struct lm_err *err)
{
    fill_in(wording, fact->phrase, &p->question);
    if (is_repeated(p, lm_buf_str(&p->question)))
        return LM_OK;
    char id[LM_DOCUMENT_ID];
    lm_document_id(fact_id, lm_str(wording), id);
    struct counts *counts = &p->counts[fact->snapshot];
    *(heldout ? &counts->heldout : &counts->train) += 1;

    lm_buf_reset(&p->line);
    lm_buf_putc(&p->line, '{');
    lm_json_key_str(&p->line, "id", lm_str(id));
    lm_json_key_str(&p->line, "snapshot", lm_str(snapshots[fact->snapshot].name));
    lm_json_key_str(&p->line, "question", lm_buf_str(&p->question));
    lm_json_key_str(&p->line, "answer", answer);
    lm_json_key_str(&p->line, "document", document);
    lm_json_key_str(&p->line, "split", lm_str(heldout ? "heldout" : "train"));
    lm_buf_putc(&p->line, '}');
    return lm_line_add(p->out, lm_buf_str(&p->line), err);
}

/* Two to four wordings: how many, and from which on, is told by the hash of the fact. */
static enum lm_rc write_fact(struct pairs *p, const struct lm_fact *fact, struct lm_str document,
                             struct lm_err *err)
{
    const struct question *question = question_of(fact);
    if (!question)
        return LM_OK;   // a fact that this snapshot does not ask about
    const struct lm_str answer = cut_answer(fact, (size_t)p->config->answer_chars_max);
    if (!answer.len) {
        p->too_long++;
        return LM_OK;
    }
    const struct snapshot *snapshot = &snapshots[fact->snapshot];
    char subject_id[LM_DOCUMENT_ID], fact_id[LM_DOCUMENT_ID];
    const char *key =
        lm_arena_printf(&p->arena, "%s:%.*s", snapshot->name, (int)fact->subject.len, fact->subject.ptr);
    lm_document_id(document, lm_str(key), subject_id);
    key = lm_arena_printf(&p->arena, "%s:%d", subject_id, (int)fact->kind);
    lm_document_id(document, lm_str(key), fact_id);
    const bool heldout =
        lm_heldout(snapshot->heldout_by_subject ? lm_str(subject_id) : document, p->config->heldout_share);

    size_t known = 0;
    while (known < sizeof(question->wordings) / sizeof(question->wordings[0]) && question->wordings[known])
        known++;
    const uint64_t hash = lm_hash64(fact_id, LM_DOCUMENT_ID - 1);
    size_t wanted = WORDINGS_MIN + hash % (WORDINGS_MAX - WORDINGS_MIN + 1);
    wanted = wanted < known ? wanted : known;
    p->counts[fact->snapshot].facts++;
    for (size_t i = 0; i < wanted; i++)
        LM_TRY(write_pair(p, fact, document, lm_str(fact_id), question->wordings[(hash / 8 + i) % known],
                          answer, heldout, err));
    return LM_OK;
}

static enum lm_rc run_all(struct pairs *p, struct lm_document_reader *in, struct lm_err *err)
{
    struct lm_document doc;
    enum lm_rc rc;
    while ((rc = lm_document_next(in, &doc, err)) == LM_OK) {
        lm_arena_reset(&p->arena);
        p->facts.len = 0;
        lm_facts_find(&doc, &p->arena, &p->facts);
        for (size_t i = 0; i < p->facts.len; i++)
            LM_TRY(write_fact(p, &p->facts.items[i], doc.id, err));
        p->documents++;
        p->documents_used += p->facts.len > 0;
        if (lm_stop_asked())
            return lm_fail(err, LM_ESTOP, "pairs: stopped after %" PRIu64 " documents", p->documents);
    }
    if (rc != LM_ENOTHING)
        return rc;
    if (p->documents_used == 0)
        return lm_fail(err, LM_ENOENT,
                       "pairs: none of %" PRIu64
                       " documents has a NAME line with a synopsis, or settings defined as "
                       "'name (type)'",
                       p->documents);
    return LM_OK;
}

/* ---- the stage ---- */

static void write_metrics(const struct pairs *p, struct lm_buf *ret)
{
    uint64_t total = 0;
    for (size_t i = 0; i < LM_SNAPSHOT_COUNT; i++)
        total += p->counts[i].train + p->counts[i].heldout;
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "documents", (int64_t)p->documents);
    lm_json_key_int(ret, "documents_used", (int64_t)p->documents_used);
    lm_json_key_int(ret, "pairs", (int64_t)total);
    lm_json_key_int(ret, "questions_repeated", (int64_t)p->repeated);
    lm_json_key_int(ret, "answers_too_long", (int64_t)p->too_long);
    lm_json_key(ret, "snapshots");
    lm_buf_putc(ret, '{');
    for (size_t i = 0; i < LM_SNAPSHOT_COUNT; i++) {
        lm_json_key(ret, snapshots[i].name);
        lm_buf_putc(ret, '{');
        lm_json_key_int(ret, "facts", (int64_t)p->counts[i].facts);
        lm_json_key_int(ret, "train", (int64_t)p->counts[i].train);
        lm_json_key_int(ret, "heldout", (int64_t)p->counts[i].heldout);
        lm_buf_putc(ret, '}');
    }
    lm_buf_puts(ret, "}}");
}

enum lm_rc lm_pairs_build(const struct lm_pairs_config *config, const char *const *inputs, size_t input_count,
                          const char *out_dir, struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_err own_err = { 0 };
    if (!err)
        err = &own_err;
    LM_FREE char *path = lm_path_join(out_dir, "pairs.jsonl");
    struct pairs p = { .config = config };
    struct lm_document_reader *in = NULL;
    enum lm_rc rc = lm_document_open(inputs, input_count, &in, err);
    if (rc == LM_OK)
        rc = lm_line_create(path, &p.out, err);
    if (rc == LM_OK)
        rc = run_all(&p, in, err);
    if (rc == LM_OK) {
        rc = lm_line_commit(p.out, err);
        p.out = NULL;
    }
    if (rc == LM_OK)
        write_metrics(&p, metrics);

    lm_line_abort(p.out);
    lm_document_close(in);
    lm_seen_release(&p.questions);
    lm_arena_release(&p.arena);
    free(p.facts.items);
    lm_buf_release(&p.question);
    lm_buf_release(&p.line);
    return rc;
}

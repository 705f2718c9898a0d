/* corpus/collect.c - files of a user's sources -> one file of document records.
 *
 * A unit of work is one file (HTML, text) or one line (JSONL).  A batch of units is read and converted in
 * parallel and then written in order, so memory is bounded and the bytes do not depend on the threads. */

#include "base/file.h"
#include "base/hash.h"
#include "base/line.h"
#include "base/sys.h"
#include "corpus/corpus.h"
#include "corpus/document.h"
#include "corpus/seen.h"
#include "corpus/slot.h"
#include "text/text.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#define ROW(n) LM_OPT_AT(struct lm_source, n)
// clang-format off
static const struct lm_opt source_rows[] = {
    { .name = "name", .type = LM_OPT_STRING, .offset = ROW(name),
      .help = "name of the source, part of its documents' ids; default: the path's last part" },
    { .name = "license", .type = LM_OPT_STRING, .offset = ROW(license), .help = "SPDX name or free text" },
    { .name = "author", .type = LM_OPT_STRING, .offset = ROW(author), .help = "author of documents that name none" },
    { .name = "labels", .type = LM_OPT_LIST, .offset = ROW(labels),
      .help = "partitions and topics, given to every document" },
    { .name = "include", .type = LM_OPT_LIST, .offset = ROW(include),
      .help = "only files whose path below the source matches a pattern (* also matches /)" },
    { .name = "exclude", .type = LM_OPT_LIST, .offset = ROW(exclude), .help = "not those that match one of these" },
    { .name = "base-url", .type = LM_OPT_STRING, .offset = ROW(base_url),
      .help = "put before the path to make the url of a document" },
};
// clang-format on
const struct lm_opt_table lm_source_options = LM_OPT_TABLE("source", struct lm_source, source_rows);

/* What a file name says about its content.  To add a format: a row, and for records a reader. */
enum form { FORM_NONE, FORM_HTML, FORM_TEXT, FORM_RECORDS };

static const struct suffix {
    const char *suffix;
    enum form form;
    const char *media_type;
} suffixes[] = {
    { ".html", FORM_HTML, "text/html" },  { ".htm", FORM_HTML, "text/html" },
    { ".xhtml", FORM_HTML, "text/html" }, { ".txt", FORM_TEXT, "text/plain" },
    { ".rst", FORM_TEXT, "text/x-rst" },  { ".md", FORM_TEXT, "text/markdown" },
    { ".jsonl", FORM_RECORDS, NULL },     { ".jsonl.gz", FORM_RECORDS, NULL },
    { ".jsonl.zst", FORM_RECORDS, NULL },
};

enum {
    FILE_BYTES_MAX = 64 << 20,
    BATCH_UNITS = 256,
    BATCH_BYTES_MAX = 64 << 20,   // a batch is closed by the unit that passes this
    UNKNOWN_MAX = 64,             // different unknown suffixes that are counted one by one
};

struct unit {
    const struct lm_source *source;
    const struct lm_file_entry *file;
    const struct suffix *suffix;
    uint64_t line;               // of a record in its file, from 1
    struct lm_buf bytes, utf8;   // as read (a file, or one record); converted
    struct lm_arena arena;
    struct lm_document doc;
    uint8_t digest[LM_SHA256_BYTES];   // of the id
    enum lm_rc rc;
    struct lm_err err;
};

struct unknown {
    char suffix[16];
    uint64_t files;
};

struct counts {
    uint64_t files, documents, bytes, excluded;
    struct unknown unknown[UNKNOWN_MAX + 1];   // the last one takes the rest
    size_t unknown_len;
};

struct collect {
    struct unit units[BATCH_UNITS];
    size_t len, bytes;
    struct lm_line_writer *out;
    struct lm_buf line;
    struct lm_seen ids;
    uint64_t ids_replaced;
    struct counts *counts;   // of the source at work
    struct lm_progress progress;
    uint64_t documents;
};

/* ---- one unit, in parallel ---- */

static struct lm_str join_url(const struct lm_source *source, const char *relative, struct lm_arena *arena)
{
    if (!source->base_url)
        return lm_str(relative);
    const bool slash = *source->base_url && !lm_str_ends(lm_str(source->base_url), LM_STR("/"));
    return lm_str(lm_arena_printf(arena, "%s%s%s", source->base_url, slash ? "/" : "", relative));
}

/* A whole file as one document. */
static enum lm_rc load_file(struct unit *u, struct lm_err *err)
{
    enum lm_rc rc = lm_file_read(u->file->path, FILE_BYTES_MAX, &u->bytes, err);
    if (rc == LM_ELIMIT)
        return lm_fail(err, rc, "'%s' is larger than %d MB; split it, or leave it out by 'exclude'",
                       u->file->path, FILE_BYTES_MAX >> 20);
    if (rc != LM_OK)
        return rc;
    const char *charset = "";
    rc = lm_charset_to_utf8(lm_buf_str(&u->bytes), LM_STR(""), u->suffix->form == FORM_HTML, &u->utf8,
                            &charset, err);
    if (rc != LM_OK)
        return lm_err_prefix(err, rc, "'%s'", u->file->path);
    u->doc = (struct lm_document){
        .url = join_url(u->source, u->file->relative, &u->arena),
        .content = lm_buf_str(&u->utf8),
        .media_type = lm_str(u->suffix->media_type),
        .attributes = lm_str(lm_arena_printf(&u->arena, "{\"charset\":\"%s\"}", charset)),
    };
    lm_document_settle(&u->doc, lm_str(u->source->name), lm_str(u->file->relative), &u->arena);
    return LM_OK;
}

/* One line of a JSONL file.  Its own `source` gives way to the name in loom.yaml, by which reports count. */
static enum lm_rc load_record(struct unit *u, struct lm_err *err)
{
    static const char *const replaced[] = { "record_source", NULL };
    const char *name = lm_arena_printf(&u->arena, "%s:%" PRIu64, u->file->path, u->line);
    const char *place = lm_arena_printf(&u->arena, "%s:%" PRIu64, u->file->relative, u->line);
    LM_TRY(lm_document_parse(lm_buf_str(&u->bytes), name, &u->arena, &u->doc, err));
    lm_document_settle(&u->doc, lm_str(u->source->name), lm_str(place), &u->arena);

    const struct lm_str own = u->doc.source;
    if (own.len && !lm_str_eq(own, lm_str(u->source->name))) {
        struct lm_buf *attributes = &u->utf8;   // a record needs no conversion
        lm_document_attributes_open(u->doc.attributes, replaced, attributes);
        lm_json_key_str(attributes, "record_source", own);
        lm_buf_putc(attributes, '}');
        u->doc.attributes = lm_buf_str(attributes);
    }
    return LM_OK;
}

/* Labels decide who may see a document: it has its own and those of its source. */
static void add_labels(struct lm_document *doc, const struct lm_opt_list *labels, struct lm_arena *arena)
{
    struct lm_str *all = lm_arena_alloc(arena, (doc->label_count + labels->len) * sizeof(*all) + 1);
    size_t len = 0;
    for (; len < doc->label_count; len++)
        all[len] = doc->labels[len];
    for (size_t i = 0; i < labels->len; i++) {
        bool known = false;
        for (size_t k = 0; k < len; k++)
            known = known || lm_str_eq(all[k], lm_str(labels->items[i]));
        if (!known)
            all[len++] = lm_str(labels->items[i]);
    }
    doc->labels = all;
    doc->label_count = len;
}

static void load(struct unit *u)
{
    u->rc = u->suffix->form == FORM_RECORDS ? load_record(u, &u->err) : load_file(u, &u->err);
    if (u->rc != LM_OK)
        return;
    add_labels(&u->doc, &u->source->labels, &u->arena);
    u->doc.source = lm_str(u->source->name);
    if (!u->doc.license.len)
        u->doc.license = lm_str(u->source->license);
    if (!u->doc.author.len)
        u->doc.author = lm_str(u->source->author);
    lm_document_id_digest(u->doc.id, u->digest);
}

/* ---- batches ---- */

/* Two documents may not share an id: the later one is named by its place. */
static void keep_id_unique(struct collect *c, struct unit *u)
{
    for (uint64_t copy = 0;; copy++) {
        uint64_t *first = lm_seen_slot(&c->ids, u->digest);
        if (*first == 0) {
            *first = 1;
            return;
        }
        c->ids_replaced++;
        const char *place =
            lm_arena_printf(&u->arena, "%s:%" PRIu64 ":%" PRIu64, u->file->relative, u->line, copy);
        char *id = lm_arena_alloc(&u->arena, LM_DOCUMENT_ID);
        lm_document_id(lm_str(u->source->name), lm_str(place), id);
        u->doc.id = lm_str(id);
        lm_document_id_digest(u->doc.id, u->digest);
    }
}

static enum lm_rc write_unit(struct collect *c, struct unit *u, struct lm_err *err)
{
    if (u->rc != LM_OK) {
        *err = u->err;
        return u->rc;
    }
    keep_id_unique(c, u);
    lm_buf_reset(&c->line);
    lm_document_write(&u->doc, &c->line);
    c->counts->documents++;
    c->counts->bytes += u->doc.content.len;
    c->documents++;
    return lm_line_add(c->out, lm_buf_str(&c->line), err);
}

static enum lm_rc flush(struct collect *c, struct lm_err *err)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(lm_threads())
    for (size_t i = 0; i < c->len; i++)
        load(&c->units[i]);

    enum lm_rc rc = LM_OK;
    for (size_t i = 0; i < c->len; i++) {
        struct unit *u = &c->units[i];
        if (rc == LM_OK)
            rc = write_unit(c, u, err);
        lm_slot_buf_reset(&u->bytes);
        lm_slot_buf_reset(&u->utf8);
        lm_slot_arena_reset(&u->arena);
    }
    c->len = c->bytes = 0;
    lm_progress_at(&c->progress, c->documents, NULL);
    if (rc == LM_OK && lm_stop_asked())
        rc = lm_fail(err, LM_ESTOP, "collect: stopped after %" PRIu64 " documents", c->documents);
    return rc;
}

/* The next unit to fill; call unit_ready when it is. */
static struct unit *unit_next(struct collect *c, const struct lm_source *source,
                              const struct lm_file_entry *file, const struct suffix *suffix)
{
    struct unit *u = &c->units[c->len++];
    u->source = source;
    u->file = file;
    u->suffix = suffix;
    u->line = 0;
    return u;
}

static enum lm_rc unit_ready(struct collect *c, size_t bytes, struct lm_err *err)
{
    c->bytes += bytes;
    return c->len == BATCH_UNITS || c->bytes >= BATCH_BYTES_MAX ? flush(c, err) : LM_OK;
}

/* ---- files ---- */

static const struct suffix *suffix_of(struct lm_str path)
{
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        const size_t len = strlen(suffixes[i].suffix);
        if (path.len > len && strncasecmp(path.ptr + path.len - len, suffixes[i].suffix, len) == 0)
            return &suffixes[i];
    }
    return NULL;
}

static void count_unknown(struct counts *counts, const char *path)
{
    const char *dot = strrchr(lm_path_base(path), '.');
    char suffix[sizeof(counts->unknown[0].suffix)] = "(none)";
    if (dot)
        snprintf(suffix, sizeof(suffix), "%.15s", dot);
    size_t i = 0;
    while (i < counts->unknown_len && strcasecmp(counts->unknown[i].suffix, suffix) != 0)
        i++;
    if (i == UNKNOWN_MAX)
        snprintf(suffix, sizeof(suffix), "(other)");
    if (i == counts->unknown_len) {
        memcpy(counts->unknown[i].suffix, suffix, sizeof(suffix));
        counts->unknown_len++;
    }
    counts->unknown[i].files++;
}

static bool matches(const struct lm_opt_list *patterns, const char *path)
{
    for (size_t i = 0; i < patterns->len; i++)
        if (fnmatch(patterns->items[i], path, 0) == 0)
            return true;
    return false;
}

static enum lm_rc collect_records(struct collect *c, const struct lm_source *source,
                                  const struct lm_file_entry *file, const struct suffix *suffix,
                                  struct lm_err *err)
{
    struct lm_line_reader *lines = NULL;
    LM_TRY(lm_line_open(file->path, 0, &lines, err));
    enum lm_rc rc = LM_OK;
    struct lm_str line;
    while (rc == LM_OK && (rc = lm_line_next(lines, &line, err)) == LM_OK) {
        if (lm_str_trim(line).len == 0)
            continue;
        struct unit *u = unit_next(c, source, file, suffix);
        u->line = lm_line_number(lines);
        lm_buf_add_str(&u->bytes, line);
        rc = unit_ready(c, line.len, err);
    }
    lm_line_close(lines);
    return rc == LM_ENOTHING ? LM_OK : rc;
}

static enum lm_rc collect_file(struct collect *c, const struct lm_source *source,
                               const struct lm_file_entry *file, struct lm_err *err)
{
    const bool wanted = source->include.len == 0 || matches(&source->include, file->relative);
    if (!wanted || matches(&source->exclude, file->relative)) {
        c->counts->excluded++;
        return LM_OK;
    }
    const struct suffix *suffix = suffix_of(lm_str(file->relative));
    if (!suffix) {
        count_unknown(c->counts, file->relative);
        return LM_OK;
    }
    c->counts->files++;
    if (suffix->form == FORM_RECORDS)
        return collect_records(c, source, file, suffix, err);
    (void)unit_next(c, source, file, suffix);
    return unit_ready(c, file->size_bytes, err);
}

static enum lm_rc fail_empty(const struct lm_source *source, const struct counts *counts, struct lm_err *err)
{
    uint64_t unknown = 0;
    for (size_t i = 0; i < counts->unknown_len; i++)
        unknown += counts->unknown[i].files;
    return lm_fail(
        err, LM_ENOENT,
        "source '%s': no document in '%s' (%" PRIu64 " files of other types, %" PRIu64
        " left out by include and exclude); supported are .html .htm .xhtml .txt .rst .md and .jsonl, "
        ".jsonl.gz, .jsonl.zst with records",
        source->name, source->path, unknown, counts->excluded);
}

static enum lm_rc collect_source(struct collect *c, const struct lm_source *source, struct counts *counts,
                                 struct lm_err *err)
{
    struct lm_file_list files = { 0 };
    c->counts = counts;
    enum lm_rc rc = lm_file_walk(source->path, &files, err);
    if (rc != LM_OK)
        rc = lm_err_prefix(err, rc, "source '%s'", source->name);
    for (size_t i = 0; rc == LM_OK && i < files.len; i++)
        rc = collect_file(c, source, &files.items[i], err);
    if (rc == LM_OK)
        rc = flush(c, err);   // units borrow from the list
    lm_file_list_release(&files);
    if (rc == LM_OK && counts->documents == 0)
        rc = fail_empty(source, counts, err);
    return rc;
}

/* ---- the stage ---- */

static enum lm_rc check_sources(const struct lm_source *sources, size_t count, struct lm_err *err)
{
    if (count == 0)
        return lm_fail(err, LM_EINVAL, "collect: no source is given");
    for (size_t i = 0; i < count; i++) {
        if (!sources[i].name || !sources[i].path)
            return lm_fail(err, LM_EINVAL, "collect: a source needs a name and a path");
        for (size_t k = 0; k < i; k++)
            if (strcmp(sources[i].name, sources[k].name) == 0)
                return lm_fail(err, LM_EINVAL, "collect: two sources are named '%s'; ids rest on the name",
                               sources[i].name);
    }
    return LM_OK;
}

static int by_suffix(const void *a, const void *b)
{
    return strcmp(((const struct unknown *)a)->suffix, ((const struct unknown *)b)->suffix);
}

static void write_metrics(const struct collect *c, const struct lm_source *sources, struct counts *counts,
                          size_t count, struct lm_buf *ret)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += counts[i].bytes;
    lm_json_sep(ret);
    lm_buf_putc(ret, '{');
    lm_json_key_int(ret, "documents", (int64_t)c->documents);
    lm_json_key_int(ret, "bytes", (int64_t)bytes);
    lm_json_key_int(ret, "ids_replaced", (int64_t)c->ids_replaced);
    lm_json_key(ret, "sources");
    lm_buf_putc(ret, '[');
    for (size_t i = 0; i < count; i++) {
        lm_json_sep(ret);
        lm_buf_putc(ret, '{');
        lm_json_key_str(ret, "name", lm_str(sources[i].name));
        lm_json_key_int(ret, "files", (int64_t)counts[i].files);
        lm_json_key_int(ret, "documents", (int64_t)counts[i].documents);
        lm_json_key_int(ret, "bytes", (int64_t)counts[i].bytes);
        lm_json_key_int(ret, "excluded", (int64_t)counts[i].excluded);
        lm_json_key(ret, "unsupported");
        lm_buf_putc(ret, '{');
        qsort(counts[i].unknown, counts[i].unknown_len, sizeof(counts[i].unknown[0]), by_suffix);
        for (size_t k = 0; k < counts[i].unknown_len; k++)
            lm_json_key_int(ret, counts[i].unknown[k].suffix, (int64_t)counts[i].unknown[k].files);
        lm_buf_puts(ret, "}}");
    }
    lm_buf_puts(ret, "]}");
}

enum lm_rc lm_collect(const struct lm_source *sources, size_t count, const char *out_dir,
                      struct lm_buf *metrics, struct lm_err *err)
{
    struct lm_err own_err = { 0 };
    if (!err)
        err = &own_err;
    LM_TRY(check_sources(sources, count, err));
    LM_FREE char *path = lm_path_join(out_dir, "documents.jsonl.zst");
    struct counts *counts = lm_zalloc(count, sizeof(*counts));
    struct collect *c = lm_zalloc(1, sizeof(*c));
    c->progress = lm_progress_start("collect", "documents", 0);

    enum lm_rc rc = lm_line_create(path, &c->out, err);
    for (size_t i = 0; rc == LM_OK && i < count; i++)
        rc = collect_source(c, &sources[i], &counts[i], err);
    if (rc == LM_OK) {
        rc = lm_line_commit(c->out, err);
        lm_progress_end(&c->progress, c->documents);
    } else {
        lm_line_abort(c->out);
    }
    if (rc == LM_OK)
        write_metrics(c, sources, counts, count, metrics);

    for (size_t i = 0; i < BATCH_UNITS; i++) {
        lm_buf_release(&c->units[i].bytes);
        lm_buf_release(&c->units[i].utf8);
        lm_arena_release(&c->units[i].arena);
    }
    lm_seen_release(&c->ids);
    lm_buf_release(&c->line);
    free(c);
    free(counts);
    return rc;
}

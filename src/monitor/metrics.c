/* A metric has a row in the table and a small hash table of series, one for each pair of label values. Series
 * are made once and never removed, so finding one needs no lock: chains only grow at their head, by
 * compare-and-swap.  A value is a word of 64 bits that is added to likewise. */
#include "monitor/metrics.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };
static const char *const kind_names[] = { "counter", "gauge", "histogram" };

enum { BUCKETS_MAX = 24, LABELS_MAX = 2, CHAINS = 64 };

struct row {
    const char *name, *help;
    enum kind kind;
    const char *labels[LABELS_MAX];
    const double *bounds;   // upper bounds of buckets, rising, ended by 0; +Inf is understood
};

/* OpenTelemetry's buckets for GenAI, with larger ones behind: on few cores an answer may take minutes. */
static const double request_seconds[] = {
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 160, 320, 640, 0,
};
static const double first_token_seconds[] = {
    .001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 0,
};
static const double token_seconds[] = { .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 0 };
static const double tokens[] = {
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, 0,
};

/* To add one: a name in enum lm_metric and a row here.  Counters end in _total, units are SI base units. */
// clang-format off
static const struct row rows[LM_METRIC_COUNT] = {
    [LM_METRIC_REQUESTS] =
        { "loom_http_requests_total", "HTTP requests answered", COUNTER, { "route", "status" }, NULL },
    [LM_METRIC_DECISIONS] =
        { "loom_decisions_total", "Policy decisions by the rule that decided", COUNTER, { "rule" }, NULL },
    [LM_METRIC_REQUEST_SECONDS] =
        { "gen_ai_server_request_duration_seconds", "Time from request to last token", HISTOGRAM, { "model" },
          request_seconds },
    [LM_METRIC_FIRST_TOKEN_SECONDS] =
        { "gen_ai_server_time_to_first_token_seconds", "Time from request to first token", HISTOGRAM, { "model" },
          first_token_seconds },
    [LM_METRIC_TOKEN_SECONDS] =
        { "gen_ai_server_time_per_output_token_seconds", "Time per token after the first", HISTOGRAM, { "model" },
          token_seconds },
    [LM_METRIC_TOKENS] =
        { "gen_ai_client_token_usage", "Tokens of a request", HISTOGRAM, { "model", "type" }, tokens },
    [LM_METRIC_RUNNING] =
        { "loom_sequences_running", "Sequences in the batch", GAUGE, { "model" }, NULL },
    [LM_METRIC_WAITING] =
        { "loom_sequences_waiting", "Sequences in the queue", GAUGE, { "model" }, NULL },
    [LM_METRIC_KV_USAGE] =
        { "loom_kv_cache_usage_ratio", "Share of KV cache positions in use", GAUGE, { "model" }, NULL },
    [LM_METRIC_PREFIX_QUERIES] =
        { "loom_prefix_cache_queries_total", "Prompt tokens looked up in the KV cache", COUNTER, { "model" }, NULL },
    [LM_METRIC_PREFIX_HITS] =
        { "loom_prefix_cache_hits_total", "Prompt tokens found in the KV cache", COUNTER, { "model" }, NULL },
    [LM_METRIC_VLLM_PREFIX_QUERIES] =
        { "vllm:prefix_cache_queries_total", "As loom_prefix_cache_queries_total", COUNTER, { "model_name" }, NULL },
    [LM_METRIC_VLLM_PREFIX_HITS] =
        { "vllm:prefix_cache_hits_total", "As loom_prefix_cache_hits_total", COUNTER, { "model_name" }, NULL },
    [LM_METRIC_FEEDBACK] =
        { "loom_feedback_total", "Feedback received", COUNTER, { "rating" }, NULL },
    [LM_METRIC_AUDIT_RECORDS] =
        { "loom_audit_records_total", "Records made durable in the audit log", COUNTER, { NULL }, NULL },
    [LM_METRIC_RSS] =
        { "process_resident_memory_bytes", "Resident memory of the process", GAUGE, { NULL }, NULL },
};
// clang-format on

struct series {
    struct series *next;
    const char *labels[LABELS_MAX];   // NULL where the row has none
    _Atomic uint64_t value;           // bits of a double: value, or the sum of a histogram
    _Atomic uint64_t buckets[];       // each its own count, +Inf last; histograms only
};

struct family {
    _Atomic(struct series *) chains[CHAINS];
    _Atomic size_t count;
};

struct lm_metrics {
    struct family families[LM_METRIC_COUNT];
};

/* ---- series ---- */

static size_t bound_count(const struct row *row)
{
    size_t n = 0;
    while (row->bounds && row->bounds[n] > 0)
        n++;
    return n;
}

static bool has_labels(const struct series *s, const char *const labels[LABELS_MAX])
{
    for (size_t i = 0; i < LABELS_MAX; i++)
        if (labels[i] && strcmp(s->labels[i], labels[i]) != 0)
            return false;
    return true;
}

static struct series *make_series(const struct row *row, const char *const labels[LABELS_MAX])
{
    const size_t buckets = row->kind == HISTOGRAM ? bound_count(row) + 1 : 0;
    struct series *s = lm_zalloc(1, sizeof(*s) + buckets * sizeof(s->buckets[0]));
    for (size_t i = 0; i < LABELS_MAX; i++)
        s->labels[i] = labels[i] ? lm_strdup(labels[i]) : NULL;
    return s;
}

static struct series *search(struct series *from, const struct series *end,
                             const char *const labels[LABELS_MAX])
{
    while (from != end && !has_labels(from, labels))
        from = from->next;
    return from != end ? from : NULL;
}

static void free_series(struct series *s)
{
    for (size_t i = 0; i < LABELS_MAX; i++)
        free((char *)s->labels[i]);
    free(s);
}

/* NULL when it would be one more than count_max. */
static struct series *find_or_make(struct family *family, const struct row *row,
                                   const char *const labels[LABELS_MAX], size_t count_max)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < LABELS_MAX && labels[i]; i++)
        hash = 31 * hash + lm_hash64(labels[i], strlen(labels[i]));
    _Atomic(struct series *) *chain = &family->chains[hash % CHAINS];

    struct series *head = atomic_load_explicit(chain, memory_order_acquire);
    struct series *found = search(head, NULL, labels);
    if (found)
        return found;
    if (atomic_load(&family->count) >= count_max)
        return NULL;
    struct series *mine = make_series(row, labels);
    for (;;) {
        const struct series *seen = head;
        mine->next = head;
        if (atomic_compare_exchange_weak_explicit(chain, &head, mine, memory_order_release,
                                                  memory_order_acquire))
            break;
        found = search(head, seen, labels);   // another thread may have made the same
        if (found) {
            free_series(mine);
            return found;
        }
    }
    atomic_fetch_add(&family->count, 1);
    return mine;
}

/* Beyond the ceiling everything new is counted under "other": a label set that grows must not eat the memory.
 */
static struct series *series_of(struct lm_metrics *m, enum lm_metric metric, const char *label1,
                                const char *label2)
{
    LM_ASSERT(metric < LM_METRIC_COUNT);
    const struct row *row = &rows[metric];
    LM_ASSERT(!row->labels[0] == !label1 && !row->labels[1] == !label2);

    struct family *family = &m->families[metric];
    struct series *s = find_or_make(family, row, (const char *[]){ label1, label2 }, LM_METRIC_SERIES_MAX);
    if (!s)
        s = find_or_make(family, row, (const char *[]){ label1 ? "other" : NULL, label2 ? "other" : NULL },
                         SIZE_MAX);
    return s;
}

struct lm_metrics *lm_metrics_new(void)
{
    struct lm_metrics *m = lm_zalloc(1, sizeof(*m));
    for (enum lm_metric i = 0; i < LM_METRIC_COUNT; i++)
        if (!rows[i].labels[0])
            (void)series_of(m, i, NULL, NULL);   // nothing counted yet is 0, not absent
    return m;
}

void lm_metrics_free(struct lm_metrics *m)
{
    for (size_t i = 0; m && i < LM_METRIC_COUNT; i++)
        for (size_t c = 0; c < CHAINS; c++)
            for (struct series *s = atomic_load(&m->families[i].chains[c]), *next; s; s = next) {
                next = s->next;
                free_series(s);
            }
    free(m);
}

/* ---- updates ---- */

static uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void add_to(_Atomic uint64_t *cell, double by)
{
    uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(cell, &old, to_bits(from_bits(old) + by),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void lm_metric_add(struct lm_metrics *m, enum lm_metric metric, const char *label1, const char *label2,
                   double by)
{
    LM_ASSERT(rows[metric].kind == GAUGE || (rows[metric].kind == COUNTER && by >= 0));
    add_to(&series_of(m, metric, label1, label2)->value, by);
}

void lm_metric_set(struct lm_metrics *m, enum lm_metric metric, const char *label1, const char *label2,
                   double value)
{
    LM_ASSERT(rows[metric].kind != HISTOGRAM);
    atomic_store_explicit(&series_of(m, metric, label1, label2)->value, to_bits(value), memory_order_relaxed);
}

void lm_metric_observe(struct lm_metrics *m, enum lm_metric metric, const char *label1, const char *label2,
                       double value)
{
    LM_ASSERT(rows[metric].kind == HISTOGRAM);
    if (!isfinite(value))   // one NaN would make the sum NaN for ever
        return;
    struct series *s = series_of(m, metric, label1, label2);
    const double *bounds = rows[metric].bounds;
    size_t i = 0;
    while (bounds[i] > 0 && value > bounds[i])
        i++;
    atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
    add_to(&s->value, value);
}

/* ---- text ---- */

static void put_number(struct lm_buf *buf, double value)
{
    char text[LM_F64_TEXT];
    if (isfinite(value))
        lm_buf_add(buf, text, lm_f64_text(value, text));
    else
        lm_buf_puts(buf, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
}

static void put_label(struct lm_buf *buf, bool *first, const char *name, const char *value)
{
    lm_buf_printf(buf, "%s%s=\"", *first ? "{" : ",", name);
    *first = false;
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            lm_buf_putc(buf, '\\');
        if (*value == '\n')
            lm_buf_puts(buf, "\\n");
        else
            lm_buf_putc(buf, *value);
    }
    lm_buf_putc(buf, '"');
}

static void put_name(struct lm_buf *buf, const struct row *row, const char *suffix, const struct series *s,
                     const char *le)
{
    bool first = true;
    lm_buf_printf(buf, "%s%s", row->name, suffix);
    for (size_t i = 0; i < LABELS_MAX && row->labels[i]; i++)
        put_label(buf, &first, row->labels[i], s->labels[i]);
    if (le)
        put_label(buf, &first, "le", le);
    lm_buf_puts(buf, first ? " " : "} ");
}

/* The count is the sum of what was read, so that +Inf and _count agree even while others observe. */
static void put_histogram(struct lm_buf *buf, const struct row *row, const struct series *s)
{
    const size_t n = bound_count(row);
    uint64_t total = 0;
    for (size_t i = 0; i <= n; i++) {
        struct lm_buf le = { 0 };
        if (i < n)
            put_number(&le, row->bounds[i]);
        else
            lm_buf_puts(&le, "+Inf");
        total += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        put_name(buf, row, "_bucket", s, le.ptr);
        lm_buf_printf(buf, "%" PRIu64 "\n", total);
        lm_buf_release(&le);
    }
    put_name(buf, row, "_sum", s, NULL);
    put_number(buf, from_bits(atomic_load_explicit(&s->value, memory_order_relaxed)));
    lm_buf_putc(buf, '\n');
    put_name(buf, row, "_count", s, NULL);
    lm_buf_printf(buf, "%" PRIu64 "\n", total);
}

static int by_labels(const void *a, const void *b)
{
    const struct series *x = *(struct series *const *)a, *y = *(struct series *const *)b;
    for (size_t i = 0; i < LABELS_MAX && x->labels[i]; i++) {
        const int order = strcmp(x->labels[i], y->labels[i]);
        if (order)
            return order;
    }
    return 0;
}

static void put_family(struct lm_buf *buf, struct family *family, const struct row *row)
{
    struct series **sorted = NULL;
    size_t count = 0, cap = 0;
    for (size_t c = 0; c < CHAINS; c++)
        for (struct series *s = atomic_load_explicit(&family->chains[c], memory_order_acquire); s;
             s = s->next) {
            lm_grow(&sorted, &cap, count + 1, sizeof(*sorted));
            sorted[count++] = s;
        }
    if (count)
        qsort(sorted, count, sizeof(*sorted), by_labels);

    lm_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                  kind_names[row->kind]);
    for (size_t i = 0; i < count; i++) {
        if (row->kind == HISTOGRAM) {
            put_histogram(buf, row, sorted[i]);
            continue;
        }
        put_name(buf, row, "", sorted[i], NULL);
        put_number(buf, from_bits(atomic_load_explicit(&sorted[i]->value, memory_order_relaxed)));
        lm_buf_putc(buf, '\n');
    }
    free(sorted);
}

void lm_metrics_text(struct lm_metrics *m, struct lm_buf *ret)
{
    for (size_t i = 0; i < LM_METRIC_COUNT; i++)
        put_family(ret, &m->families[i], &rows[i]);
}

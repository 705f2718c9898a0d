#ifndef LM_MONITOR_METRICS_H
#define LM_MONITOR_METRICS_H
/* monitor/metrics.h - counters, gauges and histograms, and their Prometheus text.
 *
 * To add a metric: a name here and a row in metrics.c.  Labels have fixed value sets or come from
 * configuration; never a user or a key.  Updates are lock-free and may come from any thread. */

#include "base/str.h"

enum lm_metric {
    LM_METRIC_REQUESTS,              // loom_http_requests_total{route,status}
    LM_METRIC_DECISIONS,             // loom_decisions_total{rule}
    LM_METRIC_REQUEST_SECONDS,       // gen_ai_server_request_duration_seconds{model}
    LM_METRIC_FIRST_TOKEN_SECONDS,   // gen_ai_server_time_to_first_token_seconds{model}
    LM_METRIC_TOKEN_SECONDS,         // gen_ai_server_time_per_output_token_seconds{model}
    LM_METRIC_TOKENS,                // gen_ai_client_token_usage{model,type=input|output}, histogram
    LM_METRIC_RUNNING,               // loom_sequences_running{model}
    LM_METRIC_WAITING,               // loom_sequences_waiting{model}
    LM_METRIC_KV_USAGE,              // loom_kv_cache_usage_ratio{model}
    LM_METRIC_PREFIX_QUERIES,        // loom_prefix_cache_queries_total{model}, tokens
    LM_METRIC_PREFIX_HITS,           // loom_prefix_cache_hits_total{model}, tokens
    LM_METRIC_VLLM_PREFIX_QUERIES,   // vllm:prefix_cache_queries_total{model_name}
    LM_METRIC_VLLM_PREFIX_HITS,      // vllm:prefix_cache_hits_total{model_name}
    LM_METRIC_FEEDBACK,              // loom_feedback_total{rating}
    LM_METRIC_AUDIT_RECORDS,         // loom_audit_records_total
    LM_METRIC_RSS,                   // process_resident_memory_bytes
    LM_METRIC_COUNT,
};

/* Label pairs a metric may have; whatever comes beyond is counted under the label value "other". */
enum { LM_METRIC_SERIES_MAX = 4096 };

struct lm_metrics;
struct lm_metrics *lm_metrics_new(void);
void lm_metrics_free(struct lm_metrics *m);

/* label1, label2: values in the order of the metric's row, NULL when the row has fewer.  add: counters (by >=
 * 0) and gauges; set: gauges, and counters that are kept elsewhere; observe: histograms. */
void lm_metric_add(struct lm_metrics *m, enum lm_metric metric, const char *label1, const char *label2,
                   double by);
void lm_metric_set(struct lm_metrics *m, enum lm_metric metric, const char *label1, const char *label2,
                   double value);
void lm_metric_observe(struct lm_metrics *m, enum lm_metric metric, const char *label1, const char *label2,
                       double value);
void lm_metrics_text(struct lm_metrics *m, struct lm_buf *ret);   // Prometheus text format 0.0.4

#endif

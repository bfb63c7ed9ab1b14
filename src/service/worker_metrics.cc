#include "service/worker_metrics.h"

#include "service/metric_lines.h"

namespace otr::service {

std::string worker_metrics(const node::InferenceService::Gauges& gauges) {
  MetricLines lines;
  lines.gauge("otr_requests_running", "Answers under way.", gauges.running);
  lines.gauge("otr_requests_waiting", "Answers that wait for memory or a place.", gauges.waiting);
  lines.gauge("otr_kv_pages_budget", "Pages of 128 positions.", gauges.kv_pages_budget);
  lines.gauge("otr_kv_pages_used", "Pages of running answers.", gauges.kv_pages_used);
  lines.gauge("otr_kv_pages_cached", "Pages kept for shared prefixes.", gauges.kv_pages_cached);
  lines.gauge("otr_stored_answers", "Whole answers kept for retries.", gauges.stored_answers);
  lines.counter("otr_rows_total", "Positions computed.", gauges.rows);
  lines.counter("otr_prefix_hit_tokens_total", "Positions taken from the prefix cache.",
                gauges.prefix_hit_tokens);
  lines.counter("otr_generation_tokens_total", "Output tokens.", gauges.output_tokens);
  lines.counter("otr_claims_total", "Claims signed.", gauges.finished);
  lines.counter("otr_answers_failed_total", "Answers that ended with an error.", gauges.failed);
  lines.counter("otr_answers_abandoned_total", "Answers nobody listened to any more.",
                gauges.abandoned);
  lines.counter("otr_answers_joined_total", "Submissions that joined a running answer.",
                gauges.joined);
  lines.counter("otr_answers_repeated_total", "Submissions answered from the store.",
                gauges.repeated);
  lines.counter("otr_refused_busy_total", "Submissions refused as too many.", gauges.refused_busy);
  return lines.text();
}

}  // namespace otr::service

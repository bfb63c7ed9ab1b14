#include "service/worker_metrics.h"

#include <string_view>

namespace otr::service {
namespace {

void line(std::string& text, std::string_view name, std::string_view type, std::string_view help,
          std::uint64_t value) {
  text.append("# HELP ").append(name).append(" ").append(help);
  text.append("\n# TYPE ").append(name).append(" ").append(type);
  text.append("\n").append(name).append(" ").append(std::to_string(value)).append("\n");
}

}  // namespace

std::string worker_metrics(const node::InferenceService::Gauges& gauges) {
  std::string text;
  const auto gauge = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    line(text, name, "gauge", help, value);
  };
  const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    line(text, name, "counter", help, value);
  };
  gauge("otr_requests_running", "Answers under way.", gauges.running);
  gauge("otr_requests_waiting", "Answers that wait for memory or a place.", gauges.waiting);
  gauge("otr_kv_pages_budget", "Pages of 128 positions.", gauges.kv_pages_budget);
  gauge("otr_kv_pages_used", "Pages of running answers.", gauges.kv_pages_used);
  gauge("otr_kv_pages_cached", "Pages kept for shared prefixes.", gauges.kv_pages_cached);
  gauge("otr_stored_answers", "Whole answers kept for retries.", gauges.stored_answers);
  counter("otr_rows_total", "Positions computed.", gauges.rows);
  counter("otr_prefix_hit_tokens_total", "Positions taken from the prefix cache.",
          gauges.prefix_hit_tokens);
  counter("otr_generation_tokens_total", "Output tokens.", gauges.output_tokens);
  counter("otr_claims_total", "Claims signed.", gauges.finished);
  counter("otr_answers_failed_total", "Answers that ended with an error.", gauges.failed);
  counter("otr_answers_abandoned_total", "Answers nobody listened to any more.", gauges.abandoned);
  counter("otr_answers_joined_total", "Submissions that joined a running answer.", gauges.joined);
  counter("otr_answers_repeated_total", "Submissions answered from the store.", gauges.repeated);
  counter("otr_refused_busy_total", "Submissions refused as too many.", gauges.refused_busy);
  return text;
}

}  // namespace otr::service

#include "service/metrics.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace otr::service {
namespace {

constexpr char kCounter = 'c', kGauge = 'g', kHistogram = 'h';

struct Family {
  std::string_view name;
  char type;
  bool in_millionths;  // seconds or a ratio
  bool labelled;
  std::string_view help;
};

constexpr Family kFamilies[] = {
    {"otr_attestation_verify_total", kCounter, false, true, "Sessions appraised, by result."},
    {"otr_build_info", kGauge, false, true, "1, with the version as label."},
    {"otr_generation_tokens_total", kCounter, false, false, "Tokens of answers received."},
    {"otr_inter_token_seconds", kHistogram, true, false, "Time between two tokens of an answer."},
    {"otr_kv_cache_usage_ratio", kGauge, true, false, "Used part of the KV cache."},
    {"otr_prompt_tokens_total", kCounter, false, false, "Tokens of prompts sent."},
    {"otr_receipts_issued_total", kCounter, false, false, "Receipts verified and on disk."},
    {"otr_request_seconds", kHistogram, true, true, "Time from request to end of answer."},
    {"otr_requests_running", kGauge, false, false, "Requests being answered."},
    {"otr_requests_total", kCounter, false, true, "Requests, by route and HTTP status."},
    {"otr_requests_waiting", kGauge, false, false, "Requests accepted that wait for a place."},
    {"otr_stream_aborts_total", kCounter, false, true, "Answers that did not end whole, by cause."},
    {"otr_ttft_seconds", kHistogram, true, false, "Time from request to first token."},
};

constexpr std::array<std::int64_t, 17> kBounds = {
    1'000,      5'000,      10'000,      25'000,      50'000,     100'000,
    250'000,    500'000,    1'000'000,   2'500'000,   5'000'000,  10'000'000,
    30'000'000, 60'000'000, 120'000'000, 300'000'000, 600'000'000};

const Family& family_of(std::string_view name) {
  const auto* found = std::ranges::find(kFamilies, name, &Family::name);
  OTR_CHECK(found != std::end(kFamilies));
  return *found;
}

std::string_view word_of(char type) {
  return type == kCounter ? "counter" : type == kGauge ? "gauge" : "histogram";
}

// name="value" and so on, without braces.
std::string spell(Metrics::Labels labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    if (!text.empty()) text += ',';
    text += std::string(name) + "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') text += '\\';
      text += c == '\n' ? ' ' : c;
    }
    text += '"';
  }
  return text;
}

std::string in_braces(const std::string& labels) {
  return labels.empty() ? "" : "{" + labels + "}";
}

// Millionths as a decimal number without needless zeros.
std::string decimal(std::int64_t millionths) {
  const bool negative = millionths < 0;
  const std::uint64_t size = negative ? 0 - static_cast<std::uint64_t>(millionths)
                                      : static_cast<std::uint64_t>(millionths);
  std::string text = (negative ? "-" : "") + std::to_string(size / 1'000'000);
  if (size % 1'000'000 == 0) return text;
  std::string rest = std::to_string(1'000'000 + size % 1'000'000).substr(1);
  rest.erase(rest.find_last_not_of('0') + 1);
  return text + "." + rest;
}

}  // namespace

Metrics::Metrics() {
  for (const Family& family : kFamilies) {
    families_[family.name];
    if (!family.labelled) static_cast<void>(series(family.name, family.type, {}));
  }
}

Metrics::Series& Metrics::series(std::string_view family, char type, Labels labels) {
  const Family& known = family_of(family);
  OTR_CHECK(known.type == type);
  Series& found = families_[known.name][spell(labels)];
  if (type == kHistogram) found.buckets.resize(kBounds.size() + 1);
  return found;
}

void Metrics::add(std::string_view counter, std::uint64_t by, Labels labels) {
  const std::lock_guard lock(mutex_);
  series(counter, kCounter, labels).value += static_cast<std::int64_t>(by);
}

void Metrics::set(std::string_view gauge, std::int64_t value, Labels labels) {
  const std::lock_guard lock(mutex_);
  series(gauge, kGauge, labels).value = value;
}

void Metrics::move(std::string_view gauge, std::int64_t by) {
  const std::lock_guard lock(mutex_);
  series(gauge, kGauge, {}).value += by;
}

void Metrics::observe(std::string_view histogram, std::int64_t micros, Labels labels) {
  const auto* const bound = std::ranges::lower_bound(kBounds, micros);
  const std::lock_guard lock(mutex_);
  Series& one = series(histogram, kHistogram, labels);
  one.value += micros;
  ++one.buckets[static_cast<std::size_t>(bound - kBounds.begin())];
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, all] : families_) {
    const Family& family = family_of(name);
    const std::string title(name);
    out += "# HELP " + title + " " + std::string(family.help) + "\n# TYPE " + title + " " +
           std::string(word_of(family.type)) + "\n";
    for (const auto& [labels, one] : all) {
      const std::string value =
          family.in_millionths ? decimal(one.value) : std::to_string(one.value);
      if (family.type != kHistogram) {
        out += title + in_braces(labels) + " " + value + "\n";
        continue;
      }
      std::uint64_t count = 0;
      const std::string before = title + "_bucket{" + labels + (labels.empty() ? "" : ",");
      for (std::size_t i = 0; i < one.buckets.size(); ++i) {
        count += one.buckets[i];
        const std::string bound = i < kBounds.size() ? decimal(kBounds[i]) : "+Inf";
        out += before + "le=\"" + bound + "\"} " + std::to_string(count) + "\n";
      }
      out += title + "_sum" + in_braces(labels) + " " + value + "\n";
      out += title + "_count" + in_braces(labels) + " " + std::to_string(count) + "\n";
    }
  }
  return out;
}

}  // namespace otr::service

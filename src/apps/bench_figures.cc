#include "apps/bench_figures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/check.h"
#include "engine/kernels.h"

namespace otr::apps {
namespace {

// Three or four digits of any size.
std::string number(double value) {
  char text[48];
  const double size = std::abs(value);
  const int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string range(const Spread& spread) {
  return number(spread.median) + " (" + number(spread.low) + " to " + number(spread.high) + ")";
}

Json to_json(const Spread& spread) {
  return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}};
}

std::string first_line(const char* path, std::string_view beginning) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(beginning)) return line;
  }
  return "";
}

}  // namespace

Spread spread(std::vector<double> values) {
  OTR_CHECK(!values.empty());
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(), values.back()};
}

Spread quotients(const std::vector<double>& a, const std::vector<double>& b) {
  OTR_CHECK(a.size() == b.size());
  std::vector<double> result;
  for (std::size_t i = 0; i < a.size(); ++i) result.push_back(a[i] / b[i]);
  return spread(std::move(result));
}

std::string to_text(const Figure& figure) {
  char head[64];
  std::snprintf(head, sizeof head, "%-16s %2u thread%s  ", figure.name.c_str(), figure.threads,
                figure.threads == 1 ? " " : "s");
  std::string text = head + range(figure.value) + " " + figure.unit;
  for (const Rival& rival : figure.rivals) {
    text += "; " + range(rival.ratio) + " of " + rival.name + ", " + number(rival.value.median) +
            " " + rival.unit;
  }
  if (figure.memory) {
    text += "; peak memory " + number(figure.memory->peak / 1e6) + " MB, " +
            number(figure.memory->peak / figure.memory->needed) + " of weights + KV";
  }
  for (const std::string& note : figure.notes) text += "; " + note;
  return text + "\n";
}

Json to_json(const Figure& figure) {
  Json rivals = Json::array();
  for (const Rival& rival : figure.rivals) {
    rivals.push_back({{"name", rival.name},
                      {"unit", rival.unit},
                      {"value", to_json(rival.value)},
                      {"ratio", to_json(rival.ratio)}});
  }
  Json json = {{"name", figure.name},  {"threads", figure.threads},
               {"unit", figure.unit},  {"value", to_json(figure.value)},
               {"against", rivals},    {"parameters", figure.parameters},
               {"notes", figure.notes}};
  if (figure.memory) {
    json["memory"] = {{"peak_bytes", figure.memory->peak},
                      {"weights_and_kv_bytes", figure.memory->needed},
                      {"ratio", figure.memory->peak / figure.memory->needed}};
  }
  return json;
}

Json describe_machine() {
  std::string processor = first_line("/proc/cpuinfo", "model name");
  const std::size_t colon = processor.find(": ");
  processor = colon == processor.npos ? "unknown" : processor.substr(colon + 2);
  // The choice that holds stands in brackets.
  std::string pages = first_line("/sys/kernel/mm/transparent_hugepage/enabled", "");
  const std::size_t open = pages.find('['), close = pages.find(']');
  pages = open < close && close != pages.npos ? pages.substr(open + 1, close - open - 1) : "none";
  return {{"processor", processor},
          {"threads", std::thread::hardware_concurrency()},
          {"kernel", engine::best_kernel().name},
          {"huge_pages", pages}};
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << '5'; }

std::optional<double> peak_memory() {
  const std::string line = first_line("/proc/self/status", "VmHWM:");
  if (line.empty()) return std::nullopt;
  return 1024 * std::strtod(line.c_str() + 6, nullptr);
}

}  // namespace otr::apps

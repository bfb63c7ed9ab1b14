// The table that ends an import: what rounding did to each kind of matrix.
#include <algorithm>
#include <cstdio>
#include <map>
#include <ranges>

#include "apps/model.h"
#include "base/hex.h"

namespace otr::apps {
namespace {

using convert::MatrixReport;

constexpr std::size_t kWorst = 3;

struct Kind {
  std::string name;
  std::uint64_t count = 0;
  double error_sum = 0, error_max = 0, peak = 0, outliers_sum = 0;
  int least_exponent = 99, greatest_exponent = 0;
  std::uint32_t least_scale = 4095, greatest_scale = 0;
  std::map<std::string, int> types;

  void add(const MatrixReport& m) {
    ++count;
    error_sum += m.error;
    error_max = std::max(error_max, m.error);
    peak = std::max(peak, m.peak);
    outliers_sum += m.outliers;
    least_exponent = std::min(least_exponent, m.exponent);
    greatest_exponent = std::max(greatest_exponent, m.exponent);
    least_scale = std::min(least_scale, m.least_scale);
    greatest_scale = std::max(greatest_scale, m.greatest_scale);
    ++types[m.source_type];
  }
};

std::string kind_of(const std::string& name) { return name.substr(name.rfind('.') + 1); }

std::vector<Kind> kinds_of(const convert::ImportReport& report) {
  std::vector<Kind> kinds;
  for (const MatrixReport& m : report.matrices) {
    auto found = std::ranges::find(kinds, kind_of(m.name), &Kind::name);
    if (found == kinds.end())
      found = kinds.insert(kinds.end(), Kind{.name = kind_of(m.name), .types = {}});
    found->add(m);
  }
  return kinds;
}

// The row of SPEC OP-18 that a kind of matrix multiplies; nothing for the embedding.
std::vector<int> bits_of(const std::string& kind, const model::Config& config) {
  const model::ActBits& bits = config.act_bits;
  if (kind == "wq" || kind == "wk" || kind == "wv") return bits.attn;
  if (kind == "wo") return bits.o;
  if (kind == "w_gate" || kind == "w_up") return bits.mlp;
  if (kind == "w_down") return bits.down;
  if (kind == "head" || (kind == "embed" && config.tied)) return {bits.head};
  return {};
}

std::string act8_text(const std::string& kind, const model::Config& config, bool measured) {
  const std::vector<int> bits = bits_of(kind, config);
  if (bits.empty()) return "-";
  if (!measured) return "not measured";
  return "in " + std::to_string(std::ranges::count(bits, 8)) + " of " + std::to_string(bits.size());
}

std::string types_text(const std::map<std::string, int>& types) {
  std::string text;
  for (const auto& [type, count] : types) {
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + type;
  }
  return text;
}

std::string formatted(const char* format, auto... values) {
  char line[240];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

std::string range_text(std::int64_t least, std::int64_t greatest) {
  return least == greatest ? std::to_string(least)
                           : std::to_string(least) + ".." + std::to_string(greatest);
}

std::string table_text(const convert::ImportReport& report, bool act8_measured) {
  std::string text =
      formatted("%-7s %5s  %-8s %-8s %6s %9s  %-8s %-10s %-13s %s\n", "matrix", "count", "error",
                "worst", "peak", ">6 sigma", "exponent", "scales", "8 bits do", "source");
  for (const Kind& k : kinds_of(report)) {
    const auto count = static_cast<double>(k.count);
    text += formatted(
        "%-7s %5d  %-8.5f %-8.5f %6.1f %8.4f%%  %-8s %-10s %-13s %s\n", k.name.c_str(),
        static_cast<int>(k.count), k.error_sum / count, k.error_max, k.peak,
        100 * k.outliers_sum / count, range_text(k.least_exponent, k.greatest_exponent).c_str(),
        range_text(k.least_scale, k.greatest_scale).c_str(),
        act8_text(k.name, report.config, act8_measured).c_str(), types_text(k.types).c_str());
  }
  return text;
}

std::string worst_text(const convert::ImportReport& report) {
  std::vector<const MatrixReport*> order;
  for (const MatrixReport& m : report.matrices) order.push_back(&m);
  std::ranges::sort(order, {}, [](const auto* m) { return std::pair(-m->error, m->name); });
  std::string text;
  for (const MatrixReport* m : order | std::views::take(kWorst)) {
    text += line_text("worst", formatted("%-18s error %.5f, peak %.1f, %.4f%% beyond 6 sigma",
                                         m->name.c_str(), m->error, m->peak, 100 * m->outliers));
  }
  return text;
}

// Quantised sources lost something before, which this table cannot know.
bool has_quantised_source(const convert::ImportReport& report) {
  return std::ranges::any_of(report.matrices, [](const MatrixReport& m) {
    return m.source_type != "F32" && m.source_type != "F16" && m.source_type != "BF16";
  });
}

}  // namespace

Json to_json(const convert::ImportReport& report) {
  Json matrices = Json::array();
  for (const MatrixReport& m : report.matrices) {
    matrices.push_back({{"name", m.name},
                        {"source_type", m.source_type},
                        {"relative_error", m.error},
                        {"peak", m.peak},
                        {"outlier_share", m.outliers},
                        {"exponent", m.exponent},
                        {"least_scale", m.least_scale},
                        {"greatest_scale", m.greatest_scale}});
  }
  const model::ActBits& bits = report.config.act_bits;
  return {{"model_root", to_hex(report.model_root)},
          {"source_bytes", report.source_bytes},
          {"artifact_bytes", report.artifact_bytes},
          {"residual_frac_bits", report.config.shape.residual_frac_bits},
          {"act_bits",
           {{"attn", bits.attn},
            {"o", bits.o},
            {"mlp", bits.mlp},
            {"down", bits.down},
            {"head", bits.head}}},
          {"warnings", report.warnings},
          {"error_is_against_dequantised_weights", has_quantised_source(report)},
          {"matrices", matrices}};
}

std::string report_text(const convert::ImportReport& report, bool act8_measured) {
  std::string text = table_text(report, act8_measured) + worst_text(report);
  text += line_text(
      "error",
      "root mean square of what rounding to int8 changed, over that of the "
      "weights, after equalisation" +
          std::string(has_quantised_source(report) ? "; against the weights the source's "
                                                     "quantised types stand for, which had lost "
                                                     "precision before"
                                                   : ""));
  text += line_text("peak", "greatest weight over the root mean square of its matrix");
  if (!act8_measured) {
    text += line_text("8 bits",
                      "where int8 activations would be harmless was not measured (use "
                      "--act8 auto)");
  }
  for (const std::string& warning : report.warnings) text += line_text("warning", warning);
  return text;
}

}  // namespace otr::apps

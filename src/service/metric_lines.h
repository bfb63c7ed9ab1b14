// Values in Prometheus's text format 0.0.4, for what has no counters of its own but tells what it
// sees (metrics.h is for what counts).
#ifndef OTR_SERVICE_METRIC_LINES_H_
#define OTR_SERVICE_METRIC_LINES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace otr::service {

// Names and helps are constants of ours.
class MetricLines {
 public:
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    add(name, "gauge", help, value);
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    add(name, "counter", help, value);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void add(std::string_view name, std::string_view type, std::string_view help,
           std::uint64_t value) {
    text_.append("# HELP ").append(name).append(" ").append(help);
    text_.append("\n# TYPE ").append(name).append(" ").append(type);
    text_.append("\n").append(name).append(" ").append(std::to_string(value)).append("\n");
  }
  std::string text_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_METRIC_LINES_H_

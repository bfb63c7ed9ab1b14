// What an operator watches, in Prometheus's text format 0.0.4, under the names of the table in
// metrics.cc.
//
// All values are integers: of seconds and ratios, millionths. Labels are words of ours (routes,
// causes, status codes), never a stranger's text, so that the number of series is bounded.
#ifndef OTR_SERVICE_METRICS_H_
#define OTR_SERVICE_METRICS_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace otr::service {

// Every function may be called from any thread. A name that is not in the table, or is there of
// another type, is our own mistake (OTR_CHECK).
class Metrics {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // Series without labels stand in the text from the beginning, so that a rate has a start.
  Metrics();

  void add(std::string_view counter, std::uint64_t by = 1, Labels labels = {});
  void set(std::string_view gauge, std::int64_t value, Labels labels = {});
  void move(std::string_view gauge, std::int64_t by);
  void observe(std::string_view histogram, std::int64_t micros, Labels labels = {});

  [[nodiscard]] std::string text() const;

 private:
  struct Series {
    std::int64_t value = 0;              // of a counter or gauge; the sum of a histogram
    std::vector<std::uint64_t> buckets;  // of a histogram: not cumulative, the last without bound
  };
  Series& series(std::string_view family, char type, Labels labels);

  mutable std::mutex mutex_;
  std::map<std::string_view, std::map<std::string, Series>> families_;  // by the table's names
};

}  // namespace otr::service

#endif  // OTR_SERVICE_METRICS_H_

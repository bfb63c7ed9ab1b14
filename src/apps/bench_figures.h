// What otr bench prints: figures, each with what it is held against, and the machine.
#ifndef OTR_APPS_BENCH_FIGURES_H_
#define OTR_APPS_BENCH_FIGURES_H_

#include <optional>
#include <string>
#include <vector>

#include "base/canonical_json.h"

namespace otr::apps {

// Median, least and greatest of repeated measurements.
struct Spread {
  double median = 0, low = 0, high = 0;
};

// Requires at least one value.
Spread spread(std::vector<double> values);
// Of a[i] / b[i], pairs measured one after the other. Requires as many of both.
Spread quotients(const std::vector<double>& a, const std::vector<double>& b);

// Something measured in turn with a figure; `ratio` is the figure's value over this one's, pair by
// pair.
struct Rival {
  std::string name;
  std::string unit;
  Spread value;
  Spread ratio;
};

// Bytes; `peak` is the greatest resident size while the figure's first, uncounted run went on,
// `needed` the artifact's file and the K and V of that run.
struct Memory {
  double peak = 0, needed = 0;
};

struct Figure {
  std::string name;
  unsigned threads = 1;
  std::string unit;
  Spread value = {};
  std::vector<Rival> rivals = {};
  std::optional<Memory> memory = {};
  Json parameters = {};                 // an object of strings and numbers
  std::vector<std::string> notes = {};  // what the numbers do not say
};

// One line.
std::string to_text(const Figure& figure);
Json to_json(const Figure& figure);

// Processor, its number of threads, the engine's kernel, the system's setting of huge pages.
Json describe_machine();

// The greatest resident size of this process in bytes since the last reset; nothing where the
// system does not say.
void reset_peak_memory();
std::optional<double> peak_memory();

}  // namespace otr::apps

#endif  // OTR_APPS_BENCH_FIGURES_H_

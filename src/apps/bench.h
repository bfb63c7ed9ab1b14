// The commands that measure the engine, and that make models to measure it with.
#ifndef OTR_APPS_BENCH_H_
#define OTR_APPS_BENCH_H_

#include "apps/command.h"

namespace otr::apps {

void add_bench(CLI::App& app, Run& run);
// Adds `random` to the command `model`, which must be there.
void add_model_random(CLI::App& app, Run& run);

}  // namespace otr::apps

#endif  // OTR_APPS_BENCH_H_

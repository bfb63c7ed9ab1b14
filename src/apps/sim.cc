// otr sim: whole networks from seeds, in one thread and virtual time (sim/seed_run.h).
#include <chrono>
#include <cstdio>
#include <string>

#include "apps/command.h"
#include "base/hex.h"
#include "env/signal.h"
#include "sim/seed_run.h"

namespace otr::apps {
namespace {

struct SimFlags {
  std::uint64_t seed = 1, seeds = 1, minutes = 0;
  bool json = false;
};

Json json_of(const sim::SeedReport& report) {
  return {{"seed", report.seed},
          {"holds", report.failures.empty()},
          {"failures", report.failures},
          {"tip", to_hex(report.tip)},
          {"state_digest", to_hex(report.digest)},
          {"height", report.height},
          {"virtual_ms", report.virtual_ms},
          {"operators", report.operators},
          {"cheats", report.cheats},
          {"fishermen", report.fishermen},
          {"true_claims", report.true_claims},
          {"false_claims", report.false_claims},
          {"games", report.games},
          {"refuted", report.refuted},
          {"upheld", report.upheld},
          {"slashed", report.slashed},
          {"canaries", report.canaries},
          {"kills", report.kills},
          {"cuts", report.cuts}};
}

// Seeds from a first one on, as many as asked for, or until the time is over.
Result<int> play(const SimFlags& flags) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::minutes(flags.minutes);
  const auto is_done = [&](std::uint64_t count) {
    return flags.minutes > 0 ? Clock::now() >= end : count >= flags.seeds;
  };
  std::uint64_t count = 0, failed = 0;
  for (; !is_done(count); ++count) {
    if (env::interrupted()) {
      return fail(ErrorKind::kCancelled, "Stopped after " + std::to_string(count) + " seeds.");
    }
    const sim::SeedReport report = sim::run_seed(flags.seed + count);
    const bool holds = report.failures.empty();
    failed += holds ? 0 : 1;
    std::string line = flags.json ? json_of(report).dump() : sim::describe(report);
    if (!holds && !flags.json) line += "\n  again: otr sim --seed " + std::to_string(report.seed);
    OTR_TRY(print(line + "\n"));
  }
  if (!flags.json) {
    OTR_TRY(print(std::to_string(count) + " seeds, " + std::to_string(failed) + " failed\n"));
  }
  return failed == 0 ? kOk : kFailed;
}

}  // namespace

void add_sim(CLI::App& app, Run& run) {
  auto flags = std::make_shared<SimFlags>();
  CLI::App* command = app.add_subcommand(
      "sim", "Play whole networks from seeds, with cheats and faults, and check every rule");
  auto* seed = command->add_option("--seed", flags->seed, "The first seed")->capture_default_str();
  auto* seeds = command->add_option("--seeds", flags->seeds, "How many, one after the other")
                    ->capture_default_str()
                    ->check(CLI::PositiveNumber);
  auto* minutes = command
                      ->add_option("--minutes", flags->minutes,
                                   "For so long, from a seed of the clock on or from --seed")
                      ->check(CLI::Range(1, 24 * 60))
                      ->excludes(seeds);
  command->add_flag("--json", flags->json, "Print one JSON object a seed");
  command->callback([flags, seed, minutes, &run] {
    if (minutes->count() > 0 && seed->count() == 0) {
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      flags->seed = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
    }
    run = [flags] {
      const Result<int> code = play(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

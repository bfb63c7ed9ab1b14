// What the commands share: exit codes, errors to people, files.
#ifndef OTR_APPS_COMMAND_H_
#define OTR_APPS_COMMAND_H_

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/canonical_json.h"
#include "base/result.h"
#include "engine/packed.h"
#include "model/artifact.h"

namespace otr::apps {

// Exit codes of every command (docs: README, "Exit codes").
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;        // a check failed, a mismatch found by recomputing too
inline constexpr int kUsage = 2;         // flags, files, configuration
inline constexpr int kInconclusive = 3;  // not recomputed, not final, or stopped
inline constexpr int kFraud = 5;         // a ledger holds that it was proven false, or is void

// The exit code of an error, and the error itself on standard error.
int report(const Error& error);

// A model file, checked; shows progress on a terminal while it reads.
Result<model::Artifact> load_model(const std::filesystem::path& path);

// Whether this is a model of somebody else that otr model import may take: a folder or a GGUF file.
bool is_importable(const std::filesystem::path& path);

// Its weights as the engine wants them; their canonical copy is given back to the system meanwhile,
// so that both never stand in memory together.
engine::PackedModel pack(model::Artifact& artifact, unsigned threads);

// A progress bar on standard error, if that is a terminal; nothing otherwise.
class Progress {
 public:
  // Where `bytes`, work is counted in bytes and its speed is shown.
  explicit Progress(std::string label, bool bytes = false);
  ~Progress();
  // For work that tells often how far it is: shown after half a second, ten times a second.
  void update(std::string_view stage, std::uint64_t done, std::uint64_t total);
  // For the few long stages of a work: each is shown when it begins.
  void begin_stage(std::string_view stage, std::uint64_t done, std::uint64_t total);

 private:
  std::string label_;
  bool bytes_;
  bool shown_ = false;
  std::int64_t begin_ns_, last_ns_;
};

// Adds a command; `run` returns the exit code. Called by main for each command.
using Run = std::function<int()>;
void add_ask(CLI::App& app, Run& run);
void add_attack(CLI::App& app, Run& run);
void add_attest(CLI::App& app, Run& run);
void add_ledger(CLI::App& app, Run& run);
// Its subcommands: init and serve; mint, account and send.
void add_ledger_serving(CLI::App& ledger, Run& run);
void add_ledger_accounts(CLI::App& ledger, Run& run);
void add_operator(CLI::App& app, Run& run);
void add_fisherman(CLI::App& app, Run& run);
void add_checker(CLI::App& app, Run& run);
void add_demo(CLI::App& app, Run& run);
void add_sim(CLI::App& app, Run& run);
void add_verify(CLI::App& app, Run& run);
void add_prove(CLI::App& app, Run& run);
void add_up(CLI::App& app, Run& run);
void add_worker(CLI::App& app, Run& run);
void add_gateway(CLI::App& app, Run& run);
void add_proxy(CLI::App& app, Run& run);
void add_model(CLI::App& app, Run& run);
void add_tokenize(CLI::App& app, Run& run);
void add_detokenize(CLI::App& app, Run& run);

// The value of --beacon; zero where there is none.
Result<Hash> parse_beacon(const std::string& text);

// Whether a file can be written there, learnt before the work rather than after it. `flag` is named
// in the error.
Status check_can_write(const std::string& flag, const std::filesystem::path& path);

// That an output is not one of the command's inputs, which it would replace.
Status check_is_other(const std::string& flag, const std::filesystem::path& output,
                      const std::filesystem::path& input);

// Threads when none are asked for: all the machine has.
unsigned default_threads();

// Standard output as one write; a closed or full output is an error, not a crash.
Status print(std::string_view text);

}  // namespace otr::apps

#endif  // OTR_APPS_COMMAND_H_

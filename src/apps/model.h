// The parts of `otr model`: what its commands share.
#ifndef OTR_APPS_MODEL_H_
#define OTR_APPS_MODEL_H_

#include <memory>
#include <string>
#include <string_view>

#include "apps/command.h"
#include "convert/import.h"
#include "model/config.h"

namespace otr::apps {

inline constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;  // of a text to measure on

// Called by add_model.
void add_model_import(CLI::App& model, Run& run);
void add_model_show(CLI::App& model, Run& run);
void add_model_eval(CLI::App& model, Run& run);

// Makes `body` what runs when the command is given; it returns the exit code.
template <class Flags>
void set_run(CLI::App* command, const std::shared_ptr<Flags>& flags, Run& run,
             Result<int> (*body)(const Flags&)) {
  command->callback([flags, body, &run] {
    run = [flags, body] {
      const Result<int> code = body(*flags);
      return code ? *code : report(code.error());
    };
  });
}

// "1.10 GB": bytes for people, in powers of ten.
std::string size_text(std::uint64_t bytes);
// A label of a fixed width, a value and a line feed.
std::string line_text(std::string label, std::string_view value);

// What a model is, artifact or plan of one: sizes, numbers, tokeniser, template, memory.
Json describe(const model::Config& config, const convert::ArtifactTexts& texts);
std::string describe_text(const Json& description);

// What an import would do, for people and as JSON.
Json describe_plan(const convert::ImportPlan& plan);
std::string plan_text(const convert::ImportPlan& plan, const Json& description);

// The fidelity table that ends an import. `act8_measured`: whether the act_bits were chosen.
Json to_json(const convert::ImportReport& report);
std::string report_text(const convert::ImportReport& report, bool act8_measured);

}  // namespace otr::apps

#endif  // OTR_APPS_MODEL_H_

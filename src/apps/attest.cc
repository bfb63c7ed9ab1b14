// otr attest: what evidence of a TEE or GPU is worth under a policy (verify), and what it says
// (show). Offline: collateral and time are given (docs/attestation.md).
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <vector>

#include "apps/attest_files.h"
#include "apps/command.h"
#include "apps/serve.h"
#include "attest/anchors.h"
#include "attest/bundle.h"
#include "attest/encoding.h"
#include "attest/policy.h"
#include "attest/report.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

struct AttestFlags {
  std::vector<std::string> files;
  std::string policy, at, nonce, report_data;
  bool explain = false, json = false;
};

Result<std::optional<Bytes>> read_hex(const std::string& flag, const std::string& text,
                                      std::size_t min_bytes) {
  if (text.empty()) return std::nullopt;
  auto bytes = attest::from_plain_hex(text.starts_with("0x") ? text.substr(2) : text);
  if (bytes && bytes->size() >= min_bytes && bytes->size() <= 64) return bytes;
  return fail(ErrorKind::kUsage, flag + " takes hexadecimal digits of " +
                                     std::to_string(min_bytes) +
                                     (min_bytes == 64 ? " bytes" : " to 64 bytes"));
}

std::string json_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<attest::Policy> load_policy(const std::string& name) {
  const auto known = attest::built_in_policy_names();
  std::error_code ignored;
  if (std::ranges::find(known, name) == known.end() && !std::filesystem::exists(name, ignored)) {
    std::string names;
    for (const std::string_view one : known)
      names += (names.empty() ? "" : ", ") + std::string(one);
    return fail(ErrorKind::kUsage, "--policy: there is no file '" + name +
                                       "', and the policies of this program are " + names);
  }
  OTR_TRY_ASSIGN(const std::string text, read_policy(name));
  auto policy = attest::parse_policy(text);
  if (!policy) {
    policy.error().message = name + ": " + policy.error().message;
    return policy;
  }
  if (policy->name.empty()) policy->name = std::filesystem::path(name).filename().string();
  return policy;
}

Result<int> verify(const AttestFlags& flags) {
  attest::Time at = env::unix_seconds();
  if (!flags.at.empty()) {
    OTR_TRY_ASSIGN(at, attest::parse_time(flags.at));
  }
  attest::Expected expected;
  OTR_TRY_ASSIGN(expected.nonce, read_hex("--nonce", flags.nonce, 8));
  OTR_TRY_ASSIGN(expected.report_data, read_hex("--report-data", flags.report_data, 64));
  OTR_TRY_ASSIGN(const attest::Policy policy, load_policy(flags.policy));
  OTR_TRY_ASSIGN(const std::vector<attest::Item> items, read_items(flags.files));
  OTR_TRY_ASSIGN(const attest::Bundle bundle, attest::sort_items(items));
  const attest::Appraisal appraisal =
      attest::appraise(bundle, policy, expected, attest::vendor_anchors(), at);
  OTR_TRY(print(flags.json ? json_text(attest::to_json(appraisal, policy, at))
                           : attest::to_text(appraisal, policy, at, flags.explain)));
  return appraisal.accepted() ? kOk : kFailed;
}

Result<int> show(const AttestFlags& flags) {
  OTR_TRY_ASSIGN(const std::vector<attest::Item> items, read_items(flags.files));
  OTR_TRY_ASSIGN(const Json facts, describe_items(items));
  OTR_TRY(print(flags.json ? json_text(facts)
                           : "Nothing here is verified or judged; that is otr attest verify.\n" +
                                 attest::facts_text(facts, "")));
  return kOk;
}

void add_verify_flags(CLI::App& command, AttestFlags& flags) {
  command.add_option("files", flags.files, "Evidence and collateral: files, or folders of them")
      ->required()
      ->type_name("FILE|FOLDER");
  command
      .add_option("--policy", flags.policy,
                  "What is demanded: a file, or 'genuine' (any software on genuine hardware)")
      ->required()
      ->type_name("FILE|NAME");
  command
      .add_option("--at", flags.at,
                  "Judge as of this time, such as 2026-03-20T00:00:00Z (default: now)")
      ->type_name("TIME");
  command.add_option("--nonce", flags.nonce, "What the evidence must answer, of GPUs 32 bytes")
      ->type_name("HEX");
  command.add_option("--report-data", flags.report_data, "64 bytes that the CPU must have signed")
      ->type_name("HEX");
  command.add_flag("--explain", flags.explain, "Every check with its value");
  command.add_flag("--json", flags.json, "Checks and facts as JSON");
}

}  // namespace

void add_attest(CLI::App& app, Run& run) {
  const auto flags = std::make_shared<AttestFlags>();
  CLI::App* attest = app.add_subcommand(
      "attest", "Verify or show the evidence of TEEs (Intel, AMD, AWS) and NVIDIA GPUs");
  attest->require_subcommand(1);
  CLI::App* verify_command = attest->add_subcommand(
      "verify", "Is this evidence genuine, and does my policy accept it? Offline");
  add_verify_flags(*verify_command, *flags);
  verify_command->footer(
      "Exit codes: 0 accepted, 1 refused, 2 usage or a file that is no evidence.");
  verify_command->callback([flags, &run] {
    run = [flags] {
      const auto code = verify(*flags);
      return code ? *code : report(code.error());
    };
  });
  CLI::App* show_command =
      attest->add_subcommand("show", "What evidence, certificates and lists say; judges nothing");
  show_command->add_option("files", flags->files, "Files, or folders of them")
      ->required()
      ->type_name("FILE|FOLDER");
  show_command->add_flag("--json", flags->json, "As JSON");
  show_command->callback([flags, &run] {
    run = [flags] {
      const auto code = show(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

// otr checker: verifies what operators answered for drawn claims, and signs what is right
// (rollup/checker.h, docs/ledger.md).
#include "rollup/checker.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/command.h"
#include "apps/data_servers.h"
#include "apps/role.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

struct CheckerFlags : RoleFlags {
  std::vector<std::string> data;
};

Json to_json(const rollup::CheckerGauges& gauges, std::uint64_t height) {
  return {{"height", height},
          {"answered", gauges.answered},
          {"proven", gauges.proven},
          {"executed", gauges.executed},
          {"disagreed", gauges.disagreed},
          {"withheld", gauges.withheld},
          {"unknown_model", gauges.unknown_model},
          {"signed", gauges.signed_count},
          {"refused", gauges.refused},
          {"last_disagreement", gauges.last_disagreement},
          {"last_refusal", gauges.last_refusal}};
}

service::MetricLines to_lines(const rollup::CheckerGauges& gauges) {
  service::MetricLines lines;
  lines.counter("otr_checker_answered_total", "Draws seen answered.", gauges.answered);
  lines.counter("otr_checker_proven_total", "Proofs found right.", gauges.proven);
  lines.counter("otr_checker_executed_total", "Claims computed again and found right.",
                gauges.executed);
  lines.counter("otr_checker_disagreed_total",
                "Answers that do not show their claim: raise an alarm.", gauges.disagreed);
  lines.counter("otr_checker_withheld_total", "Times that data could not be had.", gauges.withheld);
  lines.counter("otr_checker_unknown_model_total", "Claims of models that it does not have.",
                gauges.unknown_model);
  lines.counter("otr_checker_signed_total", "Checks that the ledger has taken.",
                gauges.signed_count);
  lines.counter("otr_checker_refused_total", "Its transactions that the ledger refused.",
                gauges.refused);
  return lines;
}

Result<int> watch(const CheckerFlags& flags, const Following& following, RoleReport& report_to,
                  rollup::CheckerOptions options) {
  Status status;
  std::optional<rollup::Mirror> mirror = open_mirror(following, flags, false, report_to, status);
  if (!mirror) return kOk;
  const std::string address = to_hex(options.key.address());
  rollup::Checker checker(*mirror, std::move(options));
  if (!checker.is_appointed()) {
    return fail(ErrorKind::kUsage, "The genesis of this ledger names other checkers than " +
                                       address + " (checker.key of the home folder).");
  }
  do {
    status = checker.step(env::unix_ms());
    const rollup::CheckerGauges gauges = checker.gauges();
    OTR_TRY(report_to.say(to_json(gauges, mirror->state().height), to_lines(gauges),
                          &mirror->state(), status));
  } while (!pause_ms(flags.every_ms));
  return kOk;
}

Result<int> check(const CheckerFlags& flags) {
  OTR_TRY_ASSIGN(const Following following, follow(flags));
  DataServers data;
  for (const std::string& text : flags.data) OTR_TRY(data.add(*following.client, text));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key("checker"));
  OTR_TRY_ASSIGN(const auto report_to, RoleReport::start(flags));
  OTR_TRY_ASSIGN(const RoleModels models, load_models(flags));
  Json first = {{"account", to_hex(key.address())}, {"ledger", to_hex(following.id)}};
  if (!report_to->metrics_url().empty()) first["metrics"] = report_to->metrics_url();
  OTR_TRY(print(first.dump() + "\n"));
  return watch(flags, following, *report_to,
               {.key = key,
                .weights = [&](const Hash& root) { return weights_of(models, root); },
                .data = [&](const crypto::Address& address) { return data.of(address); }});
}

constexpr const char* kDescription =
    R"(Verifies the answers to draws as one of a ledger's checkers, and signs what is right.

It follows the ledger by its own replay. Where an operator answered a draw with a proof of the whole
pass, it fetches the proof and verifies it under the beacon's value; otherwise it computes the
answer again. It signs what holds, and is silent about the rest: a checker's silence is no verdict,
what is false is a fisherman's to challenge. Killed and started again, it goes on.

Its key is "checker" of the home folder, which the ledger's genesis must name (otr ledger init
--checker); its account pays a fee for each check. Prints one JSON object a line whenever something
has changed.)";

}  // namespace

void add_checker(CLI::App& app, Run& run) {
  auto flags = std::make_shared<CheckerFlags>();
  CLI::App* command = app.add_subcommand("checker", kDescription);
  add_role_options(*command, *flags);
  command
      ->add_option("--data", flags->data,
                   "Where operators serve receipts and proofs: URL, or ADDRESS=URL for one of them")
      ->required()
      ->type_name("[0x…=]URL");
  command->add_option("-m,--model", flags->models, "Model artifact to verify with; repeatable")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = check(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

// otr attack: the catalogue of cheats, played against the whole rollup under virtual time
// (sim/attack.h). SIMULATED: network, clocks and TEEs; real: roles, rules, referee, verifiers.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/command.h"
#include "base/canonical_json.h"
#include "sim/catalogue.h"

namespace otr::apps {
namespace {

struct AttackFlags {
  std::vector<std::string> ids;
  std::uint64_t seed = 1;
  bool json = false;
};

struct Row {
  const sim::Attack& attack;
  sim::Outcome outcome;
  std::string shortcoming;  // empty: as demanded
};

std::string padded(std::string_view text, std::size_t width) {
  std::string made(text);
  if (made.size() < width) made.append(width - made.size(), ' ');
  return made + "  ";
}

std::string time_of(const sim::Outcome& outcome) {
  if (!outcome.is_caught) return "never";
  if (outcome.caught_ms == 0) return "at once";
  return std::to_string(outcome.caught_ms) + " ms";
}

std::string losses_of(const sim::Outcome& outcome) {
  std::string text;
  for (const sim::Loss& loss : outcome.losses) {
    text += (text.empty() ? "" : ", ") + loss.who + " " + std::to_string(loss.amount);
  }
  return text.empty() ? "nobody" : text;
}

std::string line_of(const Row& row) {
  std::string line = row.shortcoming.empty() ? "PASS  " : "FAIL  ";
  line += padded(row.attack.id, 26) + padded(sim::name_of(row.outcome.tier), 12) +
          padded(row.outcome.how, 21) + padded(time_of(row.outcome), 9) +
          padded(row.attack.demanded.rule, 7) + losses_of(row.outcome) + "\n";
  if (!row.shortcoming.empty()) line += "      " + row.shortcoming + "\n";
  return line;
}

Json json_of(const Row& row) {
  Json losses = Json::array();
  for (const sim::Loss& loss : row.outcome.losses) {
    losses.push_back({{"who", loss.who}, {"amount", loss.amount}});
  }
  return {{"attack", row.attack.id},
          {"what", row.attack.what},
          {"caught", row.outcome.is_caught},
          {"tier", sim::name_of(row.outcome.tier)},
          {"how", row.outcome.how},
          {"caught_ms", row.outcome.caught_ms},
          {"losses", std::move(losses)},
          {"demanded",
           {{"tier", sim::name_of(row.attack.demanded.tier)},
            {"how", row.attack.demanded.how},
            {"losers", row.attack.demanded.losers},
            {"rule", row.attack.demanded.rule}}},
          {"pass", row.shortcoming.empty()},
          {"shortcoming", row.shortcoming}};
}

Row play(const sim::Attack& attack, std::uint64_t seed) {
  sim::Outcome outcome = sim::run(attack, seed);
  std::string shortcoming = sim::shortcoming(attack, outcome);
  return {attack, std::move(outcome), std::move(shortcoming)};
}

Result<int> play_all(const std::vector<sim::Attack>& attacks, const AttackFlags& flags) {
  if (!flags.json) {
    OTR_TRY(print("SIMULATED network, clocks and TEEs; seed " + std::to_string(flags.seed) +
                  ". Times are virtual, amounts the ledger's units, a stake 10000000.\n      " +
                  padded("attack", 26) + padded("caught by", 12) + padded("with", 21) +
                  padded("after", 9) + padded("rule", 7) + "who lost what\n"));
  }
  Json rows = Json::array();
  std::size_t failed = 0;
  for (const sim::Attack& attack : attacks) {
    const Row row = play(attack, flags.seed);
    failed += row.shortcoming.empty() ? 0 : 1;
    if (flags.json) {
      rows.push_back(json_of(row));
    } else {
      OTR_TRY(print(line_of(row)));
    }
  }
  if (flags.json) {
    OTR_TRY(print(Json{{"simulated", true},
                       {"seed", flags.seed},
                       {"attacks", std::move(rows)},
                       {"failed", failed}}
                      .dump(2) +
                  "\n"));
  } else {
    OTR_TRY(print(std::to_string(attacks.size() - failed) + " of " +
                  std::to_string(attacks.size()) + " attacks ended as the SPEC demands.\n"));
  }
  return failed == 0 ? kOk : kFailed;
}

Result<int> list(const AttackFlags& flags) {
  Json rows = Json::array();
  std::string lines;
  for (const sim::Attack& attack : sim::catalogue()) {
    const sim::Demanded& demanded = attack.demanded;
    rows.push_back({{"attack", attack.id},
                    {"what", attack.what},
                    {"tier", sim::name_of(demanded.tier)},
                    {"how", demanded.how},
                    {"losers", demanded.losers},
                    {"rule", demanded.rule}});
    lines += padded(attack.id, 26) + std::string(attack.what) + "\n" + padded("", 26) +
             "must end: " + std::string(sim::name_of(demanded.tier)) + ", " +
             std::string(demanded.how) + " (" + std::string(demanded.rule) +
             "), loses: " + (demanded.losers.empty() ? "nobody" : std::string(demanded.losers)) +
             "\n";
  }
  OTR_TRY(print(flags.json ? rows.dump(2) + "\n" : lines));
  return kOk;
}

Result<int> play_some(const AttackFlags& flags) {
  const std::vector<sim::Attack> all = sim::catalogue();
  std::vector<sim::Attack> chosen;
  for (const std::string& id : flags.ids) {
    const sim::Attack* const found = sim::find_attack(all, id);
    if (found == nullptr) {
      return fail(ErrorKind::kUsage, "There is no attack " + id + ": otr attack list has them.");
    }
    chosen.push_back(*found);
  }
  return play_all(chosen, flags);
}

constexpr const char* kDescription =
    R"(Plays cheats against the whole rollup, and compares what came of each with the SPEC.

Workers, gateways, sequencers, auditors, thieves and clients cheat; the real roles, rules, referee
and verifiers answer. Network, clocks and TEEs are SIMULATED. Exit code 0 only if every attack ended
as demanded.)";

}  // namespace

void add_attack(CLI::App& app, Run& run) {
  auto flags = std::make_shared<AttackFlags>();
  CLI::App* command = app.add_subcommand("attack", kDescription);
  command->require_subcommand(1);
  const auto set = [flags, &run](CLI::App* one, Result<int> (*body)(const AttackFlags&)) {
    one->add_flag("--json", flags->json, "Print JSON");
    one->callback([flags, body, &run] {
      run = [flags, body] {
        const Result<int> code = body(*flags);
        return code ? *code : report(code.error());
      };
    });
  };
  const auto add_seed = [flags](CLI::App* one) {
    one->add_option("--seed", flags->seed, "Decides keys, order and details")
        ->capture_default_str();
  };
  set(command->add_subcommand("list", "All attacks, and how each must end"), list);
  CLI::App* some = command->add_subcommand("run", "Plays some of them");
  some->add_option("id", flags->ids, "Names of attacks")->required();
  add_seed(some);
  set(some, play_some);
  CLI::App* all = command->add_subcommand("all", "Plays all of them");
  add_seed(all);
  set(all, [](const AttackFlags& those) { return play_all(sim::catalogue(), those); });
}

}  // namespace otr::apps

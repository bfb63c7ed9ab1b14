#include "sim/catalogue.h"

#include <algorithm>
#include <exception>

namespace otr::sim {

std::string_view name_of(Tier tier) {
  switch (tier) {
    case Tier::kAttested:
      return "1 attested";
    case Tier::kOptimistic:
      return "2 optimistic";
    case Tier::kDraw:
      return "3 draw";
    case Tier::kRule:
      return "rule";
  }
  return "";
}

std::string names_of(std::span<const Loss> losses) {
  std::vector<std::string> names;
  for (const Loss& loss : losses) names.push_back(loss.who);
  std::ranges::sort(names);
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ",") + name;
  return joined;
}

std::string shortcoming(const Attack& attack, const Outcome& outcome) {
  const Demanded& demanded = attack.demanded;
  if (!outcome.wrong.empty()) return outcome.wrong;
  if (!outcome.is_caught) return "it was not caught";
  if (outcome.tier != demanded.tier || outcome.how != demanded.how) {
    return "it was caught by " + std::string(name_of(outcome.tier)) + " with " + outcome.how +
           ", not by " + std::string(name_of(demanded.tier)) + " with " + std::string(demanded.how);
  }
  const std::string losers = names_of(outcome.losses);
  if (losers == demanded.losers) return "";
  return "who lost is \"" + losers + "\", not \"" + std::string(demanded.losers) + "\"";
}

std::vector<Attack> catalogue() {
  std::vector<Attack> all;
  for (const auto group :
       {attacks_on_receipts(), attacks_on_sessions(), attacks_on_traces(), attacks_on_data(),
        attacks_on_batches(), attacks_on_draws(), attacks_on_games(), attacks_on_attention(),
        attacks_on_money(), attacks_on_ledger()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

Outcome run(const Attack& attack, std::uint64_t seed) {
  try {
    return attack.run(seed);
  } catch (const std::exception& error) {
    Outcome outcome;
    outcome.wrong = std::string("it could not be played to its end: ") + error.what();
    return outcome;
  }
}

const Attack* find_attack(std::span<const Attack> all, std::string_view id) {
  const auto found = std::ranges::find(all, id, &Attack::id);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace otr::sim

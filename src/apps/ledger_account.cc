// otr ledger mint, account and send: money and stake of one's own keys (docs/ledger.md).
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "apps/command.h"
#include "apps/ledger_follow.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "ledger/parameters.h"
#include "rollup/mirror.h"

namespace otr::apps {
namespace {

Result<crypto::Address> parse_address(const char* flag, const std::string& text) {
  const Result<Bytes> bytes = from_hex(text, 20, flag);
  if (!bytes) return fail(ErrorKind::kUsage, bytes.error().message);
  crypto::Address address{};
  std::ranges::copy(*bytes, address.begin());
  return address;
}

// --- mint ---

struct MintFlags : FollowFlags {
  std::string to;
  std::uint64_t amount = 0;
};

Result<int> mint(const MintFlags& flags) {
  OTR_TRY_ASSIGN(const crypto::Address to, parse_address("--to", flags.to));
  OTR_TRY_ASSIGN(const Following following, follow(flags));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey issuer, home.key("issuer"));
  OTR_TRY_ASSIGN(rollup::Mirror mirror, rollup::Mirror::open(*following.ledger, following.id));
  OTR_TRY(mirror.catch_up());
  OTR_TRY(mirror.send(issuer, ledger::Mint{to, flags.amount}));
  OTR_TRY(
      print(flags.to + " has " + std::to_string(mirror.state().accounts.at(to).balance) + "\n"));
  return kOk;
}

// --- account ---

struct AccountFlags {
  std::string name, home;
};

Result<int> account(const AccountFlags& flags) {
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key(flags.name));
  OTR_TRY(print(to_hex(key.address()) + "\n"));
  return kOk;
}

// --- send ---

struct SendFlags : FollowFlags {
  std::string kind, role = "operator", to, session;
  std::optional<std::uint64_t> amount;
};

Result<ledger::Body> body_of(const SendFlags& flags) {
  const bool has_amount = flags.amount.has_value();
  const bool needs_amount = flags.kind == "transfer" || flags.kind == "withdraw" ||
                            flags.kind == "stake" || flags.kind == "unstake" ||
                            flags.kind == "deposit";
  if (needs_amount != has_amount) {
    return fail(ErrorKind::kUsage,
                flags.kind + (needs_amount ? " needs" : " takes no") + " --amount");
  }
  const bool needs_to = flags.kind == "transfer" || flags.kind == "deposit" ||
                        flags.kind == "close" || flags.kind == "refund";
  if (needs_to == flags.to.empty()) {
    return fail(ErrorKind::kUsage, flags.kind + (needs_to ? " needs" : " takes no") + " --to");
  }
  if ((flags.kind == "revoke-session") == flags.session.empty()) {
    return fail(ErrorKind::kUsage, "--session belongs to revoke-session, which needs it");
  }
  crypto::Address to{};
  if (needs_to) {
    OTR_TRY_ASSIGN(to, parse_address("--to", flags.to));
  }
  const std::uint64_t amount = flags.amount.value_or(0);
  if (flags.kind == "transfer") return ledger::Transfer{to, amount};
  if (flags.kind == "withdraw") return ledger::Withdraw{amount};
  if (flags.kind == "stake") return ledger::Stake{amount};
  if (flags.kind == "unstake") return ledger::Unstake{amount};
  if (flags.kind == "release") return ledger::Release{};
  if (flags.kind == "deposit") return ledger::Deposit{to, amount};
  if (flags.kind == "close") return ledger::Close{to};
  if (flags.kind == "refund") return ledger::Refund{to};
  const Result<Bytes> session = from_hex(flags.session, 32, "--session");
  if (!session) return fail(ErrorKind::kUsage, session.error().message);
  ledger::RevokeSession revoke;
  std::ranges::copy(*session, revoke.session.begin());
  return revoke;
}

// What belongs to an account now.
std::string describe(const ledger::State& state, const crypto::Address& address) {
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const auto found = state.accounts.find(address);
  std::string text = to_hex(address) + "  balance " +
                     number(found == state.accounts.end() ? 0 : found->second.balance);
  const auto self = state.operators.find(address);
  if (self == state.operators.end()) return text + "\n";
  const ledger::Operator& one = self->second;
  text += ", stake " + number(one.stake) + " (" + number(one.reserved) + " reserved, V_max " +
          number(ledger::v_max(ledger::parameters_at(state, state.time), one.stake)) + ")";
  if (one.unbonding != 0) {
    text += ", unbonding " + number(one.unbonding) + " until " + number(one.release_at);
  }
  return text + "\n";
}

Result<int> send(const SendFlags& flags) {
  OTR_TRY_ASSIGN(const Following following, follow(flags));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key(flags.role));
  OTR_TRY_ASSIGN(rollup::Mirror mirror, rollup::Mirror::open(*following.ledger, following.id));
  OTR_TRY(mirror.catch_up());
  if (flags.kind != "nothing") {
    OTR_TRY_ASSIGN(ledger::Body body, body_of(flags));
    OTR_TRY(mirror.send(key, std::move(body)));
  }
  OTR_TRY(print(describe(mirror.state(), key.address())));
  return kOk;
}

}  // namespace

void add_ledger_accounts(CLI::App& ledger, Run& run) {
  const auto start = [&run](auto flags, auto command) {
    return [flags, command, &run] {
      run = [flags, command] {
        const Result<int> code = command(*flags);
        return code ? *code : report(code.error());
      };
    };
  };
  auto mint_flags = std::make_shared<MintFlags>();
  CLI::App* minted =
      ledger.add_subcommand("mint", "The issuer says that somebody has paid in from outside");
  add_follow_options(*minted, *mint_flags);
  minted->add_option("--to", mint_flags->to, "The account")->required()->type_name("0x…");
  minted->add_option("--amount", mint_flags->amount, "In the ledger's smallest unit")->required();
  minted->callback(start(mint_flags, mint));

  auto account_flags = std::make_shared<AccountFlags>();
  CLI::App* shown = ledger.add_subcommand(
      "account", "Prints the account of a role's key, which is made where there is none");
  shown->add_option("ROLE", account_flags->name, "Whose key of the home folder")
      ->required()
      ->check(CLI::IsMember({"checker", "fisherman", "operator"}));
  shown->add_option("--home", account_flags->home, "Folder of the keys")->type_name("DIR");
  shown->callback(start(account_flags, account));

  auto send_flags = std::make_shared<SendFlags>();
  CLI::App* sent = ledger.add_subcommand(
      "send", "Moves money or stake of a key of one's own, and prints what it has then");
  sent->add_option("KIND", send_flags->kind, "What to do; nothing only prints")
      ->required()
      ->check(CLI::IsMember({"nothing", "transfer", "withdraw", "stake", "unstake", "release",
                             "deposit", "close", "refund", "revoke-session"}));
  add_follow_options(*sent, *send_flags);
  sent->add_option("--role", send_flags->role, "Whose key of the home folder")
      ->check(CLI::IsMember({"checker", "client", "fisherman", "operator"}))
      ->capture_default_str();
  sent->add_option("--to", send_flags->to, "The account, or the channel's operator")
      ->type_name("0x…");
  sent->add_option("--amount", send_flags->amount, "In the ledger's smallest unit");
  sent->add_option("--session", send_flags->session, "The session to revoke")->type_name("0x…");
  sent->callback(start(send_flags, send));
}

}  // namespace otr::apps

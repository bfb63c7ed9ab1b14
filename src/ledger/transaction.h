// What accounts ask the ledger to do, as signed bytes (SPEC SET-2, SET-3).
//
// The kind of a transaction is its place in `Body`, from 1 on. Who must sign each and what it does
// is spec/SETTLEMENT.md; apply.h does it.
#ifndef OTR_LEDGER_TRANSACTION_H_
#define OTR_LEDGER_TRANSACTION_H_

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/result.h"
#include "ledger/attention.h"
#include "ledger/fields.h"
#include "ledger/parameters.h"

namespace otr::ledger {

inline constexpr std::size_t kMaxTransactionBytes = (std::size_t{1} << 20) + (1u << 16);

// The outside world paid in. By the issuer.
struct Mint {
  static constexpr std::string_view kName = "Mint";
  Address to{};
  std::uint64_t amount = 0;
  template <class V>
  void each(V& visit) {
    visit("to", to);
    visit("amount", amount);
  }
};
// The balance leaves.
struct Withdraw {
  static constexpr std::string_view kName = "Withdraw";
  std::uint64_t amount = 0;
  template <class V>
  void each(V& visit) {
    visit("amount", amount);
  }
};
struct Transfer {
  static constexpr std::string_view kName = "Transfer";
  Address to{};
  std::uint64_t amount = 0;
  template <class V>
  void each(V& visit) {
    visit("to", to);
    visit("amount", amount);
  }
};
struct Stake {
  static constexpr std::string_view kName = "Stake";
  std::uint64_t amount = 0;
  template <class V>
  void each(V& visit) {
    visit("amount", amount);
  }
};
// From the free stake to the unbonding amount.
struct Unstake {
  static constexpr std::string_view kName = "Unstake";
  std::uint64_t amount = 0;
  template <class V>
  void each(V& visit) {
    visit("amount", amount);
  }
};
// From the unbonding amount to the balance.
struct Release {
  static constexpr std::string_view kName = "Release";
  template <class V>
  void each(V&) {}
};
// Into the channel from the signer to an operator.
struct Deposit {
  static constexpr std::string_view kName = "Deposit";
  Address operator_address{};
  std::uint64_t amount = 0;
  template <class V>
  void each(V& visit) {
    visit("operator", operator_address);
    visit("amount", amount);
  }
};
struct Close {
  static constexpr std::string_view kName = "Close";
  Address operator_address{};
  template <class V>
  void each(V& visit) {
    visit("operator", operator_address);
  }
};
struct Refund {
  static constexpr std::string_view kName = "Refund";
  Address operator_address{};
  template <class V>
  void each(V& visit) {
    visit("operator", operator_address);
  }
};
// A client's voucher, by the operator.
struct Redeem {
  static constexpr std::string_view kName = "Redeem";
  Address client{};
  std::uint64_t through = 0;
  std::uint64_t cumulative = 0;
  Signature signature{};
  template <class V>
  void each(V& visit) {
    visit("client", client);
    visit("through", through);
    visit("cumulative", cumulative);
    visit("signature", signature);
  }
};
// Pays one final claim by its request alone.
struct Settle {
  static constexpr std::string_view kName = "Settle";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  protocol::Claim claim;
  std::vector<Hash> path;
  protocol::Request request;
  Signature request_signature{};
  Signature claim_signature{};
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
    visit("claim", claim);
    visit("path", path);
    visit("request", request);
    visit("requestSignature", request_signature);
    visit("claimSignature", claim_signature);
  }
};
// The members after the root are those of referee::Registration and the tariffs' bounds.
struct RegisterModel {
  static constexpr std::string_view kName = "RegisterModel";
  Hash root{};
  Bytes config;
  std::uint64_t token_bytes = 0;
  std::vector<Hash> config_path;
  Bytes token_tile;
  std::vector<Hash> token_path;
  std::vector<Hash> list_path;
  std::uint64_t max_prompt_tariff = 0;
  std::uint64_t max_output_tariff = 0;
  std::uint8_t weights_published = 0;
  template <class V>
  void each(V& visit) {
    visit("root", root);
    visit("config", config);
    visit("tokenBytes", token_bytes);
    visit("configPath", config_path);
    visit("tokenTile", token_tile);
    visit("tokenPath", token_path);
    visit("listPath", list_path);
    visit("maxPromptTariff", max_prompt_tariff);
    visit("maxOutputTariff", max_output_tariff);
    visit("weightsPublished", weights_published);
  }
};
// One tile of a tensor of the model, with a number that no model may hold.
struct VoidModel {
  static constexpr std::string_view kName = "VoidModel";
  Hash root{};
  std::uint32_t tensor = 0;
  std::uint64_t tile = 0;
  Bytes bytes;
  std::vector<Hash> path;
  std::vector<Hash> list_path;
  template <class V>
  void each(V& visit) {
    visit("root", root);
    visit("tensor", tensor);
    visit("tile", tile);
    visit("bytes", bytes);
    visit("path", path);
    visit("listPath", list_path);
  }
};
struct RegisterSession {
  static constexpr std::string_view kName = "RegisterSession";
  protocol::Session session;
  Hash evidence{};
  Signature signature{};
  std::uint64_t prompt_tariff = 0;
  std::uint64_t output_tariff = 0;
  template <class V>
  void each(V& visit) {
    visit("session", session);
    visit("evidence", evidence);
    visit("signature", signature);
    visit("promptTariff", prompt_tariff);
    visit("outputTariff", output_tariff);
  }
};
struct RevokeSession {
  static constexpr std::string_view kName = "RevokeSession";
  Hash session{};
  template <class V>
  void each(V& visit) {
    visit("session", session);
  }
};
struct RevokeRuntime {
  static constexpr std::string_view kName = "RevokeRuntime";
  Hash runtime{};
  template <class V>
  void each(V& visit) {
    visit("runtime", runtime);
  }
};
struct PostBatch {
  static constexpr std::string_view kName = "PostBatch";
  Hash session{};
  std::uint64_t sequence = 0;
  Hash root{};
  std::uint32_t count = 0;
  std::uint64_t value = 0;
  template <class V>
  void each(V& visit) {
    visit("session", session);
    visit("sequence", sequence);
    visit("root", root);
    visit("count", count);
    visit("value", value);
  }
};
struct Finalise {
  static constexpr std::string_view kName = "Finalise";
  std::uint64_t batch = 0;
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
  }
};
// A countersigned claim that was found in no batch.
struct Force {
  static constexpr std::string_view kName = "Force";
  protocol::Claim claim;
  Signature claim_signature{};
  Signature countersignature{};
  protocol::Request request;
  Signature request_signature{};
  template <class V>
  void each(V& visit) {
    visit("claim", claim);
    visit("claimSignature", claim_signature);
    visit("countersignature", countersignature);
    visit("request", request);
    visit("requestSignature", request_signature);
  }
};
struct ForceAnswer {
  static constexpr std::string_view kName = "ForceAnswer";
  Hash claim_hash{};
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  std::vector<Hash> path;
  template <class V>
  void each(V& visit) {
    visit("claimHash", claim_hash);
    visit("batch", batch);
    visit("index", index);
    visit("path", path);
  }
};
struct ForceMissed {
  static constexpr std::string_view kName = "ForceMissed";
  Hash claim_hash{};
  template <class V>
  void each(V& visit) {
    visit("claimHash", claim_hash);
  }
};
struct Equivocate {
  static constexpr std::string_view kName = "Equivocate";
  protocol::Claim claim_a;
  Signature countersignature_a{};
  protocol::Claim claim_b;
  Signature countersignature_b{};
  template <class V>
  void each(V& visit) {
    visit("claimA", claim_a);
    visit("countersignatureA", countersignature_a);
    visit("claimB", claim_b);
    visit("countersignatureB", countersignature_b);
  }
};
// The auditor's next beacon value, against a checkpoint.
struct Reveal {
  static constexpr std::string_view kName = "Reveal";
  std::uint64_t round = 0;
  Hash value{};
  std::uint64_t checkpoint = 0;
  Hash tip{};
  template <class V>
  void each(V& visit) {
    visit("round", round);
    visit("value", value);
    visit("checkpoint", checkpoint);
    visit("tip", tip);
  }
};
struct ReplaceBeacon {
  static constexpr std::string_view kName = "ReplaceBeacon";
  Hash anchor{};
  template <class V>
  void each(V& visit) {
    visit("anchor", anchor);
  }
};
struct AnswerDraw {
  static constexpr std::string_view kName = "AnswerDraw";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  Hash claim_hash{};
  std::vector<Hash> path;
  std::uint8_t lane = 0;
  Hash digest{};
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
    visit("claimHash", claim_hash);
    visit("path", path);
    visit("lane", lane);
    visit("digest", digest);
  }
};
struct CheckDraw {
  static constexpr std::string_view kName = "CheckDraw";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  Hash claim_hash{};
  std::vector<Hash> path;
  std::uint8_t lane = 0;
  Hash digest{};
  std::vector<Signature> signatures;
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
    visit("claimHash", claim_hash);
    visit("path", path);
    visit("lane", lane);
    visit("digest", digest);
    visit("signatures", signatures);
  }
};
struct MissDraw {
  static constexpr std::string_view kName = "MissDraw";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
  }
};
// Opens a game on a known claim.
struct Challenge {
  static constexpr std::string_view kName = "Challenge";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  protocol::Claim claim;
  std::vector<Hash> path;
  protocol::Request request;
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
    visit("claim", claim);
    visit("path", path);
    visit("request", request);
  }
};
// Opens a game on a claim that nobody shows.
struct DemandClaim {
  static constexpr std::string_view kName = "DemandClaim";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
  }
};
struct RevealClaim {
  static constexpr std::string_view kName = "RevealClaim";
  std::uint64_t game = 0;
  protocol::Claim claim;
  std::vector<Hash> path;
  protocol::Request request;
  template <class V>
  void each(V& visit) {
    visit("game", game);
    visit("claim", claim);
    visit("path", path);
    visit("request", request);
  }
};
// `move` is dispute::encode_move.
struct Move {
  static constexpr std::string_view kName = "Move";
  std::uint64_t game = 0;
  Bytes move;
  template <class V>
  void each(V& visit) {
    visit("game", game);
    visit("move", move);
  }
};
struct CloseGame {
  static constexpr std::string_view kName = "CloseGame";
  std::uint64_t game = 0;
  template <class V>
  void each(V& visit) {
    visit("game", game);
  }
};
struct ScheduleParameters {
  static constexpr std::string_view kName = "ScheduleParameters";
  Parameters parameters;
  template <class V>
  void each(V& visit) {
    visit("parameters", parameters);
  }
};
// By the sequencer, of exactly this state.
struct Checkpoint {
  static constexpr std::string_view kName = "Checkpoint";
  std::uint64_t height = 0;
  Hash tip{};
  Hash digest{};
  template <class V>
  void each(V& visit) {
    visit("height", height);
    visit("tip", tip);
    visit("digest", digest);
  }
};

using Body = std::variant<Mint, Withdraw, Transfer, Stake, Unstake, Release, Deposit, Close, Refund,
                          Redeem, Settle, RegisterModel, VoidModel, RegisterSession, RevokeSession,
                          RevokeRuntime, PostBatch, Finalise, Force, ForceAnswer, ForceMissed,
                          Equivocate, Reveal, ReplaceBeacon, AnswerDraw, CheckDraw, MissDraw,
                          Challenge, DemandClaim, RevealClaim, Move, CloseGame, ScheduleParameters,
                          Checkpoint, CommitCanary, RevealCanary, MissCanary, Attend>;

struct Transaction {
  std::uint64_t nonce = 0;  // of the signer
  Body body;
  Signature signature{};

  [[nodiscard]] std::uint8_t kind() const { return static_cast<std::uint8_t>(body.index() + 1); }
};

[[nodiscard]] std::string_view name_of(const Body& body);

// The words of EIP-712 and what is signed.
[[nodiscard]] std::string type_of(const Transaction& transaction);
[[nodiscard]] Hash digest_of(const Transaction& transaction, const Hash& ledger);
// The same, with the ledger's domain separator at hand.
[[nodiscard]] Hash digest_in_domain(const Transaction& transaction, const Hash& separator);
void sign(Transaction& transaction, const Hash& ledger, const crypto::PrivateKey& key);

[[nodiscard]] Bytes encode(const Transaction& transaction);
// Only what encode makes: MALFORMED or LIMIT_EXCEEDED.
[[nodiscard]] Result<Transaction> decode_transaction(ByteView bytes);

// What a checker signs, of a claim whose batch is bound to this round (SPEC SET-30).
[[nodiscard]] Hash check_digest(const Hash& ledger, const CheckDraw& body, std::uint64_t round);

// For people: kind, nonce and members; long members by their hash.
[[nodiscard]] Json to_json(const Transaction& transaction);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_TRANSACTION_H_

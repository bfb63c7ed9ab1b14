#include "apps/operator_intake.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"
#include "machine/tables.h"
#include "protocol/verify.h"
#include "rollup/registration.h"

namespace otr::apps {

OperatorIntake::OperatorIntake(rollup::Operator& role, const crypto::Address& self,
                               const ledger::State& state)
    : role_(role), self_(self), ledger_(state.id) {
  for (const auto& [id, entry] : state.sessions) {
    if (entry.session.operator_address != self) continue;
    sessions_[id].document = {.ledger = state.id, .session = entry.session, .evidence = {}};
  }
}

// All that a receipt says of itself is checked: a claim that somebody else made up in this
// operator's name would cost it its stake.
Status OperatorIntake::check(const std::string& receipt_text) {
  const protocol::OpenedReceipt opened = protocol::open_receipt(receipt_text, machine::kSpecHash);
  if (const protocol::Check* const failure = opened.report.failure()) {
    const std::string code = failure->reject ? std::string(name_of(*failure->reject)) : "INVALID";
    return fail(opened.receipt ? ErrorKind::kReject : ErrorKind::kBadInput,
                std::string(failure->name) + ": " + failure->detail, code);
  }
  const protocol::Receipt& receipt = *opened.receipt;
  if (receipt.operator_address != self_) {
    return fail(ErrorKind::kReject,
                "The receipt is of the operator " + to_hex(receipt.operator_address) +
                    ", this one is " + to_hex(self_) + ".",
                "OTHER_OPERATOR");
  }
  if (receipt.ledger != ledger_ || !receipt.session) {
    return fail(ErrorKind::kReject,
                "The receipt is not of the ledger " + to_hex(ledger_) +
                    ": start its worker with --ledger-id.",
                "OTHER_LEDGER");
  }
  if (receipt.request.request.mode != 0) {
    return fail(ErrorKind::kReject,
                "The receipt is of a sealed request: what it says cannot be shown on demand.",
                "SEALED");
  }
  return reserve(receipt);
}

Status OperatorIntake::reserve(const protocol::Receipt& receipt) {
  const protocol::SessionDocument& document = *receipt.session;
  const Hash claim = protocol::digest_of(receipt.claim, receipt.ledger);
  const Hash id = protocol::session_id(document.session, document.ledger);
  const std::lock_guard lock(mutex_);
  if (taken_by_now_.contains(claim)) return {};
  const auto known = sessions_.try_emplace(id, Known{.document = document}).first;
  if (known->second.can_post && room_ > 0) {
    --room_;
    ++taken_;
    taken_by_now_.insert(claim);
    return {};
  }
  if (known->second.can_post) {
    return fail(ErrorKind::kNetwork,
                "The free stake carries no more claims now: raise it, or lower what one may carry.",
                "STAKE_IN_USE");
  }
  const std::string why = known->second.is_registered
                              ? "takes no more batches of it (expired, revoked, or slashed)."
                          : refusal_.empty() ? "does not know it yet; it is being registered."
                                             : "does not take it: " + refusal_;
  return fail(ErrorKind::kNetwork, "The session " + to_hex(id) + ": the ledger " + why,
              "SESSION_NOT_ON_LEDGER");
}

Status OperatorIntake::take(const std::string& receipt_text) {
  Status taken = check(receipt_text);
  if (taken) taken = role_.add(receipt_text, env::unix_ms());
  const std::lock_guard lock(mutex_);
  if (taken) {
    ++gauges_.taken;
    return taken;
  }
  const ErrorKind kind = taken.error().kind;
  const bool is_final = kind == ErrorKind::kBadInput || kind == ErrorKind::kReject;
  ++(is_final ? gauges_.refused : gauges_.sent_again);
  if (kind == ErrorKind::kIo && !failure_) failure_ = taken.error();
  return taken;
}

std::vector<protocol::SessionDocument> OperatorIntake::wanted() const {
  const std::lock_guard lock(mutex_);
  std::vector<protocol::SessionDocument> documents;
  for (const auto& [id, known] : sessions_) {
    if (!known.is_registered) documents.push_back(known.document);
  }
  return documents;
}

void OperatorIntake::begin_step() {
  const std::lock_guard lock(mutex_);
  taken_ = 0;
}

void OperatorIntake::end_step(const ledger::State& state, std::uint64_t now, std::uint64_t room,
                              const std::string& refusal) {
  const std::lock_guard lock(mutex_);
  refusal_ = refusal;
  room_ = room - std::min(room, taken_);
  // One that is over need not be remembered: nothing new comes of it.
  std::erase_if(sessions_, [&](const auto& entry) {
    return now > (entry.second.document.session.expiry + 86'400) * 1000;
  });
  for (auto& [id, known] : sessions_) {
    known.is_registered = state.sessions.contains(id);
    known.can_post = rollup::can_post(state, id, now);
  }
}

IntakeGauges OperatorIntake::gauges() const {
  const std::lock_guard lock(mutex_);
  return gauges_;
}

std::optional<Error> OperatorIntake::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace otr::apps

#include "client/ladder.h"

#include <algorithm>

namespace otr::client {
namespace {

std::string_view name_of(Rung rung) {
  switch (rung) {
    case Rung::kPass:
      return "PASS";
    case Rung::kFail:
      return "FAIL";
    default:
      return "NOT YET";
  }
}

// The rungs of ladder() that are spoken of by number.
constexpr std::size_t kAttested = 0, kPosted = 4, kRecomputed = 5, kProven = 6, kFinal = 7;

// The rung that a failed check belongs to.
std::size_t rung_of(const node::Audit& audit, Reject reject) {
  if (audit.proof_failed) return kProven;
  switch (reject) {
    case Reject::kModelRootMismatch:
      return 3;
    case Reject::kTextMismatch:
    case Reject::kTokenPathMismatch:
      return 2;
    case Reject::kTokenMismatch:
    case Reject::kOutOfRange:
    case Reject::kTraceRootMismatch:
    case Reject::kFinishMismatch:
      return kRecomputed;
    case Reject::kEvidenceMismatch:
    case Reject::kEvidenceRefused:
    case Reject::kSessionExpired:
      return kAttested;
    default:
      return 1;
  }
}

LadderLine attested(const node::Audit& audit) {
  LadderLine line{.name = "session attested"};
  if (!audit.receipt || !audit.receipt->session) {
    line.why = "software key: an ordinary program signed, no TEE evidence";
  } else if (!audit.session) {
    line.why = "the receipt holds evidence: give --policy to appraise it";
  } else if (audit.session->accepted()) {
    line.state = Rung::kPass;
    line.why = audit.session->description;
  }
  return line;
}

// The rungs that a replayed ledger shows (spec/SETTLEMENT.md).
void climb_ledger(std::vector<LadderLine>& lines, const rollup::Whereabouts& where, bool proven) {
  using rollup::Standing;
  const auto set = [&](std::size_t rung, Rung state, std::string why) {
    lines[rung].state = state;
    lines[rung].why = std::move(why);
  };
  set(kPosted, Rung::kPass,
      "batch " + std::to_string(where.batch) + ", claim " + std::to_string(where.index));
  if (where.attended != 0 && lines[kRecomputed].state == Rung::kNotYet) {
    lines[kRecomputed].why = std::to_string(where.attended) +
                             (where.attended == 1 ? " account says" : " accounts say") +
                             " on the ledger to have done so; to see for yourself run otr verify "
                             "with --recompute";
  }
  if (!proven && !where.drawn) {
    set(kProven, Rung::kNotYet, "the beacon of its batch is not revealed");
  } else if (!proven && !*where.drawn) {
    set(kProven, Rung::kPass, "not drawn");
  } else if (!proven && where.is_checked) {
    set(kProven, Rung::kPass,
        where.is_proven ? "drawn and proven; a quorum of checkers has verified the proof"
                        : "drawn, and executed again by a quorum: no proof");
  } else if (!proven) {
    set(kProven, Rung::kNotYet, "drawn, and not checked by anybody the ledger names");
  }
  switch (where.standing) {
    case Standing::kFinal:
    case Standing::kPaid:
      return set(kFinal, Rung::kPass, std::string(rollup::name_of(where.standing)));
    case Standing::kRefuted:
      return set(kFinal, Rung::kFail, "proven false on the ledger, its operator slashed");
    case Standing::kCanary:
      return set(kFinal, Rung::kFail, "a canary: its own client took it back, it was false");
    case Standing::kVoid:
      return set(kFinal, Rung::kFail, "void: its operator or its model fell before it was final");
    default:
      return set(kFinal, Rung::kNotYet, std::string(rollup::name_of(where.standing)));
  }
}

}  // namespace

std::vector<LadderLine> ladder(const node::Audit& audit, bool stream_seen,
                               const rollup::Whereabouts* on_ledger) {
  const bool has_ledger = audit.receipt && audit.receipt->ledger != Hash{};
  const std::string unknown =
      has_ledger ? "give --ledger and --posted to look" : "the receipt names no ledger";
  std::vector<LadderLine> lines = {
      attested(audit),
      {.name = "claim signed by the session"},
      {.name = "output bound to the stream received",
       .why = "only the program that received the stream can say"},
      {.name = "model root is the one asked for"},
      {.name = "claim included in a posted batch", .why = unknown},
      {.name = "recomputed by me", .why = "run otr verify with --recompute"},
      {.name = "drawn and proven, or not drawn", .why = unknown},
      {.name = "window over, final", .why = unknown},
  };
  if (const protocol::Check* failure = audit.report.failure()) {
    const std::size_t rung = rung_of(audit, *failure->reject);
    LadderLine& line = lines[rung];
    line.state = Rung::kFail;
    line.why = std::string(name_of(*failure->reject)) + ": " + failure->detail;
    // These two come after all checks of the receipt.
    if (rung != kRecomputed && !(rung == kProven && audit.receipt)) {
      for (LadderLine& other : lines) {
        if (&other == &line) continue;
        other.state = Rung::kNotYet;
        other.why = "not checked after the failure";
      }
      return lines;
    }
  }
  lines[1].state = lines[3].state = Rung::kPass;
  // SPEC GATE-8.
  if (audit.receipt && audit.receipt->request.request.client == audit.receipt->operator_address) {
    lines[1].why =
        "the operator is the client too: its gateway wrote the request, for somebody who "
        "signed nothing and has to trust it for that";
  }
  if (audit.proof_failed) lines[kRecomputed].why = "a proof was given instead";
  if (stream_seen) {
    lines[2].state = Rung::kPass;
    lines[2].why.clear();
  }
  if (audit.proven) {
    lines[kProven].state = Rung::kPass;
    lines[kRecomputed].why = "not needed: the proof shows it";
    lines[kProven].why = "the whole pass is proven, whether it was drawn or not";
  }
  if (audit.recomputed) {
    lines[kRecomputed].state = Rung::kPass;
    lines[kRecomputed].why.clear();
  } else if (audit.inconclusive) {
    lines[kRecomputed].why = audit.inconclusive->message;
  }
  if (on_ledger != nullptr) climb_ledger(lines, *on_ledger, audit.proven);
  return lines;
}

std::string to_text(const std::vector<LadderLine>& ladder) {
  std::string text;
  for (const LadderLine& line : ladder) {
    std::string state(name_of(line.state));
    state.resize(9, ' ');
    text += "  " + state + line.name + (line.why.empty() ? "" : " (" + line.why + ")") + "\n";
  }
  return text;
}

Json to_json(const std::vector<LadderLine>& ladder) {
  Json list = Json::array();
  for (const LadderLine& line : ladder) {
    list.push_back({{"rung", line.name}, {"state", name_of(line.state)}, {"why", line.why}});
  }
  return list;
}

std::string explain(const node::Audit& audit) {
  std::string text;
  for (const protocol::Check& check : audit.report.checks) {
    std::string state(protocol::name_of(check.outcome));
    state.resize(13, ' ');
    text += "  " + state + std::string(check.name);
    if (check.reject) text += " [" + std::string(name_of(*check.reject)) + "]";
    if (!check.detail.empty()) text += ": " + check.detail;
    text += "\n";
  }
  return text;
}

Json checks_to_json(const node::Audit& audit) {
  Json list = Json::array();
  for (const protocol::Check& check : audit.report.checks) {
    list.push_back({{"check", check.name},
                    {"outcome", protocol::name_of(check.outcome)},
                    {"reject", check.reject ? Json(name_of(*check.reject)) : Json(nullptr)},
                    {"detail", check.detail}});
  }
  return list;
}

Verdict verdict_of(const node::Audit& audit) {
  if (audit.failed()) return Verdict::kFailed;
  if (audit.inconclusive) return Verdict::kInconclusive;
  return audit.recomputed || audit.proven || audit.session ? Verdict::kVerified
                                                           : Verdict::kInconclusive;
}

std::string summary_of(const node::Audit& audit) {
  if (const protocol::Check* failure = audit.report.failure()) {
    return "FAILED: " + std::string(name_of(*failure->reject)) + ": " + failure->detail;
  }
  if (audit.inconclusive) return "INCONCLUSIVE: " + audit.inconclusive->message;
  if (audit.proven) return "PROVEN: this model gives exactly this answer to this request";
  if (!audit.recomputed && audit.session) {
    return "ATTESTED, provisional: " + audit.session->description +
           "; nobody recomputed the answer (--recompute) or proved it (otr prove)";
  }
  if (!audit.recomputed) {
    return "INCONCLUSIVE: signatures and bindings hold, but nobody recomputed the answer; add "
           "--recompute, or verify a proof (otr prove)";
  }
  return "VERIFIED: this model gives exactly this answer to this request";
}

}  // namespace otr::client

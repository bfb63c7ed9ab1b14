// The checks of a receipt that need no recomputing (SPEC RCPT-2, RCPT-3), as a list a person can
// read.
//
// Each list runs in the order of the SPEC and stops at the first failure: what follows is NOT
// CHECKED and never counts as passed. Any receipt is allowed, from anyone.
#ifndef OTR_PROTOCOL_VERIFY_H_
#define OTR_PROTOCOL_VERIFY_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/reject.h"
#include "machine/model.h"
#include "protocol/receipt.h"

namespace otr::protocol {

enum class Outcome { kPass, kFail, kNotChecked };
[[nodiscard]] std::string_view name_of(Outcome outcome);  // "PASS", "FAIL", "NOT CHECKED"

struct Check {
  std::string_view name;  // what was checked, in a few words
  Outcome outcome = Outcome::kNotChecked;
  std::string detail;            // of a failure: what is wrong
  std::optional<Reject> reject;  // of a failure
};

struct Report {
  std::vector<Check> checks;

  // The first failure; nothing if every check passed.
  [[nodiscard]] const Check* failure() const;
  [[nodiscard]] std::optional<Reject> reject() const;
};

struct OpenedReceipt {
  Report report;
  std::optional<Receipt> receipt;  // where the form is right; trust it only if all checks passed
};

// SPEC RCPT-2: what the receipt says of itself. `spec_hash` is the verifier's own.
[[nodiscard]] OpenedReceipt open_receipt(std::string_view text, const Hash& spec_hash);

// SPEC RCPT-3: what it says of the model, `model_root` being the root of `model`.
[[nodiscard]] Report check_with_model(const Receipt& receipt, const machine::Model& model,
                                      const Hash& model_root);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_VERIFY_H_

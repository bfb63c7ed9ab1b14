// Transactions of strangers (SPEC SET-2): none crashes decoder or rules, what decodes has exactly
// one spelling, and what is refused changes nothing.
#include <cstdint>

#include "base/check.h"
#include "ledger/apply.h"
#include "ledger/transaction.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::ledger;  // a short file with one function
  const otr::ByteView bytes(data, size);
  const auto transaction = decode_transaction(bytes);
  if (!transaction) {
    OTR_CHECK(!transaction.error().code.empty());
    return 0;
  }
  const otr::Bytes again = encode(*transaction);
  OTR_CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  static_cast<void>(to_json(*transaction).dump());
  // Judged as if the issuer had signed it, so that the rules see it too.
  Genesis genesis;
  genesis.issuer = {1};
  genesis.sequencer = genesis.auditor = genesis.governor = genesis.issuer;
  genesis.trial = 1;
  genesis.parameters = example_parameters(true);
  State state = genesis_state(encode(genesis)).value();
  Transaction taken = *transaction;
  taken.nonce = 0;
  const otr::Hash before = digest_of(state);
  const auto events = apply(state, taken, genesis.issuer, bytes, genesis.time);
  OTR_CHECK(events || digest_of(state) == before);
  return 0;
}

// Proofs of strangers (SPEC PS-8): none crashes the audit, and of all the bytes near a genuine
// proof only its own are taken.
//
// The first byte says how to read the rest: 0, as a file; else as edits of the genuine one, each an
// offset (u32, taken modulo the size) and a byte that is added there; 2 also cuts the file at the
// last offset. So a small input reaches every stage of the verifier.
#include <cstdint>

#include "base/check.h"
#include "node/proof.h"
#include "node/toy_proof.h"

namespace otr::node {
namespace {

Bytes edited(const Bytes& genuine, ByteView edits, bool cut) {
  Bytes file = genuine;
  std::size_t at = 0;
  for (; edits.size() >= 5; edits = edits.subspan(5)) {
    at = load_le<std::uint32_t>(edits.data()) % file.size();
    file[at] = static_cast<std::uint8_t>(file[at] + edits[4]);
  }
  if (cut) file.resize(at);
  return file;
}

void check_one(ByteView input) {
  static const ToyProof kToy = toy_proof();
  if (input.empty()) return;
  const ByteView rest = input.subspan(1);
  const Bytes file =
      input[0] == 0 ? Bytes(rest.begin(), rest.end()) : edited(kToy.file, rest, input[0] == 2);
  static const bool kTaken = audit_proof(kToy.file, kToy.artifact).audit.proven;
  OTR_CHECK(kTaken);
  if (file != kToy.file) OTR_CHECK(!audit_proof(file, kToy.artifact).audit.proven);
}

}  // namespace
}  // namespace otr::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  otr::node::check_one({data, size});
  return 0;
}

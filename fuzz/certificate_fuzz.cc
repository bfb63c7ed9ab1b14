// Certificates, revocation lists and keys from anybody: DER and PEM readers, names, chains.
#include "attest/anchors.h"
#include "attest/certificate.h"
#include "attest/der.h"
#include "base/check.h"

using namespace otr;
using namespace otr::attest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(data, size);
  std::vector<Certificate> chain;
  if (auto certificate = Certificate::from_der(bytes)) chain.push_back(*std::move(certificate));
  if (auto certificates = Certificate::from_pem(as_text(bytes))) chain = *std::move(certificates);
  for (const Certificate& one : chain) {
    // What was read is what was given, and reads again to the same.
    OTR_CHECK(Certificate::from_der(one.der()).value() == one);
    (void)one.subject();
    (void)one.issuer_common_name();
    (void)one.serial_decimal();
    (void)one.extension("2.5.29.19");
    OTR_CHECK(PublicKey::from_der(one.key().der()).value() == one.key());
  }
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  const bool good = check_chain(checks, "fuzz", chain, vendor_anchors().intel, 1767225600);
  OTR_CHECK(good == (verdict.failure() == nullptr && verdict.checks.size() == 3));
  auto list = RevocationList::from_der(bytes);
  if (!list) list = RevocationList::from_pem(as_text(bytes));
  if (list) {
    (void)list->issuer();
    const Certificate& root = vendor_anchors().intel[0];
    (void)check_not_revoked(checks, "fuzz", root, *list, root, 1767225600);
  }
  (void)PublicKey::from_der(bytes);
  (void)PublicKey::from_point(bytes);
  for (DerReader reader(bytes); !reader.empty();) {
    const auto item = reader.next();
    if (!item) break;
    (void)der_oid(item->content);
    (void)der_unsigned(item->content);
  }
  return 0;
}

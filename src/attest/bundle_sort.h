// Takes items one by one and sorts them into a Bundle; the inside of sort_items (bundle.h).
#ifndef OTR_ATTEST_BUNDLE_SORT_H_
#define OTR_ATTEST_BUNDLE_SORT_H_

#include <string>
#include <string_view>
#include <vector>

#include "attest/bundle.h"
#include "attest/bundle_json.h"

namespace otr::attest {

// Certificates that came together, in their order: a chain, or a part of one.
struct CertificateGroup {
  std::string name;
  std::vector<Certificate> certificates;
};

class Sorter {
 public:
  [[nodiscard]] Status add(const Item& item);
  // Joins what came in pieces: reports and chains, lists and their issuers. Errors name pieces
  // that fit in more than one way.
  [[nodiscard]] Result<Bundle> finish();

 private:
  // Of these, true means taken, false that it is nothing known here; an error is of something that
  // was recognised and is broken. `name` is for people: a file, and where in it.
  Result<bool> add_bytes(const std::string& name, ByteView bytes, unsigned depth);
  Result<bool> add_text(const std::string& name, std::string_view text, unsigned depth);
  Result<bool> add_der(const std::string& name, ByteView der);
  Result<bool> add_pem(const std::string& name, std::string_view text);
  Result<bool> add_json(const std::string& name, std::string_view text, unsigned depth);

  // Documents (bundle_document.cc).
  Result<bool> add_value(const std::string& name, const Written& value, unsigned depth);
  Result<bool> add_object(const std::string& name, const Written& object, unsigned depth);
  Result<bool> add_parts(const std::string& name, const Written& value, unsigned depth);
  Result<bool> add_string(const std::string& name, std::string_view key, const std::string& text,
                          unsigned depth);
  Result<bool> add_gpu(const std::string& name, const Json& object);
  Result<bool> add_intel(const std::string& name, const Written& object);
  Result<bool> add_binding(const std::string& name, const Written& object);
  Status add_once(std::string& to, std::string text, const std::string& name,
                  std::string_view what);

  Status join_gpus();
  void join_intel();
  Status join_lists();

  Bundle bundle_;
  std::vector<CertificateGroup> groups_;
  std::vector<RevocationList> lists_;
  bool saw_claims_ = false;  // of a verification service, unsigned
};

// `leaf` and then the issuer of each from `pool`, as far as they are there.
[[nodiscard]] std::vector<Certificate> chain_from(const Certificate& leaf,
                                                  std::span<const Certificate> pool);

}  // namespace otr::attest

#endif  // OTR_ATTEST_BUNDLE_SORT_H_

// The state of one verification of a quote, for dcap.cc (chains, lists, documents, signatures) and
// dcap_status.cc (what the documents say about the platform) alone.
#ifndef OTR_ATTEST_DCAP_VERIFIER_H_
#define OTR_ATTEST_DCAP_VERIFIER_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attest/dcap.h"
#include "attest/dcap_pck.h"
#include "attest/dcap_tcb.h"

namespace otr::attest {

class DcapVerifier {
 public:
  DcapVerifier(Verdict& verdict, const Quote& quote, const DcapCollateral& collateral,
               const Anchors& anchors, Time at)
      : verdict_(verdict),
        checks_(verdict, Stage::kVerify),
        quote_(quote),
        collateral_(collateral),
        anchors_(anchors),
        at_(at) {}

  std::optional<DcapFound> run();

 private:
  bool is_trusted(const std::string& name, std::span<const Certificate> chain);
  bool check_pck_chain();
  bool check_signatures();
  void check_revocation();
  void check_list(std::string_view name, const Certificate& certificate,
                  const std::optional<RevocationList>& list, const Certificate& issuer,
                  std::string_view request);
  bool check_signer(const std::string& name, const std::vector<Certificate>& chain);
  std::vector<Certificate> signer_of(const SignedDocument& document,
                                     const std::vector<Certificate>& given) const;
  bool check_document(const std::string& name, const SignedDocument& document,
                      const std::vector<Certificate>& given);
  void check_tcb_info();
  void check_qe_identity();
  void check_qe(const QeIdentity& identity);
  void check_tcb_status();
  const TcbLevel* check_module(const TcbInfo& info);
  const TcbLevel* check_module_level(const TdxModule& module);
  void conclude(const TcbLevel& platform, const TcbLevel* sgx, const TcbLevel* module);
  void check_end();

  // An item of collateral that lives from `issued` to `next_update`.
  void note_window(const char* item, Time issued, Time next_update, bool counts_for_age);
  void note_superseded(std::span<const TcbLevel> levels, const TcbLevel& level);

  Verdict& verdict_;
  Checks checks_;
  const Quote& quote_;
  const DcapCollateral& collateral_;
  const Anchors& anchors_;
  Time at_;
  const Certificate* root_ = nullptr;  // in which the PCK chain ends
  std::optional<PckInfo> pck_;
  std::optional<TcbInfo> tcb_info_;  // these two only if Intel signed them
  std::optional<QeIdentity> qe_identity_;
  const TcbLevel* qe_level_ = nullptr;
  std::optional<std::pair<std::vector<Certificate>, bool>> signer_;  // judged before, and how
  DcapFound found_;
};

}  // namespace otr::attest

#endif  // OTR_ATTEST_DCAP_VERIFIER_H_

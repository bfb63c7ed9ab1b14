// What genuine collateral says about a platform: quoting enclave, TDX module, TCB level, status.
#include <algorithm>
#include <set>

#include "attest/dcap_verifier.h"
#include "base/hex.h"

namespace otr::attest {
namespace {

// value & mask == expected, of equal sizes.
bool equal_under(ByteView value, ByteView mask, ByteView expected) {
  if (value.size() != mask.size() || value.size() != expected.size()) return false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if ((value[i] & mask[i]) != (expected[i] & mask[i])) return false;
  }
  return true;
}

std::string described(const TcbLevel& level) {
  std::string text =
      std::string(name_of(level.status)) + ", level of " + to_text(level.date).substr(0, 10);
  for (std::size_t i = 0; i < level.advisories.size(); ++i) {
    text += (i == 0 ? ", advisories " : " ") + level.advisories[i];
  }
  return text;
}

}  // namespace

void DcapVerifier::check_qe(const QeIdentity& identity) {
  const SgxReport& qe = quote_.qe;
  Bytes misc(4);
  store_le(misc.data(), qe.misc_select);
  std::string why;
  if (!equal_under(misc, identity.misc_mask, identity.misc_select)) {
    why = "MISCSELECT " + to_hex(misc) + ", not " + to_hex(identity.misc_select);
  } else if (!equal_under(qe.attributes, identity.attributes_mask, identity.attributes)) {
    why = "ATTRIBUTES " + to_hex(qe.attributes) + ", not " + to_hex(identity.attributes) +
          " under " + to_hex(identity.attributes_mask);
  } else if (!std::ranges::equal(qe.mrsigner, identity.mrsigner)) {
    why = "MRSIGNER " + to_hex(qe.mrsigner) + ", not " + to_hex(identity.mrsigner);
  } else if (qe.isv_prod_id != identity.isv_prod_id) {
    why = "product id " + std::to_string(qe.isv_prod_id) + ", not " +
          std::to_string(identity.isv_prod_id);
  }
  const bool good = why.empty();
  const bool known = checks_.require(
      good, Code::kIdentityMismatch, "quoting enclave is the one that Intel names",
      good ? "MRSIGNER " + to_hex(qe.mrsigner) + ", product " + std::to_string(qe.isv_prod_id)
           : "its report has " + why);
  if (!known) return;
  qe_level_ = isv_level(identity.levels, qe.isv_svn);
  checks_.require(
      qe_level_ != nullptr, Code::kTcbUnsupported, "quoting enclave has a TCB level",
      "security version " + std::to_string(qe.isv_svn) + ": " +
          (qe_level_ == nullptr ? "the identity has no level so low" : described(*qe_level_)));
}

// The module must be the one that Intel names; nothing if it is not, or has no level.
const TcbLevel* DcapVerifier::check_module(const TcbInfo& info) {
  const TdReport& td = quote_.td;
  const std::uint8_t version = td.tee_tcb_svn[1];
  const TdxModule* module = version > 0   ? find_module(info, version)
                            : info.module ? &*info.module
                                          : nullptr;
  const char* const name = "TDX module is the one that Intel names";
  if (module == nullptr) {
    checks_.fail(Code::kIdentityMismatch, name,
                 "the TCB info has no identity for module version " + std::to_string(version));
    return nullptr;
  }
  Bytes attributes(8);
  store_le(attributes.data(), td.seam_attributes);
  const bool good = std::ranges::equal(td.mrsignerseam, module->mrsigner) &&
                    equal_under(attributes, module->mask, module->attributes);
  const std::string is =
      "MRSIGNERSEAM " + to_hex(td.mrsignerseam) + ", SEAMATTRIBUTES " + to_hex(attributes);
  if (!checks_.require(good, Code::kIdentityMismatch, name,
                       good ? "version " + std::to_string(version) + ", " + is
                            : is + "; expected " + to_hex(module->mrsigner) + " and " +
                                  to_hex(module->attributes))) {
    return nullptr;
  }
  return version > 0 ? check_module_level(*module) : nullptr;
}

const TcbLevel* DcapVerifier::check_module_level(const TdxModule& module) {
  const std::uint8_t isv_svn = quote_.td.tee_tcb_svn[0];
  const TcbLevel* level = isv_level(module.levels, isv_svn);
  checks_.require(level != nullptr, Code::kTcbUnsupported, "TDX module has a TCB level",
                  module.id + " security version " + std::to_string(isv_svn) + ": " +
                      (level == nullptr ? "no level so low" : described(*level)));
  if (level != nullptr) note_superseded(module.levels, *level);
  return level;
}

void DcapVerifier::note_superseded(std::span<const TcbLevel> levels, const TcbLevel& level) {
  const auto index = static_cast<std::size_t>(&level - levels.data());
  if (index == 0 || (level.status != TcbStatus::kOutOfDate &&
                     level.status != TcbStatus::kOutOfDateConfigurationNeeded)) {
    return;
  }
  const Time newer = levels[index - 1].date;
  found_.superseded = found_.superseded ? std::min(*found_.superseded, newer) : newer;
}

void DcapVerifier::check_tcb_status() {
  if (tcb_info_) found_.evaluation_number = tcb_info_->evaluation_number;
  if (qe_identity_ && (!tcb_info_ || qe_identity_->evaluation_number < found_.evaluation_number)) {
    found_.evaluation_number = qe_identity_->evaluation_number;
  }
  if (!tcb_info_ || !pck_) {
    checks_.not_checked("platform has a TCB level", "there is no TCB info to judge it by");
    return;
  }
  const bool tdx = quote_.kind == Kind::kTdx;
  const TcbLevel* sgx = platform_level(*tcb_info_, *pck_, nullptr);
  const TcbLevel* level = tdx ? platform_level(*tcb_info_, *pck_, &quote_.td.tee_tcb_svn) : sgx;
  std::string value = level != nullptr ? described(*level)
                                       : "the platform is below every level of the TCB info of "
                                         "evaluation number " +
                                             std::to_string(tcb_info_->evaluation_number);
  value += "; CPU " + Json(pck_->components).dump() + ", PCE " + std::to_string(pck_->pce_svn);
  if (tdx) value += ", TDX " + to_hex(quote_.td.tee_tcb_svn);
  checks_.require(level != nullptr, Code::kTcbUnsupported, "platform has a TCB level",
                  std::move(value));
  const TcbLevel* module = tdx ? check_module(*tcb_info_) : nullptr;
  const bool module_known = !tdx || module != nullptr || quote_.td.tee_tcb_svn[1] == 0;
  if (level == nullptr || !module_known || qe_level_ == nullptr) {
    checks_.not_checked("TCB status", "a part of the platform has no TCB level");
    return;
  }
  note_superseded(tcb_info_->levels, *level);
  note_superseded(qe_identity_->levels, *qe_level_);
  conclude(*level, sgx, module);
}

void DcapVerifier::conclude(const TcbLevel& platform, const TcbLevel* sgx, const TcbLevel* module) {
  TcbStatus status = platform.status;
  if (module != nullptr) status = converge(status, module->status);
  if (quote_.td.is_15 && module != nullptr && qe_level_->status != TcbStatus::kOutOfDate) {
    status = relaunched(status, sgx->status, module->status, *tcb_info_, quote_.td.tee_tcb_svn2);
  }
  status = converge(status, qe_level_->status);
  std::set<std::string> advisories;
  for (const TcbLevel* level : {&platform, qe_level_, module}) {
    if (level != nullptr) advisories.insert(level->advisories.begin(), level->advisories.end());
  }
  found_.advisories.assign(advisories.begin(), advisories.end());
  found_.tcb_status = name_of(status);
  found_.tcb_date = platform.date;
  checks_.require(status != TcbStatus::kRevoked, Code::kRevoked, "TCB status is not Revoked",
                  found_.tcb_status + ": platform " + std::string(name_of(platform.status)) +
                      ", quoting enclave " + std::string(name_of(qe_level_->status)) +
                      (module == nullptr ? std::string()
                                         : ", TDX module " + std::string(name_of(module->status))));
}

}  // namespace otr::attest

// Reading Intel's signed JSON: TCB info of version 3 and QE identity of version 2.
#include <algorithm>

#include "attest/bundle_json.h"
#include "attest/dcap_tcb.h"
#include "attest/encoding.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxDocumentBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxLevels = 256, kMaxModules = 64, kMaxAdvisories = 256;

// Reads members by name; the first that is absent or of another type is kept as the error.
class Members {
 public:
  Members(const Json& object, std::string what, Status& status)
      : object_(&object), what_(std::move(what)), status_(&status) {
    if (!object.is_object()) refuse("is no object");
  }

  [[nodiscard]] bool has(const char* name) const {
    return object_->is_object() && object_->contains(name);
  }
  const Json& get(const char* name) {
    static const Json none;
    if (has(name)) return object_->at(name);
    refuse(std::string("has no member ") + name);
    return none;
  }
  std::string text(const char* name) {
    const Json& value = get(name);
    if (value.is_string()) return value.get<std::string>();
    refuse(std::string(name) + " is no text");
    return {};
  }
  std::uint32_t number(const char* name) {
    const Json& value = get(name);
    if (value.is_number_unsigned() && value.get<std::uint64_t>() <= 0xffffffff) {
      return value.get<std::uint32_t>();
    }
    refuse(std::string(name) + " is no number of 32 bits");
    return 0;
  }
  Time time(const char* name) {
    const std::string value = text(name);
    const auto time = parse_time(value);
    if (time && value.size() == 20) return *time;
    refuse(std::string(name) + " is no time");
    return 0;
  }
  Bytes hex(const char* name, std::size_t size) {
    const auto bytes = from_plain_hex(text(name));
    if (bytes && bytes->size() == size) return *bytes;
    refuse(std::string(name) + " is no hexadecimal text of " + std::to_string(size) + " bytes");
    return {};
  }
  const Json& array(const char* name, std::size_t limit) {
    static const Json none = Json::array();
    const Json& value = get(name);
    if (value.is_array() && value.size() <= limit) return value;
    refuse(std::string(name) + " is no array of at most " + std::to_string(limit));
    return none;
  }
  void refuse(std::string why) {
    if (*status_) *status_ = malformed(what_ + ": " + std::move(why));
  }
  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] Status& status() { return *status_; }

  static std::unexpected<Error> malformed(std::string message) {
    return fail(ErrorKind::kBadInput, std::move(message), "COLLATERAL_INVALID");
  }

 private:
  const Json* object_;
  std::string what_;
  Status* status_;
};

TcbStatus read_status(Members& members) {
  const std::string name = members.text("tcbStatus");
  for (int i = 0; i <= static_cast<int>(TcbStatus::kRevoked); ++i) {
    const auto status = static_cast<TcbStatus>(i);
    if (name_of(status) == name) return status;
  }
  // As JSON in ASCII, because it may be shown on a terminal.
  members.refuse("tcbStatus " + Json(name).dump(-1, ' ', true) + " is not known");
  return TcbStatus::kRevoked;
}

// What levels of platforms, enclaves and modules have alike.
void read_level(Members& members, TcbLevel& level) {
  level.status = read_status(members);
  level.date = members.time("tcbDate");
  if (!members.has("advisoryIDs")) return;
  for (const Json& advisory : members.array("advisoryIDs", kMaxAdvisories)) {
    if (!advisory.is_string()) return members.refuse("advisoryIDs holds what is no text");
    level.advisories.push_back(advisory.get<std::string>());
  }
}

void read_components(Members& tcb, const char* name, std::array<std::uint32_t, 16>& to) {
  const Json& list = tcb.array(name, to.size());
  if (list.size() != to.size()) return tcb.refuse(std::string(name) + " has not 16 items");
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = Members(list[i], tcb.what() + " " + name, tcb.status()).number("svn");
  }
}

std::vector<TcbLevel> read_platform_levels(Members& info, bool tdx) {
  std::vector<TcbLevel> levels;
  for (const Json& one : info.array("tcbLevels", kMaxLevels)) {
    Members members(one, "TCB level " + std::to_string(levels.size()), info.status());
    TcbLevel level;
    read_level(members, level);
    Members tcb(members.get("tcb"), members.what(), info.status());
    read_components(tcb, "sgxtcbcomponents", level.sgx);
    if (tdx) read_components(tcb, "tdxtcbcomponents", level.tdx);
    level.pce_svn = tcb.number("pcesvn");
    levels.push_back(std::move(level));
    if (!info.status()) break;
  }
  return levels;
}

std::vector<TcbLevel> read_isv_levels(Members& owner) {
  std::vector<TcbLevel> levels;
  for (const Json& one : owner.array("tcbLevels", kMaxLevels)) {
    Members members(one, owner.what() + " level " + std::to_string(levels.size()), owner.status());
    TcbLevel level;
    read_level(members, level);
    level.isv_svn = Members(members.get("tcb"), members.what(), owner.status()).number("isvsvn");
    levels.push_back(std::move(level));
    if (!owner.status()) break;
  }
  return levels;
}

TdxModule read_module(Members& members) {
  TdxModule module;
  module.mrsigner = members.hex("mrsigner", 48);
  module.attributes = members.hex("attributes", 8);
  module.mask = members.hex("attributesMask", 8);
  return module;
}

// The document of exactly a signed member and the signature over its text.
Result<Json> open(std::string_view text, const char* member, std::string_view what,
                  SignedDocument& to) {
  const std::string name(what);
  if (text.size() > kMaxDocumentBytes) return Members::malformed(name + " is larger than 1 MiB");
  auto document = parse_document(text, what);
  if (!document) return Members::malformed(std::move(document).error().message);
  const Json& all = *document;
  if (!all.is_object() || all.size() != 2 || !all.contains(member) || !all.contains("signature") ||
      !all.at(member).is_object() || !all.at("signature").is_string()) {
    return Members::malformed(name + " has not exactly the members " + member + " and signature");
  }
  const auto signature = from_plain_hex(all.at("signature").get<std::string>());
  if (!signature || signature->size() != 64) {
    return Members::malformed(name + ": its signature is no hexadecimal text of 64 bytes");
  }
  to.r_s = *signature;
  // Intel signs the bytes of the member as they were written: nothing is written again.
  for (const auto& [key, part] : written(text, all).parts()) {
    if (key == member) to.signed_text = part.text;
  }
  return *std::move(document);
}

void read_header(Members& members, SignedDocument& document) {
  document.id = members.text("id");
  document.version = members.number("version");
  document.issued = members.time("issueDate");
  document.next_update = members.time("nextUpdate");
  document.evaluation_number = members.number("tcbEvaluationDataNumber");
}

}  // namespace

Result<TcbInfo> parse_tcb_info(std::string_view text) {
  TcbInfo info;
  OTR_TRY_ASSIGN(const Json document, open(text, "tcbInfo", "TCB info", info));
  Status status;
  Members members(document.at("tcbInfo"), "TCB info", status);
  read_header(members, info);
  info.fmspc = members.hex("fmspc", 6);
  info.pce_id = members.hex("pceId", 2);
  if (members.number("tcbType") != 0) members.refuse("tcbType is not 0");
  const bool tdx = info.id == "TDX";
  if (tdx && members.has("tdxModule")) {
    Members module(members.get("tdxModule"), "TCB info tdxModule", status);
    info.module = read_module(module);
  }
  if (tdx && members.has("tdxModuleIdentities")) {
    for (const Json& one : members.array("tdxModuleIdentities", kMaxModules)) {
      Members identity(one, "TCB info TDX module identity", status);
      TdxModule module = read_module(identity);
      module.id = identity.text("id");
      module.levels = read_isv_levels(identity);
      info.modules.push_back(std::move(module));
    }
  }
  info.levels = read_platform_levels(members, tdx);
  OTR_TRY(status);
  return info;
}

Result<QeIdentity> parse_qe_identity(std::string_view text) {
  QeIdentity identity;
  OTR_TRY_ASSIGN(const Json document, open(text, "enclaveIdentity", "QE identity", identity));
  Status status;
  Members members(document.at("enclaveIdentity"), "QE identity", status);
  read_header(members, identity);
  identity.misc_select = members.hex("miscselect", 4);
  identity.misc_mask = members.hex("miscselectMask", 4);
  identity.attributes = members.hex("attributes", 16);
  identity.attributes_mask = members.hex("attributesMask", 16);
  identity.mrsigner = members.hex("mrsigner", 32);
  identity.isv_prod_id = members.number("isvprodid");
  identity.levels = read_isv_levels(members);
  OTR_TRY(status);
  return identity;
}

}  // namespace otr::attest

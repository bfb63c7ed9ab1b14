#include "attest/policy.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <utility>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
// The parser asserts, and where NDEBUG is set assumes, what "[$" does not hold, and refuses it only
// afterwards: no input may reach either.
#define TOML_ASSERT(expr) static_cast<void>(0)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include "attest/encoding.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxPolicyBytes = std::size_t{1} << 20;

std::string line_of(const toml::source_region& source) {
  return "line " + std::to_string(source.begin.line);
}

// Edits (insert, remove, replace one character) between two words.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

std::string nearest(std::string_view key, const std::vector<std::string>& known) {
  const auto found = std::ranges::min_element(
      known, {}, [&](const std::string& one) { return distance(key, one); });
  if (found == known.end()) return "it has no keys";
  return "did you mean '" + *found + "'?";
}

// Reads a table key by key and remembers which it was asked for. The first error stays; finish()
// reports it, or a key that nobody asked for.
class Reader {
 public:
  Reader(const toml::table& table, std::string path) : table_(&table), path_(std::move(path)) {}

  void text(std::string_view key, std::string& to);
  void optional_text(std::string_view key, std::optional<std::string>& to);
  void flag(std::string_view key, bool& to);
  template <std::integral T>
  void integer(std::string_view key, T& to);
  template <std::integral T>
  void optional_integer(std::string_view key, std::optional<T>& to);
  void words(std::string_view key, std::vector<std::string>& to);
  void names(std::string_view key, AllowNames& to);
  // Values of one of these sizes; none given: 1 to 64 bytes.
  void bytes(std::string_view key, AllowList& to, std::initializer_list<std::size_t> sizes);
  void hashes(std::string_view key, std::vector<Hash>& to);
  // Reads a sub-table with `read(Reader&)`; returns whether it is there.
  template <class Read>
  bool table(std::string_view key, Read read);
  // Every sub-table of a table, by name.
  template <class Read>
  void tables(std::string_view key, Read read);

  [[nodiscard]] const toml::table& raw() const { return *table_; }
  void refuse(const toml::node& at, std::string_view key, std::string_view why);
  [[nodiscard]] Status finish();

 private:
  const toml::node* find(std::string_view key);
  bool is_any(const toml::node& node) const { return node.value<std::string_view>() == "any"; }
  std::optional<Bytes> read_hex(const toml::node& node, std::string_view key,
                                std::initializer_list<std::size_t> sizes);
  std::string name_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  }

  const toml::table* table_;
  std::string path_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

void Reader::refuse(const toml::node& at, std::string_view key, std::string_view why) {
  if (error_) return;
  error_ = Error{ErrorKind::kUsage, "policy, " + line_of(at.source()) + ": '" + name_of(key) +
                                        "' " + std::string(why)};
}

const toml::node* Reader::find(std::string_view key) {
  known_.emplace_back(key);
  return table_->get(key);
}

Status Reader::finish() {
  if (error_) return std::unexpected(*error_);
  for (const auto& [key, node] : *table_) {
    if (std::ranges::find(known_, key.str()) != known_.end()) continue;
    return fail(ErrorKind::kUsage, "policy, " + line_of(key.source()) + ": there is no key '" +
                                       name_of(key.str()) + "'; " + nearest(key.str(), known_));
  }
  return {};
}

void Reader::text(std::string_view key, std::string& to) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_string()) return refuse(*node, key, "must be a text in quotes");
  to = *node->value<std::string>();
}

void Reader::optional_text(std::string_view key, std::optional<std::string>& to) {
  std::string value;
  text(key, value);
  if (table_->contains(key)) to = value;
}

void Reader::flag(std::string_view key, bool& to) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_boolean()) return refuse(*node, key, "must be true or false");
  to = *node->value<bool>();
}

template <std::integral T>
void Reader::integer(std::string_view key, T& to) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const std::int64_t max =
      static_cast<std::int64_t>(std::min<std::uint64_t>(std::numeric_limits<T>::max(), 1u << 31));
  const auto value = node->is_integer() ? node->value<std::int64_t>() : std::nullopt;
  if (!value || *value < 0 || *value > max) {
    return refuse(*node, key, "must be a whole number from 0 to " + std::to_string(max));
  }
  to = static_cast<T>(*value);
}

template <std::integral T>
void Reader::optional_integer(std::string_view key, std::optional<T>& to) {
  T value = 0;
  integer(key, value);
  if (table_->contains(key)) to = value;
}

void Reader::words(std::string_view key, std::vector<std::string>& to) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_array()) return refuse(*node, key, "must be a list: [\"…\", \"…\"]");
  to.clear();
  for (const toml::node& one : *node->as_array()) {
    if (one.is_string()) {
      to.push_back(*one.value<std::string>());
    } else if (one.is_integer()) {
      to.push_back(std::to_string(*one.value<std::int64_t>()));
    } else {
      return refuse(one, key, "must be a list of texts or whole numbers");
    }
  }
}

void Reader::names(std::string_view key, AllowNames& to) {
  const toml::node* node = table_->get(key);
  if (node != nullptr && is_any(*node)) {
    known_.emplace_back(key);
    to.any = true;
    return;
  }
  if (node != nullptr && !node->is_array()) {
    known_.emplace_back(key);
    return refuse(*node, key, "must be a list, or \"any\"");
  }
  words(key, to.values);
}

std::optional<Bytes> Reader::read_hex(const toml::node& node, std::string_view key,
                                      std::initializer_list<std::size_t> sizes) {
  const auto text = node.value<std::string_view>();
  auto value =
      text ? from_plain_hex(text->starts_with("0x") ? text->substr(2) : *text) : std::nullopt;
  if (!value) {
    refuse(node, key, "must hold hexadecimal texts, such as \"0x00ff…\"");
    return std::nullopt;
  }
  const bool fits = sizes.size() == 0 ? !value->empty() && value->size() <= 64
                                      : std::ranges::find(sizes, value->size()) != sizes.end();
  if (!fits) {
    std::string wanted;
    for (const std::size_t size : sizes) {
      wanted += (wanted.empty() ? "" : " or ") + std::to_string(size);
    }
    refuse(node, key,
           "holds a value of " + std::to_string(value->size()) + " bytes, not of " +
               (wanted.empty() ? "1 to 64" : wanted));
    return std::nullopt;
  }
  return value;
}

void Reader::bytes(std::string_view key, AllowList& to, std::initializer_list<std::size_t> sizes) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (is_any(*node)) {
    to.any = true;
    return;
  }
  if (!node->is_array()) return refuse(*node, key, "must be a list, or \"any\"");
  for (const toml::node& one : *node->as_array()) {
    auto value = read_hex(one, key, sizes);
    if (!value) return;
    to.values.push_back(std::move(*value));
  }
}

void Reader::hashes(std::string_view key, std::vector<Hash>& to) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (!node->is_array()) return refuse(*node, key, "must be a list; there is no \"any\" for it");
  for (const toml::node& one : *node->as_array()) {
    const auto value = read_hex(one, key, {sizeof(Hash)});
    if (!value) return;
    std::ranges::copy(*value, to.emplace_back().begin());
  }
}

template <class Read>
bool Reader::table(std::string_view key, Read read) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (!node->is_table()) {
    refuse(*node, key, "must be a table: [" + name_of(key) + "]");
    return false;
  }
  Reader inner(*node->as_table(), name_of(key));
  read(inner);
  if (const Status status = inner.finish(); !status && !error_) error_ = status.error();
  return true;
}

template <class Read>
void Reader::tables(std::string_view key, Read read) {
  table(key, [&](Reader& outer) {
    for (const auto& [name, node] : outer.raw()) {
      outer.table(name.str(), [&](Reader& inner) { read(name.str(), inner); });
    }
  });
}

void read_tcb(Reader& reader, TcbPolicy& to) {
  reader.words("statuses", to.statuses);
  reader.words("tolerated_advisories", to.tolerated_advisories);
  reader.words("refused_advisories", to.refused_advisories);
  reader.integer("out_of_date_grace_days", to.out_of_date_grace_days);
  reader.integer("min_evaluation_number", to.min_evaluation_number);
}

void read_tdx(Reader& reader, TdxPolicy& to) {
  reader.text("assurance", to.assurance);
  reader.table("tcb", [&](Reader& tcb) { read_tcb(tcb, to.tcb); });
  reader.bytes("mrtd", to.mrtd, {48});
  reader.bytes("rtmr0", to.rtmr0, {48});
  reader.bytes("rtmr1", to.rtmr1, {48});
  reader.bytes("rtmr2", to.rtmr2, {48});
  reader.bytes("rtmr3", to.rtmr3, {48});
  reader.bytes("mrconfigid", to.mrconfigid, {48});
  reader.bytes("mrowner", to.mrowner, {48});
  reader.bytes("mrownerconfig", to.mrownerconfig, {48});
  reader.bytes("mrservicetd", to.mrservicetd, {48});
  reader.flag("require_sept_ve_disable", to.require_sept_ve_disable);
  reader.bytes("platforms", to.platforms, {16});
}

void read_sgx(Reader& reader, SgxPolicy& to) {
  reader.text("assurance", to.assurance);
  reader.table("tcb", [&](Reader& tcb) { read_tcb(tcb, to.tcb); });
  reader.bytes("mrenclave", to.mrenclave, {32});
  reader.bytes("mrsigner", to.mrsigner, {32});
  reader.names("isv_prod_id", to.isv_prod_id);
  reader.optional_integer("min_isv_svn", to.min_isv_svn);
  reader.bytes("platforms", to.platforms, {16});
}

void read_snp(Reader& reader, SnpPolicy& to) {
  reader.text("assurance", to.assurance);
  reader.tables("min_tcb", [&](std::string_view product, Reader& tcb) {
    SnpTcb& floor = to.min_tcb[std::string(product)];
    tcb.integer("fmc", floor.fmc);
    tcb.integer("boot_loader", floor.boot_loader);
    tcb.integer("tee", floor.tee);
    tcb.integer("snp", floor.snp);
    tcb.integer("microcode", floor.microcode);
  });
  reader.bytes("measurement", to.measurement, {48});
  reader.bytes("host_data", to.host_data, {32});
  reader.bytes("id_key_digest", to.id_key_digest, {48});
  reader.bytes("author_key_digest", to.author_key_digest, {48});
  reader.bytes("chip_id", to.chip_id, {8, 64});
  reader.names("vmpl", to.vmpl);
  reader.names("signer", to.signer);
  reader.flag("allow_smt", to.allow_smt);
  reader.flag("allow_migration_agent", to.allow_migration_agent);
  reader.flag("require_alias_check", to.require_alias_check);
  reader.flag("require_ciphertext_hiding", to.require_ciphertext_hiding);
  reader.flag("require_crl", to.require_crl);
}

void read_gpu(Reader& reader, GpuPolicy& to) {
  reader.text("assurance", to.assurance);
  reader.names("models", to.models);
  reader.optional_text("min_driver", to.min_driver);
  reader.optional_text("min_vbios", to.min_vbios);
  reader.names("modes", to.modes);
  reader.bytes("devices", to.devices, {});
  reader.optional_integer("count", to.count);
  reader.flag("require_rims", to.require_rims);
  reader.flag("require_ocsp", to.require_ocsp);
  reader.flag("allow_missing_fwid", to.allow_missing_fwid);
  reader.integer("ocsp_max_age_hours", to.ocsp_max_age_hours);
  reader.flag("ocsp_past_next_update", to.ocsp_past_next_update);
}

void read_nitro(Reader& reader, NitroPolicy& to) {
  for (unsigned i = 0; i < 32; ++i) {
    const std::string key = "pcr" + std::to_string(i);
    const bool given = reader.raw().contains(key);
    AllowList values;
    reader.bytes(key, values, {32, 48, 64});
    if (given) to.pcrs[i] = std::move(values);
  }
  reader.text("assurance", to.assurance);
}

template <class Table, class Read>
void read_into(Reader& reader, std::string_view key, std::optional<Table>& to, Read read) {
  reader.table(key, [&](Reader& table) { read(table, to.emplace()); });
}

// Values that nothing can ever have are mistakes of whoever wrote the policy.
Status check_words(const std::vector<std::string>& values, std::string_view key,
                   const std::vector<std::string>& known) {
  for (const std::string& value : values) {
    if (std::ranges::find(known, value) != known.end()) continue;
    return fail(ErrorKind::kUsage,
                "policy: '" + std::string(key) + "' has '" + value + "'; " + nearest(value, known));
  }
  return {};
}

Status check_tcb(const TcbPolicy& tcb, const std::string& table) {
  // "Revoked" is not among them: no policy accepts it.
  static const std::vector<std::string> kStatuses = {"UpToDate",
                                                     "SWHardeningNeeded",
                                                     "ConfigurationNeeded",
                                                     "ConfigurationAndSWHardeningNeeded",
                                                     "OutOfDate",
                                                     "OutOfDateConfigurationNeeded",
                                                     "TDRelaunchAdvised",
                                                     "TDRelaunchAdvisedConfigurationNeeded"};
  return check_words(tcb.statuses, table + ".tcb.statuses", kStatuses);
}

Status check_gpu(const GpuPolicy& gpu, const std::string& table) {
  return check_words(gpu.modes.values, table + ".modes",
                     {"single", "multi-passthrough", "protected-pcie"});
}

// Classes are words that verdicts print: short, and none that claims what the code does not know.
Status check_assurance(const std::string& assurance, std::string_view table) {
  const bool good = assurance == "hardware" || assurance == "hardware-weak";
  if (good) return {};
  return fail(ErrorKind::kUsage, "policy: '" + std::string(table) + ".assurance' is '" + assurance +
                                     "'; it is \"hardware\" or \"hardware-weak\"");
}

Status check_values(const Policy& policy) {
  if (policy.tdx) OTR_TRY(check_assurance(policy.tdx->assurance, "tdx"));
  if (policy.sgx) OTR_TRY(check_assurance(policy.sgx->assurance, "sgx"));
  if (policy.snp) OTR_TRY(check_assurance(policy.snp->assurance, "snp"));
  if (policy.gpu) OTR_TRY(check_assurance(policy.gpu->assurance, "nvidia"));
  if (policy.nvswitch) OTR_TRY(check_assurance(policy.nvswitch->assurance, "nvidia_switch"));
  if (policy.nitro) OTR_TRY(check_assurance(policy.nitro->assurance, "nitro"));
  if (policy.tdx) OTR_TRY(check_tcb(policy.tdx->tcb, "tdx"));
  if (policy.sgx) OTR_TRY(check_tcb(policy.sgx->tcb, "sgx"));
  if (policy.gpu) OTR_TRY(check_gpu(*policy.gpu, "nvidia"));
  if (policy.nvswitch) OTR_TRY(check_gpu(*policy.nvswitch, "nvidia_switch"));
  if (policy.snp) {
    OTR_TRY(check_words(policy.snp->signer.values, "snp.signer", {"VCEK", "VLEK"}));
    for (const auto& [product, tcb] : policy.snp->min_tcb) {
      OTR_TRY(check_words({product}, "snp.min_tcb", {"Milan", "Genoa", "Turin"}));
    }
  }
  return check_words(
      policy.required, "required",
      {"tdx", "sgx", "snp", "nvidia", "nvidia_switch", "nras", "nitro", "simulated"});
}

}  // namespace

bool AllowList::allows(ByteView value) const {
  return any || std::ranges::any_of(
                    values, [&](const Bytes& one) { return std::ranges::equal(one, value); });
}

bool AllowNames::allows(std::string_view value) const {
  return any || std::ranges::find(values, value) != values.end();
}

Result<Policy> parse_policy(std::string_view toml) {
  if (toml.size() > kMaxPolicyBytes) {
    return fail(ErrorKind::kUsage, "policy: the file is larger than 1 MiB");
  }
  // The parser's tables of other characters have holes; nothing a policy says needs them.
  const auto strange = std::ranges::find_if_not(
      toml, [](char c) { return (c >= ' ' && c <= '~') || c == '\t' || c == '\r' || c == '\n'; });
  if (strange != toml.end()) {
    return fail(ErrorKind::kUsage, "policy, line " +
                                       std::to_string(1 + std::count(toml.begin(), strange, '\n')) +
                                       ": a policy is ASCII text, this is byte " +
                                       std::to_string(static_cast<unsigned char>(*strange)));
  }
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) {
    return fail(ErrorKind::kUsage, "policy, " + line_of(parsed.error().source()) + ": " +
                                       std::string(parsed.error().description()));
  }
  Policy policy;
  Reader reader(parsed.table(), "");
  reader.text("name", policy.name);
  reader.words("required", policy.required);
  reader.integer("collateral_max_age_days", policy.collateral_max_age_days);
  read_into(reader, "tdx", policy.tdx, read_tdx);
  read_into(reader, "sgx", policy.sgx, read_sgx);
  read_into(reader, "snp", policy.snp, read_snp);
  read_into(reader, "nvidia", policy.gpu, read_gpu);
  read_into(reader, "nvidia_switch", policy.nvswitch, read_gpu);
  read_into(reader, "nras", policy.nras, [](Reader& table, NrasPolicy& to) {
    table.names("models", to.models);
    table.hashes("roots", to.roots);
    table.integer("max_age_hours", to.max_age_hours);
  });
  read_into(reader, "nitro", policy.nitro, read_nitro);
  read_into(reader, "simulated", policy.simulated, [](Reader& table, SimulatedPolicy& to) {
    table.hashes("roots", to.roots);
    table.bytes("measurement", to.measurement, {48});
  });
  OTR_TRY(reader.finish());
  OTR_TRY(check_values(policy));
  return policy;
}

Hash policy_hash(std::string_view toml) { return crypto::sha256(as_bytes(toml)); }

}  // namespace otr::attest

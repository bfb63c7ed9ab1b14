#include <array>
#include <cerrno>
#include <charconv>

#include "attest/encoding.h"
#include "attest/quote.h"
#include "attest/snp.h"
#include "crypto/sha256.h"
#include "node/collect_cpu.h"

namespace otr::node {
namespace {

// The kernel's own bound is 32 KiB for a report and for the certificates; the rest is room.
constexpr std::size_t kMaxBlobBytes = 64 << 10, kMaxTextBytes = 4096;
constexpr int kMaxAttempts = 8, kMaxFolders = 16;
constexpr unsigned kFirstWaitMs = 5;

// A folder of reports, removed when it goes.
class TsmFolder {
 public:
  // Where a folder of this name is there, of another process or left by one that was killed, the
  // next number is tried.
  static Result<std::unique_ptr<TsmFolder>> make(SystemCalls& system, const std::string& name) {
    std::int64_t made = 0;
    for (int i = 0; i < kMaxFolders; ++i) {
      const std::string path = std::string(kTsmFolder) + "/" + name + "-" + std::to_string(i);
      made = system.mkdir(path);
      if (made >= 0) return std::unique_ptr<TsmFolder>(new TsmFolder(system, path));
      if (made != -EEXIST) return system_error("make the folder " + path, made);
    }
    return system_error("make a folder " + name + " in " + std::string(kTsmFolder), made);
  }
  TsmFolder(const TsmFolder&) = delete;
  TsmFolder& operator=(const TsmFolder&) = delete;
  ~TsmFolder() { system_.rmdir(path_); }

  // The whole of a file. A read may return less than was asked for; only zero bytes are the end.
  Result<Bytes> read(const std::string& file, std::size_t max_bytes) {
    const std::string path = path_ + "/" + file;
    const Descriptor descriptor(system_, system_.open(path, SystemCalls::Access::kRead));
    if (!descriptor.is_open()) return remember(path, "open ", descriptor.result());
    Bytes bytes;
    std::array<std::uint8_t, 4096> part{};
    while (true) {
      const std::int64_t count = system_.read(descriptor.number(), part);
      if (count < 0) return remember(path, "read ", count);
      if (count == 0) return bytes;
      append(bytes, ByteView(part).first(static_cast<std::size_t>(count)));
      if (bytes.size() > max_bytes) {
        return fail(ErrorKind::kBadInput,
                    path + " is longer than " + std::to_string(max_bytes) + " bytes");
      }
    }
  }
  // One call, as the kernel takes a value: what it takes only in part it has not taken.
  Status write(const std::string& file, ByteView bytes) {
    const std::string path = path_ + "/" + file;
    const Descriptor descriptor(system_, system_.open(path, SystemCalls::Access::kWrite));
    if (!descriptor.is_open()) return remember(path, "open ", descriptor.result());
    const std::int64_t count = system_.write(descriptor.number(), bytes);
    if (count < 0) return remember(path, "write ", count);
    if (static_cast<std::size_t>(count) != bytes.size()) {
      return fail(ErrorKind::kIo, path + " took " + std::to_string(count) + " of " +
                                      std::to_string(bytes.size()) + " bytes");
    }
    return {};
  }
  [[nodiscard]] std::int64_t last_result() const { return last_; }  // of the call that failed last

 private:
  TsmFolder(SystemCalls& system, std::string path) : system_(system), path_(std::move(path)) {}

  std::unexpected<Error> remember(const std::string& path, const char* what, std::int64_t result) {
    last_ = result;
    return system_error(what + path, result);
  }

  SystemCalls& system_;
  std::string path_;
  std::int64_t last_ = 0;
};

Result<std::string> read_word(TsmFolder& folder, const std::string& file) {
  OTR_TRY_ASSIGN(const Bytes bytes, folder.read(file, kMaxTextBytes));
  std::string word(as_text(bytes));
  while (word.ends_with('\n')) word.pop_back();
  return word;
}

Result<std::uint64_t> read_number(TsmFolder& folder, const std::string& file) {
  OTR_TRY_ASSIGN(const std::string word, read_word(folder, file));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || word.empty()) {
    return fail(ErrorKind::kBadInput, "configfs-tsm: " + file + " holds no number");
  }
  return value;
}

// What may be absent: nothing where there is no such file.
template <class T>
Result<std::optional<T>> if_there(TsmFolder& folder, Result<T> read) {
  if (read) return std::optional<T>(*std::move(read));
  if (folder.last_result() == -ENOENT) return std::optional<T>();
  return std::unexpected(read.error());
}

class TsmSource final : public EvidenceSource {
 public:
  TsmSource(SystemCalls& system, std::string_view kind) : system_(system), kind_(kind) {}

  [[nodiscard]] std::string_view kind() const override { return kind_; }
  [[nodiscard]] bool hardware() const override { return true; }

  Result<CollectedEvidence> collect(const ReportData& report_data) override {
    unsigned wait = kFirstWaitMs;
    for (int attempt = 1;; ++attempt) {
      auto collected = once(report_data);
      const bool again = !collected && collected.error().kind == ErrorKind::kNetwork;
      if (!again || attempt == kMaxAttempts) return collected;
      system_.wait_ms(wait);
      wait *= 2;
    }
  }

 private:
  // kNetwork where another try may do.
  Result<CollectedEvidence> once(const ReportData& report_data) {
    // Named after the report data, so that two of our processes seldom meet; a number is added
    // where they do.
    const Hash hash = crypto::sha256(report_data);
    OTR_TRY_ASSIGN(
        const auto folder,
        TsmFolder::make(system_, "otr-" + attest::to_plain_hex(ByteView(hash).first(8))));
    OTR_TRY_ASSIGN(const std::string provider, read_word(*folder, "provider"));
    if (provider != (kind_ == "tdx" ? "tdx_guest" : "sev_guest")) {
      return fail(ErrorKind::kUsage, "configfs-tsm serves " + provider + " here, not " + kind_ +
                                         "; choose the kind of this machine, or auto");
    }
    OTR_TRY_ASSIGN(const std::uint64_t before, read_number(*folder, "generation"));
    std::uint64_t writes = 0;
    OTR_TRY(choose_level(*folder, writes));
    OTR_TRY(folder->write("inblob", report_data));
    ++writes;
    CollectedEvidence evidence{.kind = kind_};
    OTR_TRY_ASSIGN(evidence.report, folder->read("outblob", kMaxBlobBytes));
    OTR_TRY_ASSIGN(const auto table,
                   if_there<Bytes>(*folder, folder->read("auxblob", kMaxBlobBytes)));
    OTR_TRY_ASSIGN(const std::uint64_t after, read_number(*folder, "generation"));
    if (after != before + writes) {
      return fail(ErrorKind::kNetwork,
                  "configfs-tsm: another process wrote to the folder of this report meanwhile "
                  "(generation " +
                      std::to_string(after) + ", not " + std::to_string(before + writes) +
                      "); ask again");
    }
    OTR_TRY(check_is_report(kind_, evidence.report, report_data));
    if (table && kind_ == "sev-snp") {
      OTR_TRY_ASSIGN(evidence.extra, certificates_of_table(*table));
    }
    return evidence;
  }

  // A guest that does not run at VMPL 0 (AWS's do not) may ask for reports of its own level alone.
  static Status choose_level(TsmFolder& folder, std::uint64_t& writes) {
    OTR_TRY_ASSIGN(const auto floor,
                   if_there<std::uint64_t>(folder, read_number(folder, "privlevel_floor")));
    if (!floor || *floor == 0) return {};
    ++writes;
    return folder.write("privlevel", as_bytes(std::to_string(*floor) + "\n"));
  }

  SystemCalls& system_;
  std::string kind_;
};

}  // namespace

Result<std::optional<std::string>> tsm_provider(SystemCalls& system) {
  const Descriptor root(system, system.open(std::string(kTsmFolder), SystemCalls::Access::kRead));
  if (root.result() == -ENOENT || root.result() == -ENOTDIR) return std::nullopt;
  if (!root.is_open()) return system_error("open " + std::string(kTsmFolder), root.result());
  auto folder = TsmFolder::make(system, "otr-probe");
  if (!folder) return std::unexpected(folder.error());
  auto word = read_word(**folder, "provider");
  // Before Linux 6.8 or so the file could be read only with a provider behind it.
  const std::int64_t result = (*folder)->last_result();
  if (!word && (result == -ENXIO || result == -ENOENT)) return std::nullopt;
  if (!word) return std::unexpected(word.error());
  return std::optional(*std::move(word));
}

std::unique_ptr<EvidenceSource> tsm_source(SystemCalls& system, std::string_view kind) {
  return std::make_unique<TsmSource>(system, kind);
}

Status check_is_report(std::string_view kind, ByteView report, const ReportData& report_data) {
  ReportData found{};
  if (kind == "tdx") {
    OTR_TRY_ASSIGN(const attest::Quote quote, attest::parse_quote(report));
    if (quote.kind != attest::Kind::kTdx) {
      return fail(ErrorKind::kBadInput, "the kernel gave a quote of SGX, not of TDX");
    }
    found = quote.td.report_data;
  } else {
    OTR_TRY_ASSIGN(const attest::SnpReport parsed, attest::parse_snp_report(report));
    found = parsed.report_data;
  }
  if (found != report_data) {
    return fail(ErrorKind::kBadInput,
                "the kernel gave a report over other report data than was asked for");
  }
  return {};
}

}  // namespace otr::node

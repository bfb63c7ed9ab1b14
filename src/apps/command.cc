#include "apps/command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "convert/source_kind.h"
#include "env/clock.h"
#include "env/file.h"

namespace otr::apps {
namespace {

// Larger than any model of SPEC LIM-1 that fits a machine today.
constexpr std::size_t kMaxModelBytes = std::size_t{1} << 40;

}  // namespace

int report(const Error& error) {
  const std::string code = error.code.empty() ? "" : " [" + error.code + "]";
  std::fprintf(stderr, "otr: %s%s\n", error.message.c_str(), code.c_str());
  switch (error.kind) {
    case ErrorKind::kReject:
    case ErrorKind::kOutOfRange:
      return kFailed;
    case ErrorKind::kCancelled:
      return kInconclusive;
    case ErrorKind::kNetwork:
      return 4;
    default:
      return kUsage;
  }
}

bool is_importable(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return true;
  const auto file = env::InputFile::open(path);
  std::array<std::uint8_t, 4> magic = {};
  return file && file->size_bytes() >= magic.size() && file->read_at(0, magic) &&
         as_text(magic) == "GGUF";
}

Result<model::Artifact> load_model(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return fail(ErrorKind::kIo, "there is no model " + path.string() +
                                    "; otr model import makes one of a GGUF file or a Hugging "
                                    "Face directory");
  }
  if (is_importable(path)) {
    const bool folder = std::filesystem::is_directory(path, error);
    const std::string name = path.stem().empty() ? "model" : path.stem().string();
    return fail(ErrorKind::kUsage,
                path.string() +
                    (folder ? " is a folder, a model is one file; if it is a Hugging Face "
                              "directory, import it first: otr model import "
                            : " is a GGUF file; import it first: otr model import ") +
                    path.string() + " -o " + name + ".safetensors");
  }
  Progress progress("reading " + path.filename().string());
  OTR_TRY_ASSIGN(Bytes bytes,
                 env::read_file(path, kMaxModelBytes, [&](std::size_t done, std::size_t total) {
                   progress.update("", done, total);
                 }));
  auto artifact = model::parse_artifact(std::move(bytes));
  if (!artifact) {
    std::string& message = artifact.error().message;
    message = path.string() + ": " + message;
    // A file of another kind has a better reason than the first rule it breaks.
    const auto kind = convert::source_kind(path);
    if (!kind && !kind.error().message.contains("artifact")) message += " " + kind.error().message;
  }
  return artifact;
}

Progress::Progress(std::string label, bool bytes)
    : label_(std::move(label)),
      bytes_(bytes),
      begin_ns_(env::monotonic_ns()),
      last_ns_(begin_ns_) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::update(std::string_view stage, std::uint64_t done, std::uint64_t total) {
  const std::int64_t now = env::monotonic_ns();
  if (now - begin_ns_ < 500'000'000 || now - last_ns_ < 100'000'000) return;
  begin_stage(stage, done, total);
}

void Progress::begin_stage(std::string_view stage, std::uint64_t done, std::uint64_t total) {
  const std::int64_t now = env::monotonic_ns();
  if (::isatty(STDERR_FILENO) == 0 || total == 0) return;
  last_ns_ = now;
  shown_ = true;
  const std::uint64_t percent = std::min<std::uint64_t>(100, done * 100 / total);
  const std::int64_t spent = (now - begin_ns_) / 1'000'000'000;
  const std::string left =
      percent == 0 ? ""
                   : std::to_string(static_cast<std::uint64_t>(spent) * (100 - percent) / percent) +
                         " s left  ";
  const std::int64_t spent_ms = std::max<std::int64_t>((now - begin_ns_) / 1'000'000, 1);
  const std::string rate =
      bytes_ ? std::to_string(done / static_cast<std::uint64_t>(spent_ms) / 1000) + " MB/s  " : "";
  const std::string bar(percent / 4, '#');
  std::fprintf(stderr, "\r\033[K%s [%-25s] %3d %%  %s%s%.*s", label_.c_str(), bar.c_str(),
               static_cast<int>(percent), rate.c_str(), left.c_str(),
               static_cast<int>(stage.size()), stage.data());
}

engine::PackedModel pack(model::Artifact& artifact, unsigned threads) {
  return engine::PackedModel(artifact.view(), engine::best_kernel(), threads,
                             [&](auto weights) { artifact.give_back(weights); });
}

Status check_is_other(const std::string& flag, const std::filesystem::path& output,
                      const std::filesystem::path& input) {
  std::error_code error;
  if (!std::filesystem::equivalent(output, input, error)) return {};
  return fail(ErrorKind::kUsage, flag + " " + output.string() + " is what is read, " +
                                     input.string() + ": name another file to write");
}

Status check_can_write(const std::string& flag, const std::filesystem::path& path) {
  const std::string name = flag + " " + path.string();
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return fail(ErrorKind::kUsage, name + " is a folder: name a file");
  }
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return fail(ErrorKind::kUsage, name +
                                       " is a device or pipe, which is never replaced: name a "
                                       "file");
  }
  if (!std::filesystem::is_directory(folder, error)) {
    return fail(ErrorKind::kUsage,
                name + ": there is no folder " + folder.string() + "; make it first");
  }
  if (::access(folder.c_str(), W_OK) != 0) {
    return fail(ErrorKind::kIo, name + ": cannot write into " + folder.string() + ": " +
                                    std::strerror(errno) + "; choose another folder");
  }
  return {};
}

unsigned default_threads() { return std::max(1u, std::thread::hardware_concurrency()); }

Status print(std::string_view text) {
  return env::write_all(STDOUT_FILENO, as_bytes(text), "standard output");
}

}  // namespace otr::apps

// Writes a model artifact (SPEC MODEL) tensor by tensor into a file that nobody sees before it is
// whole and checked, so that neither the model nor the artifact need be in memory.
//
// The header stands in front and is known last, because it says the exponents. Its place is kept
// free from the beginning, as long as it nearly always is: exponents have two digits. Where it is
// longer or shorter after all, the data moves.
#ifndef OTR_CONVERT_ARTIFACT_WRITER_H_
#define OTR_CONVERT_ARTIFACT_WRITER_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "env/file.h"
#include "model/artifact.h"
#include "model/config.h"

namespace otr::convert {

// What stands in an artifact beside its tensors, and the one size that it does not say.
struct ArtifactTexts {
  std::string tokenizer;
  std::string chat_template;
  std::uint64_t token_bytes = 0;
};

// The size of the artifact, with two digits for every exponent: exact but for a few bytes.
[[nodiscard]] Result<std::uint64_t> artifact_size(const model::Config& config,
                                                  const ArtifactTexts& texts);

class ArtifactWriter {
 public:
  // `config` as far as it is known: where exponents, fraction bits, eps or act_bits change later,
  // the data may have to move. Both must outlive the writer; finish() reads `config` again.
  [[nodiscard]] static Result<ArtifactWriter> create(const std::filesystem::path& out,
                                                     const model::Config& config,
                                                     const ArtifactTexts& texts);

  // The bytes of the tensors behind `numbers`, in their order (model/layout.h).
  [[nodiscard]] Status append(ByteView bytes);
  [[nodiscard]] std::uint64_t written_bytes() const { return file_.size_bytes(); }
  // Once all tensors are there: writes what stands in front of them, by `config` as it now is, and
  // checks all that model::parse_artifact checks. Returns the model root. May be called again after
  // `config` changed.
  [[nodiscard]] Result<Hash> finish(const model::CheckProgress& progress);
  // The finished file in memory.
  [[nodiscard]] Result<model::Artifact> read_back();
  // Puts the finished file in its place.
  [[nodiscard]] Status publish() { return file_.publish(0644); }

 private:
  ArtifactWriter(env::PendingFile file, const model::Config& config, const ArtifactTexts& texts,
                 std::uint64_t front_bytes)
      : file_(std::move(file)), config_(&config), texts_(&texts), front_bytes_(front_bytes) {}

  env::PendingFile file_;
  const model::Config* config_;
  const ArtifactTexts* texts_;
  std::uint64_t front_bytes_;  // where the data behind `numbers` begins
};

}  // namespace otr::convert

#endif  // OTR_CONVERT_ARTIFACT_WRITER_H_

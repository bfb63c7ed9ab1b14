// A model artifact: one safetensors file with weights, tokeniser and template (SPEC MODEL).
//
// Its identity is the model root, which every byte of the file enters: a changed byte changes the
// root or is refused. Whoever asks for a certain model compares the root; parsing alone proves only
// that the file is some valid model.
#ifndef OTR_MODEL_ARTIFACT_H_
#define OTR_MODEL_ARTIFACT_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "machine/model.h"
#include "model/config.h"
#include "model/layout.h"

namespace otr::model {

// One tensor of a parsed artifact. `data` has the natural alignment of its type.
struct Tensor {
  TensorSpec spec;
  ByteView data;
  Hash root;  // SPEC MODEL-5
};

// Owns the bytes of an artifact; views stay valid while it lives, also after a move.
class Artifact {
 public:
  Artifact(Artifact&&) = default;
  Artifact& operator=(Artifact&&) = default;

  [[nodiscard]] const machine::Model& view() const { return model_; }
  [[nodiscard]] const Hash& root() const { return root_; }  // SPEC MODEL-6
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] std::span<const Tensor> tensors() const { return tensors_; }  // order of MODEL-3
  [[nodiscard]] const std::string& tokenizer() const { return tokenizer_; }
  [[nodiscard]] const std::string& chat_template() const { return template_; }
  [[nodiscard]] ByteView file() const { return file_; }

  // Gives the memory of a matrix's weights back to the system, for whoever has a copy in another
  // form. They are then gone from view(), tensors() and file(). `weights` is all of a matrix of
  // view(); where head and embedding are one matrix, both go.
  void give_back(std::span<const std::int8_t> weights);

 private:
  friend class ArtifactReader;
  Artifact() = default;

  Bytes bytes_;    // empty where somebody else holds the file
  ByteView file_;  // all of it
  // Copies of the tensors that the file holds at an odd place.
  std::vector<std::vector<std::uint64_t>> aligned_;
  Config config_;
  std::string tokenizer_;
  std::string template_;
  std::vector<Tensor> tensors_;
  machine::Model model_;
  Hash root_ = {};
};

// All of SPEC MODEL-1 to MODEL-7 and chapter LIM. Every error is kBadInput with one of the codes
// MALFORMED (not the file or the members of MODEL-1 to MODEL-3), NOT_CANONICAL (another spelling of
// the header), MODEL_INVALID (MODEL-4 and LIM-1) and LIMIT_EXCEEDED (LIM-2); the message names
// tensor, field and offset. Allocates no more than a small multiple of the bytes given.
[[nodiscard]] Result<Artifact> parse_artifact(Bytes bytes);

// The same of a file that somebody else holds, for whoever wants to know only whether it is valid
// and its model root. `progress` is called now and then with the bytes seen so far; false stops
// with kCancelled.
using CheckProgress = std::function<bool(std::uint64_t done_bytes)>;
[[nodiscard]] Result<Hash> check_artifact(ByteView file, const CheckProgress& progress);

// What an artifact is made of.
struct ArtifactContents {
  Config config;
  std::string tokenizer;
  std::string chat_template;
  // The data of all tensors but `numbers`, which follows from the configuration, in the order of
  // tensor_layout(), the bytes of the tokens last.
  Bytes data;
  std::uint64_t token_bytes = 0;
};

// What stands before the other tensors: the header and `numbers`. kBadInput if a text is not UTF-8.
[[nodiscard]] Result<Bytes> encode_front(const Config& config, std::string_view tokenizer,
                                         std::string_view chat_template, std::uint64_t token_bytes);

// The file. Does not judge ranges (parse_artifact does), only that data and layout agree: kUsage
// if not. `data` is not copied if its capacity has room for the header.
[[nodiscard]] Result<Bytes> encode_artifact(ArtifactContents contents);

}  // namespace otr::model

#endif  // OTR_MODEL_ARTIFACT_H_

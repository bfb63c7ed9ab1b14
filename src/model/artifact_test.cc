#include "model/artifact.h"

#include <gtest/gtest.h>

#include <set>

#include "base/canonical_json.h"
#include "base/hex.h"
#include "model/random_artifact.h"

namespace otr::model {
namespace {

Bytes file_of(ArtifactContents contents) { return encode_artifact(std::move(contents)).value(); }

std::string refusal(Bytes bytes) {
  const Result<Artifact> artifact = parse_artifact(std::move(bytes));
  return artifact ? "accepted" : artifact.error().code + ": " + artifact.error().message;
}

// Replaces the header by `text`, padded as SPEC MODEL-1 says, or with `spaces` spaces.
Bytes with_header(const Bytes& file, std::string text, int spaces = -1) {
  const auto old_size = load_le<std::uint64_t>(file.data());
  text.append(spaces >= 0 ? static_cast<std::size_t>(spaces) : (8 - text.size() % 8) % 8, ' ');
  Bytes out;
  append_le<std::uint64_t>(out, text.size());
  append(out, as_bytes(text));
  append(out, ByteView(file).subspan(8 + old_size));
  return out;
}

Json header_of(const Bytes& file) {
  return Json::parse(as_text(ByteView(file).subspan(8, load_le<std::uint64_t>(file.data()))));
}

std::vector<RandomArtifactOptions> variants() {
  return {{},
          {.seed = 2, .tied = false},
          {.seed = 3, .biases = true},
          {.seed = 4, .qk_norm = true, .hidden = 7},
          {.seed = 5, .tied = false, .biases = true, .qk_norm = true, .hidden = 520, .layers = 1}};
}

TEST(Artifact, RoundTripOfEveryShape) {
  std::set<Hash> roots;
  for (const RandomArtifactOptions& options : variants()) {
    const ArtifactContents contents = random_artifact(options);
    Result<Artifact> parsed = parse_artifact(file_of(contents));
    ASSERT_TRUE(parsed) << parsed.error().message;
    const Artifact artifact = std::move(*parsed);  // views survive the move
    EXPECT_EQ(encode_config(artifact.config()), encode_config(contents.config));
    EXPECT_EQ(artifact.tokenizer(), contents.tokenizer);
    EXPECT_EQ(artifact.chat_template(), contents.chat_template);
    Bytes data;
    for (const Tensor& tensor : artifact.tensors().subspan(1)) append(data, tensor.data);
    EXPECT_EQ(data, contents.data);
    EXPECT_TRUE(roots.insert(artifact.root()).second);

    const machine::Model& model = artifact.view();
    EXPECT_EQ(model.layers.size(), options.layers);
    EXPECT_EQ(model.head.weight.data() == model.embed.weight.data(), options.tied);
    EXPECT_EQ(model.embed.exponent, 22);
    EXPECT_EQ(model.layers.back().wq.bias.size(), options.biases ? 8U : 0U);
    EXPECT_EQ(model.layers.back().wo.bias.size(), options.biases ? options.hidden : 0U);
    EXPECT_EQ(model.layers.back().k_norm.gain.size(), options.qk_norm ? 4U : 0U);
    EXPECT_EQ(model.layers.back().w_down.cols, 15U);
    EXPECT_EQ(model.token_offsets.back(), 16U);
    EXPECT_EQ(model.token_bytes[3], 'd');
    EXPECT_EQ(model.eos_ids[1], 16U);
  }
}

TEST(Artifact, EncodesInPlaceWhereThereIsRoom) {
  ArtifactContents contents = random_artifact({});
  contents.data.reserve(contents.data.size() + 65536);
  const std::uint8_t* before = contents.data.data();
  EXPECT_EQ(file_of(std::move(contents)).data(), before);
}

TEST(Artifact, NoByteCanChangeUnnoticed) {
  const Bytes file = file_of(
      random_artifact({.tied = false, .biases = true, .qk_norm = true, .hidden = 3, .layers = 1}));
  const Hash root = parse_artifact(file).value().root();
  for (std::size_t at = 0; at < file.size(); ++at) {
    Bytes changed = file;
    changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1 << at % 8));
    const Result<Artifact> artifact = parse_artifact(std::move(changed));
    if (artifact) {
      EXPECT_NE(to_hex(artifact->root()), to_hex(root)) << "byte " << at;
    } else {
      EXPECT_FALSE(artifact.error().code.empty()) << artifact.error().message;
    }
  }
}

TEST(Artifact, EveryTruncationIsRefused) {
  const Bytes file = file_of(random_artifact({.hidden = 3}));
  for (std::size_t size = 0; size < file.size(); ++size) {
    const std::string why = refusal(Bytes(file.begin(), file.begin() + size));
    EXPECT_TRUE(why.starts_with("MALFORMED")) << size << why;
  }
  Bytes longer = file;
  longer.push_back(0);
  EXPECT_TRUE(refusal(longer).starts_with("MALFORMED")) << refusal(longer);
}

TEST(Artifact, HeaderHasOneSpelling) {
  const Bytes file = file_of(random_artifact({}));
  const Json header = header_of(file);
  const std::string text = header.dump();
  EXPECT_EQ(refusal(with_header(file, text)), "accepted");
  const int spaces = static_cast<int>((8 - text.size() % 8) % 8);
  for (const int wrong : {spaces + 8, spaces + 1, spaces + 16}) {
    EXPECT_TRUE(refusal(with_header(file, text, wrong)).starts_with("NOT_CANONICAL"));
  }
  EXPECT_TRUE(refusal(with_header(file, header.dump(1))).starts_with("NOT_CANONICAL"));
  EXPECT_TRUE(refusal(with_header(file, " " + text)).starts_with("NOT_CANONICAL"));
  EXPECT_TRUE(refusal(with_header(file, text.substr(1))).starts_with("MALFORMED"));
  EXPECT_TRUE(refusal(with_header(file, "[]")).starts_with("MALFORMED"));
  EXPECT_TRUE(refusal(with_header(file, "")).starts_with("MALFORMED"));
}

TEST(Artifact, LyingLengthsAllocateNothing) {
  Bytes file = file_of(random_artifact({}));
  store_le<std::uint64_t>(file.data(), UINT64_MAX);
  EXPECT_TRUE(refusal(file).starts_with("LIMIT_EXCEEDED"));
  store_le<std::uint64_t>(file.data(), kMaxHeaderBytes);
  EXPECT_TRUE(refusal(file).starts_with("MALFORMED"));
  // A consistent header of the greatest model, without its data.
  ArtifactContents contents = random_artifact({});
  contents.config.shape.hidden = 16384;
  contents.config.shape.ffn = 65536;
  contents.config.shape.vocabulary = 262144;
  const auto layout = tensor_layout(contents.config, kMaxTokenBytes);
  const std::string header = encode_header(layout, encode_config(contents.config), "", "").value();
  const std::string why = refusal(Bytes(header.begin(), header.end()));
  EXPECT_TRUE(why.starts_with("MALFORMED: the artifact has 0 bytes of data")) << why;
}

struct HeaderCase {
  const char* pointer;
  Json value;
  const char* expected;
};

TEST(Artifact, HeaderMustSayWhatTheConfigurationSays) {
  const Bytes file = file_of(random_artifact({}));
  const HeaderCase cases[] = {
      {"/__metadata__/otr.format", "otr-model/2", "MALFORMED"},
      {"/__metadata__/otr.more", "x", "MALFORMED"},
      {"/__metadata__/otr.template", 1, "MALFORMED"},
      {"/__metadata__/otr.template", std::string(kMaxTemplateBytes + 1, 'x'), "LIMIT_EXCEEDED"},
      {"/__metadata__", nullptr, "MALFORMED"},
      {"/embed.weight/dtype", "U8", "MALFORMED: the artifact says of tensor 'embed.weight'"},
      {"/embed.weight/dtype", nullptr, "MALFORMED"},
      {"/embed.weight/shape", {10, 17}, "MALFORMED"},
      {"/embed.weight/shape", {170}, "MALFORMED"},
      {"/embed.weight/more", 1, "MALFORMED"},
      {"/embed.scale/data_offsets", {0, 34}, "MALFORMED"},
      {"/layers.1.wq.bias", {1}, "MALFORMED: the artifact has the unknown tensor"},
      {"/layers.1.wq.scale", nullptr, "MALFORMED"},
      {"/tokens.bytes/shape", {17}, "MALFORMED"},
      {"/tokens.bytes/shape", {0}, "MALFORMED"},
      {"/tokens.bytes/shape", {-1}, "MALFORMED"},
      {"/tokens.bytes/shape", {UINT64_MAX}, "LIMIT_EXCEEDED"},
      {"/tokens.bytes", 1, "MALFORMED"},
  };
  for (const HeaderCase& test : cases) {
    Json header = header_of(file);
    header[Json::json_pointer(test.pointer)] = test.value;
    const std::string why = refusal(with_header(file, header.dump()));
    EXPECT_TRUE(why.starts_with(test.expected)) << test.pointer << " " << why;
  }
  Json header = header_of(file);
  header.erase("final_norm.gain");
  EXPECT_EQ(refusal(with_header(file, header.dump())),
            "MALFORMED: the artifact has no tensor 'final_norm.gain'.");
}

// Stores `value` into element `index` of the named tensor and gives the refusal.
template <class T>
std::string refusal_with(const std::string& name, std::uint64_t index, T value) {
  const ArtifactContents contents =
      random_artifact({.tied = false, .biases = true, .qk_norm = true});
  Bytes file = file_of(contents);
  const std::uint64_t data = 8 + load_le<std::uint64_t>(file.data());
  for (const TensorSpec& spec : tensor_layout(contents.config, contents.token_bytes)) {
    if (spec.name == name) {
      store_le(file.data() + data + spec.offset + index * sizeof(T), value);
      return refusal(std::move(file));
    }
  }
  return "no such tensor";
}

TEST(Artifact, NumbersSayWhatTheConfigurationSays) {
  const Config config = random_artifact({.tied = false, .biases = true, .qk_norm = true}).config;
  const std::vector<std::int64_t> numbers = config_numbers(config);
  const std::vector<std::int64_t> begin = {10, 2,       1,       4, 15, 2, 17, 300, 0,  16,
                                           13, 1 << 20, 1 << 10, 0, 1,  1, 1,  16,  16, 16};
  ASSERT_EQ(numbers.size(), 18U + 4 * 2 + config.exponents.size() + 3);
  EXPECT_TRUE(std::equal(begin.begin(), begin.end(), numbers.begin()));
  EXPECT_EQ(numbers[26], 22);                            // embed
  EXPECT_EQ(numbers[27], 16);                            // layers.0.attn_norm
  const std::vector<std::int64_t> end = {22, 2, 2, 16};  // head, then eos_ids with their number
  EXPECT_TRUE(std::equal(end.begin(), end.end(), numbers.end() - 4));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(refusal_with<std::int64_t>("numbers", i, numbers[i]), "accepted");
    EXPECT_EQ(refusal_with<std::int64_t>("numbers", i, numbers[i] + 1),
              "MODEL_INVALID: the artifact holds " + std::to_string(numbers[i] + 1) +
                  " in tensor 'numbers', element " + std::to_string(i) + "; otr.config makes it " +
                  std::to_string(numbers[i]) + ".");
  }
}

TEST(Artifact, RangesOfTheTensors) {
  using I32 = std::int32_t;
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  constexpr I32 kMax23 = (1 << 23) - 1;
  EXPECT_EQ(refusal_with<std::int8_t>("layers.1.w_up.weight", 149, -128),
            "MODEL_INVALID: the artifact holds -128 in tensor 'layers.1.w_up.weight', element 149; "
            "the range is [-127, 127].");
  EXPECT_EQ(refusal_with<std::int8_t>("head.weight", 0, -127), "accepted");
  EXPECT_EQ(refusal_with<U16>("embed.scale", 16, 4095), "accepted");
  for (const auto& [name, index, low, high] :
       {std::tuple{"layers.0.attn_norm.gain", 9, -kMax23, kMax23},
        {"layers.0.q_norm.gain", 3, -kMax23, kMax23},
        {"final_norm.gain", 0, -kMax23, kMax23},
        {"layers.0.wq.bias", 7, -kMax23, kMax23},
        {"layers.1.wk.bias", 0, -kMax23, kMax23},
        {"layers.1.wo.bias", 0, -(1 << 30), 1 << 30}}) {
    EXPECT_EQ(refusal_with<I32>(name, index, low), "accepted") << name;
    EXPECT_EQ(refusal_with<I32>(name, index, high), "accepted") << name;
    EXPECT_TRUE(refusal_with<I32>(name, index, low - 1).starts_with("MODEL_INVALID")) << name;
    EXPECT_TRUE(refusal_with<I32>(name, index, high + 1).starts_with("MODEL_INVALID")) << name;
  }
  EXPECT_TRUE(refusal_with<U16>("head.scale", 16, 0).starts_with("MODEL_INVALID"));
  EXPECT_TRUE(refusal_with<U16>("head.scale", 16, 4096).starts_with("MODEL_INVALID"));
  EXPECT_TRUE(refusal_with<U32>("tokens.offsets", 0, 1).starts_with("MODEL_INVALID"));
  EXPECT_TRUE(refusal_with<U32>("tokens.offsets", 17, 17).starts_with("MODEL_INVALID"));
  EXPECT_TRUE(refusal_with<U32>("tokens.offsets", 5, 7).starts_with("MODEL_INVALID"));
  EXPECT_TRUE(refusal_with<U32>("tokens.offsets", 5, UINT32_MAX).starts_with("MODEL_INVALID"));
  EXPECT_EQ(refusal_with<U32>("tokens.offsets", 5, 6), "accepted");
}

TEST(Artifact, TokensHaveABoundedLength) {
  for (const std::uint32_t size : {1024U, 1025U}) {
    ArtifactContents contents = random_artifact({});
    // The last token, which is empty, gets `size` bytes: its end is before the 16 of the others.
    const std::size_t end_of_offsets = contents.data.size() - contents.token_bytes;
    store_le<std::uint32_t>(contents.data.data() + end_of_offsets - 4, 16 + size);
    contents.data.resize(contents.data.size() + size, 'z');
    contents.token_bytes += size;
    EXPECT_EQ(refusal(file_of(std::move(contents))),
              size == 1024
                  ? "accepted"
                  : "MODEL_INVALID: the artifact has a token, 16, of 1025 bytes; the limit "
                    "is 1024.");
  }
}

TEST(Artifact, EncodeRefusesDataThatDoesNotFit) {
  ArtifactContents contents = random_artifact({});
  contents.data.pop_back();
  EXPECT_FALSE(encode_artifact(std::move(contents)));
  ArtifactContents text = random_artifact({});
  text.tokenizer = "\xff";
  EXPECT_FALSE(encode_artifact(std::move(text)));
}

}  // namespace
}  // namespace otr::model

// The float reference against a second implementation, which shares nothing with it but the files.
#include "eval/float_forward.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "eval/test_checkpoints.h"

namespace otr::eval {
namespace {

std::vector<std::vector<double>> python_logits(const std::filesystem::path& folder,
                                               const std::vector<std::uint32_t>& ids) {
  std::string command =
      "python3 '" OTR_SOURCE_DIR "/src/eval/huggingface_logits.py' '" + folder.string() + "'";
  for (const std::uint32_t id : ids) command += " " + std::to_string(id);
  command += " > '" + (folder / "logits").string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::vector<std::vector<double>> out;
  std::istringstream lines(read_text(folder / "logits"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream values(line);
    out.emplace_back(std::istream_iterator<double>(values), std::istream_iterator<double>());
  }
  return out;
}

TEST(FloatForward, AgreesWithPythonOnEveryFamily) {
  for (const Family& family : families()) {
    SCOPED_TRACE(family.name);
    const auto folder = test_folder(family.name);
    write_random_folder(folder, family.config, 11);
    const auto model = convert::load_float_model(folder);
    ASSERT_TRUE(model) << model.error().message;
    const auto ids = Dice(5).ids(20, model->config.shape.vocabulary);
    const auto expected = python_logits(folder, ids);
    ASSERT_EQ(expected.size(), ids.size());
    FloatForward engine(*model, 2);
    engine.run(ids);
    double greatest = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto logits = engine.logits(i);
      ASSERT_EQ(expected[i].size(), logits.size());
      for (std::size_t j = 0; j < logits.size(); ++j) {
        ASSERT_NEAR(logits[j], expected[i][j], 1e-4) << "position " << i << ", token " << j;
        greatest = std::max(greatest, std::abs(expected[i][j]));
      }
    }
    EXPECT_GT(greatest, 1) << "logits so small that anything would agree";
  }
}

TEST(FloatForward, ChunksAndThreadsDoNotMatter) {
  const auto folder = test_folder("chunks");
  write_random_folder(folder, families().back().config, 3);
  const auto model = convert::load_float_model(folder).value();
  const auto ids = Dice(6).ids(30, model.config.shape.vocabulary);
  FloatForward whole(model, 1);
  whole.run(ids);
  FloatForward parts(model, 3);
  parts.run(std::span(ids).first(7));
  parts.reset();
  parts.run(std::span(ids).first(1));
  parts.run(std::span(ids).subspan(1, 4));
  parts.run(std::span(ids).subspan(5));
  const auto a = whole.logits(29);
  const auto b = parts.logits(24);
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
}

}  // namespace
}  // namespace otr::eval

// SPEC PROG-2, PROG-3, PROG-7: the table of the program, read a second time out of the text of the
// SPEC.
#include "machine/tensors.h"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <map>
#include <string>

#include "machine/test_state.h"

namespace otr::machine {
namespace {

using enum Tensor;
using Line = std::vector<std::string>;  // the cells of one line of a table

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(by, begin)) != std::string::npos;
       begin = end + by.size()) {
    parts.push_back(trimmed(text.substr(begin, end - begin)));
  }
  parts.push_back(trimmed(text.substr(begin)));
  return parts;
}

// All lines of tables that stand between two rules.
std::vector<Line> table_lines(const std::string& from, const std::string& to) {
  std::ifstream file(OTR_SOURCE_DIR "/spec/SPEC.md");
  std::vector<Line> lines;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("- **" + from + "**")) inside = true;
    if (line.starts_with(to)) inside = false;
    if (!inside || !line.starts_with("| ") || line.starts_with("| ---")) continue;
    Line cells = split(line, " | ");
    cells.front().erase(0, 2);
    if (cells.back().ends_with(" |")) cells.back().resize(cells.back().size() - 2);
    lines.push_back(cells);
  }
  EXPECT_FALSE(lines.empty()) << "no table from " << from << " to " << to << " in spec/SPEC.md";
  return lines;
}

// "1, 2" and "51 … 59".
std::vector<int> numbers_of(const std::string& cell) {
  std::vector<int> numbers;
  const auto ends = split(cell, " … ");
  if (ends.size() == 2) {
    for (int n = std::stoi(ends[0]); n <= std::stoi(ends[1]); ++n) numbers.push_back(n);
  } else {
    for (const std::string& one : split(cell, ", ")) numbers.push_back(std::stoi(one));
  }
  return numbers;
}

struct SpecTensor {
  std::string name;
  std::string shape;
};

// By number. Shapes that point to other tensors are replaced by what stands there.
std::map<int, SpecTensor> spec_tensors() {
  std::map<int, SpecTensor> tensors;
  for (const Line& line : table_lines("PROG-2", "- **PROG-4**")) {
    if (line[0] == "no") continue;
    const std::vector<int> numbers = numbers_of(line[0]);
    const std::vector<std::string> names = split(line[1], ", ");
    std::vector<std::string> shapes = split(line[2], ", ");
    EXPECT_EQ(names.size(), numbers.size()) << line[1];
    if (line[2].starts_with("as ")) {
      shapes.clear();
      for (const int n : numbers_of(line[2].substr(3))) shapes.push_back(tensors.at(n).shape);
    }
    if (shapes.size() == 1) shapes.resize(numbers.size(), shapes[0]);
    EXPECT_EQ(shapes.size(), numbers.size()) << line[2];
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      tensors[numbers[i]] = {names.at(i), shapes.at(i)};
    }
  }
  return tensors;
}

TEST(Tensors, NamesAndNumbersAreThoseOfTheSpec) {
  const auto tensors = spec_tensors();
  ASSERT_EQ(tensors.size(), std::size_t{kTensorCount});
  for (const auto& [number, tensor] : tensors) {
    EXPECT_EQ(info(static_cast<Tensor>(number)).name, tensor.name) << number;
  }
  EXPECT_EQ(tensors.at(static_cast<int>(kFirstOfHead)).name, "nf_hi");
}

Shape sample_shape() {
  Shape s;
  s.hidden = 5000;
  s.heads = 96;
  s.kv_heads = 32;
  s.head_dim = 70;
  s.ffn = 9001;
  s.layers = 3;
  s.vocabulary = 13000;
  s.context = 1000;
  s.qk_norm = true;
  return s;
}

// One factor of a shape, e.g. "HD", "K(n_ff)", "128nT", "D/2", "4".
std::uint64_t factor(const std::string& text, const Shape& s, std::uint32_t t) {
  const std::uint64_t tiles = t / 128 - first_attended(t, s.window) / 128 + 1;
  const std::map<std::string, std::uint64_t> sizes = {
      {"d", s.hidden},
      {"H", s.heads},
      {"G", s.kv_heads},
      {"HD", std::uint64_t{s.heads} * s.head_dim},
      {"GD", std::uint64_t{s.kv_heads} * s.head_dim},
      {"D/2", s.head_dim / 2},
      {"n_ff", s.ffn},
      {"V", s.vocabulary},
      {"nT", tiles},
      {"128nT", 128 * tiles}};
  if (const auto it = sizes.find(text); it != sizes.end()) return it->second;
  if (text.size() > 3 && text[1] == '(') {
    const std::map<char, std::uint64_t> blocks_of = {{'K', 2048}, {'P', 4096}, {'Q', 1024}};
    const std::uint64_t n = factor(text.substr(2, text.size() - 3), s, t);
    return (n + blocks_of.at(text[0]) - 1) / blocks_of.at(text[0]);
  }
  EXPECT_TRUE(std::isdigit(static_cast<unsigned char>(text[0]))) << "unknown size: " << text;
  return std::stoull(text);
}

TEST(Tensors, ShapesAreThoseOfTheSpec) {
  Program program;
  for (const std::uint32_t window : {0u, 100u, 300u}) {
    program.shape = sample_shape();
    program.shape.window = window;
    const Sampling sampling{.inv_t = 1};
    for (const std::uint32_t t : {0u, 127u, 128u, 427u, 999u}) {
      for (const auto& [number, tensor] : spec_tensors()) {
        Values sizes;
        for (const std::string& f : split(tensor.shape, " × ")) {
          sizes.push_back(static_cast<std::int64_t>(factor(f, program.shape, t)));
        }
        if (sizes.size() == 1) sizes.insert(sizes.begin(), 1);
        const auto id = static_cast<Tensor>(number);
        const std::uint32_t layer = id >= kFirstOfHead ? kHeadLayer : 0;
        const TensorShape shape = shape_of(program, sampling, t, layer, id);
        EXPECT_EQ(
            (Values{static_cast<std::int64_t>(shape.rows), static_cast<std::int64_t>(shape.cols)}),
            sizes)
            << tensor.name << " at " << t;
        EXPECT_EQ(shape_of(program, sampling, t, layer == 0 ? kHeadLayer : 0, id).size(), 0u);
      }
    }
  }
}

TEST(Tensors, AbsentOnesAreThoseOfTheSpec) {
  Program program;
  program.shape = sample_shape();
  const auto present = [&](std::uint32_t layer, Tensor tensor, std::uint32_t inv_t = 1) {
    return shape_of(program, {.inv_t = inv_t}, 5, layer, tensor).size() != 0;
  };
  EXPECT_TRUE(present(0, kXIn));
  EXPECT_FALSE(present(1, kXIn));
  for (const Tensor tensor : {kDelta, kKCut, kKCount, kKW, kKMass, kPCut, kPW, kPMass, kScore}) {
    EXPECT_TRUE(present(kHeadLayer, tensor));
    EXPECT_FALSE(present(kHeadLayer, tensor, 0));
  }
  program.shape.qk_norm = false;
  for (const Tensor tensor : {kQRoot, kQN, kKRoot, kKN}) EXPECT_FALSE(present(0, tensor));
  // A part exists from 2049 columns on, each by the width of its own matrix.
  const std::vector<std::pair<Tensor, std::uint32_t Shape::*>> parts = {
      {kQPart, &Shape::hidden},    {kKPart, &Shape::hidden},   {kVPart, &Shape::hidden},
      {kGatePart, &Shape::hidden}, {kUpPart, &Shape::hidden},  {kLogitPart, &Shape::hidden},
      {kDownPart, &Shape::ffn},    {kWoPart, &Shape::head_dim}};
  for (const auto& [tensor, width] : parts) {
    program.shape = sample_shape();
    program.shape.heads = program.shape.kv_heads = 1;
    const std::uint32_t layer = tensor == kLogitPart ? kHeadLayer : 0;
    program.shape.*width = 2048;
    EXPECT_FALSE(present(layer, tensor)) << info(tensor).name;
    program.shape.*width = 2049;
    EXPECT_TRUE(present(layer, tensor)) << info(tensor).name;
  }
}

// "2^31 - 1", "-64", "32639", "2^23 + 30".
std::int64_t value_of(std::string text) {
  std::int64_t plus = 0;
  for (const std::string sign : {" - ", " + "}) {
    const auto at = text.find(sign);
    if (at == std::string::npos) continue;
    plus = std::stoll(text.substr(at + 3)) * (sign == " - " ? -1 : 1);
    text.resize(at);
  }
  if (text.starts_with("-2^")) return -value_of(text.substr(1)) + plus;
  if (!text.starts_with("2^")) return std::stoll(text) + plus;
  const int n = std::stoi(text.substr(2));
  return n == 63 ? INT64_MAX + (plus + 1) : (std::int64_t{1} << n) + plus;
}

TEST(Tensors, RangesAreThoseOfTheSpec) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> ranges;
  for (const Line& line : table_lines("PROG-7", "## 9.")) {
    if (line[0] == "tensors") continue;
    std::string text = line[1];
    if (const auto as = text.find("as a tensor "); as != std::string::npos)
      text = text.substr(as + 12);
    text = split(split(text, ";")[0], " (")[0];
    for (const std::string& name : split(line[0], ", ")) {
      EXPECT_FALSE(ranges.contains(name)) << name << " has two ranges";
      if (text.starts_with("±")) {
        std::string bound = text.substr(std::string("±").size());
        if (bound.starts_with("(")) bound = bound.substr(1, bound.size() - 2);
        ranges[name] = {-value_of(bound), value_of(bound)};
      } else {
        const auto ends = split(text, " … ");
        ranges[name] = {value_of(ends.at(0)), value_of(ends.at(1))};
      }
    }
  }
  EXPECT_EQ(ranges.size(), std::size_t{kTensorCount});
  for (int i = 0; i < kTensorCount; ++i) {
    const TensorInfo& facts = info(static_cast<Tensor>(i));
    ASSERT_TRUE(ranges.contains(std::string(facts.name))) << facts.name;
    const auto& [lo, hi] = ranges.at(std::string(facts.name));
    EXPECT_EQ(facts.lo, lo) << facts.name;
    EXPECT_EQ(facts.hi, hi) << facts.name;
  }
}

}  // namespace
}  // namespace otr::machine

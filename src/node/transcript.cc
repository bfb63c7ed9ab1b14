#include "node/transcript.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace otr::node::test {
namespace {

constexpr const char* kDescriptor = "3";

}  // namespace

Transcript::~Transcript() {
  EXPECT_EQ(at_, steps_.size()) << "next would be: "
                                << (at_ < steps_.size() ? steps_[at_].call : "");
}

const Step& Transcript::next(const std::string& call) {
  static const Step refused = {.result = -EIO};
  const std::string expected = at_ < steps_.size() ? steps_[at_].call : "no further call";
  EXPECT_EQ(call, expected) << "step " << at_;
  if (call != expected) return refused;
  return steps_[at_++];
}

std::int64_t Transcript::open(const std::string& path, Access access) {
  const char* mode = access == Access::kRead ? "r" : access == Access::kWrite ? "w" : "rw";
  return next(std::string("open ") + mode + " " + path).result;
}

std::int64_t Transcript::read(int descriptor, std::span<std::uint8_t> to) {
  const Step& step = next("read " + std::to_string(descriptor));
  if (step.result < 0) return step.result;
  EXPECT_LE(step.data.size(), to.size()) << "a part of the transcript is longer than a read";
  const std::size_t size = std::min(step.data.size(), to.size());
  std::copy_n(step.data.begin(), size, to.begin());
  return static_cast<std::int64_t>(size);
}

std::int64_t Transcript::write(int descriptor, ByteView bytes) {
  const Step& step = next("write " + std::to_string(descriptor));
  EXPECT_TRUE(std::ranges::equal(bytes, step.data)) << "other bytes were written";
  return step.result;
}

void Transcript::close(int descriptor) { next("close " + std::to_string(descriptor)); }

std::int64_t Transcript::mkdir(const std::string& path) { return next("mkdir " + path).result; }

std::int64_t Transcript::rmdir(const std::string& path) { return next("rmdir " + path).result; }

std::int64_t Transcript::ioctl(int descriptor, unsigned long request, void* argument) {
  char hex[20];
  std::snprintf(hex, sizeof hex, "%lx", request);
  const Step& step = next("ioctl " + std::to_string(descriptor) + " " + hex);
  if (step.effect) step.effect(argument);
  return step.result;
}

void Transcript::wait_ms(unsigned milliseconds) { next("wait " + std::to_string(milliseconds)); }

void* Transcript::load_library(const std::string& name) {
  next("load " + name);
  return symbols.empty() ? nullptr : this;
}

void* Transcript::symbol(void* library, const std::string& name) {
  EXPECT_EQ(library, this);
  const auto found = symbols.find(name);
  return found == symbols.end() ? nullptr : found->second;
}

std::vector<Step> file_read(const std::string& path, const std::vector<Bytes>& parts) {
  std::vector<Step> steps = {{.call = "open r " + path, .result = 3}};
  for (const Bytes& part : parts) {
    for (std::size_t at = 0; at < part.size(); at += 4096) {
      const ByteView page =
          ByteView(part).subspan(at, std::min<std::size_t>(4096, part.size() - at));
      steps.push_back(
          {.call = std::string("read ") + kDescriptor, .data = Bytes(page.begin(), page.end())});
    }
  }
  steps.push_back({.call = std::string("read ") + kDescriptor});
  steps.push_back({.call = std::string("close ") + kDescriptor});
  return steps;
}

std::vector<Step> file_read(const std::string& path, std::string_view text) {
  const ByteView bytes = as_bytes(text);
  return file_read(path, {Bytes(bytes.begin(), bytes.end())});
}

std::vector<Step> file_write(const std::string& path, ByteView bytes) {
  return {{.call = "open w " + path, .result = 3},
          {.call = std::string("write ") + kDescriptor,
           .result = static_cast<std::int64_t>(bytes.size()),
           .data = Bytes(bytes.begin(), bytes.end())},
          {.call = std::string("close ") + kDescriptor}};
}

std::vector<Step> joined(const std::vector<std::vector<Step>>& parts) {
  std::vector<Step> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace otr::node::test

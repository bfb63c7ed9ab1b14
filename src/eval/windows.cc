#include "eval/windows.h"

#include <algorithm>

#include "base/check.h"

namespace otr::eval {
namespace {

std::string_view trim(std::string_view source) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = source.find_first_not_of(kBlank);
  if (begin == source.npos) return {};
  return source.substr(begin, source.find_last_not_of(kBlank) + 1 - begin);
}

bool is_separator(const text::Tokenizer& tokenizer, std::string_view line) {
  if (line == "<|endoftext|>") return true;
  if (line.empty()) return false;
  const auto id = tokenizer.find(line);
  return id && tokenizer.is_control(*id);
}

}  // namespace

std::vector<std::string_view> split_documents(const text::Tokenizer& tokenizer,
                                              std::string_view source) {
  std::vector<std::string_view> documents;
  const auto add = [&](std::size_t begin, std::size_t end) {
    const std::string_view document = trim(source.substr(begin, end - begin));
    if (!document.empty()) documents.push_back(document);
  };
  std::size_t document = 0;
  for (std::size_t line = 0; line < source.size();) {
    const std::size_t end = std::min(source.find('\n', line), source.size());
    if (is_separator(tokenizer, trim(source.substr(line, end - line)))) {
      add(document, line);
      document = std::min(end + 1, source.size());
    }
    line = end + 1;
  }
  add(document, source.size());
  return documents;
}

Result<std::vector<Window>> cut_windows(const text::Tokenizer& tokenizer, std::string_view source,
                                        std::uint32_t window_tokens) {
  OTR_CHECK(window_tokens >= 2);
  std::vector<Window> windows;
  for (const std::string_view document : split_documents(tokenizer, source)) {
    OTR_TRY_ASSIGN(const Window ids, tokenizer.encode(document, {.add_special = false}));
    const bool has_bos = tokenizer.add_bos() && tokenizer.bos();
    for (std::size_t next = has_bos ? 0 : 1; next < ids.size();) {
      const std::size_t count = std::min<std::size_t>(window_tokens - 1, ids.size() - next);
      Window window = {has_bos ? *tokenizer.bos() : ids[next - 1]};
      const auto from = ids.begin() + static_cast<std::ptrdiff_t>(next);
      window.insert(window.end(), from, from + static_cast<std::ptrdiff_t>(count));
      windows.push_back(std::move(window));
      next += count;
    }
  }
  return windows;
}

}  // namespace otr::eval

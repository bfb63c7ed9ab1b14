#include "text/added_tokens.h"

#include <algorithm>
#include <map>
#include <utility>

namespace otr::text {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) {
  std::map<std::string, AddedToken> sorted;
  for (AddedToken& token : tokens) {
    has_control_ |= token.control;
    sorted.emplace(token.content, std::move(token));
  }
  for (auto& [content, token] : sorted) tokens_.push_back(std::move(token));
}

// Narrows the sorted tokens byte by byte to those that agree with the text so far.
const AddedToken* AddedTokens::longest_at_start(std::string_view text,
                                                std::string_view typed) const {
  const AddedToken* longest = nullptr;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  bool any_typed = false;
  for (std::size_t i = 0; i < text.size() && first != last; ++i) {
    // All of them share the first i bytes; one that ends here sorts first, as -1.
    const auto byte_of = [i](const AddedToken& token) {
      return i < token.content.size() ? static_cast<unsigned char>(token.content[i]) : -1;
    };
    const auto same = std::ranges::equal_range(
        first, last, static_cast<int>(static_cast<unsigned char>(text[i])), {}, byte_of);
    first = same.begin();
    last = same.end();
    any_typed |= !typed.empty() && typed[i] != 0;
    if (first != last && first->content.size() == i + 1 && !(first->control && any_typed)) {
      longest = &*first;
    }
  }
  return longest;
}

std::vector<Segment> AddedTokens::split(std::string_view text, std::string_view typed) const {
  std::vector<Segment> segments;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token =
        longest_at_start(text.substr(at), typed.empty() ? typed : typed.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    if (start < at) segments.push_back({text.substr(start, at - start), std::nullopt});
    segments.push_back({text.substr(at, token->content.size()), token->id});
    at += token->content.size();
    start = at;
  }
  if (start < text.size()) segments.push_back({text.substr(start), std::nullopt});
  return segments;
}

}  // namespace otr::text

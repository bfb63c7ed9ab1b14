// The `messages` of a chat, from JSON: texts and roles that a chat template knows.
#ifndef OTR_OPENAI_MESSAGES_H_
#define OTR_OPENAI_MESSAGES_H_

#include <string>
#include <vector>

#include "chat/template.h"
#include "openai/error.h"

namespace otr::openai {

// An array of at least one {role, content}: developer is system; content is a text or an array of
// parts {"type": "text"}, which are joined by line feeds. Tools, images and audio are refused.
[[nodiscard]] Parsed<std::vector<chat::ChatMessage>> parse_messages(const Json& value,
                                                                    const std::string& param);

}  // namespace otr::openai

#endif  // OTR_OPENAI_MESSAGES_H_

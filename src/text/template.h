// Chat templates: how one question becomes the text a model was trained on.
//
// Understands the part of Jinja that a template for one question needs: `{{ bos_token }}` at the
// very beginning, literal text, and `{{ messages[0]['content'] }}`. Anything else is an error that
// names it: a template is under the model root, and guessing at it would ask another model.
#ifndef OTR_TEXT_TEMPLATE_H_
#define OTR_TEXT_TEMPLATE_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::text {

struct TemplatedText {
  bool bos = false;  // begins with the BOS token
  std::string text;  // what follows; may spell control tokens that the template names
};

[[nodiscard]] Result<TemplatedText> apply_template(std::string_view source,
                                                   std::string_view question);

}  // namespace otr::text

#endif  // OTR_TEXT_TEMPLATE_H_

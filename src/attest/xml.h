// A strict reader of the XML that signed reference values use, and Canonical XML 1.1 of what it
// read (SPEC ATT-9; W3C XML 1.0, Namespaces in XML 1.0, Canonical XML 1.1).
//
// Elements, attributes, text, the five predefined entities and character references. Refused: a
// DTD, comments, CDATA, processing instructions (but an XML declaration at the very start),
// entities of other names, attributes with the prefix xml, undeclared prefixes, attributes twice,
// anything after the root but white space. So nothing that is read is absent from the canonical
// form, which is made from the same tree.
#ifndef OTR_ATTEST_XML_H_
#define OTR_ATTEST_XML_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

inline constexpr std::size_t kMaxXmlBytes = std::size_t{1} << 20;
inline constexpr unsigned kMaxXmlDepth = 16;

struct XmlAttribute {
  std::string prefix, local, uri, value;
};

struct XmlElement {
  struct Content {  // text, or an element
    std::string text;
    std::unique_ptr<XmlElement> element;
  };

  std::string prefix, local, uri;
  std::vector<XmlAttribute> attributes;
  std::map<std::string, std::string> namespaces;  // declared here: prefix ("" the default) to URI
  std::vector<Content> content;
  const XmlElement* parent = nullptr;

  // The attribute's value; nullptr where it is absent. `uri` is empty for one without a prefix.
  [[nodiscard]] const std::string* attribute(std::string_view name,
                                             std::string_view namespace_uri = {}) const;
  [[nodiscard]] std::vector<const XmlElement*> children() const;
  // The URI that a prefix stands for here; nullptr where none.
  [[nodiscard]] const std::string* namespace_of(std::string_view wanted_prefix) const;
  // All its text; empty where it has child elements.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool is(std::string_view namespace_uri, std::string_view name) const {
    return uri == namespace_uri && local == name;
  }
};

// The root. kBadInput with the offset; code MALFORMED.
[[nodiscard]] Result<std::unique_ptr<XmlElement>> parse_xml(std::string_view xml);

// Canonical XML 1.1 of the element with all that is in it, but without the element `left_out`
// (nullptr: nothing is left out). Namespaces in scope from ancestors are written on it.
[[nodiscard]] std::string canonical_xml(const XmlElement& element, const XmlElement* left_out);

}  // namespace otr::attest

#endif  // OTR_ATTEST_XML_H_

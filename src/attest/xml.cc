#include "attest/xml.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace otr::attest {
namespace {

constexpr std::string_view kXmlNamespace = "http://www.w3.org/XML/1998/namespace";
constexpr std::string_view kXmlnsNamespace = "http://www.w3.org/2000/xmlns/";
constexpr std::size_t kMaxAttributes = 512;
constexpr std::size_t kMaxDeclarations = 64;  // of a document: each costs a copy of those in scope

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_char(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

// A code point of XML 1.0's Char.
bool is_char(std::uint32_t c) {
  return c == 9 || c == 10 || c == 13 || (c >= 0x20 && c <= 0xD7FF) ||
         (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

void append_utf8(std::string& to, std::uint32_t c) {
  if (c < 0x80) {
    to += static_cast<char>(c);
    return;
  }
  const unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr std::uint8_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  to += static_cast<char>(kLead[more] | c >> (6 * more));
  for (unsigned i = more; i-- > 0;) to += static_cast<char>(0x80 | (c >> (6 * i) & 0x3F));
}

// The length of the character at `at`, or 0 if its bytes are none of XML's in UTF-8.
std::size_t char_size(std::string_view text, std::size_t at) {
  const auto lead = static_cast<std::uint8_t>(text[at]);
  if (lead < 0x80) return is_char(lead) ? 1 : 0;
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  if (size == 0 || lead > 0xF4 || text.size() - at < size) return 0;
  std::uint32_t c = lead & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<std::uint8_t>(text[at + i]);
    if ((next & 0xC0) != 0x80) return 0;
    c = c << 6 | (next & 0x3F);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  return c >= kLeast[size] && is_char(c) ? size : 0;
}

struct RawAttribute {
  std::string prefix, local, value;
  std::size_t offset;
};

class Reader {
 public:
  explicit Reader(std::string_view xml) : xml_(xml) {}

  Result<std::unique_ptr<XmlElement>> document() {
    if (xml_.size() > kMaxXmlBytes) return bad("is longer than 1 MiB");
    OTR_TRY(declaration());
    skip_space();
    auto root = std::make_unique<XmlElement>();
    OTR_TRY(element(*root, 1));
    skip_space();
    if (at_ != xml_.size()) return bad("goes on after its root element");
    return root;
  }

 private:
  std::unexpected<Error> bad(std::string_view what) const { return bad_at(at_, what); }
  static std::unexpected<Error> bad_at(std::size_t offset, std::string_view what) {
    return fail(
        ErrorKind::kBadInput,
        "the XML document " + std::string(what) + " (offset " + std::to_string(offset) + ")",
        "MALFORMED");
  }

  bool looking_at(std::string_view text) const { return xml_.substr(at_).starts_with(text); }
  bool accept(std::string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }
  bool skip_space() {
    const std::size_t start = at_;
    while (at_ < xml_.size() && is_space(xml_[at_])) ++at_;
    return at_ != start;
  }

  // Only the declarations that say nothing: XML 1.0 in UTF-8.
  Status declaration() {
    if (!accept("<?xml")) return {};
    if (!skip_space() || !(accept("version=\"1.0\"") || accept("version='1.0'"))) {
      return bad("has an XML declaration of another version than 1.0");
    }
    skip_space();
    if (looking_at("encoding")) {
      if (!accept("encoding=\"UTF-8\"") && !accept("encoding='UTF-8'") &&
          !accept("encoding=\"utf-8\"") && !accept("encoding='utf-8'")) {
        return bad("is not in UTF-8");
      }
      skip_space();
    }
    for (const std::string_view standalone :
         {"standalone=\"yes\"", "standalone=\"no\"", "standalone='yes'", "standalone='no'"}) {
      if (accept(standalone)) break;
    }
    skip_space();
    if (!accept("?>")) return bad("has a malformed XML declaration");
    return {};
  }

  Status name(std::string& prefix, std::string& local) {
    OTR_TRY(part(local));
    if (accept(":")) {
      prefix = std::exchange(local, {});
      OTR_TRY(part(local));
    }
    return {};
  }
  Status part(std::string& to) {
    if (at_ == xml_.size() || !is_name_start(xml_[at_]))
      return bad("lacks a name, or has a name that is not ASCII");
    const std::size_t start = at_;
    while (at_ < xml_.size() && is_name_char(xml_[at_])) ++at_;
    to = xml_.substr(start, at_ - start);
    return {};
  }

  // One reference, from '&' to ';'.
  Status reference(std::string& to) {
    constexpr std::pair<std::string_view, char> kEntities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (const auto& [entity, c] : kEntities) {
      if (accept(entity)) {
        to += c;
        return {};
      }
    }
    if (!accept("&#")) return bad("refers to an entity that is not predefined");
    const std::uint32_t base = accept("x") ? 16 : 10;
    std::uint32_t value = 0;
    const std::size_t start = at_;
    for (; at_ < xml_.size() && xml_[at_] != ';' && at_ - start < 8; ++at_) {
      const char c = xml_[at_];
      std::uint32_t digit = base;
      if (c >= '0' && c <= '9') digit = static_cast<std::uint32_t>(c - '0');
      if (c >= 'a' && c <= 'f') digit = static_cast<std::uint32_t>(c - 'a') + 10;
      if (c >= 'A' && c <= 'F') digit = static_cast<std::uint32_t>(c - 'A') + 10;
      if (digit >= base) return bad("has a malformed character reference");
      value = value * base + digit;
    }
    if (at_ == start || !is_char(value) || !accept(";")) {
      return bad("has a reference to what is no character");
    }
    append_utf8(to, value);
    return {};
  }

  // One character as it stands, ends of lines normalised.
  Status plain(std::string& to, bool attribute) {
    const std::size_t size = char_size(xml_, at_);
    if (size == 0) return bad("has bytes that are no characters of UTF-8");
    const char c = xml_[at_];
    if (c == '\r') {
      static_cast<void>(accept("\r\n") || accept("\r"));
      to += attribute ? ' ' : '\n';
      return {};
    }
    if (attribute && is_space(c)) {
      to += ' ';
    } else {
      to.append(xml_, at_, size);
    }
    at_ += size;
    return {};
  }

  Status attribute_value(std::string& to) {
    if (at_ == xml_.size() || (xml_[at_] != '"' && xml_[at_] != '\'')) {
      return bad("has an attribute value without quotation marks");
    }
    const char quote = xml_[at_++];
    while (at_ < xml_.size() && xml_[at_] != quote) {
      if (xml_[at_] == '<') return bad("has '<' in an attribute value");
      OTR_TRY(xml_[at_] == '&' ? reference(to) : plain(to, true));
    }
    if (at_ == xml_.size()) return bad("ends inside an attribute value");
    ++at_;
    return {};
  }

  // The attributes of a start tag, split into namespaces and others.
  Status attributes(XmlElement& element, std::vector<RawAttribute>& others) {
    while (skip_space()) {
      if (looking_at(">") || looking_at("/>")) break;
      RawAttribute attribute{.prefix = {}, .local = {}, .value = {}, .offset = at_};
      OTR_TRY(name(attribute.prefix, attribute.local));
      skip_space();
      if (!accept("=")) return bad("has an attribute without '='");
      skip_space();
      OTR_TRY(attribute_value(attribute.value));
      const bool is_default = attribute.prefix.empty() && attribute.local == "xmlns";
      if (!is_default && attribute.prefix != "xmlns") {
        others.push_back(std::move(attribute));
        if (others.size() > kMaxAttributes) return bad("has an element of too many attributes");
        continue;
      }
      const std::string declared = is_default ? std::string() : attribute.local;
      if (declared == "xml" || declared == "xmlns" || attribute.value == kXmlNamespace ||
          attribute.value == kXmlnsNamespace || (!is_default && attribute.value.empty())) {
        return bad_at(attribute.offset, "declares a reserved or empty namespace");
      }
      if (!element.namespaces.emplace(declared, std::move(attribute.value)).second) {
        return bad_at(attribute.offset, "declares a namespace twice");
      }
      if (++declarations_ > kMaxDeclarations) return bad("declares too many namespaces");
    }
    return {};
  }

  static Status resolve(XmlElement& element, std::vector<RawAttribute>& raw, std::size_t start) {
    if (const std::string* uri = element.namespace_of(element.prefix)) {
      element.uri = *uri;
    } else if (!element.prefix.empty()) {
      return bad_at(start, "uses the undeclared prefix '" + element.prefix + "'");
    }
    for (RawAttribute& a : raw) {
      std::string uri;
      if (a.prefix == "xml") return bad_at(a.offset, "has an attribute of the prefix xml");
      if (!a.prefix.empty()) {
        const std::string* found = element.namespace_of(a.prefix);
        if (found == nullptr) {
          return bad_at(a.offset, "uses the undeclared prefix '" + a.prefix + "'");
        }
        uri = *found;
      }
      element.attributes.push_back({.prefix = std::move(a.prefix),
                                    .local = std::move(a.local),
                                    .uri = std::move(uri),
                                    .value = std::move(a.value)});
    }
    // The order of the canonical form, in which equal names are neighbours.
    std::ranges::sort(element.attributes, {}, [](const XmlAttribute& a) {
      return std::pair<std::string_view, std::string_view>(a.uri, a.local);
    });
    const auto twice = std::ranges::adjacent_find(element.attributes,
                                                  [](const XmlAttribute& a, const XmlAttribute& b) {
                                                    return a.uri == b.uri && a.local == b.local;
                                                  });
    if (twice != element.attributes.end()) {
      return bad_at(start, "has an element with the attribute '" + twice->local + "' twice");
    }
    return {};
  }

  Status element(XmlElement& to, unsigned depth) {
    const std::size_t start = at_;
    if (depth > kMaxXmlDepth) return bad("nests more than 16 elements");
    if (looking_at("<!")) return bad("has a DTD, a comment or CDATA, which are not accepted");
    if (looking_at("<?")) return bad("has a processing instruction, which is not accepted");
    if (!accept("<")) return bad("has no element where one must begin");
    OTR_TRY(name(to.prefix, to.local));
    std::vector<RawAttribute> raw;
    OTR_TRY(attributes(to, raw));
    OTR_TRY(resolve(to, raw, start));
    if (accept("/>")) return {};
    if (!accept(">")) return bad("has a malformed start tag");
    OTR_TRY(content(to, depth));
    std::string prefix, local;
    OTR_TRY(name(prefix, local));
    skip_space();
    if (prefix != to.prefix || local != to.local || !accept(">")) {
      return bad("closes another element than the one that is open");
    }
    return {};
  }

  // Up to and with the "</" of the end tag.
  Status content(XmlElement& to, unsigned depth) {
    std::string text;
    const auto flush = [&] {
      if (!text.empty()) to.content.push_back({.text = std::exchange(text, {}), .element = {}});
    };
    while (at_ < xml_.size()) {
      if (accept("</")) {
        flush();
        return {};
      }
      if (xml_[at_] == '<') {
        flush();
        auto child = std::make_unique<XmlElement>();
        child->parent = &to;
        OTR_TRY(element(*child, depth + 1));
        to.content.push_back({.text = {}, .element = std::move(child)});
        continue;
      }
      if (looking_at("]]>")) return bad("has ']]>' in its text");
      OTR_TRY(xml_[at_] == '&' ? reference(text) : plain(text, false));
    }
    return bad("ends inside an element");
  }

  std::string_view xml_;
  std::size_t at_ = 0, declarations_ = 0;
};

void escape(std::string& out, std::string_view text, bool attribute) {
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '\r') {
      out += "&#xD;";
    } else if (c == '>' && !attribute) {
      out += "&gt;";
    } else if (c == '"' && attribute) {
      out += "&quot;";
    } else if (c == '\t' && attribute) {
      out += "&#x9;";
    } else if (c == '\n' && attribute) {
      out += "&#xA;";
    } else {
      out += c;
    }
  }
}

using Namespaces = std::map<std::string, std::string>;

std::string qualified(const std::string& prefix, const std::string& local) {
  return prefix.empty() ? local : prefix + ":" + local;
}

void write_namespaces(std::string& out, const Namespaces& outside, const Namespaces& inside) {
  for (const auto& [prefix, uri] : inside) {
    const auto known = outside.find(prefix);
    const std::string_view before = known == outside.end() ? std::string_view() : known->second;
    if (before == uri) continue;  // also an empty default where none was set
    out += prefix.empty() ? " xmlns=\"" : " xmlns:" + prefix + "=\"";
    escape(out, uri, true);
    out += '"';
  }
}

// `outside` is what the parent's output declares, `inside` what is in scope here.
void write(std::string& out, const XmlElement& element, const XmlElement* left_out,
           const Namespaces& outside, const Namespaces& inside) {
  const std::string name = qualified(element.prefix, element.local);
  out += "<" + name;
  if (&inside != &outside) write_namespaces(out, outside, inside);
  for (const XmlAttribute& attribute : element.attributes) {
    out += " " + qualified(attribute.prefix, attribute.local) + "=\"";
    escape(out, attribute.value, true);
    out += '"';
  }
  out += '>';
  for (const XmlElement::Content& part : element.content) {
    if (part.element == nullptr) {
      escape(out, part.text, false);
    } else if (part.element.get() != left_out) {
      const Namespaces& declared = part.element->namespaces;
      if (declared.empty()) {
        write(out, *part.element, left_out, inside, inside);
      } else {
        Namespaces deeper = declared;
        deeper.insert(inside.begin(), inside.end());
        write(out, *part.element, left_out, inside, deeper);
      }
    }
  }
  out += "</" + name + ">";
}

}  // namespace

const std::string* XmlElement::attribute(std::string_view name,
                                         std::string_view namespace_uri) const {
  for (const XmlAttribute& a : attributes) {
    if (a.local == name && a.uri == namespace_uri) return &a.value;
  }
  return nullptr;
}

std::vector<const XmlElement*> XmlElement::children() const {
  std::vector<const XmlElement*> all;
  for (const Content& part : content) {
    if (part.element != nullptr) all.push_back(part.element.get());
  }
  return all;
}

const std::string* XmlElement::namespace_of(std::string_view wanted_prefix) const {
  for (const XmlElement* at = this; at != nullptr; at = at->parent) {
    const auto found = at->namespaces.find(std::string(wanted_prefix));
    if (found != at->namespaces.end()) return &found->second;
  }
  return nullptr;
}

std::string XmlElement::text() const {
  std::string all;
  for (const Content& part : content) {
    if (part.element != nullptr) return {};
    all += part.text;
  }
  return all;
}

Result<std::unique_ptr<XmlElement>> parse_xml(std::string_view xml) {
  return Reader(xml).document();
}

std::string canonical_xml(const XmlElement& element, const XmlElement* left_out) {
  Namespaces inside;
  for (const XmlElement* at = &element; at != nullptr; at = at->parent) {
    inside.insert(at->namespaces.begin(), at->namespaces.end());
  }
  std::string out;
  write(out, element, left_out, {}, inside);
  return out;
}

}  // namespace otr::attest

#include "attest/xml.h"

#include <gtest/gtest.h>

namespace otr::attest {
namespace {

std::string canonical(std::string_view xml) {
  const auto root = parse_xml(xml);
  return root ? canonical_xml(**root, nullptr) : "error: " + root.error().message;
}

// Expected texts were compared with libxml2's `xmllint --c14n11` by hand.
TEST(XmlTest, CanonicalForm) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"<a/>", "<a></a>"},
      {"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a />\n", "<a></a>"},
      {"<?xml version='1.0' encoding='utf-8' standalone='no' ?><a/>", "<a></a>"},
      {"<a  b = 'x'\n a=\"y\" ></a >", "<a a=\"y\" b=\"x\"></a>"},
      {"<a b='&#9;&#10;&#13;&quot;&apos;&lt;>&amp;'/>",
       "<a b=\"&#x9;&#xA;&#xD;&quot;'&lt;>&amp;\"></a>"},
      {"<a b='1\t2\r\n3\r4\n5'/>", "<a b=\"1 2 3 4 5\"></a>"},
      {"<a>1\r\n2\r3&#13;&gt;&lt;&amp;&quot;</a>", "<a>1\n2\n3&#xD;&gt;&lt;&amp;\"</a>"},
      {"<a>&#x20AC;&#xe9;\xE2\x82\xAC</a>", "<a>\xE2\x82\xAC\xC3\xA9\xE2\x82\xAC</a>"},
      // Namespaces before attributes, by prefix; attributes by URI, then local name.
      {"<a z='1' y:a='2' x:b='3' xmlns:y='urn:1' xmlns:x='urn:2' xmlns='urn:3'/>",
       "<a xmlns=\"urn:3\" xmlns:x=\"urn:2\" xmlns:y=\"urn:1\" z=\"1\" y:a=\"2\" x:b=\"3\"></a>"},
      // A declaration that says nothing new goes, one that is not used stays.
      {"<a xmlns='urn:1' xmlns:n='urn:2'><b xmlns='urn:1'><n:c xmlns='' xmlns:n='urn:2'/></b></a>",
       "<a xmlns=\"urn:1\" xmlns:n=\"urn:2\"><b><n:c xmlns=\"\"></n:c></b></a>"},
      {"<a xmlns=''><b xmlns=''/></a>", "<a><b></b></a>"},
      {"<n:a xmlns:n='urn:1'><n:a xmlns:n='urn:2'/><n:a/></n:a>",
       "<n:a xmlns:n=\"urn:1\"><n:a xmlns:n=\"urn:2\"></n:a><n:a></n:a></n:a>"},
  };
  for (const auto& [xml, expected] : cases) EXPECT_EQ(canonical(xml), expected) << xml;
}

TEST(XmlTest, PartOfADocument) {
  const auto root = parse_xml(
      "<a xmlns='urn:1' xmlns:u='urn:u' xmlns:n='urn:2'> <n:s xmlns:n='urn:3'><i/></n:s> <t/></a>");
  ASSERT_TRUE(root);
  const auto children = (*root)->children();
  ASSERT_EQ(children.size(), 2u);
  EXPECT_EQ(canonical_xml(**root, children[0]),
            "<a xmlns=\"urn:1\" xmlns:n=\"urn:2\" xmlns:u=\"urn:u\">  <t></t></a>");
  EXPECT_EQ(canonical_xml(*children[0], nullptr),
            "<n:s xmlns=\"urn:1\" xmlns:n=\"urn:3\" xmlns:u=\"urn:u\"><i></i></n:s>");
  EXPECT_TRUE(children[0]->is("urn:3", "s"));
  EXPECT_TRUE(children[1]->is("urn:1", "t"));
}

TEST(XmlTest, CanonicalFormIsAFixedPoint) {
  const std::string once = canonical(
      "<a b='&#10;&quot;' xmlns:x='urn:x'><x:c x:d='&lt;'>&#13; t&amp;</x:c>\r\n<e "
      "xmlns='urn:e'/></a>");
  EXPECT_EQ(canonical(once), once);
}

TEST(XmlTest, WhatIsRefused) {
  for (const std::string_view xml : {"",
                                     " ",
                                     "a",
                                     "<",
                                     "<a",
                                     "<a>",
                                     "<a></b>",
                                     "<a></a><b/>",
                                     "<a/>x",
                                     "<a/><!-- -->",
                                     "<!-- --><a/>",
                                     "<a><!-- --></a>",
                                     "<a><![CDATA[x]]></a>",
                                     "<!DOCTYPE a><a/>",
                                     "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
                                     "<a>&e;</a>",
                                     "<a>&amp</a>",
                                     "<a>&#0;</a>",
                                     "<a>&#xD800;</a>",
                                     "<a>&#1114112;</a>",
                                     "<a>&#;</a>",
                                     "<a>&#x;</a>",
                                     "<a>&#99999999999;</a>",
                                     "<a><?php ?></a>",
                                     "<?php ?><a/>",
                                     " <?xml version=\"1.0\"?><a/>",
                                     "<?xml version=\"1.1\"?><a/>",
                                     "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>",
                                     "<a b='1' b='2'/>",
                                     "<a b=1/>",
                                     "<a b/>",
                                     "<a b='<'/>",
                                     "<a b='1'c='2'/>",
                                     "<a b='1/>",
                                     "<a xmlns:x='urn:1' xmlns:y='urn:1' x:b='1' y:b='2'/>",
                                     "<a xmlns:x='urn:1' xmlns:x='urn:2'/>",
                                     "<x:a/>",
                                     "<a x:b='1'/>",
                                     "<a xmlns:x=''/>",
                                     "<a xmlns:xmlns='urn:1'/>",
                                     "<a xmlns:xml='urn:1'/>",
                                     "<a xmlns:x='http://www.w3.org/XML/1998/namespace'/>",
                                     "<a xml:lang='en'/>",
                                     "<a:b:c/>",
                                     "<a>]]></a>",
                                     "<a>\x01</a>",
                                     "<a>\xff</a>",
                                     "<a>\xc0\xaf</a>",
                                     "<a>\xed\xa0\x80</a>",
                                     "<a>\xf4\x90\x80\x80</a>",
                                     "<a>\xe2\x82</a>",
                                     "<\xc3\xa9/>",
                                     "<1/>",
                                     "\xEF\xBB\xBF<a/>"}) {
    const auto root = parse_xml(xml);
    ASSERT_FALSE(root) << xml;
    EXPECT_EQ(root.error().code, "MALFORMED") << xml;
    EXPECT_EQ(root.error().kind, ErrorKind::kBadInput) << xml;
  }
  EXPECT_FALSE(parse_xml(std::string_view("<a>\0</a>", 8)));
}

TEST(XmlTest, Bounds) {
  std::string deep, closing, wide = "<a", many = "<a";
  for (unsigned i = 0; i < kMaxXmlDepth; ++i) {
    deep += "<a>";
    closing += "</a>";
  }
  EXPECT_TRUE(parse_xml(deep + closing));
  EXPECT_FALSE(parse_xml(deep + "<a/>" + closing));
  for (unsigned i = 0; i < 513; ++i) wide += " a" + std::to_string(i) + "=''";
  EXPECT_FALSE(parse_xml(wide + "/>"));
  for (unsigned i = 0; i < 65; ++i) many += " xmlns:a" + std::to_string(i) + "='u'";
  EXPECT_FALSE(parse_xml(many + "/>"));
  EXPECT_FALSE(parse_xml("<a>" + std::string(kMaxXmlBytes, ' ') + "</a>"));
}

}  // namespace
}  // namespace otr::attest

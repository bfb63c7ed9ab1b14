// Reference manifests: digests, signatures, chains, and the ways in which signed XML is attacked.
#include "attest/rim.h"

#include <gtest/gtest.h>

#include "attest/encoding.h"
#include "attest/test_gpus.h"

namespace otr::attest {
namespace {

using test::GpuMaker;
using test::kTestNow;

const GpuMaker& maker() {
  static const GpuMaker one;
  return one;
}
const std::string& good_xml() {
  static const std::string xml = maker().rim(maker().driver_rim());
  return xml;
}

// "good", "unreadable", or the code of the first failure.
std::string judge(const std::string& xml, Time at = kTestNow) {
  const auto rim = parse_rim(xml);
  if (!rim) {
    // A certificate inside may be of a kind that is not read.
    EXPECT_TRUE(rim.error().code == "MALFORMED" || rim.error().code == "UNSUPPORTED")
        << rim.error().message;
    EXPECT_EQ(rim.error().kind, ErrorKind::kBadInput);
    return "unreadable";
  }
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  const bool good = verify_rim(checks, "RIM", *rim, maker().anchors().nvidia_rim, at);
  EXPECT_EQ(good, verdict.failure() == nullptr);
  return good ? "good" : std::string(name_of(*verdict.failure()->code));
}

std::string replaced(std::string_view from, std::string_view to) {
  std::string xml = good_xml();
  const std::size_t at = xml.find(from);
  EXPECT_NE(at, xml.npos) << from;
  return at == xml.npos ? xml : xml.replace(at, from.size(), to);
}

std::string part(std::string_view from, std::string_view end) {
  const std::size_t at = good_xml().find(from);
  return good_xml().substr(at, good_xml().find(end, at) + end.size() - at);
}

TEST(RimTest, WhatIsRead) {
  const auto rim = parse_rim(good_xml());
  ASSERT_TRUE(rim) << rim.error().message;
  EXPECT_EQ(rim->version, "550.90.07");
  EXPECT_EQ(rim->product, "GH100");
  EXPECT_EQ(rim->platform_model, "GH100");
  EXPECT_EQ(rim->tag_id, "0123");
  EXPECT_EQ(rim->measurements.size(), 22u);
  EXPECT_EQ(rim->measurements.at(20), std::vector<Bytes>{test::measured(21)});
  EXPECT_EQ(rim->names.at(20), "Measurement_20");
  EXPECT_EQ(rim->chain.size(), 4u);
  EXPECT_EQ(judge(good_xml()), "good");
  EXPECT_EQ(judge("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + good_xml() + "\n"), "good");
}

TEST(RimTest, OtherSpellingsOfTheSameContent) {
  EXPECT_EQ(judge(replaced("product=\"GH100\"", "product = '&#71;H100'")), "good");
  EXPECT_EQ(judge(replaced("<ns0:Payload>\n", "<ns0:Payload >\r\n")), "good");
  EXPECT_EQ(judge(replaced(" />", "></ns0:Meta>")), "good");
}

TEST(RimTest, EditedContent) {
  for (const auto& [from, to] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"550.90.07", "550.90.08"},
           {"index=\"20\"", "index=\"19\""},
           {"active=\"False\" alternatives=\"1\" index=\"19\"",
            "active=\"True\" alternatives=\"1\" index=\"19\""},
           {"<ns0:Payload>", "<ns0:Payload> "},
           {"</ns0:Payload>", "</ns0:Payload><ns0:Link/>"},
           {"tagId=\"0123\"", "tagId=\"0123\" regid=\"x\""},
           {"xmlns:ns0=", "xmlns:ns9=\"urn:9\" xmlns:ns0="}}) {
    const std::string code = judge(replaced(from, to));
    // An index that is there twice cannot be read.
    EXPECT_EQ(code, from == "index=\"20\"" ? "unreadable" : "REFERENCE_INVALID") << to;
  }
  const std::string hash = to_plain_hex(test::measured(21));
  EXPECT_EQ(judge(replaced(hash, "00" + hash.substr(2))), "REFERENCE_INVALID");
}

TEST(RimTest, EverySixtiethByte) {
  for (std::size_t at = 0; at < good_xml().size(); at += 61) {
    std::string xml = good_xml();
    xml[at] = static_cast<char>(xml[at] ^ 0x01);
    EXPECT_NE(judge(xml), "good") << at << " " << xml.substr(at > 20 ? at - 20 : 0, 40);
  }
}

TEST(RimTest, SignaturesOfOthers) {
  const GpuMaker other;
  // A stranger's key under the vendor's certificates; a stranger's chain; leaf and key of others.
  EXPECT_EQ(judge(maker().rim(maker().driver_rim(), other.rim_leaf.key, maker().rim_chain())),
            "REFERENCE_INVALID");
  EXPECT_EQ(judge(maker().rim(maker().driver_rim(), other.rim_leaf.key, other.rim_chain())),
            "ANCHOR_UNKNOWN");
  auto mixed = maker().rim_chain();
  mixed[0] = other.rim_leaf.certificate;
  EXPECT_EQ(judge(maker().rim(maker().driver_rim(), other.rim_leaf.key, mixed)), "CHAIN_INVALID");
  // The key that signs must be that of the first certificate, whatever follows.
  auto turned = maker().rim_chain();
  std::swap(turned[0], turned[1]);
  EXPECT_EQ(judge(maker().rim(maker().driver_rim(), maker().rim_leaf.key, turned)),
            "REFERENCE_INVALID");
  auto cut = maker().rim_chain();
  cut.erase(cut.begin() + 1);
  EXPECT_EQ(judge(maker().rim(maker().driver_rim(), maker().rim_leaf.key, cut)), "CHAIN_INVALID");
}

TEST(RimTest, TimesOfItsSigner) {
  EXPECT_EQ(judge(good_xml(), test::kTestStart - 1), "TIME_INVALID");
  EXPECT_EQ(judge(good_xml(), test::kTestEnd + 1), "TIME_INVALID");
  const auto expired = maker().rim_l3.issue(
      {.subject = "HCC RIM L4 Signer (test)", .not_after = kTestNow - 1}, test::KeyKind::kP384);
  auto chain = maker().rim_chain();
  chain[0] = expired.certificate;
  EXPECT_EQ(judge(maker().rim(maker().driver_rim(), expired.key, chain)), "TIME_INVALID");
}

TEST(RimTest, SignatureWrapping) {
  const std::string signature = part("<ds:Signature ", "</ds:Signature>");
  const std::string payload = part("<ns0:Payload>", "</ns0:Payload>");
  const std::string end = "</SoftwareIdentity>";
  // Two signatures; one deeper; the signed document inside another one.
  EXPECT_EQ(judge(replaced(end, signature + end)), "unreadable");
  EXPECT_EQ(judge(replaced("<ns0:Payload>", "<ns0:Payload>" + signature)), "unreadable");
  EXPECT_EQ(
      judge(replaced("<ns0:Payload>", "<ns0:Entity><ns0:Signature/></ns0:Entity><ns0:Payload>")),
      "unreadable");
  EXPECT_EQ(judge("<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/"
                  "schema.xsd\"><Meta colloquialVersion=\"1\"/><Payload/>" +
                  good_xml() + end),
            "unreadable");
  std::string moved = good_xml();
  moved.erase(moved.find(signature), signature.size());
  moved.insert(moved.find("<ns0:Payload>"), signature);
  EXPECT_EQ(judge(moved), "good");  // it covers the same content from another place
  std::string inside = good_xml();
  inside.erase(inside.find(signature), signature.size());
  inside.insert(inside.find("</ns0:Payload>"), signature);
  EXPECT_EQ(judge(inside), "unreadable");
  EXPECT_EQ(judge(replaced(end, payload + end)), "unreadable");  // a second payload
  EXPECT_EQ(judge(replaced("URI=\"\"", "URI=\"#x\"")), "unreadable");
  EXPECT_EQ(judge(replaced(" URI=\"\"", "")), "unreadable");
  EXPECT_EQ(judge(replaced("URI=\"\"", "URI=\"\" Type=\"x\"")), "unreadable");
  EXPECT_EQ(judge(replaced("</ds:Reference>",
                           "</ds:Reference>" + part("<ds:Reference ", "</ds:Reference>"))),
            "unreadable");
  EXPECT_EQ(judge(replaced("<ds:KeyInfo>", "<ds:Object/><ds:KeyInfo>")), "unreadable");
  EXPECT_EQ(judge(replaced("<ds:Signature ", "<ds:Signature Id=\"x\" ")), "unreadable");
}

TEST(RimTest, OtherAlgorithms) {
  for (const auto& [from, to] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"http://www.w3.org/2006/12/xml-c14n11",
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"},
           {"xmldsig-more#ecdsa-sha384", "xmldsig-more#hmac-sha384"},
           {"xmldsig-more#sha384", "xmlenc#sha256"},
           {"xmldsig#enveloped-signature", "xmldsig#base64"},
           {"<ds:Transforms>",
            "<ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/TR/1999/"
            "REC-xslt-19991116\"/>"}}) {
    EXPECT_EQ(judge(replaced(from, to)), "unreadable") << to;
  }
}

TEST(RimTest, TricksOfXml) {
  EXPECT_EQ(judge("<!DOCTYPE SoftwareIdentity [<!ENTITY v \"550.90.07\">]>" + good_xml()),
            "unreadable");
  EXPECT_EQ(judge(replaced("550.90.07", "&v;")), "unreadable");
  EXPECT_EQ(judge(replaced("<ns0:Payload>", "<ns0:Payload><!-- -->")), "unreadable");
  EXPECT_EQ(judge(replaced("<ns0:Payload>", "<ns0:Payload><![CDATA[ ]]>")), "unreadable");
  EXPECT_EQ(judge(replaced("<ns0:Payload>", "<ns0:Payload><?x ?>")), "unreadable");
  EXPECT_EQ(judge(replaced("product=\"GH100\"", "product=\"GH100\" product=\"GB100\"")),
            "unreadable");
  // The same name in another namespace is another element.
  EXPECT_EQ(judge(replaced("xmlns:ns0=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\"",
                           "xmlns:ns0=\"urn:other\"")),
            "unreadable");
  EXPECT_EQ(judge(replaced("<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"",
                           "<ds:Signature xmlns:ds=\"urn:other\"")),
            "unreadable");
  EXPECT_EQ(judge(replaced("ns2:Hash0", "Hash0")), "unreadable");
  EXPECT_EQ(judge(replaced("<ns0:Payload>", "<ns0:Payload>x")), "unreadable");
  EXPECT_EQ(judge(replaced("<ds:SignatureValue>", "<ds:SignatureValue>AAAA")), "unreadable");
  EXPECT_EQ(judge(replaced("<ds:SignatureValue>", "<ds:SignatureValue><ds:x/>")), "unreadable");
}

TEST(RimTest, MeasurementsAreStrict) {
  const std::string hash = to_plain_hex(test::measured(21));
  for (const auto& [from, to] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"index=\"20\"", "index=\"020\""},
           {"index=\"20\"", "index=\"255\""},
           {"index=\"20\"", "index=\"-1\""},
           {"active='True'", "active='true'"},
           {"active='True'", "active='1'"},
           {"alternatives='1'", "alternatives='2'"},
           {"alternatives='1'", "alternatives='0'"},
           {"alternatives='1'", "alternatives='257'"},
           {"size=\"48\"", "size=\"32\""},
           {"type=\"Measurement\"", "type=\"File\""},
           {"ns2:Hash0", "ns2:Hash1"},
           {"colloquialVersion=\"550.90.07\"", ""}}) {
    EXPECT_EQ(judge(replaced(from, to)), "unreadable") << to;
  }
  EXPECT_EQ(judge(replaced(hash, hash.substr(2))), "unreadable");
  EXPECT_EQ(judge(replaced(hash, "zz" + hash.substr(2))), "unreadable");
}

}  // namespace
}  // namespace otr::attest

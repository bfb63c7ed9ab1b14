// The vectors of SPEC chapter TREE.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "merkle/tree.h"

namespace otr::merkle {
namespace {

using nlohmann::json;

const std::map<std::string, Type> kTypes = {
    {"i8", Type::kI8},   {"u8", Type::kU8},   {"i16", Type::kI16}, {"u16", Type::kU16},
    {"i32", Type::kI32}, {"u32", Type::kU32}, {"i64", Type::kI64}, {"u64", Type::kU64}};

Hash hash_of(const json& text) { return hash_from_hex(text.get<std::string>(), "hash").value(); }

std::vector<Hash> hashes_of(const json& list) {
  std::vector<Hash> hashes;
  for (const json& text : list) hashes.push_back(hash_of(text));
  return hashes;
}

json hex_of(const std::vector<Hash>& hashes) {
  json list = json::array();
  for (const Hash& hash : hashes) list.push_back(to_hex(hash));
  return list;
}

Bytes bytes_of(const json& values, Type type) {
  Bytes bytes;
  for (const json& value : values) {
    std::array<std::uint8_t, 8> wide;
    // The low bytes of a number are the same whether it is read as signed or not.
    store_le(wide.data(), value.is_number_unsigned()
                              ? value.get<std::uint64_t>()
                              : static_cast<std::uint64_t>(value.get<std::int64_t>()));
    append(bytes, ByteView(wide).first(size_bytes(type)));
  }
  return bytes;
}

template <class T>
T tree_of(const json& leaves) {
  T tree;
  for (const Hash& hash : hashes_of(leaves)) tree.append(hash);
  return tree;
}

json root_of_list(const json& in) {
  const Frontier list = tree_of<Frontier>(in["hashes"]);
  return {{"top", to_hex(list.top())},
          {"root", to_hex(list_root(static_cast<Kind>(in["kind"]), hashes_of(in["hashes"])))}};
}

json root_of_tensor(const json& in) {
  const Type type = kTypes.at(in["type"]);
  const auto cols = in["cols"].get<std::uint64_t>();
  const Bytes data = bytes_of(in["values"], type);
  Frontier frontier;
  append_rows(frontier, static_cast<Kind>(in["kind"]), type, cols, data);
  EXPECT_EQ(data.size(), in["rows"].get<std::uint64_t>() * cols * size_bytes(type));
  return {{"top", to_hex(frontier.top())},
          {"root", to_hex(tensor_root(static_cast<Kind>(in["kind"]), type, cols, data))}};
}

json root_of_parts(const json& in) {
  return {{"root", to_hex(root(static_cast<Kind>(in["kind"].get<std::uint32_t>()),
                               static_cast<Type>(in["type"].get<std::uint32_t>()), in["rows"],
                               in["cols"], hash_of(in["top"])))}};
}

json check(const json& in) {
  const Status status = check_range(in["count"], in["begin"], in["end"], hashes_of(in["hashes"]),
                                    hashes_of(in["path"]), hash_of(in["top"]));
  if (!status) return {{"reject", status.error().code}};
  return json::object();
}

json open(const json& in) {
  const Tree tree = tree_of<Tree>(in["leaves"]);
  return {{"path", hex_of(tree.open_range(in["begin"], in["end"]))}, {"top", to_hex(tree.top())}};
}

// What we make of a case's input: its output, or {"reject": code}.
json answer(const json& in) {
  if (in.contains("tile")) {
    const Type type = kTypes.at(in["type"]);
    return {{"hash", to_hex(leaf(bytes_of(in["tile"], type)))}};
  }
  if (in.contains("a")) return {{"hash", to_hex(node(hash_of(in["a"]), hash_of(in["b"])))}};
  if (in.contains("count")) return check(in);
  if (in.contains("begin")) return open(in);
  if (in.contains("leaves")) return {{"top", to_hex(tree_of<Frontier>(in["leaves"]).top())}};
  if (in.contains("hashes")) return root_of_list(in);
  if (in.contains("values")) return root_of_tensor(in);
  return root_of_parts(in);
}

TEST(Conformance, EveryVectorOfTrees) {
  std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/merkle.json");
  ASSERT_TRUE(file) << "spec/vectors/merkle.json is missing";
  const json cases = json::parse(file)["cases"];
  ASSERT_FALSE(cases.empty());
  for (const json& one : cases) {
    SCOPED_TRACE(one["name"]);
    const json got = answer(one["in"]);
    if (one.contains("out")) {
      EXPECT_EQ(got, one["out"]);
    } else if (one.contains("wrong")) {
      EXPECT_NE(got, one["wrong"]);
    } else {
      EXPECT_EQ(got, json({{"reject", one.at("reject")}}));
    }
  }
}

}  // namespace
}  // namespace otr::merkle

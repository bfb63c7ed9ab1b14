// SPEC TAB: the tables that are linked in are those the oracle computed, and so is the spec hash.
#include "machine/tables.h"

#include <gtest/gtest.h>

#include <map>

#include "base/hex.h"
#include "base/test_vectors.h"
#include "crypto/sha256.h"
#include "merkle/tree.h"

namespace otr::machine {
namespace {

using merkle::Type;
using nlohmann::json;

struct TableView {
  std::uint64_t rows, cols;
  Type type;
  ByteView bytes;
  std::function<std::int64_t(std::size_t)> at;
};

template <class T, std::size_t kSize>
TableView view_of(std::span<const T, kSize> table, std::uint64_t rows, Type type) {
  return {rows, kSize / rows, type, as_bytes(std::span<const T>(table)),
          [table](std::size_t i) { return std::int64_t{table[i]}; }};
}

const std::vector<std::pair<std::string, TableView>>& tables() {
  static const std::vector<std::pair<std::string, TableView>> all = {
      {"EXP2", view_of(exp2_table(), 1, Type::kU16)},
      {"ROPE", view_of(rope_table(), 3, Type::kI32)},
      {"SILU", view_of(silu_table(), 16, Type::kI16)},
      {"GUMBEL", view_of(gumbel_table(), 16, Type::kI32)},
      {"MASS", view_of(mass_table(), 1, Type::kU32)}};
  return all;
}

Hash root_of(const TableView& table) {
  return merkle::tensor_root(merkle::Kind::kTable, table.type, table.cols, table.bytes);
}

TEST(Tables, Vectors) {
  const std::map<std::string, TableView> by_name(tables().begin(), tables().end());
  for (const char* rule : {"TAB-1", "TAB-2", "TAB-3", "TAB-4", "TAB-5"}) {
    check_vectors("tables", rule, [&](const json& in) {
      const TableView& table = by_name.at(in["table"]);
      const std::map<Type, std::string> types = {
          {Type::kU16, "u16"}, {Type::kI16, "i16"}, {Type::kI32, "i32"}, {Type::kU32, "u32"}};
      json values = json::array();
      for (const json& at : in.value("at", json::array())) {
        values.push_back(
            table.at(at[0].get<std::size_t>() * table.cols + at[1].get<std::size_t>()));
      }
      return json{{"rows", table.rows},
                  {"cols", table.cols},
                  {"type", types.at(table.type)},
                  {"root", to_hex(root_of(table))},
                  {"values", values}};
    });
  }
  check_vectors("tables", "TAB-7", [](const json& in) {
    const Angle a = angle(in["t"], in["step"]);
    return json{{"c", a.c}, {"s", a.s}};
  });
}

TEST(Tables, SpecHashIsThatOfTheTables) {
  Bytes bytes;
  append(bytes, as_bytes(std::string_view("OTR.spec")));
  append_le(bytes, kSpecVersion);
  for (const auto& [name, table] : tables()) append(bytes, root_of(table));
  EXPECT_EQ(to_hex(crypto::sha256(bytes)), to_hex(kSpecHash));
  check_vectors("tables", "TAB-8",
                [](const json&) { return json{{"spec_hash", to_hex(kSpecHash)}}; });
}

}  // namespace
}  // namespace otr::machine

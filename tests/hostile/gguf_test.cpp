#include "store/gguf.h"

#include <gtest/gtest.h>

#include <ostream>

#include "expect_error.h"
#include "store/file_builder.h"
#include "temporary_folder.h"

namespace graft {
namespace {

struct Case {
  std::string name, bytes, message;
};

void PrintTo(const Case& hostile, std::ostream* out) { *out << hostile.name; }

constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;
const std::string kFour(4, 'x');

std::string array(std::uint32_t type, std::uint64_t count, std::string_view elements) {
  return bytes_of(type) + bytes_of(count) + std::string(elements);
}

std::string with_tensor(std::initializer_list<std::uint64_t> dims, std::uint32_t type, std::uint64_t offset) {
  return GgufBuilder(1, 0).tensor("a", dims, type, offset).with_data(kFour);
}

std::string with_alignment(std::uint32_t alignment) {
  return GgufBuilder(0, 1).pair("general.alignment", 4, bytes_of(alignment)).bytes();
}

std::vector<Case> header_cases() {
  return {
      {"empty", "", "is no GGUF file"},
      {"other_magic", "GGML" + std::string(30, '\0'), "is no GGUF file"},
      {"html", "<html><body>404</body></html>", "looks like an HTML page"},
      {"version_1", GgufBuilder(0, 0, 1).bytes(), "GGUF version 1 is not supported"},
      {"version_4", GgufBuilder(0, 0, 4).bytes(), "GGUF version 4 is not supported"},
      {"big_endian", GgufBuilder(0, 0, 0x03000000).bytes(), "big-endian"},
      {"tensor_count_past_the_file", GgufBuilder(1000, 0).bytes(),
       "the number of tensors: got 1000, but only"},
      {"tensor_count_huge", GgufBuilder(kHuge, 0).bytes(),
       "the number of tensors: got 4611686018427387904, want at most"},
      {"pair_count_huge", GgufBuilder(0, kHuge).bytes(), "the number of metadata keys"},
      {"key_past_the_end", GgufBuilder(0, 1).raw(bytes_of(kHuge) + "0123456789abcdef").bytes(),
       "got a length of 4611686018427387904"},
      {"key_empty", GgufBuilder(0, 1).pair("", 0, "x").raw("padding").bytes(), "cannot be a metadata key"},
      {"key_with_escape", GgufBuilder(0, 1).pair("a\x1b", 0, "x").bytes(),
       "`a\\x1B` cannot be a metadata key"},
      {"value_type_13", GgufBuilder(0, 1).pair("a", 13, "xxxxxxxx").bytes(), "`a`: unknown value type 13"},
      {"duplicate_key", GgufBuilder(0, 2).pair("a", 0, "x").pair("a", 0, "y").bytes(),
       "duplicate metadata key `a`"},
      {"bool_of_two", GgufBuilder(0, 1).pair("a", 7, "\x02").bytes(), "got 2, want a boolean"},
      {"u64_past_int64", GgufBuilder(0, 1).pair("a", 10, bytes_of(~std::uint64_t{0})).bytes(),
       "is too large"},
      {"string_past_the_end", GgufBuilder(0, 1).pair("a", 8, bytes_of(std::uint64_t{9}) + "12345678").bytes(),
       "got a length of 9"},
      {"array_count_huge", GgufBuilder(0, 1).pair("a", 9, array(0, kHuge, "")).bytes(),
       "the length of a: got"},
      {"array_past_the_end", GgufBuilder(0, 1).pair("a", 9, array(5, 3, "12345678")).bytes(),
       "the length of a: got 3, but only 8 bytes"},
      {"array_of_arrays", GgufBuilder(0, 1).pair("a", 9, array(9, 1, array(0, 1, "x"))).bytes(),
       "arrays of arrays"},
      {"array_of_unknown", GgufBuilder(0, 1).pair("a", 9, array(99, 1, "xxxxxxxx")).bytes(),
       "unknown value type 99"},
      {"array_string_past_the_end", GgufBuilder(0, 1).pair("a", 9, array(8, 1, bytes_of(kHuge))).bytes(),
       "got a length of"},
      {"alignment_0", with_alignment(0), "general.alignment"},
      {"alignment_48", with_alignment(48), "general.alignment"},
      {"alignment_huge", with_alignment(1U << 31), "general.alignment"},
      {"alignment_text", GgufBuilder(0, 1).pair("general.alignment", 8, GgufBuilder::string("32")).bytes(),
       "general.alignment"},
  };
}

std::vector<Case> tensor_cases() {
  const auto two = [](std::string_view second, std::uint64_t offset) {
    return GgufBuilder(2, 0)
        .tensor("a", {16}, 0, 0)
        .tensor(second, {16}, 0, offset)
        .with_data(std::string(96, 'x'));
  };
  return {
      {"table_cut",
       GgufBuilder(1, 0)
           .raw(GgufBuilder::string("a") + bytes_of(std::uint32_t{3}) + std::string(16, '\0'))
           .bytes(),
       "the file ends inside"},
      {"five_dims", with_tensor({1, 1, 1, 1, 1}, 0, 0), "tensor `a`: got 5 dimensions, want at most 4"},
      {"dims_huge",
       GgufBuilder(1, 0).raw(GgufBuilder::string("a") + bytes_of(~0U) + std::string(40, '\0')).bytes(),
       "got 4294967295 dimensions"},
      {"dim_past_int64", with_tensor({~std::uint64_t{0}}, 0, 0), "is too large"},
      {"product_wraps", with_tensor({kHuge, 4}, 0, 0), "is too large"},
      {"bytes_wrap", with_tensor({kHuge}, 0, 0), "is too large"},
      {"row_no_block", with_tensor({33}, 3, 0), "rows of 33 values cannot be cut into q4_1 blocks of 32"},
      {"data_past_the_end", with_tensor({2}, 0, 0), "its data lies outside the file"},
      {"offset_past_the_end", with_tensor({1}, 0, 32), "its data lies outside the file"},
      {"offset_wraps", with_tensor({1}, 0, ~std::uint64_t{31}), "its data lies outside the file"},
      {"offset_unaligned", with_tensor({1}, 0, 2), "offset 2 is no multiple of 32"},
      {"no_data_at_all", GgufBuilder(1, 0).tensor("a", {1}, 0, 0).bytes(), "its data lies outside the file"},
      {"unknown_type_past_the_end", with_tensor({256}, 12, 64), "its data lies outside the file"},
      {"duplicate_tensor", two("a", 64), "duplicate tensor `a`"},
      {"overlap", two("b", 32), "tensor `b`: overlaps `a`"},
      {"newline_in_name", two("b\n", 64), "`b\\x0A` cannot name a tensor"},
      {"invalid_utf8_in_name", two("b\xFF", 64), "`b\\xFF` cannot name a tensor"},
  };
}

class HostileGguf : public ::testing::TestWithParam<Case> {};

TEST_P(HostileGguf, IsRefusedWithItsPlace) {
  const TemporaryFolder folder;
  write_file(folder / "f.gguf", GetParam().bytes);
  const Error error = error_of([&] { GgufFile file(folder / "f.gguf"); });
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_TRUE(contains(error.what(), GetParam().message));
  EXPECT_TRUE(contains(error.what(), "f.gguf"));
}

const auto kNameOf = [](const auto& test) { return test.param.name; };
INSTANTIATE_TEST_SUITE_P(Header, HostileGguf, ::testing::ValuesIn(header_cases()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Tensors, HostileGguf, ::testing::ValuesIn(tensor_cases()), kNameOf);

TEST(OddGguf, AFileCutAnywhereIsRefusedOrHoldsAllItsTensors) {
  const TemporaryFolder folder;
  const std::string whole = read_file(GRAFT_SOURCE_DIR "/tests/golden/store/package.gguf", 1 << 20);
  const std::size_t tensors = GgufFile(GRAFT_SOURCE_DIR "/tests/golden/store/package.gguf").tensors().size();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    write_file(folder / "f", whole.substr(0, size));
    try {
      EXPECT_EQ(GgufFile(folder / "f").tensors().size(), tensors);  // only padding was cut
    } catch (const Error&) {
    }
  }
}

TEST(OddGguf, AnUnknownTypeNumberIsNamedWhenAskedFor) {
  const TemporaryFolder folder;
  write_file(folder / "f", with_tensor({1}, 12345, 0));
  const GgufFile file(folder / "f");
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_TRUE(
      contains(error_of([&] { file.find("a"); }).what(), "not yet supported: ggml type 12345 (tensor a)"));
}

}  // namespace
}  // namespace graft

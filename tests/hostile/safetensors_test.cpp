#include "store/safetensors.h"

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

// A header of one U8 tensor `a` with this entry, and `data`.
std::string with_entry(const std::string& entry, std::string_view data) {
  return safetensors_bytes("{\"a\":" + entry + "}", data);
}

std::string with_shape(const std::string& shape) {
  return with_entry(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4]})", "xxxx");
}

std::string with_offsets(const std::string& offsets) {
  return with_entry(R"({"dtype":"U8","shape":[4],"data_offsets":)" + offsets + "}", "xxxx");
}

std::string two_tensors(const std::string& first, const std::string& second, std::string_view data) {
  return safetensors_bytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                               R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                           data);
}

std::string nested(std::size_t depth) {
  return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
}

const std::string kEntry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";

std::vector<Case> header_cases() {
  return {
      {"ST01_empty", "", "the file is empty"},
      {"ST02_five_bytes", "12345", "got 5 bytes, want at least 8"},
      {"ST03_header_of_zero", safetensors_bytes("", "xx"), "header at byte 0 is 0"},
      {"ST04_header_too_long", bytes_of(std::uint64_t{100'000'001}) + "{}", "want at most 100000000"},
      {"ST05_length_wraps", bytes_of(~std::uint64_t{0}) + "{}", "header at byte 0 is 18446744073709551615"},
      {"ST06_header_past_the_end", bytes_of(std::uint64_t{10}) + "{}", "ends after the file"},
      {"ST07_header_cut", safetensors_bytes("{\"a\":{\"dty", ""), "1:7: a string without an end"},
      {"ST08_invalid_utf8", safetensors_bytes("{\"\xFF\":1}", ""), "1:3: invalid UTF-8"},
      {"ST09_byte_order_mark", safetensors_bytes("\xEF\xBB\xBF{}", ""),
       "@byte 8: the header is no JSON object"},
      {"ST10_list", safetensors_bytes("[]", ""), "@byte 8: the header is no JSON object"},
      {"ST11_deep", safetensors_bytes(nested(100'000), ""), "nested too deep"},
      {"ST13_duplicate_tensor", safetensors_bytes("{\"a\":" + kEntry + ",\"a\":" + kEntry + "}", "x"),
       "duplicate key `a`"},
      {"ST14_duplicate_metadata", safetensors_bytes(R"({"__metadata__":{},"__metadata__":{}})", ""),
       "duplicate key"},
      {"ST15_metadata_number", safetensors_bytes(R"({"__metadata__":{"x":1}})", ""),
       "/__metadata__/x: got an integer"},
  };
}

std::vector<Case> tensor_cases() {
  return {
      {"ST16_unknown_dtype", with_entry(R"({"dtype":"F7","shape":[1],"data_offsets":[0,1]})", "x"),
       "dtype `F7`"},
      {"ST17_lower_case_dtype", with_entry(R"({"dtype":"u8","shape":[1],"data_offsets":[0,1]})", "x"),
       "dtype `u8`"},
      {"ST18_negative_dim", with_shape("[-1]"), "/a/shape/0: got -1"},
      {"ST19_fraction_dim", with_shape("[1.0]"), "/a/shape/0: got a number with a fraction"},
      {"ST19_string_dim", with_shape("[\"1\"]"), "/a/shape/0: got a string"},
      {"ST19_exponent_dim", with_shape("[1e0]"), "/a/shape/0: got a number with a fraction"},
      {"ST20_shape_wraps", with_shape("[4294967296,4294967296,1]"), "too large"},
      {"ST20_dim_past_int64", with_shape("[18446744073709551615]"), "/a/shape/0: got 18446744073709551615"},
      {"ST21_bytes_wrap", with_shape("[4611686018427387905]"), "too large"},
      {"ST22_rank_9", with_shape("[1,1,1,1,1,1,1,1,1]"), "too many dimensions"},
      {"ST23_end_before_begin", with_offsets("[4,0]"), "ends before it begins"},
      {"ST24_overlap", two_tensors("[0,4]", "[3,7]", "xxxxxxx"), "`b` [3, 7) overlaps `a` [0, 4)"},
      {"ST25_hole", two_tensors("[0,4]", "[5,9]", "xxxxxxxxx"), "`b` [5, 9) leaves a hole after `a` [0, 4)"},
      {"ST26_begins_late", with_entry(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})", "xxxx"),
       "leaves a hole after the header"},
      {"ST27_one_offset", with_offsets("[0]"), "/a/data_offsets: want a list of two offsets"},
      {"ST27_three_offsets", with_offsets("[0,4,4]"), "/a/data_offsets: want a list of two offsets"},
      {"ST27_float_offset", with_offsets("[0,9007199254740993.0]"),
       "/a/data_offsets/1: got a number with a fraction"},
      {"ST27_negative_offset", with_offsets("[-4,0]"), "/a/data_offsets/0: got -4"},
      {"ST28_size_differs", with_entry(R"({"dtype":"U8","shape":[3],"data_offsets":[0,4]})", "xxxx"),
       "needs 3 bytes (got 4)"},
      {"ST29_data_short", with_entry(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})", "xxx"),
       "outside the file"},
      {"ST30_trailing_bytes", with_entry(kEntry, "xPK\x03\x04"), "4 bytes after the last tensor"},
      {"ST33_newline_in_name", safetensors_bytes("{\"a\\n\":" + kEntry + "}", "x"), "`a\\x0A`"},
      {"ST33_escape_in_name", safetensors_bytes("{\"\\u001b[31m\":" + kEntry + "}", "x"), "\\x1B[31m"},
      {"ST33_nul_in_name", safetensors_bytes("{\"a\\u0000\":" + kEntry + "}", "x"), "a\\x00"},
      {"ST36_zip", "PK\x03\x04" + std::string(40, '\0'), "looks like a zip archive"},
      {"ST36_pickle",
       "\x80\x02\x8A\nl\xFC\x9C"
       "F\xF9 j",
       "looks like a pickle"},
      {"ST37_lfs_pointer", "version https://git-lfs.github.com/spec/v1\noid", "looks like a git-LFS pointer"},
      {"ST38_html", "\n<!DOCTYPE html><html>", "looks like an HTML page"},
      {"gguf", "GGUF\x03" + std::string(30, '\0'), "looks like a GGUF file"},
      {"unknown_key", with_entry(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"code":"x"})", "x"),
       "/a/code: unknown key"},
      {"entry_is_a_list", with_entry("[]", ""), "/a: got a list, want an object"},
      {"no_shape", with_entry(R"({"dtype":"U8","data_offsets":[0,1]})", "x"), "/a/shape: missing"},
      {"nul_padding", safetensors_bytes(std::string("{}\0\0", 4), ""), "text after the JSON value"},
  };
}

class HostileSafetensors : public ::testing::TestWithParam<Case> {};

TEST_P(HostileSafetensors, IsRefusedWithItsPlace) {
  const TemporaryFolder folder;
  write_file(folder / "f.safetensors", GetParam().bytes);
  const Error error = error_of([&] { SafetensorsFile file(folder / "f.safetensors"); });
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_TRUE(contains(error.what(), GetParam().message));
  EXPECT_TRUE(contains(error.what(), "f.safetensors"));
  for (const char c : std::string(error.what())) EXPECT_GE(static_cast<unsigned char>(c), 0x20U);
}

const auto kNameOf = [](const auto& test) { return test.param.name; };
INSTANTIATE_TEST_SUITE_P(Header, HostileSafetensors, ::testing::ValuesIn(header_cases()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Tensors, HostileSafetensors, ::testing::ValuesIn(tensor_cases()), kNameOf);

// What looks odd and is right.
TEST(OddSafetensors, IsAccepted) {
  const TemporaryFolder folder;
  const auto tensors_of = [&](const std::string& bytes) {
    write_file(folder / "f", bytes);
    return SafetensorsFile(folder / "f").tensors().size();
  };
  EXPECT_EQ(tensors_of(safetensors_bytes(" \n\t{ \"a\" : " + kEntry + " }   ", "x")), 1U);  // ST12
  // ST31: a tensor without elements shares its offset with the next, whatever their order in the header.
  EXPECT_EQ(tensors_of(safetensors_bytes("{\"b\":" + kEntry +
                                             R"(,"a":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},)" +
                                             R"("c":{"dtype":"F32","shape":[0],"data_offsets":[1,1]}})",
                                         "x")),
            3U);
  EXPECT_EQ(tensors_of(safetensors_bytes("{\"" + std::string(1 << 20, 'n') + "\":" + kEntry + "}", "x")),
            1U);  // ST34
  EXPECT_EQ(tensors_of(safetensors_bytes("{\"\":" + kEntry + "}", "x")), 1U);
}

TEST(OddSafetensors, AFileCutAnywhereIsRefused) {
  const TemporaryFolder folder;
  const std::string whole = safetensors_bytes("{\"a\":" + kEntry + "}", "x");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(folder / "f", whole.substr(0, size));
    EXPECT_THROW(SafetensorsFile(folder / "f"), Error) << size;
  }
}

}  // namespace
}  // namespace graft

#include "store/nf4_tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>

#include "base/json.h"
#include "base/sha256.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

// scripts/golden/quantized_checkpoint.py: saved by transformers, decoded by bitsandbytes.
TEST(Nf4Tensors, DecodeWhatTransformersSaves) {
  for (const char* name : {"tiny_llama_nf4", "tiny_llama_nf4_plain"}) {
    const Path golden = Path(GRAFT_SOURCE_DIR "/tests/golden") / name;
    const SafetensorsFolder folder(golden);
    const Nf4Tensors tensors = read_nf4_tensors(folder);
    const Json want = read_json(golden / "decoded.json");
    ASSERT_EQ(tensors.weights.size(), want.size());
    ASSERT_GT(want.size(), 0U);
    for (const auto& [weight, tensor] : tensors.weights) {
      EXPECT_EQ(tensor.state.shape, want.at(weight).at("shape").get<std::vector<std::int64_t>>());
      EXPECT_EQ(tensor.state.dtype, DType::kBF16);
      std::vector<float> values(static_cast<std::size_t>(tensor.state.elements()));
      decode_nf4(tensor.view(), 0, values);
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(values))), want.at(weight).at("sha256")) << weight;
    }
    // All that is left is plain: embeddings and norms.
    for (const std::string& left : folder.names()) {
      const bool is_plain = left.ends_with("norm.weight") || left == "model.embed_tokens.weight";
      EXPECT_EQ(tensors.parts.contains(left), !is_plain) << left;
    }
  }
}

/// A checkpoint of one weight `w` [3,50] whose parts a test can spoil.
class Nf4Checkpoint : public ::testing::Test {
 protected:
  struct Part {
    DType dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
  };

  template <class Number>
  static std::string bytes_of_values(const std::vector<Number>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Number)};
  }
  static Part text(const std::string& json) {
    return {DType::kU8, {static_cast<std::int64_t>(json.size())}, json};
  }
  static Part floats(const std::vector<float>& values) {
    return {DType::kF32, {static_cast<std::int64_t>(values.size())}, bytes_of_values(values)};
  }

  Nf4Checkpoint() {
    parts_["w"] = {DType::kU8, {75, 1}, std::string(75, '\x5a')};
    parts_["w.quant_map"] = floats({kNf4Values.begin(), kNf4Values.end()});
    parts_["w.absmax"] = floats({0.5F, 1.0F, 2.0F});
    state_ = R"({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [3, 50]})";
  }

  void nest() {
    parts_["w.absmax"] = {DType::kU8, {3}, "\x10\x80\xff"};
    parts_["w.nested_quant_map"] = floats({dynamic_map().begin(), dynamic_map().end()});
    parts_["w.nested_absmax"] = floats({0.25F});
    state_ = R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [3, 50], )"
             R"("nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.5})";
  }

  void write() {
    parts_["w" + std::string(kNf4StateSuffix)] = text(state_);
    std::vector<TensorView> views;
    for (const auto& [name, part] : parts_)
      views.push_back({name, part.dtype, part.shape, std::as_bytes(std::span(part.bytes))});
    write_safetensors(folder_ / "model.safetensors", views, {});
  }

  std::string message() {
    write();
    return error_of([&] { read_nf4_tensors(SafetensorsFolder(folder_.path())); }).what();
  }

  TemporaryFolder folder_;
  std::map<std::string, Part> parts_;
  std::string state_;
};

TEST_F(Nf4Checkpoint, IsReadWithPlainAndWithNestedScales) {
  write();
  const SafetensorsFolder plain(folder_.path());
  const Nf4Tensors first = read_nf4_tensors(plain);
  EXPECT_EQ(first.parts.size(), 4U);
  std::vector<float> values(150);
  decode_nf4(first.weights.at("w").view(), 0, values);
  EXPECT_EQ(values[64], kNf4Values[5]);
  EXPECT_EQ(values[129], kNf4Values[10] * 2.0F);

  nest();
  write();
  const SafetensorsFolder nested(folder_.path());
  const Nf4Tensors second = read_nf4_tensors(nested);
  EXPECT_EQ(second.parts.size(), 6U);
  decode_nf4(second.weights.at("w").view(), 0, values);
  EXPECT_EQ(values[129], kNf4Values[10] * (dynamic_map()[255] * 0.25F + 0.5F));
}

TEST_F(Nf4Checkpoint, TakesCodesUnderAWiderType) {  // bnb_4bit_quant_storage
  state_ = R"({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [4, 48]})";
  parts_["w"] = {DType::kBF16, {48, 1}, std::string(96, '\x5a')};
  write();
  EXPECT_EQ(read_nf4_tensors(SafetensorsFolder(folder_.path())).weights.at("w").codes.size(), 96U);
}

TEST_F(Nf4Checkpoint, NamesFileAndTensorOfAPartThatDoesNotFit) {
  using Spoil = std::function<void(std::map<std::string, Part>&)>;
  const std::vector<std::pair<Spoil, std::string>> cases = {
      {[](auto& p) {
         p["w"].shape = {74, 1}, p["w"].bytes.pop_back();
       },
       "tensor w: does not fit the weight's state (got 74"},
      {[](auto& p) {
         p["w"].shape = {76, 1}, p["w"].bytes += 'x';
       },
       "(got 76 bytes of codes, want 75)"},
      {[](auto& p) { p.erase("w"); }, "tensor w is missing"},
      {[](auto& p) { p.erase("w.absmax"); }, "tensor w.absmax is missing"},
      {[](auto& p) { p.erase("w.quant_map"); }, "tensor w.quant_map is missing"},
      {[](auto& p) {
         p["w.absmax"] = floats({1, 2});
       },
       "tensor w.absmax: does not fit the weight's state (got F32 [2], want F32 of 3"},
      {[](auto& p) { p["w.absmax"].dtype = DType::kI32; }, "got I32 [3], want F32 of 3 values"},
      {[](auto& p) {
         p["w.absmax"] = floats({1, NAN, 2});
       },
       "tensor w.absmax: value 1 is not finite"},
      {[](auto& p) {
         p["w.absmax"] = floats({1, 2, INFINITY});
       },
       "value 2 is not finite"},
      {[](auto& p) { p["w.quant_map"] = floats(std::vector<float>(16, 0.5F)); },
       "is not the code book of NF4"},
      {[](auto& p) {
         p["w.quant_map"] = floats({1, 2, 3});
       },
       "want F32 of 16 values"},
      {[](auto& p) { p["w.nested_absmax"] = floats({1}); }, "says nothing of w.nested_absmax"},
      {[](auto& p) { p["v.quant_state.bitsandbytes__fp4"] = floats({1}); },
       "FP4 weights of bitsandbytes are not read"},
      {[](auto& p) { p["v.SCB"] = floats({1}); }, "8-bit weights of bitsandbytes are not read"},
  };
  const auto sound = parts_;
  for (const auto& [spoil, want] : cases) {
    parts_ = sound;
    spoil(parts_);
    const std::string got = message();
    EXPECT_TRUE(contains(got, want));
    EXPECT_TRUE(contains(got, "model.safetensors: tensor "));
  }
}

TEST_F(Nf4Checkpoint, NamesANestedPartThatDoesNotFit) {
  nest();
  const auto sound = parts_;
  parts_["w.absmax"] = floats({0.5F, 1.0F, 2.0F});
  EXPECT_TRUE(
      contains(message(), "tensor w.absmax: does not fit the weight's state (got F32 [3], want U8 of 3"));
  parts_ = sound;
  parts_["w.nested_absmax"] = floats({1, 2});
  EXPECT_TRUE(contains(message(), "tensor w.nested_absmax: does not fit"));
  parts_ = sound;
  parts_["w.nested_quant_map"].bytes.replace(0, 4, bytes_of_values<float>({NAN}));
  EXPECT_TRUE(contains(message(), "tensor w.nested_quant_map: value 0 is not finite"));
  parts_ = sound;
  parts_.erase("w.nested_quant_map");
  EXPECT_TRUE(contains(message(), "tensor w.nested_quant_map is missing"));
}

TEST(Nf4State, SurvivesItsOwnText) {
  Nf4State state{.shape = {7, 33}, .block = 128, .dtype = DType::kF16};
  Nf4State read = parse_nf4_state(nf4_state_text(state), "s");
  EXPECT_EQ(read.shape, state.shape);
  EXPECT_EQ(read.block, 128);
  EXPECT_EQ(read.dtype, DType::kF16);
  EXPECT_FALSE(read.is_nested);
  EXPECT_EQ(read.blocks(), 2);
  state.is_nested = true;
  state.offset = 0.1F;
  read = parse_nf4_state(nf4_state_text(state), "s");
  EXPECT_TRUE(read.is_nested);
  EXPECT_EQ(read.offset, 0.1F);
  EXPECT_EQ(read.nested_block, kNf4NestedBlock);
}

TEST(Nf4State, RefusesHostileValues) {
  const std::string sound =
      R"({"quant_type":"nf4","blocksize":64,"dtype":"bfloat16","shape":[2,32],"nested_blocksize":256,)"
      R"("nested_dtype":"float32","nested_offset":0.5})";
  EXPECT_NO_THROW(parse_nf4_state(sound, "s"));
  const std::vector<std::array<std::string, 3>> cases = {
      {R"("nf4")", R"("fp4")", "/quant_type: got `fp4`, want nf4"},
      {"64", "63", "/blocksize: got 63, want a power of two from 32 to 4096"},
      {"64", "0", "/blocksize: got 0"},
      {"64", "-64", "/blocksize: got -64"},
      {"64", "8192", "/blocksize: got 8192"},
      {"64", "64.0", "/blocksize: got"},
      {"bfloat16", "int8", "/dtype: got `int8`"},
      {"[2,32]", "[]", "/shape: want a list of 1 to 8 dimensions"},
      {"[2,32]", "null", "/shape"},
      {"[2,32]", "[2,0]", "/shape/1"},
      {"[2,32]", "[2,-32]", "/shape/1"},
      {"[2,32]", "[4294967296,4294967296]", "/shape: the product of the dimensions is too large"},
      {"[2,32]", "[1,1,1,1,1,1,1,1,64]", "/shape: want a list of 1 to 8 dimensions"},
      {"256", "100", "/nested_blocksize: got 100"},
      {"float32", "float64", "/nested_dtype: got `float64`, want float32"},
      {"0.5", "1e300", "/nested_offset: does not fit fp32"},
      {"0.5", "NaN", "s:1:"},
      {R"("nested_offset":0.5)", R"("other":0.5)", "/other: unknown key"},
      {R"(,"nested_offset":0.5)", "", "/nested_offset: missing"},
      {"{", "[", "s:1:"},
  };
  for (const auto& [from, to, want] : cases) {
    std::string text = sound;
    text.replace(text.find(from), from.size(), to);
    EXPECT_TRUE(contains(error_of([&] { parse_nf4_state(text, "s"); }).what(), want)) << text;
  }
}

}  // namespace
}  // namespace graft

#include <ATen/ATen.h>

#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "kernels/dtype.h"
#include "peft/changed_adapter.h"
#include "peft/fixture.h"

namespace graft {
namespace {

constexpr char kQ[] = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

/// The plain golden adapter, written into `folder` after `change`.
void write_changed(const Path& folder, const AdapterChange& change) {
  write_changed_adapter(kPeftGolden / "plain", folder, change);
}

Error load_error(const AdapterChange& change) {
  const TestFolder folder;
  write_changed(folder.path(), change);
  Decoder model = tiny_model();
  const Error error = error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kAccept); });
  EXPECT_EQ(error.code(), ExitCode::kBadInput) << error.what();
  model.each_group([](const LinearGroup& group) { EXPECT_EQ(group.adapter, nullptr); });
  return error;
}

std::map<std::string, at::Tensor> values_of(const AdapterSet& set) {
  std::map<std::string, at::Tensor> values;
  for (const Parameter& parameter : set.parameters)
    values["base_model.model." + parameter.name] = parameter.value.detach();
  return values;
}

template <class Word>
std::vector<std::byte> bytes_of(const std::vector<Word>& words) {
  const auto bytes = std::as_bytes(std::span(words));
  return {bytes.begin(), bytes.end()};
}

void fill(FileTensor& tensor, float value) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float), value);
  tensor.bytes = bytes_of(values);
}

TEST(AdapterFile, ReadsPeftsFileInModelOrder) {
  Decoder model = tiny_model();
  const AdapterSet set = load_adapter(model, kPeftGolden / "plain", ZeroAdapter::kRefuse);
  EXPECT_EQ(set.modules.size(), 14U);
  EXPECT_EQ(set.modules.front(), "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(set.modules.back(), "model.layers.1.mlp.down_proj");
  EXPECT_EQ(set.options.r, 4);
  const auto golden = read_tensors(kPeftGolden / "plain/adapter_model.safetensors");
  const auto read = values_of(set);
  ASSERT_EQ(read.size(), golden.size());
  for (const auto& [name, value] : golden) EXPECT_TRUE(at::equal(read.at(name), value)) << name;
}

TEST(AdapterFile, WritesPeftsNamesShapesAndMetadata) {
  const TestFolder folder;
  Decoder model = tiny_model();
  const AdapterSet set = load_adapter(model, kPeftGolden / "subset", ZeroAdapter::kRefuse);
  save_adapter(set, folder.path(), "base/path", {{"graft.test", "kept"}});
  const SafetensorsFile file(folder.path() / "adapter_model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("graft.test"), "kept");
  const auto golden = read_tensors(kPeftGolden / "subset/adapter_model.safetensors");
  const auto written = read_tensors(folder.path() / "adapter_model.safetensors");
  ASSERT_EQ(written.size(), golden.size());
  for (const auto& [name, value] : golden) {
    EXPECT_TRUE(at::equal(written.at(name), value)) << name;
    EXPECT_EQ(file.find(name)->dtype, DType::kF32);
  }
  const Json ours = read_json(folder.path() / "adapter_config.json"),
             peft = read_json(kPeftGolden / "subset/adapter_config.json");
  for (const auto& [key, value] : ours.items()) {
    if (key == "base_model_name_or_path" || key == "target_modules") continue;
    EXPECT_EQ(value, peft.at(key)) << key;
  }
  Decoder second = tiny_model();
  EXPECT_EQ(load_adapter(second, folder.path(), ZeroAdapter::kRefuse).modules, set.modules);
}

TEST(AdapterFile, AcceptsKeysThatKeptTheAdaptersName) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors& tensors, Json&) {
    FileTensors named;
    for (auto& [name, tensor] : tensors) named[name.substr(0, name.size() - 6) + "default.weight"] = tensor;
    tensors = named;
  });
  Decoder model = tiny_model();
  EXPECT_EQ(load_adapter(model, folder.path(), ZeroAdapter::kRefuse).modules.size(), 14U);
}

// VeLoRA and MonteCLoRA change how it is trained: in use they are LoRA.
TEST(AdapterFile, LeavesAsideWhatVariantsKeepForTraining) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors& tensors, Json& config) {
    config["velora_config"] = {{"num_groups", 4}, {"scale", 1.0}, {"init_type", "random"}};
    config["monteclora_config"] = {{"num_samples", 8}};
    const std::string module = "base_model.model.model.layers.0.self_attn.q_proj.";
    for (const char* name : {"lora_velora_embed", "lora_monteclora_sampler.std_prior"})
      tensors[module + name] = {DType::kF32, {4}, std::vector<std::byte>(16)};
  });
  Decoder model = tiny_model();
  const auto golden = read_tensors(kPeftGolden / "plain/adapter_model.safetensors");
  EXPECT_EQ(values_of(load_adapter(model, folder.path(), ZeroAdapter::kRefuse)).size(), golden.size());
}

TEST(AdapterFile, ReadsHalfAndBFloat16) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors& tensors, Json&) {
    for (auto& [name, tensor] : tensors) {
      const bool half = name.find("lora_A") != std::string::npos;
      std::vector<std::uint16_t> words;
      for (std::size_t i = 0; i < tensor.bytes.size(); i += sizeof(float)) {
        float value;
        std::memcpy(&value, tensor.bytes.data() + i, sizeof value);
        words.push_back(half ? f16_of_f32(value) : bf16_of_f32(value));
      }
      tensor.bytes = bytes_of(words);
      tensor.dtype = half ? DType::kF16 : DType::kBF16;
    }
  });
  Decoder model = tiny_model();
  const auto read = values_of(load_adapter(model, folder.path(), ZeroAdapter::kRefuse));
  for (const auto& [name, value] : read_tensors(kPeftGolden / "plain/adapter_model.safetensors")) {
    const auto type = name.find("lora_A") != std::string::npos ? at::kHalf : at::kBFloat16;
    EXPECT_TRUE(at::equal(read.at(name), value.to(type).to(at::kFloat))) << name;
  }
}

TEST(AdapterFile, RefusesAMissingTensorByName) {
  const Error error = load_error([](FileTensors& tensors, Json&) { tensors.erase(kQ); });
  EXPECT_TRUE(says(error, kQ)) << error.what();
  EXPECT_TRUE(says(error, "missing")) << error.what();
}

TEST(AdapterFile, RefusesAnUnexpectedTensorAndNamesTheNearest) {
  const Error error = load_error([](FileTensors& tensors, Json&) {
    tensors["base_model.model.model.layers.0.self_attn.q_prj.lora_A.weight"] = tensors.at(kQ);
    tensors.erase(kQ);
  });
  EXPECT_TRUE(says(error, "q_prj")) << error.what();
  EXPECT_TRUE(says(error, kQ)) << error.hint();
}

TEST(AdapterFile, SaysWhatAForeignTensorMeans) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA"},
      {"base_model.model.model.embed_tokens.lora_embedding_A", "an embedding"},
      {"base_model.model.lm_head.weight", "modules_to_save"},
      {"base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight", "replace"},
      {"model.layers.0.self_attn.q_proj.lora_A.weight", "base_model.model."},
      {"base_model.model.model.layers.0.self_attn.q_proj.bias", "a trained bias"},
      {"base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", "linears"}};
  for (const auto& [name, part] : cases) {
    const Error error =
        load_error([&, n = name](FileTensors& tensors, Json&) { tensors[n] = tensors.at(kQ); });
    EXPECT_TRUE(says(error, part)) << name << ": " << error.what();
  }
}

TEST(AdapterFile, RefusesAWrongShapeOrRank) {
  EXPECT_TRUE(says(load_error([](FileTensors& tensors, Json&) {
                     tensors.at(kQ).shape = {64, 4};
                   }),
                   "[4, 64]"));
  EXPECT_TRUE(says(load_error([](FileTensors& tensors, Json&) { tensors.at(kQ).shape = {256}; }), kQ));
  EXPECT_TRUE(says(load_error([](FileTensors&, Json& config) { config["r"] = 8; }), "want [8, 64]"));
}

TEST(AdapterFile, RefusesWhatIsNotFinite) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Error error = load_error([&](FileTensors& tensors, Json&) { fill(tensors.at(kQ), value); });
    EXPECT_TRUE(says(error, kQ) && says(error, "finite")) << error.what();
  }
}

TEST(AdapterFile, RefusesIntegers) {
  const Error error = load_error([](FileTensors& tensors, Json&) { tensors.at(kQ).dtype = DType::kI32; });
  EXPECT_TRUE(says(error, "i32")) << error.what();
}

TEST(AdapterFile, RefusesATensorThatIsThereTwice) {
  const Error error = load_error([](FileTensors& tensors, Json&) {
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"] = tensors.at(kQ);
  });
  EXPECT_TRUE(says(error, "twice")) << error.what();
}

TEST(AdapterFile, ATargetedHeadOrEmbeddingNeedsItsFactors) {
  EXPECT_TRUE(
      says(load_error([](FileTensors&, Json& config) { config["target_modules"].push_back("lm_head"); }),
           "lm_head.lora_A.weight"));
  EXPECT_TRUE(
      says(load_error([](FileTensors&, Json& config) { config["target_modules"].push_back("embed_tokens"); }),
           "lora_embedding_A"));
}

// Files trained on a model that is part of another one, or by an older PEFT.
TEST(AdapterFile, ReadsTheNamesOfWrappedModels) {
  for (const std::string wrapper :
       {"model.language_model.", "language_model.model.", "model.model.", "language_model."}) {
    const TestFolder folder;
    write_changed(folder.path(), [&](FileTensors& tensors, Json& config) {
      FileTensors renamed;
      for (auto& [name, tensor] : tensors) {
        const std::string start = "base_model.model.model.";
        renamed["base_model.model." + wrapper + name.substr(start.size())] = tensor;
      }
      tensors = renamed;
      config["target_modules"] = ".*language_model.*_proj|.*model\\.model\\..*_proj";
    });
    Decoder model = tiny_model(), plain = tiny_model();
    const auto read = values_of(load_adapter(model, folder.path(), ZeroAdapter::kRefuse));
    const auto wanted = values_of(load_adapter(plain, kPeftGolden / "plain", ZeroAdapter::kRefuse));
    ASSERT_EQ(read.size(), wanted.size()) << wrapper;
    for (const auto& [name, value] : wanted) EXPECT_TRUE(at::equal(read.at(name), value)) << name;
  }
}

TEST(AdapterFile, RefusesModulesUnderTwoWrappers) {
  const Error error = load_error([](FileTensors& tensors, Json&) {
    tensors["base_model.model.model.language_model.layers.1.self_attn.q_proj.lora_A.weight"] = tensors.at(kQ);
  });
  EXPECT_TRUE(says(error, "language_model")) << error.what();
}

// The set of adapters that PEFT loads without a word, or that are broken.
TEST(AdapterFile, RefusesEachUnusualFileByName) {
  const std::string b = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
  const auto missing_b = load_error([&](FileTensors& tensors, Json&) { tensors.erase(b); });
  EXPECT_TRUE(says(missing_b, b) && says(missing_b, "missing")) << missing_b.what();
  const auto foreign = load_error([](FileTensors& tensors, Json&) {
    FileTensors renamed;
    for (auto& [name, tensor] : tensors) renamed["base_model.model.transformer.h" + name.substr(22)] = tensor;
    tensors = renamed;
  });
  EXPECT_TRUE(says(foreign, "transformer.h") && says(foreign, "unexpected")) << foreign.what();
  const auto unknown = load_error([](FileTensors&, Json& config) { config["peft_type"] = "LOHA"; });
  EXPECT_TRUE(says(unknown, "LOHA") && says(unknown, "peft_type")) << unknown.what();
  const auto no_rank =
      load_error([](FileTensors&, Json& config) { config.erase("r"); });  // PEFT's default, 8
  EXPECT_TRUE(says(no_rank, "has no r (PEFT takes 8)")) << no_rank.what();
  const auto no_magnitude = load_error([](FileTensors&, Json& config) { config["use_dora"] = true; });
  EXPECT_TRUE(says(no_magnitude, "lora_magnitude_vector") && says(no_magnitude, "missing"));
  const auto no_flag = load_error([](FileTensors& tensors, Json&) {
    FileTensor magnitude = tensors.at(kQ);
    magnitude.shape = {256};
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"] = magnitude;
  });
  EXPECT_TRUE(says(no_flag, "use_dora is off")) << no_flag.what();
  const auto other_base = load_error([](FileTensors& tensors, Json& config) {
    FileTensor head = tensors.at(kQ);
    head.shape = {512, 64};
    head.bytes.assign(512 * 64 * sizeof(float), std::byte{});
    tensors["base_model.model.lm_head.base_layer.weight"] = head;
    config["r"] = 4;
  });
  EXPECT_TRUE(says(other_base, "replaces the base's weight")) << other_base.what();
}

TEST(AdapterFile, WhatIsTiedMustBeOne) {
  for (const auto& [name, key] : {std::pair("qwen2_tied_embedding", "base_model.model.lm_head.lora_B.weight"),
                                  std::pair("qwen2_tied_saved", "base_model.model.lm_head.weight")}) {
    const TestFolder folder;
    const Path golden = kPeftGolden / "methods" / name;
    std::filesystem::copy_file(golden / "adapter_config.json", folder.path() / "adapter_config.json");
    FileTensors tensors = tensors_of(golden / "adapter_model.safetensors");
    fill(tensors.at(key), 0.5F);
    std::vector<TensorView> views;
    for (const auto& [tensor, value] : tensors)
      views.push_back({tensor, value.dtype, value.shape, value.bytes});
    write_safetensors(folder.path() / "adapter_model.safetensors", views, {{"format", "pt"}});
    Decoder model = load_model({.path = (kGolden / "families/qwen2").string(), .dtype = ComputeDType::kF32});
    const Error error = error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kAccept); });
    EXPECT_TRUE(says(error, std::string(key) + ": differs from the embedding's")) << error.what();
  }
}

TEST(AdapterFile, ATruncatedFileIsNamed) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors&, Json&) {});
  const Path path = folder.path() / "adapter_model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  Decoder model = tiny_model();
  const Error error = error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kAccept); });
  EXPECT_TRUE(says(error, "adapter_model.safetensors")) << error.what();
}

TEST(AdapterFile, AcceptsACopyOfTheBasesOwnHead) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors& tensors, Json&) {
    const SafetensorsFile base(kGolden / "tiny_llama/model.safetensors");
    for (const TensorView& view : base.tensors())
      if (view.name == "lm_head.weight" || view.name == "model.embed_tokens.weight") {
        const std::string module = view.name.substr(0, view.name.rfind('.'));
        tensors["base_model.model." + module + ".base_layer.weight"] = {
            view.dtype, view.shape, {view.bytes.begin(), view.bytes.end()}};
      }
  });
  Decoder model = tiny_model();
  EXPECT_EQ(load_adapter(model, folder.path(), ZeroAdapter::kRefuse).modules.size(), 14U);
}

TEST(AdapterFile, RefusesTargetsThatFitNoLinear) {
  EXPECT_TRUE(
      says(load_error([](FileTensors&, Json& config) { config["target_modules"] = {"c_attn"}; }), "q_proj"));
}

TEST(AdapterFile, NullTargetsAreQueryAndValue) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors& tensors, Json& config) {
    config["target_modules"] = nullptr;
    std::erase_if(tensors, [](const auto& entry) {
      return entry.first.find("q_proj") == std::string::npos &&
             entry.first.find("v_proj") == std::string::npos;
    });
  });
  Decoder model = tiny_model();
  EXPECT_EQ(load_adapter(model, folder.path(), ZeroAdapter::kRefuse).modules.size(), 4U);
}

TEST(AdapterFile, AnAdapterOfZerosIsRefusedOrAcceptedAsAsked) {
  const TestFolder folder;
  write_changed(folder.path(), [](FileTensors& tensors, Json&) {
    for (auto& [name, tensor] : tensors)
      if (name.find("lora_B") != std::string::npos) fill(tensor, 0.0F);
  });
  Decoder model = tiny_model();
  EXPECT_TRUE(says(error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kRefuse); }), "zero"));
  EXPECT_NO_THROW(load_adapter(model, folder.path(), ZeroAdapter::kAccept));
  testing::internal::CaptureStderr();
  load_adapter(model, folder.path(), ZeroAdapter::kWarn);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("zero"), std::string::npos);
}

TEST(AdapterFile, NamesWhatAFolderLacks) {
  const TestFolder folder;
  Decoder model = tiny_model();
  const auto load = [&] { load_adapter(model, folder.path(), ZeroAdapter::kAccept); };
  EXPECT_TRUE(says(error_of(load), "adapter_config.json"));
  write_file(folder.path() / "adapter_model.bin", "pickle");
  EXPECT_TRUE(says(error_of(load), "pickle"));
  EXPECT_EQ(error_of([&] { load_adapter(model, folder.path() / "none", ZeroAdapter::kAccept); }).code(),
            ExitCode::kBadInput);
}

}  // namespace
}  // namespace graft

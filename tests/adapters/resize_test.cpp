#include "adapters/resize.h"

#include "adapters/recast.h"
#include "peft/adapter_maker.h"

namespace graft {
namespace {

TEST(Resize, PadsExactly) {
  const TestFolder folder;
  for (const char* name : {"plain", "rslora"}) {
    const Path out = folder.path() / name;
    for (const ResizedModule& module : resize_adapter(open_adapter_folder(kPeftGolden / name), 7, out)) {
      EXPECT_EQ(module.from, 4);
      EXPECT_EQ(module.kept, 1.0);
    }
    const auto before = products_of(kPeftGolden / name), after = products_of(out);
    ASSERT_EQ(after.size(), before.size());
    for (const auto& [module, product] : before)
      EXPECT_LT(relative_difference(after.at(module), product), 1e-14) << module;
    EXPECT_EQ(read_json(out / "adapter_config.json")["r"], 7);
  }
  EXPECT_EQ(read_json(folder.path() / "plain/adapter_config.json")["lora_alpha"], 14);
  // A decoder takes both.
  Decoder model = tiny_model();
  EXPECT_EQ(load_adapter(model, folder.path() / "rslora", ZeroAdapter::kRefuse).options.r, 7);
}

TEST(Resize, TruncatesToTheNearestProductAndSaysWhatItKept) {
  const TestFolder folder;
  const std::vector<ResizedModule> report =
      resize_adapter(open_adapter_folder(kPeftGolden / "rslora"), 2, folder.path() / "out");
  const auto before = products_of(kPeftGolden / "rslora"), after = products_of(folder.path() / "out");
  ASSERT_EQ(report.size(), before.size());
  for (const ResizedModule& module : report) {
    const at::Tensor &wanted = before.at(module.module), &found = after.at(module.module);
    const at::Tensor values = at::linalg_svdvals(wanted);
    const double energy = values.square().sum().item<double>();
    const double kept = values.narrow(0, 0, 2).square().sum().item<double>() / energy;
    EXPECT_NEAR(module.kept, kept, 1e-9) << module.module;
    EXPECT_LT(kept, 1.0);
    // The best that rank 2 can do.
    EXPECT_NEAR((wanted - found).square().sum().item<double>() / energy, 1.0 - kept, 1e-6) << module.module;
  }
}

TEST(Resize, PatternsBecomeOneRankWithTheScalesTheyGave) {
  const TestFolder folder;
  resize_adapter(open_adapter_folder(kPeftGolden / "tools/three"), 8, folder.path() / "out");
  const auto before = products_of(kPeftGolden / "tools/three"), after = products_of(folder.path() / "out");
  for (const auto& [module, product] : before)
    EXPECT_LT(relative_difference(after.at(module), product), 1e-14) << module;
  const Json config = read_json(folder.path() / "out/adapter_config.json");
  EXPECT_EQ(config["rank_pattern"], Json::object());
  EXPECT_EQ(config["alpha_pattern"].size(), 1U);
}

TEST(Resize, CarriesWhatElseTheFolderHolds) {
  const TestFolder folder;
  MadeAdapter made;
  made.metadata["graft.base.sha256"] = "abc";
  made.config["use_dora"] = true;
  const std::string magnitude = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector";
  made.tensors[magnitude] = at::randn({12});
  made.write(folder.path() / "in");
  write_file(folder.path() / "in/tokenizer.json", "{}");
  write_file(folder.path() / "in/optimizer.bin", "x");
  resize_adapter(open_adapter_folder(folder.path() / "in"), 8, folder.path() / "out");
  const SafetensorsFile file(folder.path() / "out/adapter_model.safetensors");
  EXPECT_EQ(file.metadata().at("graft.base.sha256"), "abc");
  ASSERT_NE(file.find(magnitude), nullptr);
  EXPECT_TRUE(read_values(*file.find(magnitude)).equal(made.tensors[magnitude]));
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "out/tokenizer.json"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out/optimizer.bin"));
}

TEST(Resize, LeavesNothingBehindWhereItFails) {
  const TestFolder folder;
  MadeAdapter made;
  made.tensors.begin()->second[1][1] = INFINITY;
  made.write(folder.path() / "in");
  const auto entries = [&] {
    return std::distance(std::filesystem::directory_iterator(folder.path()),
                         std::filesystem::directory_iterator());
  };
  const Error error =
      error_of([&] { resize_adapter(open_adapter_folder(folder.path() / "in"), 2, folder.path() / "out"); });
  EXPECT_TRUE(says(error, "not finite")) << error.what();
  EXPECT_EQ(entries(), 1);
  made = MadeAdapter();
  made.write(folder.path() / "in");
  std::filesystem::create_directory(folder.path() / "out");
  const Error exists =
      error_of([&] { resize_adapter(open_adapter_folder(folder.path() / "in"), 2, folder.path() / "out"); });
  EXPECT_EQ(exists.code(), ExitCode::kUsage);
  EXPECT_EQ(entries(), 2);
}

TEST(Resize, RefusesFactorsOfTheBase) {
  const TestFolder folder;
  MadeAdapter made;
  made.config["init_lora_weights"] = "pissa_niter_4";
  made.write(folder.path() / "in");
  EXPECT_TRUE(says(
      error_of([&] { resize_adapter(open_adapter_folder(folder.path() / "in"), 2, folder.path() / "out"); }),
      "init_lora_weights"));
}

TEST(Cast, RoundsEachNumberOnce) {
  const TestFolder folder;
  const Path in = kPeftGolden / "plain";
  for (const auto& [dtype, scalar] :
       {std::pair(DType::kBF16, at::kBFloat16), std::pair(DType::kF16, at::kHalf),
        std::pair(DType::kF32, at::kFloat)}) {
    const Path out = folder.path() / std::string(traits(dtype).name);
    const CastReport report = cast_adapter(open_adapter_folder(in), dtype, out);
    const auto before = read_tensors(in / "adapter_model.safetensors");
    double change = 0, size = 0;
    const SafetensorsFile written(out / "adapter_model.safetensors");
    for (const TensorView& tensor : written.tensors()) {
      EXPECT_EQ(tensor.dtype, dtype);
      const at::Tensor& value = before.at(tensor.name);
      EXPECT_TRUE(read_values(tensor).equal(value.to(scalar).to(at::kFloat))) << tensor.name;
      change += (value.to(scalar).to(at::kFloat) - value).square().sum().item<double>();
      size += value.square().sum().item<double>();
    }
    EXPECT_NEAR(report.rms_change, std::sqrt(change / size), 1e-6);
    EXPECT_EQ(report.bytes_before, report.bytes_after * (dtype == DType::kF32 ? 1 : 2));
    EXPECT_EQ(read_json(out / "adapter_config.json"), read_json(in / "adapter_config.json"));
  }
}

TEST(Cast, RefusesWhatF16CannotHold) {
  const TestFolder folder;
  MadeAdapter made;
  made.tensors.begin()->second[0][0] = 1e6F;
  made.write(folder.path() / "in");
  const Error error = error_of(
      [&] { cast_adapter(open_adapter_folder(folder.path() / "in"), DType::kF16, folder.path() / "out"); });
  EXPECT_EQ(error.code(), ExitCode::kNumerics);
  EXPECT_TRUE(says(error, "65504")) << error.what();
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out"));
}

}  // namespace
}  // namespace graft

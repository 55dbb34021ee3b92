#include "peft/base_identity.h"

#include <ATen/ATen.h>

#include "base/json.h"
#include "peft/fixture.h"
#include "peft/layout.h"

namespace graft {
namespace {

/// The model with every linear's weight changed.
Decoder changed_model(const std::function<at::Tensor(const at::Tensor&)>& change) {
  Decoder model = tiny_model();
  model.each_group([&](LinearGroup& group) {
    for (Linear& linear : group.linears)
      linear.weight =
          dense_weight(change(linear.weight->rows(0, linear.weight->out_features())).contiguous());
  });
  return model;
}

std::vector<std::string> linear_paths(const Decoder& model) {
  std::vector<std::string> paths;
  for (const ModuleView& module : modules_of(model))
    if (module.kind == ModuleKind::kLinear) paths.push_back(module.path);
  return paths;
}

std::map<std::string, std::string> identity_of_tiny() {
  const Decoder model = tiny_model();
  return base_identity(model, linear_paths(model));
}

TEST(BaseIdentity, TheSameBaseAgreesWhole) {
  const auto metadata = identity_of_tiny();
  EXPECT_EQ(metadata.at("graft.base.sha256").size(), 64U);
  EXPECT_DOUBLE_EQ(base_agreement(tiny_model(), metadata, "f").value(), 1.0);
  EXPECT_EQ(identity_of_tiny(), metadata);
}

TEST(BaseIdentity, SurvivesCoarseQuantisation) {
  // Symmetric 4-bit blocks of a row: the coarsest storage there is here.
  const Decoder coarse = changed_model([](const at::Tensor& w) {
    const at::Tensor step = w.abs().amax(1, true) / 7;
    return (w / step).round() * step;
  });
  EXPECT_GE(base_agreement(coarse, identity_of_tiny(), "f").value(), 0.95);
  EXPECT_NE(base_identity(coarse, linear_paths(coarse)).at("graft.base.sha256"),
            identity_of_tiny().at("graft.base.sha256"));
}

TEST(BaseIdentity, AnotherBaseIsRefusedOrWarnedAbout) {
  at::manual_seed(3);
  const Decoder other = changed_model([](const at::Tensor& w) { return at::randn_like(w); });
  const auto metadata = identity_of_tiny();
  EXPECT_NEAR(base_agreement(other, metadata, "f").value(), 0.5, 0.15);
  EXPECT_TRUE(says(error_of([&] { check_base_identity(other, metadata, "file", OtherBase::kRefuse); }),
                   "another base"));
  EXPECT_NO_THROW(check_base_identity(other, metadata, "file", OtherBase::kWarn));
}

TEST(BaseIdentity, LoadingAnAdapterChecksIt) {
  const TestFolder folder;
  Decoder model = tiny_model();
  const AdapterSet set = load_adapter(model, kPeftGolden / "plain", ZeroAdapter::kRefuse);
  save_adapter(set, folder.path(), "", base_identity(model, set.modules));
  EXPECT_NO_THROW(load_adapter(model, folder.path(), ZeroAdapter::kRefuse));
  Decoder other = changed_model([](const at::Tensor& w) { return -w; });
  EXPECT_THROW(load_adapter(other, folder.path(), ZeroAdapter::kRefuse), Error);
  EXPECT_NO_THROW(load_adapter(other, folder.path(), ZeroAdapter::kRefuse, OtherBase::kWarn));
}

TEST(BaseIdentity, WithoutFingerprintThereIsNoOpinion) {
  EXPECT_FALSE(base_agreement(tiny_model(), {{"format", "pt"}}, "f").has_value());
}

TEST(BaseIdentity, MalformedFingerprintsAreErrorsThatNameTheFile) {
  const Decoder model = tiny_model();
  const std::string module = R"("model.layers.0.self_attn.q_proj")";
  for (const std::string& text : std::vector<std::string>{
           "{", "[]", R"({"version": 1})",
           R"({"version": 1, "weights": {"none": {"shape": [1, 1], "at": [1]}}})",
           R"({"version": 1, "weights": {)" + module + R"(: {"shape": [64], "at": [1]}}})",
           R"({"version": 1, "weights": {)" + module + R"(: {"shape": [64, 63], "at": [1]}}})",
           R"({"version": 1, "weights": {)" + module + R"(: {"shape": [64, 64], "at": [0]}}})",
           R"({"version": 1, "weights": {)" + module + R"(: {"shape": [64, 64], "at": [4097]}}})",
           R"({"version": 1, "weights": {)" + module + R"(: {"shape": [64, 64], "at": ["1"]}}})"}) {
    const Error error = error_of([&] {
      (void)base_agreement(model, {{"graft.base.fingerprint", text}}, "adapter.safetensors");
    });
    EXPECT_TRUE(says(error, "adapter.safetensors")) << text << error.what();
  }
}

}  // namespace
}  // namespace graft

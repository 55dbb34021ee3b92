#pragma once

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/dataset.h"
#include "model/decoder.h"
#include "peft/adapter_set.h"
#include "store/safetensors.h"

namespace graft {

inline const Path kGolden = Path(GRAFT_SOURCE_DIR) / "tests/golden";
inline const Path kPeftGolden = kGolden / "peft";

inline Decoder tiny_model(ComputeDType dtype = ComputeDType::kF32) {
  return load_model({.path = (kGolden / "tiny_llama").string(), .dtype = dtype});
}

/// Labels as Hugging Face writes them, shifted here as the data room shifts them.
inline Example example_of(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& labels,
                          std::uint64_t id) {
  Example example{.tokens = ids,
                  .targets = {labels.begin() + 1, labels.end()},
                  .id = id,
                  .source = {"golden", std::int64_t(id)}};
  example.targets.push_back(kNoTarget);
  for (std::int32_t& target : example.targets)
    if (target == -100) target = kNoTarget;
  return example;
}

/// The two sequences of scripts/golden/peft_adapters.py.
inline std::vector<Example> golden_examples() {
  return {example_of({1, 300, 17, 42, 511, 88, 260, 9, 2}, {-100, -100, -100, 42, 511, 88, -100, 9, 2}, 0),
          example_of({1, 77, 400, 5, 123}, {-100, -100, 400, 5, 123}, 1)};
}

/// All tensors of a safetensors file as fp32.
inline std::map<std::string, at::Tensor> read_tensors(const Path& path) {
  const SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const TensorView& view : file.tensors()) {
    std::vector<float> values = decode(view);
    tensors[view.name] = at::from_blob(values.data(), view.shape, at::kFloat).clone();
  }
  return tensors;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// ||a - b|| / ||b||
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>() /
         b.to(at::kDouble).norm().item<double>();
}

/// An empty folder of the running test, removed with it.
class TestFolder {
 public:
  TestFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() / ("graft_" + std::string(test->test_suite_name()) + "_" +
                                                      test->name() + "_" + std::to_string(getpid()));
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  const Path& path() const { return path_; }

 private:
  Path path_;
};

/// The Error that `action` throws; the test fails where it throws none.
template <class Action>
Error error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return {ExitCode::kDone, ""};
}

inline bool says(const Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos ||
         error.hint().find(part) != std::string::npos;
}

}  // namespace graft

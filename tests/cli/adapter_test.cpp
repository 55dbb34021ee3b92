#include <filesystem>

#include "base/json.h"
#include "cli/program.h"
#include "store/safetensors.h"

namespace graft {
namespace {

const std::string kTools = GRAFT_SOURCE_DIR "/tests/golden/peft/tools/";
const std::string kPlain = GRAFT_SOURCE_DIR "/tests/golden/peft/plain";

Json json_of(const Outcome& outcome) {
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return parse_json(outcome.out, "stdout");
}

TEST_F(Program, AdapterInspectTellsEveryModule) {
  const Json report = json_of(run("adapter inspect --json " + kTools + "one"));
  EXPECT_EQ(report["method"], "LoRA");
  EXPECT_EQ(report["r"], 4);
  ASSERT_EQ(report["modules"].size(), 2U);
  const Json golden = read_json(kTools + "spectrum.json");
  for (const Json& module : report["modules"]) {
    const Json& wanted = golden.at(module["module"].get<std::string>());
    EXPECT_EQ(module["scale"], 2.0);
    EXPECT_NEAR(module["norm"].get<double>(), 2.0 * wanted["norm"].get<double>(), 1e-9);
  }
  const Outcome table = run("adapter inspect " + kTools + "one");
  EXPECT_NE(table.out.find("\nmodel.layers.1.self_attn.v_proj "), std::string::npos) << table.out;
  EXPECT_EQ(table.err, "");
}

TEST_F(Program, AdapterCheckSaysWhatToDoAndFailsWhereALoaderDoes) {
  EXPECT_EQ(run("adapter check " + kPlain).out, "peft       loads\nvllm       loads\nllama.cpp  loads\n");
  const Outcome patterns = run("adapter check " + kTools + "three --for peft,vllm");
  EXPECT_EQ(patterns.code, 3);
  EXPECT_NE(patterns.out.find("peft       loads\nvllm       differs\n"), std::string::npos) << patterns.out;
  EXPECT_NE(patterns.out.find("fix: graft export --adapter "), std::string::npos) << patterns.out;
  const Outcome rslora = run("adapter check --json --for llama.cpp " + kTools + "two");
  EXPECT_EQ(rslora.code, 3);
  const Json document = parse_json(rslora.out, "check");
  EXPECT_EQ(document["for"]["llama.cpp"]["verdict"], "differs");
  EXPECT_EQ(document["for"]["llama.cpp"]["findings"][0]["rule"], "rslora");
  EXPECT_EQ(run("adapter check --for ollama " + kPlain).code, 2);
}

TEST_F(Program, ValidateJudgesTheAdapterBeforeItIsTrained) {
  write_recipe();
  EXPECT_EQ(run("validate r.yaml --for vllm").code, 0);
  const Outcome large = run("validate r.yaml --json --for vllm,peft lora.r=32");
  EXPECT_EQ(large.code, 3) << large.err;
  const Json document = parse_json(large.out, "validate");
  EXPECT_EQ(document["for"]["vllm"]["findings"][0]["rule"], "rank");
  EXPECT_EQ(document["for"]["peft"]["verdict"], "loads");
  EXPECT_EQ(run("validate r.yaml lora.use_rslora=true --for llama.cpp").code, 3);
}

TEST_F(Program, AdapterCombineResizeCastDiffRenameWorkTogether) {
  const std::string one = kTools + "one";
  EXPECT_EQ(json_of(run("adapter combine both " + one + ":0.5 " + one + ":0.5 --method cat --json"))["r"], 8);
  EXPECT_EQ(json_of(run("adapter resize both --r 4 --out small --json"))["modules"].size(), 2U);
  const Json same = json_of(run("adapter diff --json small " + one));
  EXPECT_LT(same["total"]["relative"].get<double>(), 1e-6);  // the sum has rank 4
  EXPECT_NEAR(same["total"]["cosine"].get<double>(), 1.0, 1e-9);
  EXPECT_EQ(run("adapter cast small --dtype bf16 --out half").code, 0);
  const Json rounded = json_of(run("adapter diff --json half " + one));
  EXPECT_GT(rounded["total"]["relative"].get<double>(), 1e-4);
  EXPECT_LT(rounded["total"]["relative"].get<double>(), 1e-2);
  EXPECT_EQ(json_of(run("adapter rename half --from model --to text --out moved --json"))["renamed"].size(),
            4U);
  EXPECT_EQ(json_of(run("adapter diff --json moved half"))["only_a"].size(), 2U);
}

TEST_F(Program, AdapterCombineSaysWhatLinearAdds) {
  const Outcome linear = run("adapter combine sum " + kTools + "one " + kTools + "two --method linear");
  EXPECT_EQ(linear.code, 0);
  EXPECT_NE(linear.err.find("warning: linear adds A and B each for themselves"), std::string::npos)
      << linear.err;
  EXPECT_EQ(run("adapter combine cat " + kTools + "one " + kTools + "two --method cat").err, "");
}

TEST_F(Program, AdapterMistakesAreOneErrorAndNothingIsWritten) {
  const std::string one = kTools + "one ";
  const std::vector<std::pair<std::string, int>> cases = {
      {"adapter combine out", 2},
      {"adapter combine out " + one + "--method sum", 2},
      {"adapter combine out " + one + "--method ties", 2},  // no density
      {"adapter combine out " + one + "--method ties --density 0", 2},
      {"adapter combine out " + one + "--method ties --density x", 2},
      {"adapter combine out " + one + "--density 0.5", 2},  // svd prunes nothing
      {"adapter combine out " + one + "--method cat --rank 4", 2},
      {"adapter combine out " + one + "--majority most", 2},
      {"adapter combine out nowhere:0.5", 3},
      {"adapter combine out " + kTools + "one:inf", 2},
      {"adapter combine out " + kTools + "one " + kTools + "three --method linear", 3},
      {"adapter resize " + one + "--out out", 2},
      {"adapter resize " + one + "--r 0 --out out", 2},
      {"adapter resize nowhere --r 4 --out out", 3},
      {"adapter cast " + one + "--dtype q4 --out out", 2},
      {"adapter cast " + one + "--dtype bf16", 2},
      {"adapter rename " + one + "--out out --from x", 2},
      {"adapter rename " + one + "--out out --from x --to y", 2},
      {"adapter diff " + one, 2},
      {"adapter diff " + one + "nowhere", 3},
      {"adapter inspect " + kTools, 3},
      {"adapter check nowhere", 3},
      {"adapter", 2},
      {"adapter inspct " + one, 2},
  };
  for (const auto& [arguments, code] : cases) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("error: ")) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out")) << arguments;
  }
  std::filesystem::create_directory(folder_ / "there");
  EXPECT_EQ(run("adapter resize " + one + "--r 2 --out there").code, 2);
}

}  // namespace
}  // namespace graft

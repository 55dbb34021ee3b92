#include "cli/program.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>

namespace graft {
namespace {

TEST_F(Program, MessagesGoToStderrAndResultsToStdout) {
  const Outcome bad = run("trian");
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.out, "");
  EXPECT_EQ(bad.err, "error: trian: unknown verb\nhint: did you mean `graft train`?\n");
  const Outcome good = run("version");
  EXPECT_EQ(good.code, 0);
  EXPECT_TRUE(good.out.starts_with("graft "));
  EXPECT_EQ(good.err, "");
}

TEST_F(Program, ABadRecipeIsTwoAndAMissingOneIsThree) {
  write("r.yaml", "lora:\n  rr: 1\n");
  const Outcome bad = run("show r.yaml");
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.err, "error: r.yaml:2:3: lora.rr: unknown key\nhint: did you mean lora.r?\n");
  EXPECT_EQ(run("show nowhere.yaml").code, 3);
  EXPECT_EQ(run("show").code, 2);
  EXPECT_EQ(run("show r.yaml --jsn").code, 2);
}

TEST_F(Program, AnOutputThatCannotBeWrittenIsFourAndAClosedOneIsNoError) {
  const std::string graft = GRAFT_BINARY_DIR "/graft";
  EXPECT_EQ(WEXITSTATUS(std::system(("'" + graft + "' schema >/dev/full 2>/dev/null").c_str())), 4);
  const std::string closed =
      "bash -c \"set -o pipefail; '" + graft + "' schema | true\" 2>" + (folder_ / "err.txt").string();
  EXPECT_EQ(WEXITSTATUS(std::system(closed.c_str())), 0);
  EXPECT_EQ(read("err.txt"), "");
}

TEST_F(Program, ShowPrintsARecipeThatShowsTheSame) {
  write_recipe();
  const Outcome first = run("show r.yaml lora.r=4");
  EXPECT_EQ(first.code, 0) << first.err;
  write("resolved.yaml", first.out);
  EXPECT_EQ(run("show resolved.yaml").out, first.out);
  const Outcome json = run("show r.yaml lora.r=4 --json");
  EXPECT_EQ(parse_json(json.out, "show")["lora"]["r"], 4);
}

TEST_F(Program, CpKeepsTheMeaningAndOverwritesNothing) {
  write_recipe();
  std::filesystem::create_directory(folder_ / "sub");
  EXPECT_EQ(run("cp r.yaml sub").out, "sub/r.yaml\n");
  EXPECT_EQ(run("show sub/r.yaml").out, run("show r.yaml").out);
  EXPECT_EQ(run("cp r.yaml sub").code, 2);
  EXPECT_EQ(run("cp cookin x.yaml").code, 3);
}

TEST_F(Program, LsListsTheShelf) {
  const Json list = parse_json(run("ls --json").out, "ls");
  ASSERT_GE(list.size(), 3U);
  for (const Json& recipe : list) EXPECT_NE(recipe["about"], "");
}

TEST_F(Program, TokenizeKeepsTheFinalLineBreakAndRefusesBrokenText) {
  write("a.txt", "hi\n");
  const Json from_file = parse_json(run("tokenize --model " + kBase + " a.txt").out, "tokenize");
  EXPECT_EQ(from_file["offsets"].back()[1], 3);
  EXPECT_EQ(from_file["ids"].size(), from_file["tokens"].size());
  EXPECT_EQ(from_file["ids"].size(), from_file["offsets"].size());
  const Outcome empty = run("tokenize --model " + kBase + " --text ''");
  EXPECT_EQ(empty.code, 0);
  write("b.txt", "ab\xff");
  const Outcome broken = run("tokenize --model " + kBase + " b.txt");
  EXPECT_EQ(broken.code, 3);
  EXPECT_EQ(broken.err, "error: b.txt @2: not valid UTF-8\n");
  EXPECT_EQ(run("tokenize --model " + kBase).code, 2);
  EXPECT_EQ(run("tokenize --model " + kBase + " nowhere.txt").code, 3);
}

TEST_F(Program, TokenizeChatIsTheRenderedTextWithoutAnotherBos) {
  write("c.json", R"({"messages": [{"role": "user", "content": "hi"}], "add_generation_prompt": true})");
  const Json chat = parse_json(run("tokenize --chat --model " + kBase + " c.json").out, "tokenize");
  write("c.txt", chat["text"]);
  const Json plain = parse_json(run("tokenize --model " + kBase + " c.txt").out, "tokenize");
  EXPECT_EQ(chat["ids"], plain["ids"]);
  write("bad.json", R"({"messages": [{"content": "hi"}]})");
  const Outcome bad = run("tokenize --chat --model " + kBase + " bad.json");
  EXPECT_EQ(bad.code, 3);
  EXPECT_NE(bad.err.find("bad.json: /messages/0"), std::string::npos) << bad.err;
}

TEST_F(Program, DataPreviewPrintsLabelsThatAreNotShifted) {
  write_recipe();
  const Outcome preview = run("data preview r.yaml --json");
  EXPECT_EQ(preview.code, 0) << preview.err;
  const std::size_t end = preview.out.find('\n');
  ASSERT_NE(end, std::string::npos);
  const Json first = parse_json(preview.out.substr(0, end), "preview");
  EXPECT_TRUE(first["source"].get<std::string>().ends_with("rows.jsonl:1"));
  bool learned = false;
  for (std::size_t i = 0; i < first["labels"].size(); ++i) {
    if (first["labels"][i] == -100) continue;
    EXPECT_EQ(first["labels"][i], first["input_ids"][i]);
    learned = true;
  }
  EXPECT_TRUE(learned);
  EXPECT_EQ(run("data preview r.yaml --rows 1").err, "1 of 2 examples\n");
}

TEST_F(Program, ValidateFindsWhatTrainingWould) {
  write_recipe();
  const Outcome good = run("validate r.yaml --json");
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(parse_json(good.out, "validate")["data"]["examples"], 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  EXPECT_EQ(run("validate r.yaml lora.target_modules=[nothing_like_it]").code, 2);
  EXPECT_EQ(run("validate r.yaml model.path=nowhere").code, 3);
  EXPECT_EQ(run("validate r.yaml 'data.train=[{path: nowhere.jsonl}]'").code, 3);
}

TEST_F(Program, AProfileAddsUpAndChangesNoByteOfTheAdapter) {
  write_recipe();
  const std::string arguments = "train r.yaml train.max_steps=3 ";
  EXPECT_EQ(run(arguments + "output_dir=plain").code, 0);
  const Outcome profiled = run(arguments + "--profile --json");
  ASSERT_EQ(profiled.code, 0) << profiled.err;
  EXPECT_EQ(read("run/adapter/adapter_model.safetensors"), read("plain/adapter/adapter_model.safetensors"));
  const Json document = parse_json(profiled.out, "train"), profile = document["profile"];
  EXPECT_EQ(document["outcome"], "finished");
  EXPECT_EQ(parse_json(read("run/profile.json"), "profile.json"), profile);
  EXPECT_EQ(profile["steps"], 2);  // of 3: the first is not in it
  double seconds = 0;
  for (const Json& work : profile["work"]) {
    seconds += work["seconds"].get<double>();
    EXPECT_NE(profiled.err.find(work["name"] == "lora" ? "LoRA" : "the rest"), std::string::npos);
  }
  EXPECT_NEAR(seconds, profile["seconds"].get<double>(), 1e-9);
  EXPECT_GT(profile["gemm"]["step_shapes"].get<double>(), 0.0);
  EXPECT_EQ(run(arguments + "--overwrite").code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/profile.json"));
}

TEST_F(Program, PlanSaysWhatTrainingTakesAndWritesNothing) {
  write_recipe();
  const Outcome text = run("plan r.yaml --price-per-hour 2");
  EXPECT_EQ(text.code, 0) << text.err;
  for (const char* part :
       {"\nplan     3 steps of 16 examples, micro-steps of up to 2,048 tokens, activation "
        "checkpointing none\n",
        "\nmemory   about ", "  activations kept\n", "\ntime     about ", " at 2 an hour; "})
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  EXPECT_EQ(text.out.find("Chinese"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));

  const Outcome answer =
      run("plan r.yaml --json --price-per-hour 2 train.activation_checkpointing=full train.epochs=5");
  EXPECT_EQ(answer.code, 0) << answer.err;
  const Json json = parse_json(answer.out, "plan");
  EXPECT_EQ(json["steps"], 5);
  EXPECT_EQ(json["micro_steps"], 5);
  EXPECT_EQ(json["activation_checkpointing"], "full");
  EXPECT_EQ(json["micro_batch_tokens"], 2048);
  EXPECT_EQ(json["tokens"].get<int>(), 5 * json["data"]["tokens"].get<int>());
  EXPECT_EQ(json["adapter"]["parameters"], 2 * 16 * (128 + 96 + 96 + 128 + 192 + 192 + 192));
  std::uint64_t sum = 0;
  for (const Json& part : json["bytes"]) sum += part.get<std::uint64_t>();
  EXPECT_EQ(json["peak_bytes"], sum);
  EXPECT_GT(json["gemm_flops_per_second"], 0.0);
  EXPECT_GT(json["seconds"]["total"], 0.0);
  const double cost = json["cost"]["total"];
  EXPECT_NEAR(cost, 2.0 * json["seconds"]["total"].get<double>() / 3600, 1e-9 * cost);
  EXPECT_NEAR(json["cost"]["per_1000_tokens"].get<double>() * json["data"]["tokens"].get<double>(),
              1000 * cost, 1e-6 * cost);
  EXPECT_FALSE(json["cost"].contains("per_1000_chinese_characters"));
}

TEST_F(Program, PlanPricesChineseCharactersWhereThereAreAny) {
  write_recipe();
  write("rows.jsonl", "{\"text\": \"保险条款，第〇条。\"}\n{\"text\": \"等待期是什么？\"}\n");
  const Json json = parse_json(run("plan r.yaml --json --price-per-hour 1").out, "plan");
  EXPECT_EQ(json["data"]["chinese_characters"], 13);
  EXPECT_NEAR(json["cost"]["per_1000_chinese_characters"].get<double>() * 13,
              1000 * json["cost"]["total"].get<double>(), 1e-9);
  EXPECT_NE(run("plan r.yaml --price-per-hour 1").out.find("per 1,000 Chinese characters"),
            std::string::npos);
}

TEST_F(Program, PlanRefusesWhatTrainWould) {
  write_recipe();
  EXPECT_EQ(run("plan").code, 2);
  EXPECT_EQ(run("plan r.yaml --price-per-hour cheap").code, 2);
  EXPECT_EQ(run("plan r.yaml --price-per-hour=-1").code, 2);
  EXPECT_EQ(run("plan r.yaml lora.rr=1").code, 2);
  EXPECT_EQ(run("plan r.yaml lora.target_modules=[nothing_like_it]").code, 2);
  EXPECT_EQ(run("plan nowhere.yaml").code, 3);
  EXPECT_EQ(run("plan r.yaml model.path=nowhere").code, 3);
  EXPECT_EQ(run("plan r.yaml lora.from=nowhere").code, 3);
  write("rows.jsonl", "{\"input_ids\": [1, 99999], \"labels\": [1, 99999]}\n");
  EXPECT_EQ(run("plan r.yaml").code, 3);
  std::filesystem::copy(kBase, folder_ / "cut");
  std::filesystem::resize_file(folder_ / "cut/model.safetensors", 100'000);
  write_recipe();
  const Outcome cut = run("plan r.yaml model.path=cut");
  EXPECT_EQ(cut.code, 3);
  EXPECT_EQ(cut.out, "");
}

/// A base of 2 GB of which only the header was ever written, beside tiny_llama's tokenizer.
void write_hollow_base(const std::filesystem::path& from, const std::filesystem::path& to) {
  constexpr std::int64_t kLayers = 60, kWidth = 1024, kFeedForward = 4096, kVocabulary = 512;
  std::filesystem::copy(from, to);
  Json config = read_json(to / "config.json");
  config.update({{"hidden_size", kWidth},
                 {"intermediate_size", kFeedForward},
                 {"num_hidden_layers", kLayers},
                 {"num_attention_heads", 16},
                 {"num_key_value_heads", 16},
                 {"head_dim", 64}});
  write_file(to / "config.json", config.dump());
  Json header = Json::object();
  std::int64_t end = 0;
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const std::int64_t begin = end;
    std::int64_t bytes = 2;
    for (const std::int64_t dim : shape) bytes *= dim;
    end += bytes;
    header[name + ".weight"] = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {begin, end}}};
  };
  add("model.embed_tokens", {kVocabulary, kWidth});
  for (int i = 0; i < kLayers; ++i) {
    const std::string block = "model.layers." + std::to_string(i) + ".";
    for (const char* name : {"q", "k", "v", "o"})
      add(block + "self_attn." + name + "_proj", {kWidth, kWidth});
    for (const char* name : {"gate", "up"}) add(block + "mlp." + name + "_proj", {kFeedForward, kWidth});
    add(block + "mlp.down_proj", {kWidth, kFeedForward});
    for (const char* name : {"input_layernorm", "post_attention_layernorm"}) add(block + name, {kWidth});
  }
  add("model.norm", {kWidth});
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  write_file(to / "model.safetensors",
             std::string(reinterpret_cast<const char*>(&length), sizeof length) + text);
  std::filesystem::resize_file(to / "model.safetensors", 8 + text.size() + static_cast<std::uint64_t>(end));
}

TEST_F(Program, PlanReadsNothingOfTheWeights) {
  write_recipe();
  write_hollow_base(kBase, folder_ / "hollow");
  const Outcome plan = run("plan r.yaml model.path=hollow --json");
  EXPECT_EQ(plan.code, 0) << plan.err;
  const Json json = parse_json(plan.out, "plan");
  EXPECT_GT(json["bytes"]["weights"], 2'000'000'000U);
  // Peak of any program run so far; the weights alone are three times as much.
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  EXPECT_LT(usage.ru_maxrss, 700'000);  // kB
}

TEST_F(Program, GenerateAnswersTheSameForTheSameSeed) {
  const std::string arguments =
      "generate --model " + kBase + " --prompt hi --max-new-tokens 4 --temperature 1 --seed 3";
  const Outcome first = run(arguments);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(run(arguments).out, first.out);
  const Json json = parse_json(run(arguments + " --json").out, "generate");
  EXPECT_EQ(json["text"].get<std::string>() + "\n", first.out);
}

TEST_F(Program, ThreadsSpinABoundedTimeUnlessTheUserSaysHowTheyWait) {
  // libgomp prints the settings that it started with; this test has set its own, which a child would inherit.
  setenv("OMP_DISPLAY_ENV", "verbose", 1);
  unsetenv("GOMP_SPINCOUNT");
  const std::string bounded = run("version").err;
  setenv("OMP_WAIT_POLICY", "active", 1);
  const std::string active = run("version").err;
  unsetenv("OMP_WAIT_POLICY");
  unsetenv("OMP_DISPLAY_ENV");
  EXPECT_NE(bounded.find("GOMP_SPINCOUNT = '1000'"), std::string::npos) << bounded;
  EXPECT_EQ(active.find("GOMP_SPINCOUNT = '1000'"), std::string::npos) << active;
  EXPECT_NE(active.find("GOMP_SPINCOUNT = "), std::string::npos) << active;
}

TEST_F(Program, DoctorOpensABaseAndNamesWhatItCannotOpen) {
  const Outcome good = run("doctor --json " + kBase);
  EXPECT_EQ(good.code, 0) << good.err;
  const Json report = parse_json(good.out, "doctor");
  EXPECT_EQ(report["models"][0]["kind"], "base");
  EXPECT_EQ(report["threads"], 2);
  const Outcome bad = run("doctor nowhere");
  EXPECT_EQ(bad.code, 3);
  EXPECT_NE(bad.err.find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace graft

#include <filesystem>
#include <sstream>

#include "cli/program.h"

namespace graft {
namespace {

/// Verbs with several --adapter over the tiny model.
class Adapters : public Program {
 protected:
  std::string with(const std::string& name, const std::string& folder) const {
    return " --adapter " + name + "='" + kGolden + folder + "'";
  }
  Outcome generate(const std::string& arguments) const {
    return run("generate --dtype fp32 --temperature 0 --repetition-penalty 1 --max-new-tokens 12 --model " +
               kBase + arguments);
  }
  static std::vector<Json> rows_of(const std::string& text) {
    std::vector<Json> rows;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) rows.push_back(parse_json(line, "stdout"));
    return rows;
  }
  std::string text_of(const std::string& arguments) const {
    return parse_json(generate(arguments + " --json").out, "generate")["text"];
  }

  const std::string kGolden = GRAFT_SOURCE_DIR "/tests/golden/peft/";
};

TEST_F(Adapters, OnePromptIsAnsweredByEachInTurn) {
  const std::string prompt = " --raw --prompt Once";
  const std::string both = " --adapter none" + with("a", "plain") + with("b", "rslora:0.5") + prompt;
  const std::vector<Json> rows = rows_of(generate(both + " --json").out);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["adapter"], "none");
  EXPECT_EQ(rows[0]["text"], text_of(prompt));
  EXPECT_EQ(rows[1]["adapter"], "a");
  EXPECT_EQ(rows[1]["text"], text_of(with("x", "plain") + prompt));
  EXPECT_EQ(rows[2]["text"], text_of(with("x", "rslora:0.5") + prompt));
  EXPECT_NE(rows[0]["text"], rows[1]["text"]);
  EXPECT_NE(rows[2]["text"], text_of(with("x", "rslora") + prompt)) << "the scale does something";
  EXPECT_TRUE(generate(both).out.starts_with("== none\n"));
  EXPECT_FALSE(parse_json(generate(with("a", "plain") + prompt + " --json").out, "one").contains("adapter"));
}

TEST_F(Adapters, ARowOfPromptsChoosesItsOwn) {
  write("p.jsonl",
        "{\"prompt\": \"Once\", \"adapter\": \"b\"}\n{\"prompt\": \"Once\"}\n"
        "{\"prompt\": \"Once\", \"adapter\": \"none\"}\n{\"prompt\": \"Once\", \"adapter\": \"a\"}\n");
  const std::string adapters = with("a", "plain") + with("b", "rslora");
  const Outcome all = generate(adapters + " --raw --prompts p.jsonl");
  ASSERT_EQ(all.code, 0) << all.err;
  const std::vector<Json> rows = rows_of(all.out);
  ASSERT_EQ(rows.size(), 4U);
  const std::string a = text_of(with("a", "plain") + " --raw --prompt Once");
  EXPECT_EQ(rows[0]["adapter"], "b");
  EXPECT_EQ(rows[0]["text"], text_of(with("b", "rslora") + " --raw --prompt Once"));
  EXPECT_EQ(rows[1]["adapter"], "a") << "the first where none is named";
  EXPECT_EQ(rows[1]["text"], a);
  EXPECT_EQ(rows[2]["text"], text_of(" --raw --prompt Once"));
  EXPECT_EQ(rows[3]["text"], a);
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["row"], i);
}

TEST_F(Adapters, WhatIsAbsentIsOneErrorThatListsTheNames) {
  write("p.jsonl", "{\"prompt\": \"x\"}\n{\"prompt\": \"x\", \"adapter\": \"cookin\"}\n");
  const std::string adapters = with("cooking", "plain") + with("law", "rslora");
  const Outcome row = generate(adapters + " --raw --prompts p.jsonl");
  EXPECT_EQ(row.code, 3);
  EXPECT_EQ(row.out, "");
  EXPECT_EQ(row.err,
            "error: p.jsonl:2: no adapter is called cookin (there are: none, cooking, law)\n"
            "hint: did you mean cooking?\n");
  EXPECT_EQ(generate(with("a", "plain") + with("a", "rslora") + " --prompt x").code, 2);
  EXPECT_EQ(generate(with("none", "plain") + " --prompt x").code, 2);
  EXPECT_EQ(generate(" --adapter a= --prompt x").code, 2);
  EXPECT_EQ(generate(" --adapter a='" + kGolden + "plain:inf' --prompt x").code, 2);
  EXPECT_EQ(generate(with("a", "nowhere") + " --prompt x").code, 3);
}

TEST_F(Adapters, WithoutANameAnAdapterIsCalledAsItsFolder) {
  std::filesystem::create_directories(folder_ / "runs/cooking");
  std::filesystem::copy(kGolden + "plain", folder_ / "runs/cooking/adapter");
  std::filesystem::copy(kGolden + "plain", folder_ / "law:2");
  const Outcome outcome = generate(" --adapter runs/cooking/adapter --adapter law:2 --raw --prompt x");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("== cooking\n")) << outcome.out;
  EXPECT_NE(outcome.out.find("\n== law:2\n"), std::string::npos) << "a path that exists as it is said";
}

TEST_F(Adapters, ScoreGivesTheLossOfEach) {
  write("rows.jsonl", "{\"input_ids\": [1, 300, 17, 42]}\n{\"input_ids\": [5, 6]}\n");
  const auto score = [&](const std::string& adapters) {
    return rows_of(run("score --dtype fp32 --model " + kBase + adapters + " rows.jsonl").out);
  };
  const std::vector<Json> both = score(" --adapter none" + with("a", "plain:0.5")), base = score(""),
                          scaled = score(with("a", "plain:0.5"));
  ASSERT_EQ(both.size(), 6U);
  ASSERT_EQ(base.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(both[i]["adapter"], "none");
    EXPECT_EQ(both[i]["loss"], base[i]["loss"]);
    EXPECT_EQ(both[i + 3]["adapter"], "a");
    EXPECT_EQ(both[i + 3]["loss"], scaled[i]["loss"]);
    EXPECT_FALSE(base[i].contains("adapter"));
  }
  EXPECT_NE(base[2]["loss"], scaled[2]["loss"]);
}

TEST_F(Adapters, ChatSwitchesBetweenThem) {
  write(
      "talk.txt",
      "Once\n/adapter b\n/reset\nOnce\n/adapter nobody\n/adapter\n/reset\nOnce\n/adapter none\n/reset\nOnce\n"
      "/help\n/quit\nnever read\n");
  const Outcome talk = run("chat --json --dtype fp32 --temperature 0 --max-new-tokens 12 --model " + kBase +
                           with("a", "plain") + with("b", "rslora") + " <talk.txt");
  ASSERT_EQ(talk.code, 0) << talk.err;
  const std::vector<Json> answers = rows_of(talk.out);
  ASSERT_EQ(answers.size(), 4U);
  const std::string how =
      " --dtype fp32 --temperature 0 --max-new-tokens 12 --prompt Once --json --model " + kBase;
  const std::vector<std::string> adapters = {with("a", "plain"), with("b", "rslora"), with("b", "rslora"),
                                             ""};
  for (std::size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i]["text"], parse_json(run("generate" + adapters[i] + how).out, "generate")["text"])
        << i;
  EXPECT_EQ(answers[2]["adapter"], "b") << "an unknown name changes nothing";
  EXPECT_NE(talk.err.find("no adapter is called nobody (there are: none, a, b)"), std::string::npos)
      << talk.err;
  EXPECT_NE(talk.err.find("adapters: none, a, b; in use: b"), std::string::npos) << talk.err;
  EXPECT_NE(talk.err.find("/adapter [NAME]"), std::string::npos) << talk.err;
}

}  // namespace
}  // namespace graft

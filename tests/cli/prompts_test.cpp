#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <sstream>

#include "cli/program.h"

namespace graft {
namespace {

/// generate --prompts over the tiny model.
class Prompts : public Program {
 protected:
  Outcome answer(const std::string& arguments) const {
    return run("generate --model " + kBase + " --dtype fp32 " + arguments);
  }
  static std::vector<Json> rows_of(const std::string& text) {
    std::vector<Json> rows;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) rows.push_back(parse_json(line, "stdout"));
    return rows;
  }
  Json alone(const std::string& arguments) const {
    return parse_json(answer(arguments + " --json").out, "alone");
  }
};

TEST_F(Prompts, AnswersComeInTheOrderOfTheRowsAndAreThoseOfOneByOne) {
  write(
      "p.jsonl",
      "{\"prompt\": \"hi\", \"id\": \"first\", \"max_new_tokens\": 30}\n\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"a b\"}], \"max_new_tokens\": 3}\n"
      "{\"prompt\": \"once upon\", \"system\": \"S\", \"max_new_tokens\": 5, \"repetition_penalty\": 1.5}\n");
  const Outcome all = answer("--prompts p.jsonl --temperature 0");
  ASSERT_EQ(all.code, 0) << all.err;
  const std::vector<Json> rows = rows_of(all.out);
  ASSERT_EQ(rows.size(), 3U);
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["row"], i);
  EXPECT_EQ(rows[0]["id"], "first");
  EXPECT_FALSE(rows[1].contains("id"));
  const Json first = alone("--temperature 0 --max-new-tokens 30 --prompt hi");
  EXPECT_EQ(rows[0]["text"], first["text"]);
  EXPECT_EQ(rows[0]["tokens"], first["tokens"]);
  EXPECT_EQ(rows[0]["stop"], first["stop"]);
  EXPECT_EQ(rows[1]["text"], alone("--temperature 0 --max-new-tokens 3 --prompt 'a b'")["text"]);
  EXPECT_EQ(rows[2]["text"], alone("--temperature 0 --max-new-tokens 5 --repetition-penalty 1.5 --system S "
                                   "--prompt 'once upon'")["text"]);
}

TEST_F(Prompts, RowNDrawsAsItsOwnSeedWouldAloneHoweverManyAreWrittenAtATime) {
  write("p.txt", "hi\n[not JSON\nonce upon a time\n");
  const std::string how = " --temperature 1.5 --top-p 1 --max-new-tokens 12 --raw ";
  const Outcome all = answer("--prompts p.txt --seed 5" + how);
  ASSERT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(answer("--prompts p.txt --seed 5 --batch-tokens 1" + how).out, all.out);
  EXPECT_NE(answer("--prompts p.txt --seed 6" + how).out, all.out);
  const std::vector<Json> rows = rows_of(all.out);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[2]["text"], alone("--prompt 'once upon a time' --seed 7" + how)["text"]);
  write("s.jsonl", "{\"prompt\": \"x\"}\n{\"prompt\": \"once upon a time\", \"seed\": 7}\n");
  EXPECT_EQ(rows_of(answer("--prompts s.jsonl" + how).out)[1]["text"], rows[2]["text"]);
}

TEST_F(Prompts, AStopStringIsNowhereInWhatIsPrinted) {
  const std::string how = " --raw --temperature 0 --repetition-penalty 1.3 --max-new-tokens 20 ",
                    one = "--prompt 'The sky'";
  const std::string text = alone(how + one)["text"], before = text.substr(0, text.find("ven"));
  ASSERT_LT(before.size(), text.size()) << text;  // "…naïvenaïve": ends inside a token
  const Json cut = alone("--stop ven --stop never" + how + one);
  EXPECT_EQ(cut["text"], before);
  EXPECT_EQ(cut["stop"], "stop_string");
  EXPECT_EQ(answer("--stop ven" + how + one).out, before + "\n");
  write("p.jsonl", "{\"prompt\": \"The sky\", \"stop\": \"ven\"}");
  EXPECT_EQ(rows_of(answer("--prompts p.jsonl" + how).out)[0]["text"], before);
}

TEST_F(Prompts, BrokenRowsAreErrorsWithTheirPlaceBeforeAnythingIsWritten) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"prompt": "a"}
{"promt": "b"})",
       "p.jsonl:2: "},
      {R"({"prompt": "a", "messages": []})", "p.jsonl:1: "},
      {R"({"prompt": 3})", "p.jsonl:1: /prompt"},
      {R"({"prompt": "a", "top_p": 2})", "p.jsonl:1: top_p"},
      {R"({"prompt": "a", "max_new_tokens": 0})", "p.jsonl:1: max_new_tokens"},
      {R"({"prompt": "a", "max_new_tokens": "9"})", "p.jsonl:1: /max_new_tokens"},
      {R"({"prompt": "a", "stop": ""})", "p.jsonl:1: stop"},
      {R"({"prompt": "a", "id": [1]})", "p.jsonl:1: /id"},
      {R"({"messages": [{"role": "assistant", "content": "b"}]})", "p.jsonl:1: /messages"},
      {"{\"prompt\": \"a\"", "p.jsonl:1:"},
      {"{\"prompt\": \"" + std::string(3000, 'x') + "\"}", "p.jsonl:1: the prompt is longer"},
      {"", "p.jsonl: holds no prompts"}};
  for (const auto& [text, place] : cases) {
    write("p.jsonl", text);
    const Outcome bad = answer("--prompts p.jsonl");
    EXPECT_EQ(bad.code, 3) << text;
    EXPECT_EQ(bad.out, "") << text;
    EXPECT_NE(bad.err.find("error: " + place), std::string::npos) << bad.err;
  }
}

TEST_F(Prompts, BadOptionsAreOneErrorOfUsage) {
  for (const char* bad :
       {"", "--prompt a --prompts p.txt", "--prompt a --batch-tokens 5", "--prompts p.txt --batch-tokens 0",
        "--prompt a --top-p 0", "--prompt a --min-p 2", "--prompt a --top-k=-1",
        "--prompt a --temperature=-1", "--prompt a --repetition-penalty 0", "--prompt a --max-new-tokens 0",
        "--prompt a --stop ''", "--prompt a --seed 1 --seed 2", "--prompt a --top-k 1.5"}) {
    const Outcome outcome = answer(bad);
    EXPECT_EQ(outcome.code, 2) << bad << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("error: ")) << outcome.err;
  }
  EXPECT_EQ(answer("--prompts nowhere.jsonl").code, 3);
}

TEST_F(Prompts, WhatIsLeftOutOfARowIsSaid) {
  write("p.jsonl",
        "{\"prompt\": \"a\", \"category\": 1, \"max_new_tokens\": 1}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": "
        "\"b\"}], \"max_new_tokens\": 1}\n");
  const Outcome outcome = answer("--prompts p.jsonl --temperature 0");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("p.jsonl:1: keys that nothing reads: category"), std::string::npos)
      << outcome.err;
  EXPECT_NE(outcome.err.find("p.jsonl:2: ends with an assistant's turn"), std::string::npos) << outcome.err;
  const std::vector<Json> rows = rows_of(outcome.out);
  EXPECT_EQ(rows[0]["text"], rows[1]["text"]);
}

TEST_F(Prompts, InterruptedItHasWrittenWhatIsFinished) {
  std::string rows = "{\"prompt\": \"a\", \"max_new_tokens\": 1}\n";
  for (int i = 0; i < 400; ++i)
    rows += "{\"prompt\": \"b" + std::to_string(i) + "\", \"max_new_tokens\": 400}\n";
  write("many.jsonl", rows);
  write("out.txt", "");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // a shell in the background would have it ignored
    ::setenv("OMP_NUM_THREADS", "2", 1);
    if (::chdir(folder_.path().c_str()) != 0 || std::freopen("out.txt", "w", stdout) == nullptr ||
        std::freopen("err.txt", "w", stderr) == nullptr)
      ::_exit(9);
    ::execl(GRAFT_BINARY_DIR "/graft", "graft", "generate", "--model", kBase.c_str(), "--temperature", "0",
            "--batch-tokens", "600", "--prompts", "many.jsonl", nullptr);
    ::_exit(9);
  }
  // The signal comes when the first row, which is short, has been printed and hundreds are left.
  int status = 0;
  while (read("out.txt").empty() && ::waitpid(child, &status, WNOHANG) == 0) ::usleep(20'000);
  ::kill(child, SIGINT);
  ::waitpid(child, &status, 0);
  ASSERT_EQ(WEXITSTATUS(status), 75) << read("err.txt");
  const std::vector<Json> written = rows_of(read("out.txt"));
  ASSERT_GE(written.size(), 1U);
  EXPECT_LT(written.size(), 401U);
  EXPECT_EQ(written[0]["row"], 0);
  EXPECT_NE(read("err.txt").find("stopped: " + std::to_string(written.size()) + " of 401 answers"),
            std::string::npos)
      << read("err.txt");
}

TEST_F(Prompts, TheBasesGenerationConfigIsTakenWhereItIsAskedFor) {
  const Outcome greedy =
      answer("--prompt hi --max-new-tokens 8 --generation-config");  // it says no do_sample
  EXPECT_EQ(greedy.out, answer("--prompt hi --max-new-tokens 8 --temperature 0 --repetition-penalty 1").out);
  const std::string sampled = "--prompt hi --max-new-tokens 8 --generation-config --temperature 2 --seed ";
  EXPECT_NE(answer(sampled + "1").out, answer(sampled + "2").out);
}

}  // namespace
}  // namespace graft

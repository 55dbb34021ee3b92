#include "cli/arguments.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/commands.h"

namespace graft {
namespace {

/// A verb with one option of every kind.
struct Everything {
  bool flag = false;
  std::string text = "default", needed, operand;
  std::optional<std::string> maybe;
  std::int64_t integer = -1;
  std::uint64_t seed = 42;
  double number = 0.5;
  std::vector<std::string> rest;

  bool parse(const std::vector<std::string>& words) {
    Arguments parser(
        {.verb = "test", .synopsis = "--needed N WORD [REST…]", .about = "A verb.", .example = "graft test"});
    parser.flag("flag", flag, "a flag");
    parser.option("text", "T", text, "a text");
    parser.option("needed", "N", needed, "needed", Need::kRequired);
    parser.option("maybe", "M", maybe, "maybe");
    parser.option("integer", "I", integer, "an integer");
    parser.option("seed", "S", seed, "a seed");
    parser.option("number", "X", number, "a number");
    parser.operand("WORD", operand);
    parser.operands("REST", rest);
    return parser.parse(words);
  }
};

std::string failure(std::vector<std::string> words, bool complete = true) {
  if (complete) words.insert(words.end(), {"--needed", "n", "word"});
  Everything all;
  try {
    all.parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return std::string(error.what()) + " | " + error.hint();
  }
  return "";
}

TEST(Arguments, ReachTheirVariables) {
  Everything all;
  EXPECT_TRUE(all.parse({"--flag", "--text", "a b", "word", "--maybe=x=y", "--integer", "-3",
                         "--seed=18446744073709551615", "--number", "-1e-3", "--needed=n", "k=v", "l=w"}));
  EXPECT_TRUE(all.flag);
  EXPECT_EQ(all.text, "a b");
  EXPECT_EQ(all.operand, "word");
  EXPECT_EQ(all.maybe, "x=y");
  EXPECT_EQ(all.integer, -3);
  EXPECT_EQ(all.seed, UINT64_MAX);
  EXPECT_EQ(all.number, -1e-3);
  EXPECT_EQ(all.needed, "n");
  EXPECT_EQ(all.rest, (std::vector<std::string>{"k=v", "l=w"}));
}

TEST(Arguments, NotGivenKeepTheirValues) {
  Everything all;
  EXPECT_TRUE(all.parse({"--needed", "n", "word"}));
  EXPECT_FALSE(all.flag);
  EXPECT_EQ(all.text, "default");
  EXPECT_EQ(all.maybe, std::nullopt);
  EXPECT_EQ(all.seed, 42U);
}

TEST(Arguments, AValueMayLookLikeAnOptionOrBeEmpty) {
  Everything all;
  EXPECT_TRUE(all.parse({"--needed", "-- hello", "--text", "", "word", "--maybe", "-x"}));
  EXPECT_EQ(all.needed, "-- hello");
  EXPECT_EQ(all.text, "");
  EXPECT_EQ(all.maybe, "-x");
}

TEST(Arguments, MistakesAreNamed) {
  EXPECT_EQ(failure({"--flg"}), "test: --flg: unknown option | did you mean --flag?");
  EXPECT_EQ(failure({"--flg=3"}), "test: --flg: unknown option | did you mean --flag?");
  EXPECT_EQ(failure({"--fl"}), "test: --fl: unknown option | did you mean --flag?");
  EXPECT_EQ(failure({"-x"}), "test: -x: unknown option | `graft test --help` lists the options");
  EXPECT_EQ(failure({"--seed", "1", "--seed", "2"}), "--seed: given twice | ");
  EXPECT_EQ(failure({"--integer", "3x"}), "--integer: not a number (got \"3x\", want an integer) | ");
  EXPECT_EQ(failure({"--integer", "3.5"}), "--integer: not a number (got \"3.5\", want an integer) | ");
  EXPECT_EQ(failure({"--seed", "-1"}), "--seed: not a number (got \"-1\", want an integer from 0) | ");
  EXPECT_EQ(failure({"--number", "nan"}), "--number: not finite (got nan, want a number) | ");
  EXPECT_EQ(failure({"--number", ""}), "--number: not a number (got \"\", want a number) | ");
  EXPECT_EQ(failure({"word"}, false),
            "test: --needed N is missing | usage: graft test --needed N WORD [REST…]");
  EXPECT_EQ(failure({"--needed", "n"}, false),
            "test: WORD is missing | usage: graft test --needed N WORD [REST…]");
  EXPECT_NE(failure({"--text"}, false).find("--text"), std::string::npos);
  EXPECT_NE(failure({"--text="}).find("--text"), std::string::npos);
  EXPECT_NE(failure({"--flag=yes"}).find("--flag"), std::string::npos);
}

TEST(Commands, EveryVerbHasHelpWithAnExample) {
  for (const Command& command : commands()) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(command.run({"--help"}), ExitCode::kDone) << command.name;
    std::fflush(stdout);
    const std::string help = testing::internal::GetCapturedStdout();
    EXPECT_TRUE(help.starts_with("usage: graft " + command.name)) << help;
    EXPECT_NE(help.find("\nexample:\n  graft " + command.name), std::string::npos) << help;
    EXPECT_NE(help.find("--json"), command.name == "train" ? 0 : std::string::npos) << help;
  }
}

TEST(Commands, AnUnknownVerbIsAnsweredWithTheNearest) {
  const auto answer = [](const std::vector<std::string>& words) {
    try {
      run_command_line(words);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      return std::string(error.what()) + " | " + error.hint();
    }
    return std::string();
  };
  EXPECT_EQ(answer({"trian"}), "trian: unknown verb | did you mean `graft train`?");
  EXPECT_EQ(answer({"data", "previw", "r.yaml"}), "data: unknown verb | did you mean `graft data preview`?");
  EXPECT_EQ(answer({"data", "clean"}),
            "data clean: not yet in this version of graft | `graft --help` lists the verbs there are");
  EXPECT_EQ(answer({}), "no verb | `graft --help` lists the verbs");
}

}  // namespace
}  // namespace graft

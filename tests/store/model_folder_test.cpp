#include "store/model_folder.h"

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace graft {
namespace {

TEST(ModelFolder, CarriesWhatReadsAndWritesTextAndTheLicenceButNoWeights) {
  const TemporaryFolder from, to;
  std::filesystem::create_directory(from / "additional_chat_templates");
  for (const char* name :
       {"tekken.json", "tokenizer.model", "chat_template.jinja", "generation_config.json", "LICENSE",
        "additional_chat_templates/tool_use.jinja", "additional_chat_templates/rag.jinja",
        "additional_chat_templates/notes.txt", "config.json", "model.safetensors", "optimizer.safetensors"})
    write_file(from / name, name);
  EXPECT_EQ(
      tokenizer_files(from.path()),
      (std::vector<Path>{"tokenizer.model", "tekken.json", "chat_template.jinja",
                         "additional_chat_templates/rag.jinja", "additional_chat_templates/tool_use.jinja"}));
  carry_tokenizer(from.path(), to.path());
  for (const Path& file : tokenizer_files(from.path()))
    EXPECT_EQ(read_file(to / file.string(), 1000), file.string());
  EXPECT_TRUE(std::filesystem::exists(to / "LICENSE"));
  EXPECT_TRUE(std::filesystem::exists(to / "generation_config.json"));
  for (const char* name :
       {"config.json", "model.safetensors", "optimizer.safetensors", "additional_chat_templates/notes.txt"})
    EXPECT_FALSE(std::filesystem::exists(to / name)) << name;
}

}  // namespace
}  // namespace graft

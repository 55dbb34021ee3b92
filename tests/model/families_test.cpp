#include "model/families.h"

#include <gtest/gtest.h>

#include <set>

namespace graft {
namespace {

const Family& llama() { return *find_family("LlamaForCausalLM"); }

TEST(Families, EveryModuleTranslatesThereAndBack) {
  for (const Family& family : families()) {
    for (const ModuleName& module : family.modules) {
      for (const char* suffix : {".weight", ".bias"}) {
        std::string name(module.hugging_face);
        if (const auto brace = name.find("{}"); brace != std::string::npos) name.replace(brace, 2, "17");
        const bool of_experts = name.find("{}") != std::string::npos;
        const auto there = gguf_name(family, numbered(name, 5) + suffix);
        ASSERT_TRUE(there.has_value()) << name;
        EXPECT_EQ(there->name.find('{'), std::string::npos);
        EXPECT_EQ(there->of_experts, of_experts);
        const auto back = hugging_face_name(family, there->name);
        EXPECT_EQ(numbered(back->name, 5), numbered(name, 5) + suffix);
        EXPECT_EQ(back->order, module.order);
        EXPECT_EQ(back->of_experts, of_experts);
      }
    }
  }
}

TEST(Families, NamesThatOnlyLookAlikeAreNotTranslated) {
  for (const char* name :
       {"blk.x.attn_q.weight", "blk..attn_q.weight", "blk.01.attn_q.weight", "blk.1.attn_q",
        "blk.1.attn_q.scale", "xblk.1.attn_q.weight", "blk.1.2.attn_q.weight", "weight", "", "."}) {
    EXPECT_FALSE(hugging_face_name(llama(), name).has_value()) << name;
  }
}

TEST(Families, OnlyQueriesAndKeysOfLlamaLieInPairs) {
  EXPECT_EQ(hugging_face_name(llama(), "blk.0.attn_q.weight")->order, RowOrder::kQueryPairs);
  EXPECT_EQ(hugging_face_name(llama(), "blk.0.attn_k.bias")->order, RowOrder::kKeyPairs);
  EXPECT_EQ(hugging_face_name(llama(), "blk.0.attn_v.weight")->order, RowOrder::kSame);
}

TEST(Families, PairedRowsOfAHeadAreAPermutationWithinIt) {
  std::set<std::int64_t> seen;
  for (std::int64_t row = 8; row < 16; ++row) seen.insert(paired_row(row, 8));
  EXPECT_EQ(seen, (std::set<std::int64_t>{8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(paired_row(8, 8), 8);   // first of the first half: first of a pair
  EXPECT_EQ(paired_row(12, 8), 9);  // first of the second half: its partner
  EXPECT_EQ(paired_row(9, 8), 10);
}

TEST(Families, AnExpertHasTheNameOfItsBlocksStack) {
  const Family& family = *find_family("Qwen3MoeForCausalLM");
  EXPECT_EQ(gguf_name(family, "model.layers.3.mlp.experts.17.up_proj.weight")->name,
            "blk.3.ffn_up_exps.weight");
  EXPECT_EQ(hugging_face_name(family, "blk.3.ffn_up_exps.weight")->name,
            "model.layers.3.mlp.experts.{}.up_proj.weight");
  for (const char* name :
       {"model.layers.3.mlp.experts.07.up_proj.weight", "model.layers.3.mlp.experts..up_proj.weight",
        "model.layers.3.mlp.experts.up_proj.weight", "model.layers.3.mlp.experts.1.2.up_proj.weight",
        "model.layers.3.mlp.experts.{}.up_proj.weight"})
    EXPECT_FALSE(gguf_name(family, name).has_value()) << name;
}

TEST(Families, OfOneGgufArchitectureTheRowWithExpertsIsFoundForFilesThatHaveThem) {
  EXPECT_EQ(find_family_of_gguf_with_experts("qwen3moe"), find_family("Qwen3MoeForCausalLM"));
  EXPECT_EQ(find_family_of_gguf_with_experts("qwen3"), nullptr);
}

TEST(Families, UnknownNamesFindNothing) {
  EXPECT_EQ(find_family("GPT2LMHeadModel"), nullptr);
  EXPECT_EQ(find_family_of_type("gpt2"), nullptr);
  EXPECT_EQ(find_family_of_gguf("gpt2"), nullptr);
  EXPECT_NE(known_architectures().find("LlamaForCausalLM"), std::string::npos);
}

}  // namespace
}  // namespace graft

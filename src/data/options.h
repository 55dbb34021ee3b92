#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft {

/// What becomes of an example longer than max_seq_len.
enum class OverLength { kDrop, kTruncate, kError };
/// Which turns of a conversation are learned.
enum class TrainOn { kAssistant, kLastTurn, kAll };

/// One file of rows.
struct DataSource {
  std::string path;              ///< absolute, or relative to the working directory (the recipe resolves it)
  std::string format = "auto";   ///< auto | messages | sharegpt | alpaca | prompt_completion | text | tokens
  std::int64_t max_samples = 0;  ///< first rows taken, 0 = all
};

/// Section `data` of a recipe.
struct DataOptions {
  std::int64_t max_seq_len = 2048;  ///< tokens, >= 2
  OverLength over_length = OverLength::kDrop;
  std::string chat_template =
      "auto";  ///< auto | chatml, llama3… | the name of one of the model's | path of a .jinja file
  std::string template_date = "today";  ///< what a template that writes a date sees: today | YYYY-MM-DD
  TrainOn train_on = TrainOn::kAssistant;
  std::vector<DataSource> train;
  std::vector<DataSource> eval;  ///< held-out rows; or eval_fraction
  double eval_fraction = 0.0;    ///< share of the training rows held out, [0, 1)
  bool shuffle = true;           ///< false: file order, every epoch
  bool raw_rows_only = false;    ///< objective pretrain: rows of text and token rows; others are errors
};

}  // namespace graft

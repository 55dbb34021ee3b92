#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generate/generate.h"
#include "generate/stop_strings.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// The messages as the model expects them, up to where its answer begins. Only the template adds beginnings.
/// `inputs`: what the template reads beside the messages (tools, documents, variables).
std::vector<std::int32_t> chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                      std::span<const Message> messages, RenderOptions inputs = {});

/// An answer as text, and why it ended.
struct Answer {
  std::string text;
  StopReason reason = StopReason::kLength;
  std::size_t tokens = 0;  ///< written, without the stop token
};

/// Makes text of an answer's tokens as they come, up to the first stop string. on_text gets whole characters
/// only, and may end the answer by returning false. Special tokens leave no text.
class AnswerWriter {
 public:
  AnswerWriter(const Tokenizer& tokenizer, std::vector<std::string> stop,
               std::function<bool(std::string_view)> on_text = {})
      : tokenizer_(tokenizer), decoder_(tokenizer), stop_(std::move(stop)), on_text_(std::move(on_text)) {}

  /// Takes the next token; false where the answer is to end.
  bool put(std::int32_t token);
  /// The answer, once its last token came.
  Answer finish(const Generated& generated);

 private:
  bool write(const std::string& text);

  const Tokenizer& tokenizer_;
  StreamDecoder decoder_;
  StopStrings stop_;
  std::function<bool(std::string_view)> on_text_;
  std::string text_;
};

/// Runs the generator and turns tokens into text as they come (AnswerWriter). request.on_token is not used.
/// Errors: as Generator::run.
Answer write_answer(Generator& generator, const Tokenizer& tokenizer, Request request,
                    const std::function<bool(std::string_view)>& on_text = {});

}  // namespace graft

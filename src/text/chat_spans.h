#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/chat.h"

namespace graft {

/// Renders some messages of a conversation, with a generation prompt or without. Throws Error where the
/// template refuses them.
using RenderMessages = std::function<std::string(const std::vector<Json>& messages, bool generation_prompt)>;

/// What each assistant message of `text`, the rendering of `messages` without a generation prompt, wrote:
/// found by rendering with and without it. A span begins where the generation prompt ends and ends with the
/// end of turn, without the white space after that. Error where a template writes a message so that this
/// cannot be told: the reason, and the message.
std::vector<RenderedChat::Span> find_assistant_spans(const std::vector<Json>& messages,
                                                     const std::string& text, const RenderMessages& render);

}  // namespace graft

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/example.h"
#include "text/tokenizer.h"

namespace graft {

/// How learned tokens are shown: in colour (a terminal), or between [[ and ]].
enum class PreviewMarks { kColour, kBrackets };

/// Labels of an example as Hugging Face writes them: label i belongs to token i, kIgnoreLabel = not learned.
std::vector<std::int32_t> labels_of(const Example& example);

/// {"source": "file:line", "input_ids": […], "labels": […]}: exactly what is trained, labels not shifted.
Json preview_json(const Example& example);

/// The example's text, control tokens included, with what is learned marked. Control bytes other than line
/// breaks and tabs are written \xNN, so that a row cannot drive the terminal.
std::string preview_text(const Example& example, const Tokenizer& tokenizer, PreviewMarks marks);

}  // namespace graft

#include "data/readers.h"

namespace graft {

/// {"text"}: raw text, learned whole.
RowValue read_text(const JsonView& row, PromptForm) { return Text{row.at("text").as_string()}; }

}  // namespace graft

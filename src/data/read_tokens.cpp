#include <limits>

#include "base/error.h"
#include "data/example.h"
#include "data/readers.h"

namespace graft {
namespace {

constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max();

std::vector<std::int32_t> ids_of(const JsonView& list) {
  std::vector<std::int32_t> ids;
  ids.reserve(list.size());
  list.each_element(
      [&](const JsonView& id) { ids.push_back(static_cast<std::int32_t>(id.as_int(0, kMaxId))); });
  return ids;
}

std::vector<std::int32_t> labels_of(const JsonView& list) {
  std::vector<std::int32_t> labels;
  labels.reserve(list.size());
  list.each_element([&](const JsonView& label) {
    const std::int64_t value = label.as_int();
    check(value == kIgnoreLabel || (value >= 0 && value <= kMaxId), label, ": got ", value,
          ", want a token id or -100 (no loss)");
    labels.push_back(static_cast<std::int32_t>(value));
  });
  return labels;
}

}  // namespace

/// {"input_ids", "labels"?} as Hugging Face's collators take them: label i belongs to token i, -100 = no
/// loss; without labels every token is learned. Padding (attention_mask 0) is refused: graft has none.
RowValue read_tokens(const JsonView& row, PromptForm) {
  TokenRow tokens{.ids = ids_of(row.at("input_ids")), .labels = {}};
  const auto labels = row.find("labels");
  tokens.labels = labels ? labels_of(*labels) : tokens.ids;
  check(tokens.labels.size() == tokens.ids.size(), labels ? *labels : row, ": got ", tokens.labels.size(),
        " labels for ", tokens.ids.size(), " input_ids, want as many");
  if (const auto mask = row.find("attention_mask")) {
    mask->each_element([](const JsonView& value) {
      check(value.as_int() == 1, value, ": padding is not supported", Hint{"leave the padded tokens out"});
    });
  }
  return tokens;
}

}  // namespace graft

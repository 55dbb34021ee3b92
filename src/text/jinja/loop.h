#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace graft {

/// The state of a running `for`, which its `loop` variable shows. Items are tested when they are needed, as
/// in Jinja: the test may see what the body has changed.
class JinjaLoop {
 public:
  using Test = std::function<bool(const JinjaValue& item)>;
  JinjaLoop(JinjaRuntime& runtime, std::vector<JinjaValue> items, Test test)
      : runtime_(runtime), items_(std::move(items)), test_(std::move(test)) {}

  /// Goes to the next item that passes the test. False at the end.
  bool advance();
  const JinjaValue& item() const { return now_; }

  /// loop.name, or nothing. `self` keeps the loop alive while its methods are.
  static std::optional<JinjaValue> attribute(const std::shared_ptr<JinjaLoop>& self, std::string_view name);
  /// The `loop` variable.
  static JinjaValue variable(const std::shared_ptr<JinjaLoop>& self, std::size_t depth);

 private:
  const JinjaValue* peek();
  std::int64_t length();
  JinjaValue cycle(const JinjaArguments& arguments) const;
  JinjaValue changed(const JinjaArguments& arguments);

  JinjaRuntime& runtime_;
  std::vector<JinjaValue> items_;  // from next_ on not tested yet, but for the `ready_` ones before it
  Test test_;
  std::size_t next_ = 0;           // of items_
  std::vector<JinjaValue> ready_;  // tested and waiting
  std::size_t ready_begin_ = 0;
  std::int64_t index0_ = -1;
  JinjaValue now_, before_;
  std::optional<std::vector<JinjaValue>> last_seen_;  // by changed()
};

}  // namespace graft

#include "text/jinja/loop.h"

// Source: jinja2/runtime.py, LoopContext.

namespace graft {

const JinjaValue* JinjaLoop::peek() {
  if (ready_begin_ < ready_.size()) return &ready_[ready_begin_];
  while (next_ < items_.size()) {
    constexpr std::size_t kStep = 32;
    runtime_.charge(kStep);
    JinjaValue item = items_[next_++];
    if (test_ && !test_(item)) continue;
    ready_.clear();
    ready_begin_ = 0;
    ready_.push_back(std::move(item));
    return &ready_.front();
  }
  return nullptr;
}

bool JinjaLoop::advance() {
  const JinjaValue* next = peek();
  if (next == nullptr) return false;
  before_ = std::exchange(now_, *next);
  ++ready_begin_;
  ++index0_;
  return true;
}

std::int64_t JinjaLoop::length() {
  while (next_ < items_.size()) {
    JinjaValue item = items_[next_++];
    if (!test_ || test_(item)) ready_.push_back(std::move(item));
  }
  return index0_ + 1 + static_cast<std::int64_t>(ready_.size() - ready_begin_);
}

JinjaValue JinjaLoop::cycle(const JinjaArguments& arguments) const {
  if (arguments.positional.empty()) runtime_.fail("loop.cycle: no items");
  return arguments.positional[static_cast<std::size_t>(index0_) % arguments.positional.size()];
}

JinjaValue JinjaLoop::changed(const JinjaArguments& arguments) {
  const auto same = [](const JinjaValue& a, const JinjaValue& b) { return jinja_equal(a, b); };
  if (last_seen_ && std::ranges::equal(*last_seen_, arguments.positional, same)) return false;
  last_seen_ = arguments.positional;
  return true;
}

JinjaValue JinjaLoop::variable(const std::shared_ptr<JinjaLoop>& self, std::size_t depth) {
  auto object = std::make_shared<JinjaObject>();
  object->type = "LoopContext";
  object->depth = depth + 1;
  object->attribute = [self](std::string_view name) { return attribute(self, name); };
  return JinjaValue(std::move(object));
}

std::optional<JinjaValue> JinjaLoop::attribute(const std::shared_ptr<JinjaLoop>& self,
                                               std::string_view name) {
  const auto method = [&](JinjaValue (*call)(JinjaLoop&, const JinjaArguments&)) {
    auto object = std::make_shared<JinjaObject>();
    object->type = "method";
    object->call = [self, call](const JinjaArguments& arguments) { return call(*self, arguments); };
    return JinjaValue(std::move(object));
  };
  JinjaLoop& loop = *self;
  if (name == "index") return loop.index0_ + 1;
  if (name == "index0") return loop.index0_;
  if (name == "first") return loop.index0_ == 0;
  if (name == "last") return loop.peek() == nullptr;
  if (name == "length") return loop.length();
  if (name == "revindex") return loop.length() - loop.index0_;
  if (name == "revindex0") return loop.length() - loop.index0_ - 1;
  if (name == "depth") return std::int64_t{1};
  if (name == "depth0") return std::int64_t{0};
  if (name == "previtem")
    return loop.index0_ == 0 ? JinjaValue::undefined("there is no previous item") : loop.before_;
  if (name == "nextitem") {
    const JinjaValue* next = loop.peek();
    return next ? *next : JinjaValue::undefined("there is no next item");
  }
  if (name == "cycle")
    return method([](JinjaLoop& l, const JinjaArguments& arguments) { return l.cycle(arguments); });
  if (name == "changed")
    return method([](JinjaLoop& l, const JinjaArguments& arguments) { return l.changed(arguments); });
  return std::nullopt;
}

}  // namespace graft

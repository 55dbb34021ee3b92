#include "base/json.h"

#include <cmath>
#include <ostream>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

// RFC 6901: "~" and "/" inside a key are written ~0 and ~1.
void append_pointer(std::string& pointer, std::string_view key) {
  pointer += '/';
  for (const char c : key) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
}

const char* kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::number_float:
      return "a number with a fraction";
    default:
      return "an integer";
  }
}

[[noreturn]] void fail_kind(const JsonView& view, const char* want) {
  fail(view, ": got ", kind_of(view.json()), ", want ", want);
}

}  // namespace

JsonView::JsonView(const Json& value, std::string source, std::string pointer)
    : value_(&value),
      source_(std::make_shared<const std::string>(std::move(source))),
      pointer_(std::move(pointer)) {}

JsonView::JsonView(const Json& value, const JsonView& parent, std::string_view key)
    : value_(&value), source_(parent.source_), pointer_(parent.pointer_) {
  append_pointer(pointer_, key);
}

std::string JsonView::where() const {
  return pointer_.empty() ? printable(*source_) : printable(*source_) + ": " + printable(pointer_);
}

std::ostream& operator<<(std::ostream& out, const JsonView& view) { return out << view.where(); }

JsonView JsonView::at(std::string_view key) const {
  if (!is_object()) fail_kind(*this, "an object");
  const auto member = value_->find(key);
  if (member == value_->end()) fail(JsonView(*value_, *this, key), ": missing");
  return {*member, *this, key};
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!is_object()) fail_kind(*this, "an object");
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return JsonView(*member, *this, key);
}

JsonView JsonView::at(std::size_t index) const {
  if (!is_array()) fail_kind(*this, "a list");
  check(index < value_->size(), *this, ": got ", value_->size(), " elements, want more than ", index);
  return {(*value_)[index], *this, std::to_string(index)};
}

std::size_t JsonView::size() const {
  if (!is_array() && !is_object()) fail_kind(*this, "a list or an object");
  return value_->size();
}

void JsonView::each_member(const std::function<void(const std::string&, const JsonView&)>& visit) const {
  if (!is_object()) fail_kind(*this, "an object");
  for (const auto& [key, member] : value_->get_ref<const Json::object_t&>()) {
    visit(key, JsonView(member, *this, key));
  }
}

void JsonView::each_element(const std::function<void(const JsonView&)>& visit) const {
  if (!is_array()) fail_kind(*this, "a list");
  for (std::size_t i = 0; i < value_->size(); ++i) visit(at(i));
}

const std::string& JsonView::as_string() const {
  if (!is_string()) fail_kind(*this, "a string");
  return value_->get_ref<const std::string&>();
}

bool JsonView::as_bool() const {
  if (!is_boolean()) fail_kind(*this, "a boolean");
  return value_->get<bool>();
}

std::int64_t JsonView::as_int(std::int64_t low, std::int64_t high) const {
  if (!value_->is_number_integer()) fail_kind(*this, "an integer");
  const bool too_large =
      value_->is_number_unsigned() && value_->get<std::uint64_t>() > std::uint64_t{INT64_MAX};
  const std::int64_t number = value_->get<std::int64_t>();
  if (!too_large && number >= low && number <= high) return number;
  if (high == INT64_MAX) fail(*this, ": got ", value_->dump(), ", want an integer of at least ", low);
  fail(*this, ": got ", value_->dump(), ", want ", low, " to ", high);
}

double JsonView::as_double() const {
  if (!is_number()) fail_kind(*this, "a number");
  const double number = value_->get<double>();
  check(std::isfinite(number), *this, ": got ", number, ", want a finite number");
  return number;
}

std::string to_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace graft

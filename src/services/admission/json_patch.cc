#include "services/admission/json_patch.h"

#include <charconv>
#include <optional>

namespace hami::admission {
namespace {

// The element a step names, or null. Arrays take decimal positions within their size.
Json* Step(Json& at, const std::string& step) {
  if (auto* object = at.if_object()) return object->if_contains(step);
  auto* array = at.if_array();
  if (array == nullptr) return nullptr;
  size_t index = 0;
  auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
  bool all = error == std::errc() && end == step.data() + step.size();
  return all && index < array->size() ? &(*array)[index] : nullptr;
}

// {"b": {"c": value}} for steps b, c.
Json Nest(std::span<const std::string> steps, Json value) {
  for (size_t i = steps.size(); i-- > 0;) {
    boost::json::object object;
    object.emplace(steps[i], std::move(value));
    value = std::move(object);
  }
  return value;
}

}  // namespace

std::string JsonPointer(std::span<const std::string> path) {
  std::string pointer;
  for (const std::string& step : path) {
    pointer += '/';
    for (char c : step) {
      if (c == '~') {
        pointer += "~0";
      } else if (c == '/') {
        pointer += "~1";
      } else {
        pointer += c;
      }
    }
  }
  return pointer;
}

Json* JsonPatch::Walk(std::span<const std::string> path) {
  Json* at = &document_;
  for (const std::string& step : path) {
    at = Step(*at, step);
    if (at == nullptr) return nullptr;
  }
  return at;
}

void JsonPatch::Emit(std::string_view op, std::span<const std::string> path, const Json* value) {
  boost::json::object operation;
  operation["op"] = op;
  operation["path"] = JsonPointer(path);
  if (value != nullptr) operation["value"] = *value;
  operations_.push_back(std::move(operation));
}

Result<void> JsonPatch::Set(const JsonPath& path, Json value) {
  // The deepest object that exists; what is missing below it becomes one nested value.
  Json* at = &document_;
  size_t depth = 0;
  while (depth < path.size()) {
    Json* next = Step(*at, path[depth]);
    if (next == nullptr || (next->is_null() && depth + 1 < path.size())) break;
    at = next;
    ++depth;
  }
  if (depth == path.size()) {
    if (*at == value) return {};
    Emit("replace", path, &value);
    *at = std::move(value);
    return {};
  }
  if (!at->is_object()) {
    return Fail(Code::kInvalidArgument,
                JsonPointer(std::span(path).first(depth)) + ": expected an object");
  }
  std::span<const std::string> missing = std::span(path).subspan(depth + 1);
  Json nested = Nest(missing, std::move(value));
  Emit("add", std::span(path).first(depth + 1), &nested);
  at->get_object().insert_or_assign(path[depth], std::move(nested));
  return {};
}

Result<void> JsonPatch::Append(const JsonPath& path, Json value) {
  Json* at = Walk(path);
  if (at == nullptr || at->is_null()) return Set(path, boost::json::array{std::move(value)});
  if (!at->is_array()) {
    return Fail(Code::kInvalidArgument, JsonPointer(path) + ": expected an array");
  }
  JsonPath end = path;
  end.emplace_back("-");
  Emit("add", end, &value);
  at->get_array().push_back(std::move(value));
  return {};
}

void JsonPatch::Remove(const JsonPath& path) {
  Json* parent = Walk(std::span(path).first(path.size() - 1));
  auto* object = parent == nullptr ? nullptr : parent->if_object();
  if (object == nullptr || object->erase(path.back()) == 0) return;
  Emit("remove", path, nullptr);
}

}  // namespace hami::admission

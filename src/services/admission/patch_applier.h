// For tests: a strict RFC 6902 applier, written apart from JsonPatch so that each checks the other.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace hami::admission {

namespace patch_detail {

inline std::vector<std::string> Split(std::string_view pointer) {
  std::vector<std::string> steps;
  for (size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      steps.emplace_back();
    } else if (pointer[i] == '~') {
      steps.back() += pointer.at(++i) == '1' ? '/' : '~';
    } else {
      steps.back() += pointer[i];
    }
  }
  return steps;
}

}  // namespace patch_detail

// Errors: kInvalidArgument for any operation that RFC 6902 calls an error ("add" into an absent
// parent, "remove" or "replace" of an absent member). Only add, remove and replace exist here.
inline Result<Json> ApplyPatch(Json document, const Json& operations) {
  for (const Json& operation : operations.as_array()) {
    std::string_view op = StringAt(operation, {"op"});
    std::string path(StringAt(operation, {"path"}));
    std::vector<std::string> steps = patch_detail::Split(path);
    if (steps.empty()) return Fail(Code::kInvalidArgument, "whole document");
    Json* parent = &document;
    for (size_t i = 0; i + 1 < steps.size(); ++i) {
      if (auto* object = parent->if_object()) {
        parent = object->if_contains(steps[i]);
      } else if (auto* array = parent->if_array()) {
        size_t index = std::stoul(steps[i]);
        parent = index < array->size() ? &(*array)[index] : nullptr;
      } else {
        parent = nullptr;
      }
      if (parent == nullptr) return Fail(Code::kInvalidArgument, path + ": parent is absent");
    }
    const Json* value = Find(operation, {"value"});
    if ((op != "remove") == (value == nullptr))
      return Fail(Code::kInvalidArgument, path + ": value");
    if (auto* array = parent->if_array()) {
      if (op == "add" && steps.back() == "-") {
        array->push_back(*value);
        continue;
      }
      bool number = !steps.back().empty() &&
                    steps.back().find_first_not_of("0123456789") == std::string::npos;
      if (op != "replace" || !number || std::stoul(steps.back()) >= array->size()) {
        return Fail(Code::kInvalidArgument, path + ": array");
      }
      (*array)[std::stoul(steps.back())] = *value;
      continue;
    }
    auto* object = parent->if_object();
    if (object == nullptr) return Fail(Code::kInvalidArgument, path + ": parent is a leaf");
    bool there = object->contains(steps.back());
    if (op != "add" && !there) return Fail(Code::kInvalidArgument, path + ": absent");
    if (op == "remove") {
      object->erase(steps.back());
    } else if (op == "add" || op == "replace") {
      object->insert_or_assign(steps.back(), *value);
    } else {
      return Fail(Code::kInvalidArgument, path + ": operation " + std::string(op));
    }
  }
  return document;
}

}  // namespace hami::admission

// JSON trees, for what is small or must be looked at freely: configuration, webhook objects,
// replies.
//
// Hot reading (lists, watch events) is done by base/json_reader.h. Values, no threads.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hami {

using Json = boost::json::value;

// Errors: kInvalidArgument with the byte offset. Depth at most 128.
Result<Json> ParseJson(std::string_view text);
std::string ToJson(const Json& value);

// Walks object keys; null when a step is missing or not an object. No allocation.
const Json* Find(const Json& root, std::initializer_list<std::string_view> path);
// The string there, or "" when absent or of another type.
std::string_view StringAt(const Json& root, std::initializer_list<std::string_view> path);
// Whole numbers only; a double with a fraction is absent.
std::optional<int64_t> IntAt(const Json& root, std::initializer_list<std::string_view> path);
std::optional<bool> BoolAt(const Json& root, std::initializer_list<std::string_view> path);

}  // namespace hami

#include "base/json.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>
#include <cmath>

namespace hami {

namespace json = boost::json;

Result<Json> ParseJson(std::string_view text) {
  json::parse_options options;
  options.max_depth = 128;
  json::stream_parser parser({}, options);
  json::error_code ec;
  size_t used = parser.write_some(text.data(), text.size(), ec);
  if (!ec && used == text.size()) parser.finish(ec);
  if (ec) {
    return Fail(Code::kInvalidArgument,
                "JSON at byte " + std::to_string(used) + ": " + ec.message());
  }
  if (text.substr(used).find_first_not_of(" \t\r\n") != std::string_view::npos) {
    return Fail(Code::kInvalidArgument,
                "JSON at byte " + std::to_string(used) + ": text after the value");
  }
  return parser.release();
}

std::string ToJson(const Json& value) { return json::serialize(value); }

const Json* Find(const Json& root, std::initializer_list<std::string_view> path) {
  const Json* at = &root;
  for (std::string_view step : path) {
    const json::object* object = at->if_object();
    if (object == nullptr) return nullptr;
    at = object->if_contains(step);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string_view StringAt(const Json& root, std::initializer_list<std::string_view> path) {
  const Json* at = Find(root, path);
  if (at == nullptr || !at->is_string()) return {};
  return at->get_string();
}

std::optional<int64_t> IntAt(const Json& root, std::initializer_list<std::string_view> path) {
  const Json* at = Find(root, path);
  if (at == nullptr) return std::nullopt;
  if (at->is_int64()) return at->get_int64();
  if (at->is_uint64() && at->get_uint64() <= INT64_MAX) {
    return static_cast<int64_t>(at->get_uint64());
  }
  if (at->is_double() && std::trunc(at->get_double()) == at->get_double() &&
      std::fabs(at->get_double()) < 9e15) {
    return static_cast<int64_t>(at->get_double());
  }
  return std::nullopt;
}

std::optional<bool> BoolAt(const Json& root, std::initializer_list<std::string_view> path) {
  const Json* at = Find(root, path);
  if (at == nullptr || !at->is_bool()) return std::nullopt;
  return at->get_bool();
}

}  // namespace hami

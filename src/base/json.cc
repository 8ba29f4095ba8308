#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>

namespace hami {

namespace json = boost::json;

namespace {

// Builds the value. The library's own handler takes the parser's doubles, of which every third is
// off by a bit: what was read and written again would not be the same.
class Builder {
 public:
  static constexpr size_t max_object_size = json::object::max_size();
  static constexpr size_t max_array_size = json::array::max_size();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();
  using View = json::string_view;
  using Ec = json::error_code;

  Json Release() { return stack_.release(); }

  bool on_document_begin(Ec&) { return stack_.reset(), true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) { return true; }
  bool on_object_end(size_t count, Ec&) { return stack_.push_object(count), true; }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(size_t count, Ec&) { return stack_.push_array(count), true; }
  bool on_key_part(View part, size_t, Ec&) { return stack_.push_chars(part), true; }
  bool on_key(View last, size_t, Ec&) { return stack_.push_key(last), true; }
  bool on_string_part(View part, size_t, Ec&) { return stack_.push_chars(part), true; }
  bool on_string(View last, size_t, Ec&) { return stack_.push_string(last), true; }
  bool on_number_part(View part, Ec&) { return number_.append(part), true; }
  bool on_int64(int64_t value, View, Ec&) {
    return number_.clear(), stack_.push_int64(value), true;
  }
  bool on_uint64(uint64_t value, View, Ec&) {
    return number_.clear(), stack_.push_uint64(value), true;
  }
  bool on_double(double value, View last, Ec&) {
    number_.append(last);
    double exact = 0;
    const auto read = std::from_chars(number_.data(), number_.data() + number_.size(), exact);
    number_.clear();
    return stack_.push_double(read.ec == std::errc() ? exact : value), true;  // else out of range
  }
  bool on_bool(bool value, Ec&) { return stack_.push_bool(value), true; }
  bool on_null(Ec&) { return stack_.push_null(), true; }
  bool on_comment_part(View, Ec&) { return true; }
  bool on_comment(View, Ec&) { return true; }

 private:
  json::value_stack stack_;
  std::string number_;
};

}  // namespace

Result<Json> ParseJson(std::string_view text) {
  json::parse_options options;
  options.max_depth = 128;
  json::basic_parser<Builder> parser(options);
  json::error_code ec;
  size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec) {
    return Fail(Code::kInvalidArgument,
                "JSON at byte " + std::to_string(used) + ": " + ec.message());
  }
  if (text.substr(used).find_first_not_of(" \t\r\n") != std::string_view::npos) {
    return Fail(Code::kInvalidArgument,
                "JSON at byte " + std::to_string(used) + ": text after the value");
  }
  return parser.handler().Release();
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

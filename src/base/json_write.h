// JSON writing, byte-stable: keys come out in the order written. Values, no threads.
//
//   JsonWriter w;  w.Object([&] { w.Key("a").Int(1).Key("b").String("x"); });  w.Take();
//
// Two escapings: plain (shortest valid JSON) and Go's encoding/json, which also escapes < > & and
// U+2028/2029: use the latter where users compare bytes with the reference
// (spec/device-plugin 5.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hami {

enum class JsonEscape : uint8_t { kPlain, kGo };

// Appends `s` with quotes. Invalid UTF-8 becomes U+FFFD, as Go does.
void AppendJsonString(std::string& out, std::string_view s, JsonEscape escape = JsonEscape::kPlain);

class JsonWriter {
 public:
  explicit JsonWriter(JsonEscape escape = JsonEscape::kPlain) : escape_(escape) {}

  template <class F>
  JsonWriter& Object(F&& body) {
    Open('{');
    std::forward<F>(body)();
    return Close('}');
  }
  template <class F>
  JsonWriter& Array(F&& body) {
    Open('[');
    std::forward<F>(body)();
    return Close(']');
  }
  JsonWriter& Key(std::string_view key);
  JsonWriter& String(std::string_view value);
  JsonWriter& Int(int64_t value);
  JsonWriter& Uint(uint64_t value);
  JsonWriter& Double(double value);  // shortest form that reads back equal; not finite becomes null
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  JsonWriter& Raw(std::string_view json);  // one complete JSON value, trusted

  const std::string& text() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Open(char c);
  JsonWriter& Close(char c);
  void Separate();

  std::string out_;
  JsonEscape escape_;
  bool first_ = true;  // nothing written yet in the innermost container
  bool after_key_ = false;
};

}  // namespace hami

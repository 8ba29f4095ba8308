#include "base/json_write.h"

#include <charconv>
#include <cmath>

namespace hami {
namespace {

// Length of the valid UTF-8 sequence at s[0], or 0.
size_t Utf8Length(std::string_view s) {
  auto cont = [&](size_t i) { return i < s.size() && (s[i] & 0xC0) == 0x80; };
  unsigned char c = static_cast<unsigned char>(s[0]);
  if (c < 0x80) return 1;
  auto second = [&](unsigned lo, unsigned hi) {
    if (s.size() < 2) return false;
    unsigned b = static_cast<unsigned char>(s[1]);
    return b >= lo && b <= hi;
  };
  if (c >= 0xC2 && c <= 0xDF) return cont(1) ? 2 : 0;
  if (c == 0xE0) return second(0xA0, 0xBF) && cont(2) ? 3 : 0;
  if (c == 0xED) return second(0x80, 0x9F) && cont(2) ? 3 : 0;
  if (c >= 0xE1 && c <= 0xEF) return cont(1) && cont(2) ? 3 : 0;
  if (c == 0xF0) return second(0x90, 0xBF) && cont(2) && cont(3) ? 4 : 0;
  if (c == 0xF4) return second(0x80, 0x8F) && cont(2) && cont(3) ? 4 : 0;
  if (c >= 0xF1 && c <= 0xF3) return cont(1) && cont(2) && cont(3) ? 4 : 0;
  return 0;
}

void AppendEscape(std::string& out, unsigned code) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(code >> shift) & 0xF];
}

void AppendAscii(std::string& out, char c, JsonEscape escape) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  bool html = escape == JsonEscape::kGo && (c == '<' || c == '>' || c == '&');
  if (static_cast<unsigned char>(c) < 0x20 || html) {
    AppendEscape(out, static_cast<unsigned char>(c));
  } else {
    out += c;
  }
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view s, JsonEscape escape) {
  out += '"';
  for (size_t i = 0; i < s.size();) {
    size_t n = Utf8Length(s.substr(i));
    if (n == 1) {
      AppendAscii(out, s[i], escape);
    } else if (n == 0) {
      AppendEscape(out, 0xFFFD);
      n = 1;
    } else if (escape == JsonEscape::kGo && n == 3 && s.substr(i, 2) == "\xE2\x80" &&
               (s[i + 2] == '\xA8' || s[i + 2] == '\xA9')) {
      AppendEscape(out, s[i + 2] == '\xA8' ? 0x2028 : 0x2029);
    } else {
      out += s.substr(i, n);
    }
    i += n;
  }
  out += '"';
}

void JsonWriter::Separate() {
  if (!after_key_ && !first_) out_ += ',';
  first_ = false;
  after_key_ = false;
}

void JsonWriter::Open(char c) {
  Separate();
  out_ += c;
  first_ = true;
}

JsonWriter& JsonWriter::Close(char c) {
  out_ += c;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  Separate();
  AppendJsonString(out_, key, escape_);
  out_ += ':';
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view value) {
  Separate();
  AppendJsonString(out_, value, escape_);
  return *this;
}

JsonWriter& JsonWriter::Int(int64_t value) { return Raw(std::to_string(value)); }
JsonWriter& JsonWriter::Uint(uint64_t value) { return Raw(std::to_string(value)); }
JsonWriter& JsonWriter::Bool(bool value) { return Raw(value ? "true" : "false"); }
JsonWriter& JsonWriter::Null() { return Raw("null"); }

JsonWriter& JsonWriter::Double(double value) {
  if (!std::isfinite(value)) return Null();
  char buffer[32];
  auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return Raw(std::string_view(buffer, static_cast<size_t>(end - buffer)));
}

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_ += json;
  return *this;
}

}  // namespace hami

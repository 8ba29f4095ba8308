#include "domain/protocol/config_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/edit_distance.h"

namespace hami::protocol {
namespace {

template <class T>
std::optional<T> ParseWhole(std::string_view text) {
  T value{};
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool ConfigReader::Same(std::string_view a, std::string_view b) const {
  if (key_case_ == KeyCase::kExact) return a == b;
  return std::ranges::equal(a, b, [](char x, char y) { return Lower(x) == Lower(y); });
}

const Json* ConfigReader::Value(std::string_view key) {
  known_.emplace_back(key);
  const auto* object = section_.if_object();
  if (object == nullptr) return nullptr;
  for (const auto& [name, value] : *object) {
    if (Same(name, key)) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

void ConfigReader::Fail(std::string_view key, std::string_view expected, std::string_view got) {
  if (error_) return;
  error_ = Error{Code::kInvalidArgument, name_ + "." + std::string(key) + ": expected " +
                                             std::string(expected) + ", got " +
                                             std::string(got.substr(0, 64))};
}

std::optional<std::string> ConfigReader::String(std::string_view key) {
  const Json* at = Value(key);
  if (at == nullptr) return std::nullopt;
  if (at->is_string()) return std::string(at->get_string());
  if (at->is_int64()) return std::to_string(at->get_int64());  // an unquoted "1"
  Fail(key, "text", ToJson(*at));
  return std::nullopt;
}

std::optional<bool> ConfigReader::Bool(std::string_view key) {
  const Json* at = Value(key);
  if (at == nullptr) return std::nullopt;
  if (at->is_bool()) return at->get_bool();
  if (at->is_string() && at->get_string() == "true") return true;
  if (at->is_string() && at->get_string() == "false") return false;
  Fail(key, "true or false", ToJson(*at));
  return std::nullopt;
}

std::optional<int64_t> ConfigReader::Int(std::string_view key, int64_t low, int64_t high) {
  const Json* at = Value(key);
  if (at == nullptr) return std::nullopt;
  std::optional<int64_t> value =
      at->is_string() ? ParseWhole<int64_t>(std::string_view(at->get_string())) : IntAt(*at, {});
  if (value && *value >= low && *value <= high) return value;
  Fail(key, "an integer from " + std::to_string(low) + " to " + std::to_string(high), ToJson(*at));
  return std::nullopt;
}

std::optional<double> ConfigReader::Positive(std::string_view key) {
  const Json* at = Value(key);
  if (at == nullptr) return std::nullopt;
  std::optional<double> value;
  if (at->is_string()) value = ParseWhole<double>(std::string_view(at->get_string()));
  if (at->is_double()) value = at->get_double();
  if (at->is_int64()) value = static_cast<double>(at->get_int64());
  if (value && std::isfinite(*value) && *value > 0 && *value <= 1000) return value;
  Fail(key, "a number above 0 and at most 1000", ToJson(*at));
  return std::nullopt;
}

std::vector<std::string> ConfigReader::Strings(std::string_view key) {
  const Json* at = Value(key);
  if (at == nullptr) return {};
  const auto* list = at->if_array();
  std::vector<std::string> out;
  bool good = list != nullptr;
  for (size_t i = 0; good && i < list->size(); ++i) {
    good = (*list)[i].is_string();
    if (good) out.emplace_back((*list)[i].get_string());
  }
  if (good) return out;
  Fail(key, "a list of texts", ToJson(*at));
  return {};
}

std::vector<ConfigReader::UnknownKey> ConfigReader::UnknownKeys() const {
  std::vector<UnknownKey> out;
  const auto* object = section_.if_object();
  if (object == nullptr) return out;
  std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const auto& [key, value] : *object) {
    std::string_view name(key);
    if (std::ranges::any_of(known, [&](std::string_view k) { return Same(k, name); })) continue;
    std::string text = name_ + "." + std::string(name) + ": unknown key";
    const auto near = NearestName(name, known);
    if (near) text += ", did you mean " + std::string(*near) + "?";
    out.push_back({std::move(text), near.has_value()});
  }
  return out;
}

}  // namespace hami::protocol

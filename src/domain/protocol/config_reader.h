// ConfigReader: typed access to one section of a configuration tree, with errors that name the
// place.
//
// Lenient where charts are (quoted numbers and booleans), strict in ranges. Internal to this
// folder. The first error sticks and later reads return their defaults. Values, no threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hami::protocol {

class ConfigReader {
 public:
  enum class KeyCase : uint8_t { kExact, kAny };

  // `section` must be an object and outlive the reader; `name` is how errors call it.
  ConfigReader(const Json& section, std::string name, KeyCase key_case = KeyCase::kExact)
      : section_(section), name_(std::move(name)), key_case_(key_case) {}

  // Nothing when the key is absent, null or wrong (the error is kept).
  std::optional<std::string> String(std::string_view key);
  std::optional<bool> Bool(std::string_view key);
  std::optional<int64_t> Int(std::string_view key, int64_t low, int64_t high);
  std::optional<double> Positive(std::string_view key);  // up to 1000
  // The array, object or other value there; null when absent.
  const Json* Value(std::string_view key);
  std::vector<std::string> Strings(std::string_view key);

  void Fail(std::string_view key, std::string_view expected, std::string_view got);
  const std::optional<Error>& error() const { return error_; }

  // "nvidia.deviceSplitCont: unknown key, did you mean deviceSplitCount?" for each key never asked
  // for.
  struct UnknownKey {
    std::string text;
    bool misspelt = false;  // a key that exists is near
  };
  std::vector<UnknownKey> UnknownKeys() const;

 private:
  bool Same(std::string_view a, std::string_view b) const;

  const Json& section_;
  std::string name_;
  KeyCase key_case_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

}  // namespace hami::protocol

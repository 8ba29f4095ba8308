#include "services/region_tool/values.h"

#include <charconv>
#include <optional>
#include <vector>

#include "limiter/env/number.h"

namespace hami::region_tool {
namespace {

constexpr uint64_t kLeastBytes = uint64_t{1} << 20;

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

Error Usage(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

Result<Bytes> ParseBytes(const std::string& what, std::string_view text) {
  const auto bytes = limiter::env::ParseSize(text);
  if (!bytes || *bytes > INT64_MAX) {
    return Fail(Usage(what + ": \"" + std::string(text) +
                      "\": expected a size as 3000m, 0.5g or 512MiB; 0 is no limit"));
  }
  // Elsewhere a bare number is MiB; whoever writes one here would stop a container.
  if (*bytes != 0 && *bytes < kLeastBytes) {
    return Fail(
        Usage(what + ": \"" + std::string(text) + "\" is " + std::to_string(*bytes) +
              " bytes: expected a size of at least 1 MiB, as 3000m, 0.5g or 512MiB; 0 is no "
              "limit"));
  }
  return Bytes{static_cast<int64_t>(*bytes)};
}

Result<Percent> ParseCores(const std::string& what, int64_t percent) {
  if (percent < 0 || percent > 100) {
    return Fail(Usage(what + ": " + std::to_string(percent) +
                      ": expected percent from 0 to 100; 0 and 100 are no limit"));
  }
  return Percent{percent};
}

Result<region::CorePolicy> ParsePolicy(std::string_view text) {
  if (text.empty() || text == "default") return region::CorePolicy::kDefault;
  if (text == "force") return region::CorePolicy::kForce;
  if (text == "disable") return region::CorePolicy::kDisable;
  return Fail(Usage("--policy: \"" + std::string(text) + "\": expected default, force or disable"));
}

Result<region::PageCard> ParseCard(const std::string& text) {
  const std::string what = "--card \"" + text + "\"";
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts.size() < 2 || parts.size() > 4 || parts[0].empty() || parts[0].size() > 95) {
    return Fail(Usage(what + ": expected UUID:MEMORY[:CORES[:PHYSICAL]], as GPU-aaaa:3000m:30"));
  }
  region::PageCard card{.uuid = std::string(parts[0])};
  TRY_ASSIGN(card.memory, ParseBytes(what, parts[1]));
  const auto cores = parts.size() > 2 && !parts[2].empty() ? WholeNumber(parts[2]) : 100;
  if (!cores) return Fail(Usage(what + ": cores: expected a whole number of percent"));
  TRY_ASSIGN(card.cores, ParseCores(what, *cores));
  if (parts.size() > 3) {
    TRY_ASSIGN(card.physical_share, ParseBytes(what, parts[3]));
  }
  if (card.memory.value != 0 && card.physical_share > card.memory) {
    return Fail(Usage(what + ": physical share " + std::string(parts[3]) + ": expected at most " +
                      "the limit, " + std::string(parts[1])));
  }
  card.initial_memory = card.memory;
  card.initial_cores = card.cores;
  return card;
}

}  // namespace hami::region_tool

#include <algorithm>
#include <limits>
#include <optional>

#include "base/quantity.h"
#include "domain/vendor/vendor.h"

namespace hami::vendor {
namespace {

constexpr int64_t kMaxCards = 1024;
constexpr int64_t kMaxCores = 100;
// No card has 16 TiB: a quantity with a suffix beyond it was meant in bytes.
constexpr int64_t kAbsurdMiB = int64_t{1} << 24;

// Limits, else requests; nothing when the vendor has no such resource.
const std::string* Asked(const Container& container, const std::string& name) {
  if (name.empty()) return nullptr;
  for (const ResourceMap* map : {&container.limits, &container.requests}) {
    auto it = map->find(name);
    if (it != map->end()) return &it->second;
  }
  return nullptr;
}

struct Range {
  int64_t low = 0;
  int64_t high = 0;
  std::string_view expected;
};

tl::unexpected<Error> Wrong(const Container& container, const std::string& name,
                            const std::string& text, std::string_view expected) {
  return Fail(Code::kInvalidArgument, "container \"" + container.name + "\": " + name + " \"" +
                                          text + "\": " + std::string(expected));
}

Result<int64_t> Number(const Container& container, const std::string& name, const std::string& text,
                       const Range& range) {
  auto quantity = ParseQuantity(text);
  if (!quantity || !quantity->integral || quantity->value < range.low ||
      quantity->value > range.high) {
    return Wrong(container, name, text, "expected " + std::string(range.expected));
  }
  return quantity->value;
}

// MiB per card. "3Gi" is the usual mistake: the quantity is multiplied out before anyone compares.
Result<int64_t> Memory(const Container& container, const Settings& settings,
                       const std::string& text) {
  int64_t high = std::numeric_limits<int32_t>::max() / settings.memory_factor;
  auto quantity = ParseQuantity(text);
  bool suffixed = text.find_first_not_of("+-.0123456789") != std::string::npos;
  bool bytes = quantity && suffixed && quantity->value >= kAbsurdMiB / settings.memory_factor;
  if (bytes && settings.memory_factor == 1) {
    int64_t mib = (quantity->value >> 20) + ((quantity->value & ((1 << 20) - 1)) != 0 ? 1 : 0);
    // Never advise what would be refused in its turn.
    if (mib <= high) {
      return Wrong(container, settings.memory, text, "unit is MiB, use " + std::to_string(mib));
    }
  } else if (bytes) {
    return Wrong(container, settings.memory, text,
                 "unit is " + std::to_string(settings.memory_factor) + " MiB, not bytes");
  }
  std::string unit = settings.memory_factor == 1
                         ? "MiB"
                         : "units of " + std::to_string(settings.memory_factor) + " MiB";
  std::string expected = "a whole number of " + unit + " from 0 to " + std::to_string(high);
  TRY_ASSIGN(int64_t value, Number(container, settings.memory, text, {0, high, expected}));
  return value * settings.memory_factor;
}

// 0 means not asked for; the text of a refusal is the reference's.
Result<int32_t> MemoryPercent(const Container& container, const Settings& settings,
                              const std::string& text) {
  auto quantity = ParseQuantity(text);
  if (!quantity || !quantity->integral || quantity->value < 0 || quantity->value > 100) {
    return Fail(Code::kInvalidArgument, "invalid " + settings.memory_percent + " value " + text +
                                            " in container " + container.name +
                                            ": must be an integer between 0 and 100");
  }
  return static_cast<int32_t>(quantity->value);
}

// "gpu: 0" beside a share of a card: no node offers the share by itself, so the Pod would wait for
// ever at a scheduler that does not know us.
Result<void> RefuseShareOfNoCard(const Container& container, const Settings& settings,
                                 const std::string& count) {
  for (const std::string* name : {&settings.memory, &settings.memory_percent, &settings.cores}) {
    const std::string* share = Asked(container, *name);
    if (share == nullptr) continue;
    auto quantity = ParseQuantity(*share);
    if (quantity && quantity->value == 0) continue;
    return Wrong(container, settings.count, count,
                 "expected a whole number of cards from 1 to 1024 beside " + *name + " \"" +
                     *share + "\", or no " + *name);
  }
  return {};
}

// Memory wins over a percentage; neither means the default, and without one the whole card.
void Resolve(const Settings& settings, int64_t memory, int32_t percent, ContainerRequest& out) {
  out.memory = {memory};
  if (memory > 0) return;
  if (percent > 0) {
    out.memory_percent = percent;
  } else if (settings.default_memory.value > 0) {
    out.memory = settings.default_memory;
  } else {
    out.memory_percent = 100;
  }
}

}  // namespace

Result<ContainerRequest> ParseRequest(const Vendor&, const Settings& settings,
                                      const Container& container) {
  ContainerRequest out;
  int32_t percent = 0;
  if (const std::string* text = Asked(container, settings.memory_percent)) {
    TRY_ASSIGN(percent, MemoryPercent(container, settings, *text));
  }
  const std::string* count = Asked(container, settings.count);
  if (count == nullptr) return out;
  TRY_ASSIGN(int64_t cards, Number(container, settings.count, *count,
                                   {0, kMaxCards, "a whole number of cards from 1 to 1024"}));
  if (cards == 0) {
    TRY(RefuseShareOfNoCard(container, settings, *count));
    return out;
  }
  int64_t memory = 0;
  if (const std::string* text = Asked(container, settings.memory)) {
    TRY_ASSIGN(memory, Memory(container, settings, *text));
  }
  out.cores = settings.default_cores;
  if (const std::string* text = Asked(container, settings.cores)) {
    TRY_ASSIGN(out.cores.value,
               Number(container, settings.cores, *text,
                      {0, kMaxCores, "a whole percentage of one card from 0 to 100"}));
  }
  out.count = static_cast<int32_t>(cards);
  Resolve(settings, memory, percent, out);
  return out;
}

}  // namespace hami::vendor

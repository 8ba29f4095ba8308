#include <algorithm>

#include "base/quantity.h"
#include "domain/vendor/vendor.h"

namespace hami::vendor {
namespace {

// Writes a limit into the container at hand and notes it; a request of the same name must follow,
// since extended resources need both equal and defaulting has already happened.
void SetLimit(Container& container, size_t index, const std::string& name, int64_t value,
              Mutation& out) {
  std::string text = std::to_string(value);
  out.changes.push_back({Change::Kind::kSetLimit, index, name, text});
  container.limits[name] = text;
  auto request = container.requests.find(name);
  if (request == container.requests.end()) return;
  out.changes.push_back({Change::Kind::kSetRequest, index, name, text});
  request->second = text;
}

bool Limits(const Container& container, const std::string& name) {
  return !name.empty() && container.limits.contains(name);
}
bool Names(const Container& container, const std::string& name) {
  return !name.empty() && (container.limits.contains(name) || container.requests.contains(name));
}

// A container that names a share but no card gets the default number of cards.
void DefaultCount(const Settings& s, Container& container, size_t index, Mutation& out) {
  if (Names(container, s.count)) return;
  std::string share;
  for (const std::string* name : {&s.memory, &s.memory_percent, &s.cores}) {
    if (share.empty() && Limits(container, *name)) share = *name;
  }
  if (share.empty()) return;
  if (s.default_count > 0) {
    SetLimit(container, index, s.count, s.default_count, out);
  } else {
    out.warnings.push_back("container \"" + container.name + "\": " + share +
                           " has no effect without " + s.count);
  }
}

// A whole card's memory asked for and cores not named: the whole compute as well.
void DefaultCores(const Vendor& vendor, const Settings& s, Container& container, size_t index,
                  Mutation& out) {
  if (!vendor.exclusive_default || s.cores.empty() || Names(container, s.cores)) return;
  const std::string* percent = nullptr;
  for (ResourceMap* map : {&container.requests, &container.limits}) {
    auto it = map->find(s.memory_percent);
    if (!s.memory_percent.empty() && it != map->end()) percent = &it->second;
  }
  auto quantity = percent == nullptr ? Result<Quantity>(Quantity{}) : ParseQuantity(*percent);
  bool whole = percent == nullptr ? !Names(container, s.memory)
                                  : quantity && quantity->integral && quantity->value == 100;
  if (whole) SetLimit(container, index, s.cores, 100, out);
}

void WarnBoth(const Settings& s, const Container& container, Mutation& out) {
  if (!Names(container, s.memory) || !Names(container, s.memory_percent)) return;
  out.warnings.push_back("container \"" + container.name + "\": " + s.memory + " and " +
                         s.memory_percent + " are both set; " + s.memory + " wins");
}

// Zero is "not asked for", and a little is more often a mistaken unit ("3000m" reaches us as 3).
void WarnOfOddMemory(const Settings& s, const Container& container, const ContainerRequest& request,
                     Mutation& out) {
  constexpr MiB kContext{64};  // less than any driver needs before the first allocation
  const std::string prefix = "container \"" + container.name + "\": ";
  if (request.memory.value > 0) {
    if (request.memory.value >= kContext.value || !Names(container, s.memory)) return;
    out.warnings.push_back(prefix + s.memory + ": " + std::to_string(request.memory.value) +
                           " MiB cannot hold a context of the driver; the unit is MiB");
    return;
  }
  if (request.memory_percent != 100) return;
  for (const std::string* name : {&s.memory, &s.memory_percent}) {
    if (!Names(container, *name)) continue;
    for (const ResourceMap* map : {&container.limits, &container.requests}) {
      auto it = map->find(*name);
      if (it == map->end()) continue;
      auto quantity = ParseQuantity(it->second);
      if (!quantity || quantity->value != 0) break;
      out.warnings.push_back(prefix + *name + " \"" + it->second +
                             "\" means the whole memory of the card");
      return;
    }
  }
}

// True when the container asks for the vendor's cards once defaults are in.
Result<bool> Prepare(const Vendor& vendor, const Settings& s, Container& container, size_t index,
                     Mutation& out) {
  DefaultCount(s, container, index, out);
  TRY_ASSIGN(ContainerRequest request, ParseRequest(vendor, s, container));
  if (request.count == 0) return false;
  DefaultCores(vendor, s, container, index, out);
  WarnBoth(s, container, out);
  WarnOfOddMemory(s, container, request, out);
  return true;
}

}  // namespace

Result<Mutation> MutatePod(const Pod& pod, const DeviceConfig& config) {
  Mutation out;
  std::vector<const Vendor*> vendors = EnabledVendors(config);
  for (size_t i = 0; i < pod.containers.size(); ++i) {
    Container container = pod.containers[i];
    std::vector<bool> wants;
    for (const Vendor* vendor : vendors) {
      TRY_ASSIGN(bool asks, Prepare(*vendor, vendor->hooks.settings(config), container, i, out));
      wants.push_back(asks);
    }
    auto asked = std::ranges::count(wants, true);
    out.uses_cards = out.uses_cards || asked > 0;
    for (size_t v = 0; v < vendors.size(); ++v) {
      if (vendors[v]->hooks.mutate == nullptr) continue;
      bool elsewhere = asked > (wants[v] ? 1 : 0);
      MutateContext at{pod, i, static_cast<bool>(wants[v]), elsewhere, config};
      TRY(vendors[v]->hooks.mutate(at, out));
    }
  }
  return out;
}

}  // namespace hami::vendor

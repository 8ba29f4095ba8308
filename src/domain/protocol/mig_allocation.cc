#include "domain/protocol/mig_allocation.h"

#include <limits>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/json_write.h"

namespace hami::protocol {
namespace {

std::string Name(size_t i) { return "MIG allocation " + std::to_string(i); }

// The integer at `path`, or `absent` when it is not there.
Result<int> TakeInt(const Json& item, std::initializer_list<std::string_view> path, int absent,
                    size_t i) {
  const Json* at = Find(item, path);
  if (at == nullptr || at->is_null()) return absent;
  auto value = IntAt(item, path);
  if (!value || *value < std::numeric_limits<int>::min() ||
      *value > std::numeric_limits<int>::max()) {
    return Fail(Code::kInvalidArgument, Name(i) + ": " + std::string(*(path.end() - 1)) +
                                            ": expected an integer, got " + ToJson(*at));
  }
  return static_cast<int>(*value);
}

bool Has(const Json& item, std::string_view key) {
  const Json* at = Find(item, {key});
  return at != nullptr && !at->is_null();
}

Result<std::optional<MigRuntime>> TakeRuntime(const Json& item, size_t i) {
  bool uuid = Has(item, "migUUID") && !StringAt(item, {"migUUID"}).empty();
  auto gpu = IntAt(item, {"gpuInstanceID"});
  auto compute = IntAt(item, {"computeInstanceID"});
  if (!uuid && !Has(item, "gpuInstanceID") && !Has(item, "computeInstanceID")) {
    return std::optional<MigRuntime>();
  }
  if (!uuid || !gpu || !compute) {
    return Fail(Code::kInvalidArgument, Name(i) + " has partial runtime identity");
  }
  return std::optional(MigRuntime{std::string(StringAt(item, {"migUUID"})), *gpu, *compute});
}

Result<MigAllocation> TakeAllocation(const Json& item, size_t i) {
  if (!item.is_object()) {
    return Fail(Code::kInvalidArgument, Name(i) + ": expected an object");
  }
  MigAllocation out;
  TRY_ASSIGN(out.container, TakeInt(item, {"containerIndex"}, 0, i));
  TRY_ASSIGN(out.device, TakeInt(item, {"deviceIndex"}, 0, i));
  out.gpu_uuid = StringAt(item, {"gpuUUID"});
  out.profile = StringAt(item, {"profile"});
  TRY_ASSIGN(out.placement.start, TakeInt(item, {"placement", "start"}, 0, i));
  TRY_ASSIGN(out.placement.size, TakeInt(item, {"placement", "size"}, 0, i));
  TRY_ASSIGN(out.runtime, TakeRuntime(item, i));
  return out;
}

}  // namespace

Result<std::vector<MigAllocation>> DecodeMigAllocations(std::string_view text) {
  TRY_ASSIGN(Json tree, ParseJson(text));
  const auto* list = tree.if_array();
  if (list == nullptr) {
    return Fail(Code::kInvalidArgument, "MIG allocations: expected a JSON array");
  }
  std::vector<MigAllocation> out;
  out.reserve(list->size());
  for (const Json& item : *list) {
    TRY_ASSIGN(MigAllocation allocation, TakeAllocation(item, out.size()));
    out.push_back(std::move(allocation));
  }
  TRY(ValidateMigAllocations(out));
  return out;
}

Result<void> ValidateMigAllocations(std::span<const MigAllocation> allocations) {
  std::set<std::pair<int, int>> seen;
  for (size_t i = 0; i < allocations.size(); ++i) {
    const MigAllocation& a = allocations[i];
    if (a.container < 0 || a.device < 0 || a.gpu_uuid.empty() || a.profile.empty() ||
        a.placement.start < 0 || a.placement.size <= 0) {
      return Fail(Code::kInvalidArgument, Name(i) + " is incomplete");
    }
    if (a.runtime && a.runtime->mig_uuid.empty()) {
      return Fail(Code::kInvalidArgument, Name(i) + " has partial runtime identity");
    }
    if (!seen.emplace(a.container, a.device).second) {
      return Fail(Code::kInvalidArgument, "duplicate MIG allocation for container " +
                                              std::to_string(a.container) + " device " +
                                              std::to_string(a.device));
    }
  }
  return {};
}

std::string EncodeMigAllocations(std::span<const MigAllocation> allocations) {
  JsonWriter w(JsonEscape::kGo);
  w.Array([&] {
    for (const MigAllocation& a : allocations) {
      w.Object([&] {
        w.Key("containerIndex").Int(a.container).Key("deviceIndex").Int(a.device);
        w.Key("gpuUUID").String(a.gpu_uuid).Key("profile").String(a.profile);
        w.Key("placement").Object([&] {
          w.Key("start").Int(a.placement.start).Key("size").Int(a.placement.size);
        });
        if (!a.runtime) return;
        w.Key("migUUID").String(a.runtime->mig_uuid);
        w.Key("gpuInstanceID").Int(a.runtime->gpu_instance);
        w.Key("computeInstanceID").Int(a.runtime->compute_instance);
      });
    }
  });
  return w.Take();
}

}  // namespace hami::protocol

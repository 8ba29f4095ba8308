#include "services/node/limits.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "abi/limits_page.h"
#include "base/fs.h"
#include "platform/region/region_file.h"

namespace hami::node {
namespace {

HamiLimitsPage PageOf(const LimitsRequest& request) {
  HamiLimitsPage page;
  std::memset(&page, 0, sizeof page);
  page.magic = HAMI_LIMITS_MAGIC;
  page.version = HAMI_LIMITS_VERSION;
  page.size = HAMI_LIMITS_SIZE;
  page.generation = 2;  // even: complete
  page.device_count = static_cast<uint32_t>(request.shares.size());
  page.priority = request.priority;
  page.policy = request.disable_core_limit ? HAMI_POLICY_DISABLE : HAMI_POLICY_DEFAULT;
  if (request.allow_disable_control) page.switches |= HAMI_LIMITS_ALLOW_DISABLE_CONTROL;
  if (request.oversubscribe) page.switches |= HAMI_LIMITS_OVERSUBSCRIBE;
  request.region_inside.copy(page.region_path, sizeof page.region_path - 1);
  for (size_t i = 0; i < request.shares.size(); ++i) {
    const driver::CardShare& share = request.shares[i];
    HamiLimitsDevice& device = page.devices[i];
    share.uuid.copy(device.uuid, sizeof device.uuid - 1);
    device.memory_limit = static_cast<uint64_t>(ToBytes(share.memory).value);
    device.initial_memory_limit = device.memory_limit;
    device.core_percent = static_cast<uint32_t>(share.cores.value);
    device.initial_core_percent = device.core_percent;
    device.phys_share = static_cast<uint64_t>(ToBytes(request.physical[i]).value);
  }
  return page;
}

}  // namespace

Result<bool> MakeContainerLimits(const LimitsRequest& request) {
  if (request.shares.size() > HAMI_LIMITS_DEVICES) {
    return Fail(Code::kInvalidArgument, "a container can have at most " +
                                            std::to_string(HAMI_LIMITS_DEVICES) + " cards, not " +
                                            std::to_string(request.shares.size()));
  }
  if (request.region_inside.size() >= HAMI_LIMITS_PATH_SIZE) {
    return Fail(Code::kInvalidArgument, "path " + request.region_inside + " is too long");
  }
  const HamiLimitsPage page = PageOf(request);
  if (!RealFileSystem().Exists(request.page_file)) {
    TRY(RealFileSystem().WriteAtomic(
        request.page_file, std::string_view(reinterpret_cast<const char*>(&page), sizeof page),
        0644));
  }
  region::NewRegion wanted{
      .cards = {}, .priority = request.priority, .unix_seconds = request.unix_seconds};
  for (size_t i = 0; i < request.shares.size(); ++i) {
    wanted.cards.push_back({.uuid = request.shares[i].uuid,
                            .memory = ToBytes(request.shares[i].memory),
                            .physical_share = ToBytes(request.physical[i]),
                            .cores = request.shares[i].cores});
  }
  TRY(region::Create(request.region_file, wanted));
  return true;
}

}  // namespace hami::node

#include "services/node/limits.h"

#include "base/fs.h"
#include "platform/region/limits_file.h"
#include "platform/region/region_file.h"

namespace hami::node {
namespace {

region::LimitsPage PageOf(const LimitsRequest& request) {
  region::LimitsPage page{.generation = 2,  // even: complete
                          .priority = request.priority,
                          .policy = request.disable_core_limit ? region::CorePolicy::kDisable
                                                               : region::CorePolicy::kDefault,
                          .allow_disable_control = request.allow_disable_control,
                          .oversubscribe = request.oversubscribe,
                          .region_path = request.region_inside,
                          .cards = {}};
  for (size_t i = 0; i < request.shares.size(); ++i) {
    const driver::CardShare& share = request.shares[i];
    page.cards.push_back({.uuid = share.uuid,
                          .memory = ToBytes(share.memory),
                          .initial_memory = ToBytes(share.memory),
                          .cores = share.cores,
                          .initial_cores = share.cores,
                          .physical_share = ToBytes(request.physical[i])});
  }
  return page;
}

}  // namespace

Result<bool> MakeContainerLimits(const LimitsRequest& request) {
  if (!RealFileSystem().Exists(request.page_file)) {
    TRY(region::CreateLimits(request.page_file, PageOf(request)));
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

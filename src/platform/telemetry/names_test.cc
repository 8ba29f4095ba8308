#include "platform/telemetry/names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace hami::metric {
namespace {

// Users' dashboards and alerts ask for exactly these (spec/scheduler.md 14).
TEST(NamesTest, TheReferencesNamesKeepTheirSpelling) {
  const std::set<std::string> golden = {"hami_build_info",
                                        "hami_gpu_memory_limit_bytes",
                                        "hami_gpu_core_limit_ratio",
                                        "hami_gpu_memory_allocated_bytes",
                                        "hami_gpu_shared_count",
                                        "hami_gpu_core_allocated_ratio",
                                        "hami_node_gpu_overview",
                                        "hami_node_gpu_memory_allocated_ratio",
                                        "hami_node_gpu_mig_instance_info",
                                        "hami_vgpu_memory_allocated_bytes",
                                        "hami_vgpu_core_allocated_ratio",
                                        "hami_resource_quota_used",
                                        "hami_resource_quota_limit",
                                        "GPUDeviceMemoryLimit",
                                        "GPUDeviceCoreLimit",
                                        "GPUDeviceMemoryAllocated",
                                        "GPUDeviceSharedNum",
                                        "GPUDeviceCoreAllocated",
                                        "nodeGPUOverview",
                                        "nodeGPUMemoryPercentage",
                                        "nodeGPUMigInstance",
                                        "vGPUMemoryAllocated",
                                        "vGPUCoreAllocated",
                                        "QuotaUsed"};
  const std::set<std::string> ours = {kBuildInfo,
                                      kGpuMemoryLimitBytes,
                                      kGpuCoreLimitRatio,
                                      kGpuMemoryAllocatedBytes,
                                      kGpuSharedCount,
                                      kGpuCoreAllocatedRatio,
                                      kNodeGpuOverview,
                                      kNodeGpuMemoryAllocatedRatio,
                                      kNodeGpuMigInstanceInfo,
                                      kVgpuMemoryAllocatedBytes,
                                      kVgpuCoreAllocatedRatio,
                                      kResourceQuotaUsed,
                                      kResourceQuotaLimit,
                                      kLegacyGpuMemoryLimit,
                                      kLegacyGpuCoreLimit,
                                      kLegacyGpuMemoryAllocated,
                                      kLegacyGpuSharedNum,
                                      kLegacyGpuCoreAllocated,
                                      kLegacyNodeGpuOverview,
                                      kLegacyNodeGpuMemoryPercentage,
                                      kLegacyNodeGpuMigInstance,
                                      kLegacyVgpuMemoryAllocated,
                                      kLegacyVgpuCoreAllocated,
                                      kLegacyQuotaUsed};
  EXPECT_EQ(ours, golden);
}

}  // namespace
}  // namespace hami::metric

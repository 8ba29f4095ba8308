// Names of all metrics, their one home (spec/scheduler.md 14). Values, no threads.
//
// Names without "ours" are the reference's: their spelling, labels and unit are a promise to users'
// dashboards.
#pragma once

namespace hami::metric {

// Constant label of every series of the scheduler except build info.
inline constexpr char kZoneLabel[] = "zone";
inline constexpr char kZone[] = "vGPU";

inline constexpr char kBuildInfo[] = "hami_build_info";

// One series per card. Labels node, device_uuid, device_index, device_type, and for some
// device_cores.
inline constexpr char kGpuMemoryLimitBytes[] = "hami_gpu_memory_limit_bytes";
inline constexpr char kGpuCoreLimitRatio[] = "hami_gpu_core_limit_ratio";  // percent
inline constexpr char kGpuMemoryAllocatedBytes[] = "hami_gpu_memory_allocated_bytes";
inline constexpr char kGpuSharedCount[] = "hami_gpu_shared_count";
inline constexpr char kGpuCoreAllocatedRatio[] = "hami_gpu_core_allocated_ratio";  // percent
inline constexpr char kNodeGpuOverview[] = "hami_node_gpu_overview";               // bytes
inline constexpr char kNodeGpuMemoryAllocatedRatio[] =
    "hami_node_gpu_memory_allocated_ratio";  // 0..1
inline constexpr char kNodeGpuMigInstanceInfo[] = "hami_node_gpu_mig_instance_info";

// One series per container and card. Labels namespace, node, pod, container_index, device_uuid.
inline constexpr char kVgpuMemoryAllocatedBytes[] = "hami_vgpu_memory_allocated_bytes";
inline constexpr char kVgpuCoreAllocatedRatio[] = "hami_vgpu_core_allocated_ratio";  // percent

inline constexpr char kResourceQuotaUsed[] = "hami_resource_quota_used";
inline constexpr char kResourceQuotaLimit[] = "hami_resource_quota_limit";

// With --legacy-metrics.
inline constexpr char kLegacyGpuMemoryLimit[] = "GPUDeviceMemoryLimit";
inline constexpr char kLegacyGpuCoreLimit[] = "GPUDeviceCoreLimit";
inline constexpr char kLegacyGpuMemoryAllocated[] = "GPUDeviceMemoryAllocated";
inline constexpr char kLegacyGpuSharedNum[] = "GPUDeviceSharedNum";
inline constexpr char kLegacyGpuCoreAllocated[] = "GPUDeviceCoreAllocated";
inline constexpr char kLegacyNodeGpuOverview[] = "nodeGPUOverview";
inline constexpr char kLegacyNodeGpuMemoryPercentage[] = "nodeGPUMemoryPercentage";
inline constexpr char kLegacyNodeGpuMigInstance[] = "nodeGPUMigInstance";
inline constexpr char kLegacyVgpuMemoryAllocated[] = "vGPUMemoryAllocated";
inline constexpr char kLegacyVgpuCoreAllocated[] = "vGPUCoreAllocated";
inline constexpr char kLegacyQuotaUsed[] = "QuotaUsed";

// Ours.
inline constexpr char kSchedulerRequestSeconds[] = "hami_scheduler_request_duration_seconds";
inline constexpr char kSchedulerFilterResults[] = "hami_scheduler_filter_result_total";
inline constexpr char kSchedulerReservations[] = "hami_scheduler_reservations";
inline constexpr char kSchedulerUndecodablePods[] = "hami_scheduler_undecodable_pods";
inline constexpr char kSchedulerUndecodableNodes[] = "hami_scheduler_undecodable_nodes";
inline constexpr char kSchedulerApiCalls[] = "hami_scheduler_api_calls_total";
inline constexpr char kSchedulerBindResults[] = "hami_scheduler_bind_result_total";
inline constexpr char kSchedulerBindsWaiting[] = "hami_scheduler_binds_waiting";
inline constexpr char kSchedulerPodsWaiting[] = "hami_scheduler_pods_waiting";
inline constexpr char kSchedulerPokes[] = "hami_scheduler_requeue_pokes_total";
inline constexpr char kSchedulerExpired[] = "hami_scheduler_reservations_expired_total";
inline constexpr char kSchedulerAuditRepairs[] = "hami_scheduler_audit_repairs_total";
inline constexpr char kSchedulerSynced[] = "hami_scheduler_synced";
inline constexpr char kSchedulerLeader[] = "hami_scheduler_leader";
inline constexpr char kAdmissionReviews[] = "hami_admission_reviews_total";
inline constexpr char kTlsCertExpirySeconds[] = "hami_tls_cert_expiry_seconds";  // since epoch

// hami-device-plugin, ours. Constant labels node and resource.
inline constexpr char kPluginDevices[] = "hami_device_plugin_devices";
inline constexpr char kPluginAllocations[] = "hami_device_plugin_allocations_total";
inline constexpr char kPluginAllocateSeconds[] = "hami_device_plugin_allocate_duration_seconds";
inline constexpr char kPluginUnaligned[] = "hami_device_plugin_unaligned_allocations_total";
inline constexpr char kPluginWaiting[] = "hami_device_plugin_allocations_waiting";
inline constexpr char kPluginRecords[] = "hami_device_plugin_journal_records";
inline constexpr char kPluginRegistrations[] = "hami_device_plugin_registrations_total";
inline constexpr char kPluginNodePatches[] = "hami_device_plugin_node_patches_total";
inline constexpr char kPluginNodePatchFailures[] = "hami_device_plugin_node_patch_failures_total";
inline constexpr char kPluginLockReleases[] = "hami_device_plugin_lock_releases_total";
inline constexpr char kPluginConfigBroken[] = "hami_device_plugin_node_config_broken";
inline constexpr char kPluginFiltersUnmatched[] = "hami_device_plugin_filters_unmatched";
inline constexpr char kPluginDriverEvents[] = "hami_device_plugin_driver_events_total";

}  // namespace hami::metric

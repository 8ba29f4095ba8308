// Names of metrics: the one home. Those of the reference are kept as they are (spec/scheduler.md 14).
#pragma once

namespace hami::telemetry {

// Every program.
inline constexpr char kBuildInfo[] = "hami_build_info";

// hami-scheduler: cards and shares, from its ledger.
inline constexpr char kGpuMemoryLimit[] = "hami_gpu_memory_limit_bytes";
inline constexpr char kGpuCoreLimit[] = "hami_gpu_core_limit_ratio";
inline constexpr char kGpuMemoryAllocated[] = "hami_gpu_memory_allocated_bytes";
inline constexpr char kGpuSharedCount[] = "hami_gpu_shared_count";
inline constexpr char kGpuCoreAllocated[] = "hami_gpu_core_allocated_ratio";
inline constexpr char kNodeGpuOverview[] = "hami_node_gpu_overview";
inline constexpr char kNodeGpuMemoryRatio[] = "hami_node_gpu_memory_allocated_ratio";
inline constexpr char kVgpuMemoryAllocated[] = "hami_vgpu_memory_allocated_bytes";
inline constexpr char kVgpuCoreAllocated[] = "hami_vgpu_core_allocated_ratio";

// hami-scheduler: itself.
inline constexpr char kSchedulerRequestSeconds[] = "hami_scheduler_request_duration_seconds";
inline constexpr char kSchedulerFilterResult[] = "hami_scheduler_filter_result_total";
inline constexpr char kSchedulerBindResult[] = "hami_scheduler_bind_result_total";
inline constexpr char kSchedulerBindsWaiting[] = "hami_scheduler_binds_waiting";
inline constexpr char kSchedulerPodsWaiting[] = "hami_scheduler_pods_waiting";
inline constexpr char kSchedulerPokes[] = "hami_scheduler_requeue_pokes_total";
inline constexpr char kSchedulerReservations[] = "hami_scheduler_reservations";
inline constexpr char kSchedulerExpired[] = "hami_scheduler_reservations_expired_total";
inline constexpr char kSchedulerAuditRepairs[] = "hami_scheduler_audit_repairs_total";
inline constexpr char kSchedulerUndecodablePods[] = "hami_scheduler_undecodable_pods";
inline constexpr char kSchedulerUndecodableNodes[] = "hami_scheduler_undecodable_nodes";
inline constexpr char kSchedulerLeader[] = "hami_scheduler_leader";
inline constexpr char kSchedulerSynced[] = "hami_scheduler_synced";
inline constexpr char kApiCalls[] = "hami_scheduler_api_calls_total";
inline constexpr char kAdmissionReviews[] = "hami_admission_reviews_total";
inline constexpr char kTlsCertExpiry[] = "hami_tls_cert_expiry_seconds";

}  // namespace hami::telemetry

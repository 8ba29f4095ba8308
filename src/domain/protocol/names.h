// Names: every annotation, label, lock key and environment variable that we share with the cluster.
//
// The one home of these words (spec/protocol.md 1-5, spec/scheduler.md 8). Resource names are
// values of the configuration; their defaults stand here too. Constants and pure functions, any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hami::protocol {

// Pod annotations written by the scheduler and the plugins (spec/protocol.md 3, 4).
inline constexpr std::string_view kVgpuNode = "hami.io/vgpu-node";  // and label of the same key
inline constexpr std::string_view kVgpuTime = "hami.io/vgpu-time";  // unix seconds
inline constexpr std::string_view kBindPhase = "hami.io/bind-phase";
inline constexpr std::string_view kBindTime = "hami.io/bind-time";  // unix seconds
inline constexpr std::string_view kMigAllocations = "hami.io/vgpu-mig-allocations";
inline constexpr std::string_view kSchedulerTerm = "hami.io/scheduler-term";
inline constexpr std::string_view kDecisionSeal = "hami.io/decision-seal";  // of vgpu-node, D
inline constexpr std::string_view kAllocationSeq = "hami.io/allocation-seq";

inline constexpr std::string_view kPhaseAllocating = "allocating";
inline constexpr std::string_view kPhaseSuccess = "success";
inline constexpr std::string_view kPhaseFailed = "failed";

// Pod annotations and labels that a user may set (spec/scheduler.md 8).
inline constexpr std::string_view kNodePolicy = "hami.io/node-scheduler-policy";
inline constexpr std::string_view kCardPolicy = "hami.io/gpu-scheduler-policy";
inline constexpr std::string_view kScoringWeights = "hami.io/device-scoring-weights";
inline constexpr std::string_view kNumaBind = "nvidia.com/numa-bind";
inline constexpr std::string_view kVgpuMode = "nvidia.com/vgpu-mode";
inline constexpr std::string_view kWebhookLabel =
    "hami.io/webhook";  // "ignore": admission skips it
inline constexpr std::string_view kPodGroupLabel = "scheduling.x-k8s.io/pod-group";
inline constexpr std::string_view kPodGroupLabelLegacy = "pod-group.scheduling.sigs.k8s.io";
inline constexpr std::string_view kRequeueLabel = "hami.io/requeue";

// Node annotations and labels.
inline constexpr std::string_view kMutexLock = "hami.io/mutex.lock";
inline constexpr std::string_view kMutexOwnerUid = "hami.io/mutex.owner-uid";
inline constexpr std::string_view kDeviceCordon = "hami.io/device-cordon";  // "uuid,uuid"
inline constexpr std::string_view kPluginCapabilities = "hami.io/plugin-capabilities";
inline constexpr std::string_view kRegisterHash = "hami.io/register-hash";
inline constexpr std::string_view kNvidiaPairScores = "hami.io/node-nvidia-score";
inline constexpr std::string_view kNodeLabel = "gpu";  // "on": the plugin's DaemonSet runs there

// Capabilities in hami.io/plugin-capabilities, separated by commas.
inline constexpr std::string_view kCapabilityConcurrent = "concurrent-allocate";
inline constexpr std::string_view kCapabilityV2 = "v2";

// Label of the scheduler's own Pods.
inline constexpr std::string_view kSchedulerRole = "hami.io/scheduler-role";
inline constexpr std::string_view kRoleLeader = "leader";
inline constexpr std::string_view kRoleFollower = "follower";

// Annotation keys of one vendor (spec/protocol.md 2.3); "" where it has none.
struct VendorKeys {
  std::string_view register_key;  // node: the cards
  std::string_view handshake;     // node
  std::string_view to_allocate;   // Pod: A, consumed by the plugin
  std::string_view allocated;     // Pod: D, immutable
  std::string_view use_type;      // Pod: comma lists
  std::string_view nouse_type;
  std::string_view use_uuid;
  std::string_view nouse_uuid;
};

inline constexpr std::string_view kNvidiaWord = "NVIDIA";
inline constexpr VendorKeys kNvidiaKeys = {
    .register_key = "hami.io/node-nvidia-register",
    .handshake = "hami.io/node-handshake",
    .to_allocate = "hami.io/vgpu-devices-to-allocate",
    .allocated = "hami.io/vgpu-devices-allocated",
    .use_type = "nvidia.com/use-gputype",
    .nouse_type = "nvidia.com/nouse-gputype",
    .use_uuid = "nvidia.com/use-gpuuuid",
    .nouse_uuid = "nvidia.com/nouse-gpuuuid",
};

// Chart defaults of resource names.
inline constexpr std::string_view kNvidiaCount = "nvidia.com/gpu";
inline constexpr std::string_view kNvidiaMemory = "nvidia.com/gpumem";
inline constexpr std::string_view kNvidiaMemoryPercent = "nvidia.com/gpumem-percentage";
inline constexpr std::string_view kNvidiaCores = "nvidia.com/gpucores";
inline constexpr std::string_view kNvidiaPriority = "nvidia.com/priority";

// Container environment set by admission.
inline constexpr std::string_view kEnvTaskPriority = "CUDA_TASK_PRIORITY";
inline constexpr std::string_view kEnvCorePolicy = "GPU_CORE_UTILIZATION_POLICY";
inline constexpr std::string_view kEnvVisibleDevices = "NVIDIA_VISIBLE_DEVICES";
inline constexpr std::string_view kEnvDisableControl = "CUDA_DISABLE_CONTROL";

inline constexpr std::string_view kDefaultScheduler = "default-scheduler";

// True for a Pod annotation that only the scheduler and the plugins may write: admission strips it
// from a new Pod (spec/protocol.md 3; every vendor of 2.3, present or future in this build).
bool IsSchedulerOwned(std::string_view annotation);

// True for an annotation that some decision of ours may look at; others are dropped while decoding.
bool IsOfInterest(std::string_view annotation);

// Value of the label hami.io/vgpu-node: the name, or for one longer than a label may be (63) its
// first 54 characters, "-" and 8 hexadecimal digits of its hash.
std::string NodeLabelValue(std::string_view node_name);

// Go's strconv.ParseBool: 1 t T TRUE true True. Anything else is false.
bool ParseGoTrue(std::string_view text);

// Comma list, items trimmed, blanks left out.
std::vector<std::string> SplitList(std::string_view text);
std::string_view Trim(std::string_view text);

}  // namespace hami::protocol

// Vendors: one form per accelerator vendor, and the table of those this build knows.
//
// A vendor is data first (names, keys, tests); a hook stands only where behaviour really differs
// (spec/vendors.md D). Pure, any thread. Vendor n+1: docs of this folder's README.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model/cluster.h"
#include "domain/model/device.h"
#include "domain/model/pod.h"
#include "domain/model/request.h"
#include "domain/model/verdict.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/device_config.h"
#include "domain/protocol/names.h"

namespace hami::vendor {

using protocol::DeviceConfig;

// What the configuration says of one vendor, in the terms of the generic engine.
struct Settings {
  bool enabled = false;
  std::string count;  // resource names; "" = the vendor has none
  std::string memory;
  std::string memory_percent;
  std::string cores;
  std::string priority;
  int64_t memory_factor = 1;  // MiB per requested unit
  MiB default_memory;         // 0: 100 percent
  Percent default_cores;
  int32_t default_count = 0;  // injected when only memory or cores are asked for; 0: never
};

// One edit of the Pod that admission makes, as a value.
struct Change {
  enum class Kind : uint8_t {
    kSetLimit,         // resources.limits[name] = value
    kSetRequest,       // resources.requests[name] = value
    kAddEnv,           // append {name, value}
    kSetRuntimeClass,  // spec.runtimeClassName = value; container and name unused
  };
  Kind kind = Kind::kSetLimit;
  size_t container = 0;  // index into Pod::containers
  std::string name;
  std::string value;
  bool operator==(const Change&) const = default;
};

struct Mutation {
  bool uses_cards = false;  // some container asks for some vendor's cards
  std::vector<Change> changes;
  std::vector<std::string> warnings;  // for the AdmissionReview's warnings
  bool operator==(const Mutation&) const = default;
};

// What a vendor's mutate hook sees: one container of the Pod.
struct MutateContext {
  const Pod& pod;
  size_t container = 0;
  bool wants = false;      // the container asks for this vendor's cards
  bool elsewhere = false;  // the container asks for another vendor's cards
  const DeviceConfig& config;
};

struct Hooks {
  // Required: what the configuration says.
  Settings (*settings)(const DeviceConfig&) = nullptr;
  // Optional: changes beyond count defaulting and checks. Errors: the denial's text.
  Result<void> (*mutate)(const MutateContext&, Mutation&) = nullptr;
};

struct Vendor {
  std::string_view word;     // key in allocations and everywhere else: "NVIDIA"
  std::string_view section;  // of device-config.yaml
  protocol::VendorKeys keys;
  std::string_view pair_scores;    // node annotation with link scores; "" = none
  std::string_view mode_key;       // Pod annotation that selects card modes; "" = none
  bool register_csv = false;       // form C is written instead of J
  bool exclusive_default = false;  // a whole card's memory asked for, cores not named: all cores
  FitRules rules;
  Hooks hooks;
};

// Every vendor of this build, in the order in which requests and changes are made.
std::span<const Vendor> AllVendors();
const Vendor* FindVendor(std::string_view word);
// Those that the configuration switches on.
std::vector<const Vendor*> EnabledVendors(const DeviceConfig& config);

// What the container asks of the vendor; count 0 for nothing. Strict: a value that is wrong on any
// cluster is kInvalidArgument, naming container, resource, value and what is expected
// (spec/scheduler.md 6.1, 3.4). Defaults are applied; percentages are left to the card.
Result<ContainerRequest> ParseRequest(const Vendor& vendor, const Settings& settings,
                                      const Container& container);

// Admission's edits for the whole Pod, all vendors in order, every container. Errors:
// kInvalidArgument; the message is the denial's text: where the reference has one it comes first,
// ours after "; ".
Result<Mutation> MutatePod(const Pod& pod, const DeviceConfig& config);

// All resource names of enabled vendors (the scheduler's managed resources).
std::vector<std::string> ManagedResources(const DeviceConfig& config);

// The vendor's count resource is allocatable on the node: its plugin is there.
bool IsServed(const Settings& settings, const Node& node);

// One vendor's cards of a node with nothing promised of them; kNotFound when the node has none.
// Cards whose count resource is not allocatable on the node are unhealthy (their plugin is away).
// Link scores that do not decode are left out. Errors: kInvalidArgument for an annotation that does
// not decode.
Result<CardSet> NodeCards(const Vendor& vendor, const Settings& settings, const Node& node);

// Every enabled vendor's cards and the cordon. A vendor whose annotation does not decode is left
// out and stands in `problems`, named by node and annotation: that node alone is out for it.
struct NodeView {
  NodeState state;
  std::vector<Error> problems;
};
NodeView ReadNode(const Node& node, const DeviceConfig& config);

using SharesByVendor = std::map<std::string, PodShares, std::less<>>;  // key: vendor word

// The shares a Pod holds, from its D annotations, one entry per container for each vendor present.
// Errors: kInvalidArgument naming the annotation, kDataLoss where they are not what their seal
// says: the Pod's charge is unknown.
Result<SharesByVendor> AllocatedShares(const Pod& pod, const DeviceConfig& config);
// The same of its A annotations: what the plugins have yet to serve.
Result<SharesByVendor> PendingShares(const Pod& pod, const DeviceConfig& config);

// Every annotation of a decision: vgpu-node, vgpu-time, A and D of each vendor placed.
protocol::Annotations PlacementAnnotations(const Placement& placement, WallTime now);
// Value of hami.io/decision-seal: a hash over vgpu-node and every D. The Binding writes it, so that
// a scheduler that was not there sees a change by hand; whoever means to forge can make it too.
std::string DecisionSeal(const protocol::Annotations& annotations);

}  // namespace hami::vendor

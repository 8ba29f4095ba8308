// Bind state: the fields that follow a Pod from the decision to its cards (spec/protocol.md 3).
//
// Pure, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "domain/model/pod.h"

namespace hami::protocol {

enum class BindPhase : uint8_t { kNone, kAllocating, kSuccess, kFailed };

std::string_view BindPhaseText(BindPhase phase);  // "" for kNone
BindPhase ParseBindPhase(std::string_view text);  // unknown text is kNone

struct BindState {
  std::string node;  // hami.io/vgpu-node
  BindPhase phase = BindPhase::kNone;
  std::optional<int64_t> decided_unix;  // hami.io/vgpu-time
  std::optional<int64_t> bind_unix;     // hami.io/bind-time
  bool operator==(const BindState&) const = default;
};

// Unreadable numbers are absent.
BindState ReadBindState(const Pod& pod);

using Annotations = std::map<std::string, std::string, std::less<>>;

// vgpu-node and vgpu-time.
Annotations DecisionAnnotations(std::string_view node, WallTime now);
// bind-phase=allocating and bind-time.
Annotations BindingAnnotations(WallTime now);

}  // namespace hami::protocol

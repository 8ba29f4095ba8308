#include "domain/protocol/bind_state.h"

#include <charconv>

#include "domain/protocol/names.h"

namespace hami::protocol {
namespace {

std::optional<int64_t> ParseUnix(std::string_view text) {
  int64_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string_view BindPhaseText(BindPhase phase) {
  switch (phase) {
    case BindPhase::kNone:
      return "";
    case BindPhase::kAllocating:
      return kPhaseAllocating;
    case BindPhase::kSuccess:
      return kPhaseSuccess;
    case BindPhase::kFailed:
      return kPhaseFailed;
  }
  return "";
}

BindPhase ParseBindPhase(std::string_view text) {
  if (text == kPhaseAllocating) return BindPhase::kAllocating;
  if (text == kPhaseSuccess) return BindPhase::kSuccess;
  if (text == kPhaseFailed) return BindPhase::kFailed;
  return BindPhase::kNone;
}

BindState ReadBindState(const Pod& pod) {
  return {.node = pod.Annotation(kVgpuNode),
          .phase = ParseBindPhase(pod.Annotation(kBindPhase)),
          .decided_unix = ParseUnix(pod.Annotation(kVgpuTime)),
          .bind_unix = ParseUnix(pod.Annotation(kBindTime))};
}

Annotations DecisionAnnotations(std::string_view node, WallTime now) {
  return {{std::string(kVgpuNode), std::string(node)},
          {std::string(kVgpuTime), std::to_string(UnixSeconds(now))}};
}

Annotations BindingAnnotations(WallTime now) {
  return {{std::string(kBindPhase), std::string(kPhaseAllocating)},
          {std::string(kBindTime), std::to_string(UnixSeconds(now))}};
}

}  // namespace hami::protocol

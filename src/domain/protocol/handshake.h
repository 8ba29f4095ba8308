// Handshake: the liveness stamps that older schedulers and plugins leave on a node
// (spec/protocol.md 2.2).
//
// Nothing of ours depends on them; they are read so that no value of theirs can block a node, and
// written for plugins that look at them. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hami::protocol {

inline constexpr Duration kHandshakeTimeout = std::chrono::seconds(60);

enum class HandshakeKind : uint8_t { kAbsent, kRequesting, kReported, kDeleted };

struct Handshake {
  HandshakeKind kind = HandshakeKind::kAbsent;
  std::optional<WallTime> stamp;  // as if written in UTC; the text has no zone
  bool operator==(const Handshake&) const = default;
};

// Requesting_<t>, Reported_<t>, "Reported <t>", Deleted_<t>; dates with "-" or ".". Unknown text is
// kAbsent; an unreadable date leaves the stamp out.
Handshake ParseHandshake(std::string_view value);

// "Requesting_2026-06-14 15:05:03", UTC.
std::string FormatRequesting(WallTime now);

// True when a request stands unanswered for more than 60 s, read as UTC and as local time
// (`local_offset` east of UTC): only then may missing allocatable cards mean an unhealthy node.
bool HandshakeOverdue(const Handshake& handshake, WallTime now, Duration local_offset);

}  // namespace hami::protocol

#include "domain/protocol/handshake.h"

#include <string>

#include "domain/protocol/time_text.h"

namespace hami::protocol {
namespace {

// "2026-06-14 15:05:03" or "2026.06.14 15:05:03"; text behind it (an offset flag) is ignored.
std::optional<WallTime> ParseStamp(std::string_view text) {
  constexpr size_t kLength = 19;
  if (text.size() < kLength) return std::nullopt;
  std::string iso(text.substr(0, kLength));
  bool dashes = iso[4] == '-' && iso[7] == '-';
  bool dots = iso[4] == '.' && iso[7] == '.';
  if ((!dashes && !dots) || iso[10] != ' ') return std::nullopt;
  iso[4] = iso[7] = '-';
  iso[10] = 'T';
  return ParseRfc3339(iso + "Z");
}

}  // namespace

Handshake ParseHandshake(std::string_view value) {
  struct Row {
    std::string_view prefix;
    HandshakeKind kind;
  };
  static constexpr Row kRows[] = {
      {"Requesting_", HandshakeKind::kRequesting},
      {"Reported_", HandshakeKind::kReported},
      {"Reported ", HandshakeKind::kReported},
      {"Deleted_", HandshakeKind::kDeleted},
  };
  for (const Row& row : kRows) {
    if (value.starts_with(row.prefix)) {
      return {row.kind, ParseStamp(value.substr(row.prefix.size()))};
    }
  }
  return {};
}

std::string FormatRequesting(WallTime now) {
  std::string iso = FormatRfc3339(now);  // 2026-06-14T15:05:03Z
  return "Requesting_" + iso.substr(0, 10) + " " + iso.substr(11, 8);
}

bool HandshakeOverdue(const Handshake& handshake, WallTime now, Duration local_offset) {
  if (handshake.kind != HandshakeKind::kRequesting || !handshake.stamp) return false;
  Duration as_utc = now - *handshake.stamp;
  Duration as_local = now - (*handshake.stamp - local_offset);
  return as_utc > kHandshakeTimeout && as_local > kHandshakeTimeout;
}

}  // namespace hami::protocol

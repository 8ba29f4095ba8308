#include "domain/protocol/handshake.h"

#include <gtest/gtest.h>

namespace hami::protocol {
namespace {

using namespace std::chrono_literals;

const WallTime kStamp(std::chrono::seconds(1781449503));  // 2026-06-14 15:05:03 UTC

// Conformance vector 8.
TEST(HandshakeTest, ReadsEveryHistoricForm) {
  EXPECT_EQ(ParseHandshake("Requesting_2026-06-14 15:05:03"),
            (Handshake{HandshakeKind::kRequesting, kStamp}));
  EXPECT_EQ(ParseHandshake("Reported_2026.06.14 15:05:03"),
            (Handshake{HandshakeKind::kReported, kStamp}));
  EXPECT_EQ(ParseHandshake("Reported 2026-06-14 15:05:03 +0800 CST"),
            (Handshake{HandshakeKind::kReported, kStamp}));
  EXPECT_EQ(ParseHandshake("Deleted_2026.06.14 15:05:03"),
            (Handshake{HandshakeKind::kDeleted, kStamp}));
  EXPECT_EQ(ParseHandshake("Requesting_soon"),
            (Handshake{HandshakeKind::kRequesting, std::nullopt}));
  EXPECT_EQ(ParseHandshake("Requesting_2026-06.14 15:05:03").stamp, std::nullopt);
  EXPECT_EQ(ParseHandshake("garbage"), Handshake{});
  EXPECT_EQ(ParseHandshake(""), Handshake{});
}

TEST(HandshakeTest, WritesUtc) {
  EXPECT_EQ(FormatRequesting(kStamp), "Requesting_2026-06-14 15:05:03");
}

TEST(HandshakeTest, OnlyAnOldRequestIsOverdue) {
  Handshake h = ParseHandshake(FormatRequesting(kStamp));
  EXPECT_FALSE(HandshakeOverdue(h, kStamp + 60s, 0s));
  EXPECT_TRUE(HandshakeOverdue(h, kStamp + 61s, 0s));
  h.kind = HandshakeKind::kReported;
  EXPECT_FALSE(HandshakeOverdue(h, kStamp + 1h, 0s));
  EXPECT_FALSE(HandshakeOverdue(ParseHandshake("Requesting_x"), kStamp, 0s));
}

// Trap: stamps carry no zone, and schedulers in different zones mis-aged them.
TEST(HandshakeTest, AStampInLocalTimeIsNotMisjudged) {
  Handshake east = ParseHandshake(FormatRequesting(kStamp + 8h));  // written at UTC+8
  EXPECT_FALSE(HandshakeOverdue(east, kStamp + 10s, 8h));
  Handshake west = ParseHandshake(FormatRequesting(kStamp - 5h));  // written at UTC-5
  EXPECT_FALSE(HandshakeOverdue(west, kStamp + 10s, -5h));
}

}  // namespace
}  // namespace hami::protocol

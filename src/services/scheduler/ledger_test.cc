#include "services/scheduler/ledger.h"

#include <gtest/gtest.h>

#include <random>

namespace hami::scheduler {
namespace {

using namespace std::chrono_literals;

Device Card(const std::string& id) {
  Device d;
  d.id = id;
  d.count = 10;
  d.memory = {40960};
  d.cores = {100};
  d.healthy = true;
  return d;
}

NodeState NodeWith(const std::string& name, const std::vector<std::string>& ids) {
  NodeState state;
  state.name = name;
  for (const auto& id : ids) state.cards["NVIDIA"].devices.push_back(Card(id));
  return state;
}

Claim ClaimOn(const std::string& node, const std::string& card, int64_t mib) {
  Claim c;
  c.pod = {"default", "p"};
  c.node = node;
  c.charge[card] = {.slots = 1, .memory = {mib}, .cores = {30}};
  return c;
}

TEST(Ledger, ReleaseIsIdempotent) {
  Ledger ledger;
  ledger.SetNode(NodeWith("n1", {"A", "B"}));
  ledger.Put("u1", ClaimOn("n1", "B", 3000));
  EXPECT_EQ(ledger.FindNode("n1")->cards.at("NVIDIA").usage[1].memory, MiB{3000});
  EXPECT_EQ(ledger.Release("u1"), "n1");
  EXPECT_EQ(ledger.Release("u1"), "");
  EXPECT_EQ(ledger.FindNode("n1")->cards.at("NVIDIA").usage[1], DeviceUsage{});
}

TEST(Ledger, PutReplacesThePodsEarlierClaim) {
  Ledger ledger;
  ledger.SetNode(NodeWith("n1", {"A"}));
  ledger.Put("u1", ClaimOn("n1", "A", 3000));
  ledger.Put("u1", ClaimOn("n1", "A", 5000));
  EXPECT_EQ(ledger.FindNode("n1")->cards.at("NVIDIA").usage[0].memory, MiB{5000});
  EXPECT_EQ(ledger.FindNode("n1")->cards.at("NVIDIA").usage[0].slots, 1);
}

TEST(Ledger, PromisesSurviveANodeOrCardThatComesBack) {
  Ledger ledger;
  ledger.SetNode(NodeWith("n1", {"A", "B"}));
  ledger.Put("u1", ClaimOn("n1", "A", 3000));
  ledger.SetNode(NodeWith("n1", {"B"}));
  ledger.SetNode(NodeWith("n1", {"B", "A"}));
  EXPECT_EQ(ledger.FindNode("n1")->cards.at("NVIDIA").usage[1].memory, MiB{3000});
  ledger.RemoveNode("n1");
  EXPECT_EQ(ledger.FindNode("n1"), nullptr);
  ledger.Put("u2", ClaimOn("n1", "A", 1000));  // learned from the Pods' watch before the Node's
  ledger.SetNode(NodeWith("n1", {"A"}));
  EXPECT_EQ(ledger.FindNode("n1")->cards.at("NVIDIA").usage[0].memory, MiB{4000});
}

TEST(Ledger, OnlyAssumedClaimsExpire) {
  Ledger ledger;
  ledger.SetNode(NodeWith("n1", {"A"}));
  Claim assumed = ClaimOn("n1", "A", 1);
  assumed.expires = MonoTime(60s);
  ledger.Put("assumed", assumed);
  ledger.Put("binding", assumed);
  ledger.SetState("binding", ClaimState::kBinding);
  EXPECT_TRUE(ledger.Expire(MonoTime(59s)).empty());
  EXPECT_EQ(ledger.Expire(MonoTime(60s)), std::vector<std::string>{"n1"});
  EXPECT_EQ(ledger.Find("assumed"), nullptr);
  EXPECT_NE(ledger.Find("binding"), nullptr);
}

TEST(Ledger, AccountEqualsTheSumOfClaimsAfterAnyHistory) {
  std::mt19937 random(20260614);
  Ledger ledger;
  for (int step = 0; step < 20'000; ++step) {
    std::string node = "n" + std::to_string(random() % 3);
    std::string uid = "u" + std::to_string(random() % 20);
    std::string card = std::string(1, static_cast<char>('A' + random() % 3));
    switch (random() % 5) {
      case 0:
        ledger.SetNode(NodeWith(node, {"A", "C"}));
        break;
      case 1:
        ledger.RemoveNode(node);
        break;
      case 2:
        ledger.Release(uid);
        break;
      default:
        ledger.Put(uid, ClaimOn(node, card, static_cast<int64_t>(random() % 9)));
        break;
    }
    ASSERT_TRUE(ledger.Audit().empty()) << "step " << step;
  }
}

}  // namespace
}  // namespace hami::scheduler

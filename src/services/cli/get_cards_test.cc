#include "services/cli/get_cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cli/cluster_fixture.h"

namespace hami::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Cluster Sample() {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/nodes"].push_back(NodeJson("n2", "GPU-b"));
  api.lists["/api/v1/pods"] = {BoundPodJson("a", "3000", "n1", "GPU-a0"),
                               BoundPodJson("b", "3000", "n1", "GPU-a0"),
                               BoundPodJson("c", "3000", "n1", "GPU-a0")};
  return LoadCluster(api.call(), {}).value();
}

TEST(GetCardsTest, TheTableShowsUsedAndTotalAndNamesPods) {
  CardsReport report = ReportCards(Sample(), "n1", Format::kTable);
  EXPECT_EQ(report.cards, 2u);
  EXPECT_EQ(report.text,
            "NODE  CARD  UUID    MODEL      HEALTH   MEMORY(MiB)  CORES   SLOTS  PODS\n"
            "n1    0     GPU-a0  NVIDIA L4  healthy  9000/24000   90/100  3/10   "
            "team-a/a,team-a/b +1\n"
            "n1    1     GPU-a1  NVIDIA L4  healthy  0/24000      0/100   0/10   -\n");
}

TEST(GetCardsTest, WideNamesEveryPodWithItsShare) {
  CardsReport report = ReportCards(Sample(), "", Format::kWide);
  EXPECT_EQ(report.cards, 4u);
  EXPECT_THAT(report.text, HasSubstr("team-a/c(3000MiB,30)"));
  EXPECT_THAT(report.text, HasSubstr("hami-core"));
}

TEST(GetCardsTest, JsonHoldsEveryNumber) {
  Json json = Tree(ReportCards(Sample(), "n1", Format::kJson).text);
  const Json& card = json.at("cards").at(0);
  EXPECT_EQ(StringAt(card, {"uuid"}), "GPU-a0");
  EXPECT_EQ(IntAt(card, {"memoryMiB", "used"}), 9000);
  EXPECT_EQ(IntAt(card, {"memoryMiB", "total"}), 24000);
  EXPECT_EQ(IntAt(card, {"cores", "used"}), 90);
  EXPECT_EQ(IntAt(card, {"slots", "used"}), 3);
  EXPECT_EQ(card.at("pods").as_array().size(), 3u);
}

TEST(GetCardsTest, CordonedAndUnhealthyCardsAreMarked) {
  FakeApi api = FakeApi::Healthy();
  Json& node = api.lists["/api/v1/nodes"][0];
  node.at("metadata").at("annotations").as_object()["hami.io/device-cordon"] = "GPU-a1";
  EXPECT_THAT(ReportCards(LoadCluster(api.call(), {}).value(), "", Format::kTable).text,
              HasSubstr("cordoned"));
  node = NodeJson("n1", "GPU-a", "0");
  std::string text = ReportCards(LoadCluster(api.call(), {}).value(), "", Format::kTable).text;
  EXPECT_THAT(text, HasSubstr("unhealthy"));
  EXPECT_THAT(text, HasSubstr("! node n1: kubelet offers no nvidia.com/gpu"));
}

// Complaint: "is the device plugin running there?" where an Event of the Node says why.
TEST(GetCardsTest, AWrongConfigurationIsNamedInTheWordsOfTheNodesEvent) {
  FakeApi api = FakeApi::Healthy();
  constexpr const char* kEvents = "/api/v1/namespaces/default/events";
  api.lists["/api/v1/nodes"] = {NodeJson("n1", "GPU-a", "0"), NodeJson("n2", "GPU-b", "0")};
  api.lists[kEvents] = {
      Tree(R"({"reason":"InvalidDevicePluginConfig","message":"config.json: new words",
        "involvedObject":{"kind":"Node","name":"n1"},"lastTimestamp":"2027-01-15T08:00:00Z"})"),
      Tree(R"({"reason":"InvalidDevicePluginConfig","message":"config.json: old words",
        "involvedObject":{"kind":"Node","name":"n1"},"lastTimestamp":"2027-01-15T07:00:00Z"})")};
  auto text = [&] {
    return ReportCards(LoadCluster(api.call(), {}).value(), "", Format::kTable).text;
  };
  EXPECT_THAT(text(), HasSubstr("! node n1: kubelet offers no nvidia.com/gpu although cards are "
                                "registered; its plugin says, at 2027-01-15T08:00:00Z: "
                                "config.json: new words\n"));
  EXPECT_THAT(text(), HasSubstr("registered: is the device plugin running there?\n"));  // n2
  api.forbidden = {kEvents};
  EXPECT_THAT(text(), Not(HasSubstr("config.json")));
  EXPECT_THAT(text(), Not(HasSubstr("may not be listed")));
}

TEST(GetCardsTest, NoCardsIsSaidWithWhatToLookAt) {
  CardsReport report = ReportCards(Sample(), "n9", Format::kTable);
  EXPECT_EQ(report.cards, 0u);
  EXPECT_THAT(report.text, HasSubstr("node n9 registers no cards"));
  EXPECT_THAT(report.text, Not(HasSubstr("NODE ")));
  EXPECT_EQ(Tree(ReportCards(Sample(), "n9", Format::kJson).text).at("cards").as_array().size(),
            0u);
}

}  // namespace
}  // namespace hami::cli

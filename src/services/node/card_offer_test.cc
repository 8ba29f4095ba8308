#include "services/node/card_offer.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "platform/kubelet/fake_kubelet.h"
#include "services/node/testing/fake_cluster.h"

namespace hami::node {
namespace {

using std::chrono::seconds;

constexpr char kResource[] = "nvidia.com/gpu";
constexpr char kRegister[] = "hami.io/node-nvidia-register";

class Handler final : public kubelet::DevicePluginHandler {
  void Allocate(std::vector<kubelet::DeviceIds>, kubelet::AllocateDone) override {}
  void Prefer(std::vector<kubelet::PreferredRequest>, kubelet::PreferredDone) override {}
};

// A real endpoint, for a kubelet that is not there yet.
class CardOfferTest : public testing::Test {
 protected:
  CardOfferTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-offer-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    kubelet_ = std::make_unique<kubelet::FakeKubelet>(folder_);
    cluster_.view = &view_;
    cluster_.SetNode({});
    offer_ = std::make_unique<CardOffer>(
        executor_, registrar_, handler_,
        CardOfferOptions{.endpoint = {.folder = folder_,
                                      .socket_name = "hami-nvidia-gpu.sock",
                                      .kubelet_socket = kubelet_->socket(),
                                      .registry_folder = "",
                                      .resource = kResource},
                         .register_key = kRegister,
                         .settings = {}});
    inventory_.cards.push_back({.device = {.id = "GPU-a", .count = 2, .healthy = true},
                                .info = {.uuid = "GPU-a"},
                                .fault = ""});
  }
  ~CardOfferTest() override {
    offer_.reset();
    kubelet_.reset();
    std::filesystem::remove_all(folder_);
  }
  bool OnOffer() {
    return cluster_.NodeAnnotation(kRegister).find("\"health\":true") != std::string::npos;
  }

  std::string folder_;
  std::unique_ptr<kubelet::FakeKubelet> kubelet_;
  FakeClock clock_;
  ManualExecutor executor_{clock_};
  FakeCluster cluster_{executor_};
  NodeView view_{[this] { registrar_.Reconcile(); }};
  Registrar registrar_{executor_, cluster_, view_};
  Handler handler_;
  std::unique_ptr<CardOffer> offer_;
  Inventory inventory_;
};

// Complaint: a Pod placed within 100 ms of the plugin's start was refused by kubelet.
TEST_F(CardOfferTest, ClusterIsToldOnceKubeletHasTheList) {
  offer_->Publish(inventory_);
  executor_.Advance(seconds(1));
  EXPECT_FALSE(cluster_.NodeHas(kRegister));
  EXPECT_TRUE(offer_->WaitsForKubelet());
  kubelet_->Start();
  ASSERT_TRUE(kubelet_->WaitFor(kResource, [](const kubelet::FakeKubelet::Plugin& p) {
    return p.stream_open && !p.devices.empty();
  }));
  executor_.Advance(seconds(1));
  EXPECT_TRUE(OnOffer());
  EXPECT_FALSE(offer_->WaitsForKubelet());
}

TEST_F(CardOfferTest, KubeletIsNotWaitedForWithoutEnd) {
  offer_->Publish(inventory_);
  executor_.Advance(seconds(6));
  EXPECT_TRUE(OnOffer());
}

TEST_F(CardOfferTest, NodeWithoutCardsSaysSoAtOnce) {
  offer_->Publish({});
  executor_.RunReady();
  EXPECT_EQ(cluster_.NodeAnnotation(kRegister), "[]");
}

TEST_F(CardOfferTest, WithdrawnCardsAreUnhealthyAndStaySo) {
  offer_->Publish(inventory_);
  executor_.Advance(seconds(6));
  offer_->Withdraw();
  executor_.RunReady();
  offer_->Publish(inventory_);  // a look at the driver that was under way
  executor_.Advance(seconds(6));
  EXPECT_NE(cluster_.NodeAnnotation(kRegister).find("GPU-a"), std::string::npos);
  EXPECT_FALSE(OnOffer());
}

}  // namespace
}  // namespace hami::node

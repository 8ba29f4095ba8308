#include "platform/kubelet/resource_endpoint.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "platform/kubelet/fake_kubelet.h"

namespace hami::kubelet {
namespace {

constexpr char kResource[] = "nvidia.com/gpu";

// Answers each container with its own ids, from a thread of its own.
class EchoHandler final : public DevicePluginHandler {
 public:
  ~EchoHandler() override {
    for (std::thread& t : threads_) t.join();
  }
  void Allocate(std::vector<DeviceIds> containers, AllocateDone done) override {
    ++allocations;
    std::vector<ContainerResponse> out;
    for (const DeviceIds& ids : containers) {
      ContainerResponse response;
      for (const std::string& id : ids) response.envs["ID_" + id] = id;
      response.mounts.push_back({"/c", "/h", true});
      response.devices.push_back({"/dev/c", "/dev/h", "rw"});
      response.annotations["a"] = "b";
      response.cdi_devices.push_back("v/c=d");
      out.push_back(std::move(response));
    }
    if (containers.empty()) return done(Fail(Code::kInternal, "device number not matched"));
    std::lock_guard lock(mutex_);
    threads_.emplace_back([done = std::move(done), out = std::move(out)] { done(out); });
  }
  void Prefer(std::vector<PreferredRequest> containers, PreferredDone done) override {
    std::vector<DeviceIds> out;
    for (const PreferredRequest& c : containers) {
      out.emplace_back(c.available.end() - c.size, c.available.end());
    }
    done(out);
  }
  std::atomic<int> allocations{0};

 private:
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

class ResourceEndpointTest : public testing::Test {
 protected:
  ResourceEndpointTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-kubelet-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    folder_ = root_ + "/device-plugins";
    std::filesystem::create_directory(folder_);
    kubelet_ = std::make_unique<FakeKubelet>(folder_);
  }
  ~ResourceEndpointTest() override {
    kubelet_.reset();
    std::filesystem::remove_all(root_);
  }
  EndpointOptions Options() const {
    return {.folder = folder_,
            .socket_name = "hami-nvidia-gpu.sock",
            .kubelet_socket = folder_ + "/kubelet.sock",
            .registry_folder = "",
            .resource = kResource,
            .preferred_allocation = true};
  }
  static std::vector<PluginDevice> Devices(int n, bool healthy = true) {
    std::vector<PluginDevice> out;
    for (int i = 0; i < n; ++i) {
      out.push_back({.id = "GPU-" + std::to_string(i), .healthy = healthy, .numa = std::nullopt});
    }
    return out;
  }
  bool WaitForList(const std::vector<PluginDevice>& want) {
    return kubelet_->WaitFor(kResource, [&](const auto& p) { return p.devices == want; });
  }

  std::string root_, folder_;
  std::unique_ptr<FakeKubelet> kubelet_;
  EchoHandler handler_;
};

TEST_F(ResourceEndpointTest, RegistersAndListsDevices) {
  kubelet_->Start();
  ResourceEndpoint endpoint(Options(), handler_);
  std::vector<PluginDevice> devices = Devices(3);
  devices[1].numa = 1;
  devices[2].healthy = false;
  endpoint.Publish(devices);
  EXPECT_TRUE(WaitForList(devices));
  // Register returns after the stream opened, so the list may be here first.
  while (!endpoint.status().registered) std::this_thread::yield();
}

TEST_F(ResourceEndpointTest, Trap20_OptionsAreTheSameInRegisterAndInTheCall) {
  kubelet_->Start();
  for (const bool preferred : {true, false}) {
    EndpointOptions options = Options();
    options.preferred_allocation = preferred;
    ResourceEndpoint endpoint(options, handler_);
    endpoint.Publish(Devices(preferred ? 1 : 2));
    ASSERT_TRUE(WaitForList(Devices(preferred ? 1 : 2)));
    EXPECT_TRUE(kubelet_->WaitFor(kResource, [&](const FakeKubelet::Plugin& p) {
      return p.preferred_in_register == preferred && p.preferred_in_options == preferred;
    }));
  }
}

TEST_F(ResourceEndpointTest, AnswersAllocateAndPreferredAllocation) {
  kubelet_->Start();
  ResourceEndpoint endpoint(Options(), handler_);
  endpoint.Publish(Devices(2));
  ASSERT_TRUE(WaitForList(Devices(2)));
  auto allocated = kubelet_->Allocate(kResource, {{"GPU-0", "GPU-1"}});
  ASSERT_TRUE(allocated.has_value()) << allocated.error().message;
  ASSERT_EQ(allocated->size(), 1u);
  EXPECT_EQ(allocated->front().envs.at("ID_GPU-1"), "GPU-1");
  EXPECT_EQ(allocated->front().cdi_devices, std::vector<std::string>{"v/c=d"});
  EXPECT_EQ(allocated->front().mounts.front(), (Mount{"/c", "/h", true}));
  auto preferred = kubelet_->Prefer(
      kResource, {{.available = {"GPU-0", "GPU-1"}, .must_include = {}, .size = 1}});
  ASSERT_TRUE(preferred.has_value());
  EXPECT_EQ(preferred->front(), DeviceIds{"GPU-1"});
  auto refused = kubelet_->Allocate(kResource, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "device number not matched");
}

TEST_F(ResourceEndpointTest, Trap25_KubeletThatStartsLaterIsFound) {
  ResourceEndpoint endpoint(Options(), handler_);
  endpoint.Publish(Devices(1));
  kubelet_->RefuseRegistrations(3);
  kubelet_->Start();
  EXPECT_TRUE(WaitForList(Devices(1)));
}

TEST_F(ResourceEndpointTest, KubeletRestartRemovesTheSocketAndWeComeBack) {
  kubelet_->Start();
  ResourceEndpoint endpoint(Options(), handler_);
  endpoint.Publish(Devices(1));
  ASSERT_TRUE(WaitForList(Devices(1)));
  for (int round = 2; round < 5; ++round) {
    kubelet_->Stop();
    kubelet_->Start();
    endpoint.Publish(Devices(round));
    ASSERT_TRUE(kubelet_->WaitFor(kResource, [&](const FakeKubelet::Plugin& p) {
      return p.stream_open && p.devices == Devices(round);
    }));
    EXPECT_GE(kubelet_->registrations(), round);
  }
}

TEST_F(ResourceEndpointTest, Trap25_FolderMadeAnewIsNoticed) {
  kubelet_->Start();
  ResourceEndpoint endpoint(Options(), handler_);
  endpoint.Publish(Devices(1));
  ASSERT_TRUE(WaitForList(Devices(1)));
  kubelet_->Stop();
  std::filesystem::remove_all(folder_);
  std::filesystem::create_directory(folder_);
  kubelet_->Start();
  endpoint.Publish(Devices(2));
  EXPECT_TRUE(kubelet_->WaitFor(kResource, [&](const FakeKubelet::Plugin& p) {
    return p.stream_open && p.devices == Devices(2);
  }));
}

TEST_F(ResourceEndpointTest, Trap19_PublishNeedsNoStreamAndAllStreamsLearn) {
  ResourceEndpoint endpoint(Options(), handler_);
  for (int i = 0; i < 100; ++i) endpoint.Publish(Devices(1, i % 2 == 0));
  kubelet_->Start();
  ASSERT_TRUE(WaitForList(Devices(1, false)));
  auto second = kubelet_->OpenStream(kResource);
  EXPECT_EQ(second->Next(), Devices(1, false));
  endpoint.Publish(Devices(2));
  EXPECT_EQ(second->Next(), Devices(2));
  EXPECT_TRUE(WaitForList(Devices(2)));
}

TEST_F(ResourceEndpointTest, SlowReaderHoldsUpNobody) {
  kubelet_->Start();
  ResourceEndpoint endpoint(Options(), handler_);
  endpoint.Publish(Devices(1));
  ASSERT_TRUE(WaitForList(Devices(1)));
  auto slow = kubelet_->OpenStream(kResource);
  ASSERT_EQ(slow->Next(), Devices(1));
  // Far more than the transport's window: the unread stream stalls, the other one goes on.
  for (int i = 0; i < 200; ++i) endpoint.Publish(Devices(2000 + i));
  EXPECT_TRUE(WaitForList(Devices(2199)));
  // When it reads again it gets at last the newest version, having skipped some.
  int messages = 0;
  while (slow->Next().size() != 2199) ++messages;
  EXPECT_LT(messages, 200);
}

TEST_F(ResourceEndpointTest, StormOfAllocateCallsIsAnswered) {
  kubelet_->Start();
  ResourceEndpoint endpoint(Options(), handler_);
  endpoint.Publish(Devices(1));
  ASSERT_TRUE(WaitForList(Devices(1)));
  std::atomic<int> answered{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 20; ++t) {
    callers.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        auto reply = kubelet_->Allocate(kResource, {{id}});
        if (reply && reply->front().envs.at("ID_" + id) == id) ++answered;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(answered, 1000);
  EXPECT_EQ(handler_.allocations, 1000);
}

TEST_F(ResourceEndpointTest, WatcherWayServesASocketForKubeletToFind) {
  EndpointOptions options = Options();
  options.way = RegistrationWay::kWatcher;
  options.registry_folder = root_;
  {
    ResourceEndpoint endpoint(options, handler_);
    while (!std::filesystem::exists(root_ + "/hami-nvidia-gpu.sock")) std::this_thread::yield();
  }
  EXPECT_FALSE(std::filesystem::exists(root_ + "/hami-nvidia-gpu.sock"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/hami-nvidia-gpu.sock"));
}

TEST_F(ResourceEndpointTest, PodResourcesAreRead) {
  kubelet_->Start();
  const HeldDevices held{.ns = "ns",
                         .pod = "p",
                         .container = "c",
                         .resource = kResource,
                         .ids = {"GPU-1-0", "GPU-1-1"}};
  kubelet_->SetHeld({held});
  auto listed = ListHeldDevices(kubelet_->pod_resources_socket(), std::chrono::seconds(60));
  ASSERT_TRUE(listed.has_value()) << listed.error().message;
  EXPECT_EQ(*listed, std::vector<HeldDevices>{held});
  kubelet_->Stop();
  EXPECT_FALSE(ListHeldDevices(folder_ + "/none.sock", std::chrono::seconds(5)).has_value());
}

TEST(RegistrationWayTest, UnknownWordsAreRefusedByName) {
  EXPECT_EQ(*ParseRegistrationWay("watcher"), RegistrationWay::kWatcher);
  EXPECT_EQ(ParseRegistrationWay("both").error().message,
            "invalid --registration \"both\": expected auto, socket or watcher");
}

}  // namespace
}  // namespace hami::kubelet

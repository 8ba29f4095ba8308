// The whole service in a process of its own, killed at each step of an allocation and started
// again.
//
// This binary plays both parts: with HAMI_TEST_ROOT it is the plugin, else it is the test, which
// plays kubelet and the API server.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <thread>

#include "base/env.h"
#include "base/json.h"
#include "platform/kube/client.h"
#include "platform/kubelet/fake_kubelet.h"
#include "services/node/limits.h"
#include "services/node/service.h"
#include "tests/fake_apiserver/fake_apiserver.h"

extern char** environ;

namespace hami::node {
namespace {

constexpr char kResource[] = "nvidia.com/gpu";
constexpr char kA[] = "hami.io/vgpu-devices-to-allocate";
constexpr char kPhase[] = "hami.io/bind-phase";
constexpr char kLock[] = "hami.io/mutex.lock";

int PlugIn(const std::string& root) {
  net::Loop loop;
  kube::Config config;
  config.server = GetEnvOr("HAMI_TEST_API", "");
  auto client = kube::Client::Create(loop, config, {});
  CHECK(client.has_value());
  FlagSet none("plugin", "");
  driver::VendorOptions options;
  options.nvidia.library = HAMI_NVML_STUB;
  options.nvidia.cdi_root = root + "/cdi";
  options.nvidia.driver_root_here = root + "/none";
  options.nvidia.driver_root = root;
  options.nvidia.list_strategies = {"cdi-cri"};
  auto setup =
      driver::SetupVendor(RealFileSystem(), {.given = none,
                                             .options = options,
                                             .tuning = {},
                                             .config_yaml = "",
                                             .overrides_json = GetEnvOr("HAMI_TEST_CONFIG", ""),
                                             .node = "n1",
                                             .labels = {},
                                             .health_off = "all",
                                             .health_on = ""});
  CHECK(setup.has_value());
  NodeFlags flags;
  flags.node_name = "n1";
  flags.hook_path = root;
  flags.lock_dir = root + "/lock";
  flags.limiter_library = root + "/libvgpu.so";
  flags.kubelet_socket = root + "/device-plugins/kubelet.sock";
  flags.pod_resources_socket = root + "/device-plugins/pod-resources.sock";
  flags.registry_folder = root + "/none";
  auto service =
      NodeService::Start(RealFileSystem(), **client, flags, *std::move(setup), MakeContainerLimits);
  CHECK(service.has_value());
  return loop.WaitForSignal() == SIGTERM ? 0 : 1;
}

class CrashTest : public testing::TestWithParam<std::string> {
 protected:
  CrashTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-crash-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directory(root_ + "/device-plugins");
    EXPECT_TRUE(RealFileSystem().WriteAtomic(root_ + "/libvgpu.so", "library", 0644));
    kubelet_ = std::make_unique<kubelet::FakeKubelet>(root_ + "/device-plugins");
    kubelet_->Start();
    server_.Create("/api/v1/nodes", R"({"metadata":{"name":"n1","annotations":{}},
                                        "status":{"allocatable":{}}})");
  }
  ~CrashTest() override {
    if (plugin_ > 0) Kill(SIGKILL);
    kubelet_.reset();
    std::filesystem::remove_all(root_);
  }

  void Plug(const std::string& failpoint = "") {
    ::setenv("HAMI_TEST_ROOT", root_.c_str(), 1);
    ::setenv("HAMI_TEST_API", server_.url().c_str(), 1);
    ::setenv("HAMI_FAILPOINT", failpoint.c_str(), 1);
    ::setenv("HAMI_TEST_CONFIG", config_.c_str(), 1);
    std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    char* argv[] = {self.data(), nullptr};
    const int registrations = kubelet_->registrations();
    ASSERT_EQ(::posix_spawn(&plugin_, self.c_str(), nullptr, nullptr, argv, environ), 0);
    ASSERT_TRUE(kubelet_->WaitFor(kResource, [](const kubelet::FakeKubelet::Plugin& p) {
      return p.stream_open && p.devices.size() == 20;
    }));
    while (kubelet_->registrations() == registrations) std::this_thread::yield();
  }
  int Kill(int signal) {
    ::kill(plugin_, signal);
    int status = 0;
    ::waitpid(plugin_, &status, 0);
    plugin_ = 0;
    return status;
  }
  void AwaitDeath() {
    int status = 0;
    ::waitpid(plugin_, &status, 0);
    plugin_ = 0;
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  }

  static std::string Path(const std::string& pod) {
    return "/api/v1/namespaces/default/pods/" + pod;
  }
  void AddPod(const std::string& name) {
    server_.Patch("/api/v1/nodes/n1", R"({"metadata":{"annotations":{"hami.io/mutex.lock":)"
                                      R"("2027-01-15T08:00:00Z,default,)" +
                                          name + R"("}}})");
    server_.Create("/api/v1/namespaces/default/pods",
                   R"({"metadata":{"name":")" + name + R"(","namespace":"default",
      "creationTimestamp":"2027-01-15T08:00:00Z",
      "annotations":{"hami.io/vgpu-node":"n1","hami.io/bind-phase":"allocating",
        "hami.io/bind-time":"1","hami.io/vgpu-devices-to-allocate":"GPU-a,NVIDIA,3000,30:;",
        "hami.io/vgpu-devices-allocated":"GPU-a,NVIDIA,3000,30:;"}},
      "spec":{"nodeName":"n1","schedulerName":"hami-scheduler","containers":[
        {"name":"c","resources":{"limits":{"nvidia.com/gpu":"1"}}}]},
      "status":{"phase":"Pending"}})");
  }
  std::string PodAnnotation(const std::string& pod, const char* key) {
    return std::string(StringAt(server_.Get(Path(pod)), {"metadata", "annotations", key}));
  }
  bool Locked() {
    return Find(server_.Get("/api/v1/nodes/n1"), {"metadata", "annotations", kLock}) != nullptr;
  }
  // Waits for requests until the cluster is as it should be.
  void Await(const std::function<bool()>& predicate) { server_.Await(predicate); }

  std::string root_;
  std::string config_;  // config.json
  fake::FakeApiServer server_;
  std::unique_ptr<kubelet::FakeKubelet> kubelet_;
  pid_t plugin_ = 0;
};

TEST_P(CrashTest, NothingIsLostAndTheNextPodIsServed) {
  AddPod("p");
  Plug(GetParam() + ":1");
  auto answer = kubelet_->Allocate(kResource, {{"GPU-a-0"}});
  AwaitDeath();
  // What kubelet does then: an answer starts the container, none fails the Pod.
  if (!answer) server_.Patch(Path("p"), R"({"status":{"phase":"Failed"}})");
  const std::string expected =
      PodAnnotation("p", kPhase) == "success" || answer ? "success" : "failed";
  Plug();
  Await([&] { return PodAnnotation("p", kPhase) == expected && !Locked(); });
  if (answer) {
    EXPECT_EQ(PodAnnotation("p", kA), ";");
  } else {
    Await([&] { return RealFileSystem().List(root_ + "/vgpu/state")->empty(); });
  }
  AddPod("q");
  auto next = kubelet_->Allocate(kResource, {{"GPU-a-1"}});
  ASSERT_TRUE(next.has_value()) << next.error().message;
  EXPECT_EQ(next->front().cdi_devices,
            std::vector<std::string>{"k8s.device-plugin.nvidia.com/gpu=GPU-a"});
  Await([&] { return PodAnnotation("q", kPhase) == "success" && !Locked(); });
  EXPECT_EQ(Kill(SIGTERM), 0);
}

INSTANTIATE_TEST_SUITE_P(EachStep, CrashTest,
                         testing::Values("intent", "files", "committed", "patched", "replied",
                                         "released"),
                         [](const auto& param) { return param.param; });

TEST_F(CrashTest, AllocationThatKubeletHoldsIsCarriedOnWhereverItWasCut) {
  AddPod("p");
  Plug("files:1");
  ASSERT_FALSE(kubelet_->Allocate(kResource, {{"GPU-a-0"}}).has_value());
  AwaitDeath();
  kubelet_->SetHeld(
      {{.ns = "default", .pod = "p", .container = "c", .resource = kResource, .ids = {"GPU-a-0"}}});
  Plug();
  Await([&] { return PodAnnotation("p", kPhase) == "success" && !Locked(); });
  EXPECT_EQ(PodAnnotation("p", kA), ";");
}

TEST_F(CrashTest, Trap26_TerminationFinishesTheCallInFlight) {
  AddPod("p");
  Plug();
  server_.Inject(
      {.match = fake::On("PATCH", "/pods/p"), .times = 1, .delay = std::chrono::milliseconds(300)});
  auto call =
      std::async(std::launch::async, [&] { return kubelet_->Allocate(kResource, {{"GPU-a-0"}}); });
  server_.AwaitRequests(fake::On("PATCH", "/pods/p"), 1);
  EXPECT_EQ(Kill(SIGTERM), 0);
  auto answer = call.get();
  EXPECT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_FALSE(std::filesystem::exists(root_ + "/device-plugins/hami-nvidia-gpu.sock"));
}

TEST_F(CrashTest, ServerThatIsAwayIsWaitedForAndWorkGoesOn) {
  Plug();
  server_.Stop();
  auto refused = kubelet_->Allocate(kResource, {{"GPU-a-0"}});
  EXPECT_FALSE(refused.has_value());
  server_.Start();
  AddPod("p");
  auto answer = kubelet_->Allocate(kResource, {{"GPU-a-0"}});
  for (int i = 0; i < 30 && !answer; ++i) answer = kubelet_->Allocate(kResource, {{"GPU-a-0"}});
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  Await([&] { return PodAnnotation("p", kPhase) == "success" && !Locked(); });
}

// Complaint: Pods that come while the plugin is being replaced end as UnexpectedAdmissionError.
TEST_F(CrashTest, CardsAreWithdrawnByAPluginThatEndsInOrder) {
  const auto healthy = [&] {
    const std::string cards(StringAt(server_.Get("/api/v1/nodes/n1"),
                                     {"metadata", "annotations", "hami.io/node-nvidia-register"}));
    return cards.find("health") != std::string::npos;
  };
  Plug();
  Await(healthy);
  EXPECT_EQ(Kill(SIGTERM), 0);
  EXPECT_FALSE(healthy());
  Plug();
  Await(healthy);
  EXPECT_EQ(Kill(SIGKILL), SIGKILL);
  EXPECT_TRUE(healthy());
}

// Complaint: the plugin crashed again and again over a mode that it does not know yet.
TEST_F(CrashTest, ANodeWhoseSettingsAreRefusedLivesToTellAndGivesNoCard) {
  config_ = R"({"nodeconfig":[{"name":"n1","operatingmode":"mig"}]})";
  Plug();
  Await([&] {
    const auto nodes = server_.Get("/api/v1/nodes/n1");
    const std::string cards(
        StringAt(nodes, {"metadata", "annotations", "hami.io/node-nvidia-register"}));
    return cards.find("GPU-a") != std::string::npos && cards.find("health") == std::string::npos;
  });
  EXPECT_TRUE(kubelet_->WaitFor(kResource, [](const kubelet::FakeKubelet::Plugin& p) {
    return std::ranges::none_of(p.devices, [](const auto& device) { return device.healthy; });
  }));
  server_.AwaitRequests(fake::On("POST", "/events"), 1);
  EXPECT_EQ(Kill(SIGTERM), 0);
}

}  // namespace
}  // namespace hami::node

int main(int argc, char** argv) {
  const auto root = hami::GetEnv("HAMI_TEST_ROOT");
  if (root) return hami::node::PlugIn(*root);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

// Allocate from end to end inside the service: matcher, last line, journal, files, annotations,
// lock.
#include "services/node/allocator.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>

#include "domain/protocol/node_lock.h"
#include "services/node/lock_keeper.h"
#include "services/node/pod_sync.h"
#include "services/node/testing/fake_cluster.h"

namespace hami::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FakeVendor final : public driver::NodeVendor {
 public:
  std::string_view word() const override { return "NVIDIA"; }
  std::string SocketName(std::string_view) const override { return "test.sock"; }
  Result<void> Load() override { return {}; }
  driver::Backend& backend() override { std::abort(); }
  Result<void> Prepare(const std::vector<driver::CardInfo>&) override { return {}; }
  driver::ContainerEdits Edits(const driver::EditRequest& request) const override {
    driver::ContainerEdits edits;
    for (const auto& share : request.shares) {
      edits.cdi_devices.push_back(share.uuid + "=" + std::to_string(share.memory.value));
    }
    edits.envs["CACHE"] = request.files.cache_name;
    edits.envs["DIR"] = request.files.container_dir;
    if (request.control_disabled) edits.envs["OFF"] = "1";
    return edits;
  }
  bool health_checks() const override { return false; }
  driver::EventClass Classify(uint64_t) const override { return driver::EventClass::kTransient; }
  Result<void> RemoveHostFiles() override { return {}; }
};

const VendorWords kWords{
    .word = "NVIDIA", .keys = protocol::kNvidiaKeys, .resource = "nvidia.com/gpu"};

NodeCard Card(const std::string& uuid, uint32_t index) {
  NodeCard card;
  card.device = {.id = uuid,
                 .index = index,
                 .count = 10,
                 .memory = {10'000},
                 .cores = {100},
                 .type = "NVIDIA A100",
                 .numa = 0,
                 .mode = "hami-core",
                 .mig_profiles = {},
                 .healthy = true,
                 .vendor = "",
                 .custom_info = nullptr};
  card.info.uuid = uuid;
  card.info.index = index;
  card.info.memory = Bytes{10'000LL << 20};
  return card;
}

class AllocatorTest : public testing::Test {
 protected:
  AllocatorTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-node-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    EXPECT_TRUE(RealFileSystem().WriteAtomic(root_ + "/lib.so", "library", 0644));
    inventory_.cards = {Card("GPU-00000000-0000-4000-8000-00000000000a", 0),
                        Card("GPU-00000000-0000-4000-8000-00000000000b", 1)};
    cluster_.SetNode({});
    Boot();
  }
  ~AllocatorTest() override { std::filesystem::remove_all(root_); }

  // A plugin process: everything in memory is new, the disk and the cluster are as they were.
  struct Plugin {
    explicit Plugin(AllocatorTest& t)
        : files(RealFileSystem(), {.hook_path = t.root_, .lock_dir = t.root_ + "/lock"}),
          journal(RealFileSystem(), files.layout().State()),
          pods([this] { changed = true; }),
          view([this] { changed = true; }),
          locks(t.executor_, t.cluster_, view, pods,
                [this](const std::string& uid) { released.push_back(uid); }),
          sync(t.executor_, t.cluster_, pods, journal, kWords, [](const std::string&) {}),
          allocator({.executor = t.executor_,
                     .api = t.cluster_,
                     .pods = pods,
                     .view = view,
                     .journal = journal,
                     .files = files,
                     .sync = sync,
                     .vendor = t.vendor_,
                     .inventory = [&t]() -> const Inventory& { return t.inventory_; },
                     .make_limits = [&t](const LimitsRequest& request) -> Result<bool> {
                       t.pages_.push_back(request.allow_disable_control);
                       return false;
                     }},
                    {.node = "n1",
                     .words = kWords,
                     .schedulers = t.schedulers_,
                     .priority_resource = "nvidia.com/priority",
                     .allow_disable_control = t.allow_disable_control_}) {
      EXPECT_TRUE(files.Install(t.root_ + "/lib.so", "1").has_value());
      EXPECT_TRUE(journal.Load().has_value());
    }
    bool changed = false;
    std::vector<std::string> released;
    HostFiles files;
    Journal journal;
    PodTable pods;
    NodeView view;
    LockKeeper locks;
    PodSync sync;
    Allocator allocator;
  };

  void Boot() {
    plugin_.emplace(*this);
    cluster_.pods = &plugin_->pods;
    cluster_.view = &plugin_->view;
    cluster_.Resync();
    Settle();
  }
  void Settle() {
    do {
      plugin_->changed = false;
      plugin_->sync.Reconcile();
      plugin_->locks.Reconcile();
      plugin_->allocator.Retry();
      executor_.RunReady();
    } while (plugin_->changed);
  }
  void Lock(const std::string& pod, const std::string& uid) {
    cluster_.SetNode({{"hami.io/mutex.lock", "2027-01-15T08:00:00Z,default," + pod},
                      {"hami.io/mutex.owner-uid", uid}});
    Settle();
  }

  using Answer = std::optional<Result<std::vector<kubelet::ContainerResponse>>>;
  std::shared_ptr<Answer> Begin(std::vector<std::string> ids) {
    auto answer = std::make_shared<Answer>();
    plugin_->allocator.Allocate({std::move(ids)}, [answer](auto result) {
      EXPECT_FALSE(answer->has_value()) << "answered twice";
      *answer = std::move(result);
    });
    executor_.RunReady();
    Settle();
    return answer;
  }
  Result<std::vector<kubelet::ContainerResponse>> Allocate(std::vector<std::string> ids) {
    auto answer = Begin(std::move(ids));
    for (int i = 0; i < 20 && !answer->has_value(); ++i) {
      executor_.Advance(milliseconds(500));
      Settle();
    }
    if (!answer->has_value()) return Fail(Code::kInternal, "never answered");
    return **answer;
  }
  std::string A(const std::string& pod) {
    return cluster_.PodAnnotation(pod, "hami.io/vgpu-devices-to-allocate");
  }
  std::string Phase(const std::string& pod) {
    return cluster_.PodAnnotation(pod, "hami.io/bind-phase");
  }

  std::string root_;
  FakeClock clock_;
  ManualExecutor executor_{clock_};
  FakeCluster cluster_{executor_};
  FakeVendor vendor_;
  Inventory inventory_;
  std::vector<std::string> schedulers_;
  bool allow_disable_control_ = true;
  std::vector<bool> pages_;  // of each container: limits.ro allows CUDA_DISABLE_CONTROL
  std::optional<Plugin> plugin_;
};

TEST_F(AllocatorTest, OnePodIsServedWithTwoWritesAndNoRead) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,30:;"});
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer->front().cdi_devices,
            std::vector<std::string>{"GPU-00000000-0000-4000-8000-00000000000a=3000"});
  EXPECT_EQ(A("p"), ";");
  EXPECT_EQ(Phase("p"), "success");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.owner-uid"));
  EXPECT_EQ(cluster_.pod_patches, 1);
  EXPECT_EQ(cluster_.node_patches, 1);
  EXPECT_EQ(cluster_.gets, 0);
}

// Complaint: any author of a Pod could switch its limits off, and no administrator could forbid it.
TEST_F(AllocatorTest, LimitsAreSwitchedOffOnlyWhereTheAdministratorAllowsIt) {
  for (bool allowed : {true, false}) {
    allow_disable_control_ = allowed;
    Boot();
    const std::string name = allowed ? "allowed" : "forbidden";
    Lock(name, name);
    cluster_.AddPod({.name = name,
                     .uid = name,
                     .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,30:;",
                     .disables_control = true});
    auto answer =
        Allocate({"GPU-00000000-0000-4000-8000-00000000000a-" + std::to_string(allowed ? 0 : 1)});
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    EXPECT_EQ(answer->front().envs.contains("OFF"), allowed);
    EXPECT_EQ(pages_.back(), allowed);
  }
}

TEST_F(AllocatorTest, ContainersAreServedInOrderAndTheLockIsHeldUntilTheLast) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .counts = {1, 0, 1},
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;;GPU-"
                             "00000000-0000-4000-8000-00000000000b,NVIDIA,5000,0:;"});
  ASSERT_TRUE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"}).has_value());
  EXPECT_EQ(A("p"), ";;GPU-00000000-0000-4000-8000-00000000000b,NVIDIA,5000,0:;");
  EXPECT_EQ(Phase("p"), "allocating");
  EXPECT_TRUE(cluster_.NodeHas("hami.io/mutex.lock"));
  auto second = Allocate({"GPU-00000000-0000-4000-8000-00000000000b-0"});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->front().cdi_devices,
            std::vector<std::string>{"GPU-00000000-0000-4000-8000-00000000000b=5000"});
  EXPECT_NE(second->front().envs.at("DIR").find("u1_c2"), std::string::npos);
  EXPECT_EQ(Phase("p"), "success");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, Trap22_ShortStringsOfTheReferenceAreAlignedToAskingContainers) {
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .counts = {0, 1, 1},
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;GPU-00000000-"
                             "0000-4000-8000-00000000000b,NVIDIA,5000,0:;"});
  auto first = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_TRUE(first.has_value());
  EXPECT_NE(first->front().envs.at("DIR").find("u1_c1"), std::string::npos);
  EXPECT_EQ(A("p"), ";GPU-00000000-0000-4000-8000-00000000000b,NVIDIA,5000,0:;");
  auto second = Allocate({"GPU-00000000-0000-4000-8000-00000000000b-0"});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->front().cdi_devices,
            std::vector<std::string>{"GPU-00000000-0000-4000-8000-00000000000b=5000"});
  EXPECT_NE(second->front().envs.at("DIR").find("u1_c2"), std::string::npos);
}

TEST_F(AllocatorTest, Trap_PodWithTwoVendorsIsNotCompleteBeforeBothHaveServedIt) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  Json patch = {{"metadata",
                 {{"annotations", {{"hami.io/dcu-devices-to-allocate", "DCU-0,DCU,2048,10:;"}}}}}};
  cluster_.PatchPod({"default", "p"}, ToJson(patch), [](auto) {});
  Settle();
  ASSERT_TRUE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"}).has_value());
  EXPECT_EQ(A("p"), ";");
  EXPECT_EQ(Phase("p"), "allocating");
  EXPECT_TRUE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, Trap9_LockOfARecreatedPodGivesNobodyElsesCards) {
  cluster_.AddPod({.name = "p",
                   .uid = "new",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;",
                   .created = 2000});
  cluster_.AddPod({.name = "q",
                   .uid = "other",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000b,NVIDIA,4000,0:;",
                   .created = 1000});
  Lock("p", "old");
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000b-0"});
  ASSERT_TRUE(answer.has_value());
  // The stale lock names nobody; the older Pod is admitted first.
  EXPECT_EQ(answer->front().cdi_devices,
            std::vector<std::string>{"GPU-00000000-0000-4000-8000-00000000000b=4000"});
}

TEST_F(AllocatorTest, ProposedIdsDecideBetweenPods) {
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;",
                   .created = 1});
  Settle();
  kubelet::PreferredRequest request{.available = {"GPU-00000000-0000-4000-8000-00000000000a-3",
                                                  "GPU-00000000-0000-4000-8000-00000000000a-1",
                                                  "GPU-00000000-0000-4000-8000-00000000000b-0"},
                                    .must_include = {},
                                    .size = 1};
  std::vector<kubelet::DeviceIds> proposed;
  plugin_->allocator.Prefer({request}, [&](auto result) { proposed = *result; });
  executor_.RunReady();
  EXPECT_EQ(proposed,
            (std::vector<kubelet::DeviceIds>{{"GPU-00000000-0000-4000-8000-00000000000a-1"}}));
  // A lock owner appears in between; the ticket is the stronger sign.
  cluster_.AddPod({.name = "q",
                   .uid = "u2",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000b,NVIDIA,4000,0:;",
                   .created = 2});
  Lock("q", "u2");
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->front().cdi_devices,
            std::vector<std::string>{"GPU-00000000-0000-4000-8000-00000000000a=3000"});
}

TEST_F(AllocatorTest, PodWhoseEventIsOnItsWayIsWaitedFor) {
  auto answer = Begin({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  EXPECT_FALSE(answer->has_value());
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  Settle();
  ASSERT_TRUE(answer->has_value());
  EXPECT_TRUE((**answer).has_value());
}

TEST_F(AllocatorTest, CutWatchIsReplacedByAskingForTheLocksOwner) {
  cluster_.pods = nullptr;
  cluster_.view = nullptr;
  cluster_.SetNode({{"hami.io/mutex.lock", "2027-01-15T08:00:00Z,default,p"}});
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(Phase("p"), "success");
}

TEST_F(AllocatorTest, NoPodIsAnErrorThatNamesTheCulprit) {
  cluster_.AddPod(
      {.name = "bare", .uid = "u1", .shares = "", .phase = "", .scheduler = "default-scheduler"});
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_FALSE(answer.has_value());
  EXPECT_TRUE(answer.error().message.starts_with(
      "no binding pod found on node n1: pod default/bare was not scheduled by hami-scheduler"))
      << answer.error().message;
  ASSERT_EQ(cluster_.events.size(), 1u);
  EXPECT_EQ(cluster_.events[0].about, "bare");
  EXPECT_EQ(cluster_.pod_patches, 0);
}

TEST_F(AllocatorTest, OtherSchedulersPodsAreRefusedWhereTheOperatorSaysSo) {
  schedulers_ = {"hami-scheduler"};
  Boot();
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;",
                   .scheduler = "default-scheduler"});
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_FALSE(answer.has_value());
  EXPECT_NE(answer.error().message.find("scheduler default-scheduler"), std::string::npos);
  EXPECT_EQ(Phase("p"), "failed");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, LastLineRefusesWhatACardCannotHold) {
  cluster_.AddPod({.name = "old",
                   .uid = "u0",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,8000,0:;",
                   .phase = "success"});
  cluster_.SetStarted("old");
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,30:;"});
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_FALSE(answer.has_value());
  EXPECT_NE(
      answer.error().message.find(
          "card GPU-00000000-0000-4000-8000-00000000000a would be promised 11000 of 10000 MiB"),
      std::string::npos)
      << answer.error().message;
  EXPECT_EQ(Phase("p"), "failed");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
  ASSERT_EQ(cluster_.events.size(), 1u);
  EXPECT_EQ(cluster_.events[0].reason, "AllocationRefused");
  // With the old one gone there is room again.
  cluster_.SetPhase("old", "Succeeded");
  cluster_.AddPod({.name = "q",
                   .uid = "u2",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,30:;"});
  EXPECT_TRUE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"}).has_value());
}

TEST_F(AllocatorTest, LastLineCountsCoresAndSlotsToo) {
  inventory_.cards[0].device.count = 2;
  for (int i = 0; i < 2; ++i) {
    cluster_.AddPod({.name = "old" + std::to_string(i),
                     .uid = "u0" + std::to_string(i),
                     .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,100,40:;",
                     .phase = "success"});
  }
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,100,10:;"});
  auto slots = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_FALSE(slots.has_value());
  EXPECT_NE(slots.error().message.find("3 of 2 slots"), std::string::npos);
  inventory_.cards[0].device.count = 10;
  cluster_.SetPhase("p", "Failed");
  cluster_.AddPod({.name = "q",
                   .uid = "u2",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,100,30:;"});
  auto cores = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_FALSE(cores.has_value());
  EXPECT_NE(cores.error().message.find("110 of 100 percent"), std::string::npos);
}

TEST_F(AllocatorTest, UnknownAndUnhealthyCardsAreRefusedByName) {
  cluster_.AddPod({.name = "p", .uid = "u1", .shares = "GPU-x,NVIDIA,100,0:;"});
  auto unknown = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message.find("card GPU-x is not on this node"), std::string::npos);
  inventory_.cards[1].device.healthy = false;
  inventory_.cards[1].fault = "driver event 79, needs a reset";
  cluster_.AddPod({.name = "q",
                   .uid = "u2",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000b,NVIDIA,100,0:;"});
  auto ill = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_FALSE(ill.has_value());
  EXPECT_NE(ill.error().message.find("driver event 79"), std::string::npos);
}

TEST_F(AllocatorTest, NumberThatDoesNotMatchFailsTheLocksOwnerInTheReferencesWords) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .counts = {2},
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,100,0:GPU-00000000-"
                             "0000-4000-8000-00000000000b,NVIDIA,100,0:;"});
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_FALSE(answer.has_value());
  EXPECT_TRUE(answer.error().message.starts_with("device number not matched"))
      << answer.error().message;
  EXPECT_EQ(Phase("p"), "failed");
}

TEST_F(AllocatorTest, Trap8_EmptyIdListIsAnErrorNotACrash) {
  auto answer = Allocate({});
  ASSERT_FALSE(answer.has_value());
}

TEST_F(AllocatorTest, RepeatIsAnsweredWithTheSameBytesAndConsumesNothing) {
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  auto first = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_TRUE(first.has_value());
  const std::string dir = first->front().envs.at("DIR");
  EXPECT_TRUE(RealFileSystem().WriteAtomic(dir + "/in-use", "x", 0644));
  const int patches = cluster_.pod_patches;
  for (const char* id : {"GPU-00000000-0000-4000-8000-00000000000a-0",
                         "GPU-00000000-0000-4000-8000-00000000000a-5"}) {  // the second: a kubelet
                                                                           // without its checkpoint
    executor_.Advance(seconds(61));
    auto again = Allocate({id});
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(*again, *first);
  }
  EXPECT_TRUE(RealFileSystem().Exists(dir + "/in-use"));  // trap 16
  EXPECT_EQ(cluster_.pod_patches, patches);
}

// kubelet admits a Pod that our watch does not show yet: the Pod before it, answered and not
// started, must not be taken for it. Found end to end; both Pods then shared one region.
TEST_F(AllocatorTest, LaggingWatchDoesNotGiveTheNextPodTheLastOnesShare) {
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  ASSERT_TRUE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"}).has_value());
  auto* pods = std::exchange(cluster_.pods, nullptr);
  auto* view = std::exchange(cluster_.view, nullptr);
  cluster_.AddPod({.name = "q",
                   .uid = "u2",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,5000,0:;"});
  Lock("q", "u2");
  cluster_.pods = pods;
  cluster_.view = view;
  auto answer = Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"});
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer->front().cdi_devices,
            std::vector<std::string>{"GPU-00000000-0000-4000-8000-00000000000a=5000"});
  EXPECT_EQ(Phase("q"), "success");
}

TEST_F(AllocatorTest, StartedContainersAreNeverAnsweredAgain) {
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  ASSERT_TRUE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"}).has_value());
  cluster_.SetStarted("p");
  EXPECT_FALSE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-1"}).has_value());
}

TEST_F(AllocatorTest, Trap10_FailingServerDelaysTheAnswerButLosesNothing) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  cluster_.pod_patch_errors = {Code::kUnavailable, Code::kUnavailable, Code::kDeadlineExceeded,
                               Code::kResourceExhausted, Code::kConflict};
  cluster_.node_patch_errors = {Code::kConflict, Code::kUnavailable};
  EXPECT_TRUE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"}).has_value());
  for (int i = 0; i < 60; ++i) {
    executor_.Advance(seconds(1));
    Settle();
  }
  EXPECT_EQ(Phase("p"), "success");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, LostAnswersHoldKubeletUpForASecondAtMost) {
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  cluster_.answer_patches = false;
  auto answer = Begin({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  EXPECT_FALSE(answer->has_value());
  executor_.Advance(milliseconds(1001));
  ASSERT_TRUE(answer->has_value());
  EXPECT_TRUE((**answer).has_value());
}

TEST_F(AllocatorTest, PodThatKubeletRefusedIsMarkedFailedAndItsLockGivenBack) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  cluster_.SetPhase("p", "Failed");
  Settle();
  EXPECT_EQ(Phase("p"), "failed");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, LockOfAnUnboundPodIsLeftAlone) {
  Lock("elsewhere", "u9");
  for (int i = 0; i < 5; ++i) {
    executor_.Advance(seconds(1));
    Settle();
  }
  EXPECT_TRUE(cluster_.NodeHas("hami.io/mutex.lock"));
  EXPECT_EQ(cluster_.node_patches, 0);
  // After a while the server is asked; nobody of that name: the lock is nobody's.
  for (int i = 0; i < 10; ++i) {
    executor_.Advance(seconds(1));
    Settle();
  }
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, CrashBeforeTheAnnotationsIsCarriedThroughAfterARestart) {
  Lock("p", "u1");
  cluster_.AddPod({.name = "p",
                   .uid = "u1",
                   .shares = "GPU-00000000-0000-4000-8000-00000000000a,NVIDIA,3000,0:;"});
  cluster_.answer_patches = false;
  Begin({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  ASSERT_NE(plugin_->journal.Find("u1", "c0"), nullptr);
  EXPECT_EQ(plugin_->journal.Find("u1", "c0")->step, Step::kCommitted);
  cluster_.answer_patches = true;
  executor_.RunReady();
  Boot();
  EXPECT_EQ(A("p"), ";");
  EXPECT_EQ(Phase("p"), "success");
  EXPECT_FALSE(cluster_.NodeHas("hami.io/mutex.lock"));
}

TEST_F(AllocatorTest, StopAnswersWhoeverWaits) {
  auto answer = Begin({"GPU-00000000-0000-4000-8000-00000000000a-0"});
  plugin_->allocator.Stop();
  ASSERT_TRUE(answer->has_value());
  EXPECT_FALSE((*answer)->has_value());
  EXPECT_FALSE(Allocate({"GPU-00000000-0000-4000-8000-00000000000a-0"}).has_value());
}

TEST(ProposeIdsTest, CardsOfTheDecisionInTheLowestFreeSlots) {
  const std::vector<DeviceShare> shares = {
      {"GPU-00000000-0000-4000-8000-00000000000a", "NVIDIA", {1}, {}},
      {"GPU-00000000-0000-4000-8000-00000000000b", "NVIDIA", {1}, {}}};
  EXPECT_EQ(ProposeIds(shares, {.available = {"GPU-00000000-0000-4000-8000-00000000000b-10",
                                              "GPU-00000000-0000-4000-8000-00000000000b-9",
                                              "GPU-00000000-0000-4000-8000-00000000000a-2",
                                              "GPU-00000000-0000-4000-8000-00000000000a-11"},
                                .must_include = {},
                                .size = 2}),
            (kubelet::DeviceIds{"GPU-00000000-0000-4000-8000-00000000000a-2",
                                "GPU-00000000-0000-4000-8000-00000000000b-9"}));
  EXPECT_EQ(ProposeIds(shares, {.available = {"GPU-00000000-0000-4000-8000-00000000000a-2",
                                              "GPU-00000000-0000-4000-8000-00000000000a-4",
                                              "GPU-00000000-0000-4000-8000-00000000000b-0"},
                                .must_include = {"GPU-00000000-0000-4000-8000-00000000000a-4"},
                                .size = 2}),
            (kubelet::DeviceIds{"GPU-00000000-0000-4000-8000-00000000000a-4",
                                "GPU-00000000-0000-4000-8000-00000000000b-0"}));
  EXPECT_TRUE(ProposeIds(shares, {.available = {"GPU-00000000-0000-4000-8000-00000000000a-2"},
                                  .must_include = {},
                                  .size = 2})
                  .empty());
  EXPECT_TRUE(ProposeIds(shares, {.available = {"GPU-00000000-0000-4000-8000-00000000000a-2",
                                                "GPU-00000000-0000-4000-8000-00000000000b-0",
                                                "GPU-00000000-0000-4000-8000-00000000000c-0"},
                                  .must_include = {"GPU-00000000-0000-4000-8000-00000000000c-0"},
                                  .size = 2})
                  .empty());
}

}  // namespace
}  // namespace hami::node

// The sampler on a model driver: one stream, one clock, events as integers.
#include "limiter/core/sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "limiter/core/estimate.h"

namespace hami::limiter::core {
namespace {

struct Model {
  int64_t now = 0, stream_done = 0;
  std::map<void*, int64_t> events;  // handle -> time it happens
  std::set<void*> destroyed;
  uintptr_t next = 1;
  int mode = 0, touched_dead = 0, calls_not_relaxed = 0;
};
Model* model = nullptr;

void Check(void* event) {
  if (model->destroyed.count(event) != 0) ++model->touched_dead;
  if (model->mode != 2) ++model->calls_not_relaxed;
}

const EventDriver kDriver = {
    .create =
        [](void** event, unsigned) {
          *event = reinterpret_cast<void*>(model->next++);
          model->events[*event] = 0;
          return 0;
        },
    .destroy = [](void* event) { return model->destroyed.insert(event).second ? 0 : 400; },
    .record =
        [](void* event, void*) {
          Check(event);
          model->events[event] = std::max(model->now, model->stream_done);
          return 0;
        },
    .query =
        [](void* event) {
          Check(event);
          return model->now >= model->events[event] ? 0 : 600;
        },
    .elapsed =
        [](float* milliseconds, void* start, void* end) {
          *milliseconds = static_cast<float>(model->events[end] - model->events[start]) / 1e6f;
          return 0;
        },
    .exchange_mode =
        [](int* mode) {
          std::swap(*mode, model->mode);
          return 0;
        },
};

class SamplerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    model = &model_;
    sampler_->SetDriver(kDriver);
  }
  int Launch(int64_t ns, uint64_t host_ns = 0) {
    const int probe = sampler_->Begin(where_);
    model_.now += static_cast<int64_t>(host_ns);
    model_.stream_done = std::max(model_.now, model_.stream_done) + ns;
    if (probe != Sampler::kNone) sampler_->End(probe, where_, {&function_, 3}, host_ns);
    return probe;
  }
  std::vector<uint64_t> Harvest(uint64_t context) {
    std::vector<uint64_t> all;
    sampler_->Harvest(context, [&](const Sampled& what, uint64_t ns) {
      EXPECT_EQ(what.function, &function_);
      EXPECT_EQ(what.device, 3u);
      if (ns == 0) ++held_up_;
      if (ns != 0) all.push_back(ns);
    });
    return all;
  }
  int held_up_ = 0;
  Model model_;
  std::unique_ptr<Sampler> sampler_ = std::make_unique<Sampler>();
  Function function_;
  StreamOf where_{0x1000, nullptr, false};
};

TEST_F(SamplerTest, MeasuresALaunchOnceItIsDone) {
  Launch(250'000);
  EXPECT_TRUE(Harvest(where_.context).empty());
  model_.now = 250'000;
  const auto samples = Harvest(where_.context);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_NEAR(static_cast<double>(samples[0]), 250'000, 1);
  EXPECT_TRUE(Harvest(where_.context).empty());
}

TEST_F(SamplerTest, EventsAreUsedAgain) {
  for (int i = 0; i < 100; ++i) {
    Launch(1000);
    model_.now = model_.stream_done;
    EXPECT_EQ(Harvest(where_.context).size(), 1u);
  }
  EXPECT_EQ(model_.events.size(), 2u);
}

TEST_F(SamplerTest, OneContextHasEightLaunchesUnderWayAtMostAndLeavesRoomForOthers) {
  int begun = 0;
  for (int i = 0; i < 100; ++i) begun += Launch(1'000'000) != Sampler::kNone ? 1 : 0;
  EXPECT_EQ(begun, 8);
  where_.context = 0x2000;
  EXPECT_NE(Launch(1'000'000), Sampler::kNone);
}

TEST_F(SamplerTest, AContextTouchesItsOwnEventsOnly) {
  Launch(1000);
  model_.now = model_.stream_done;
  EXPECT_TRUE(Harvest(0x2000).empty());
  EXPECT_EQ(Harvest(where_.context).size(), 1u);
}

TEST_F(SamplerTest, EventsOfADestroyedContextAreNeverTouchedAgain) {
  for (int i = 0; i < 4; ++i) Launch(1000);
  for (const auto& [event, time] : model_.events) model_.destroyed.insert(event);
  sampler_->ForgetContext(where_.context);
  model_.now = model_.stream_done;
  EXPECT_TRUE(Harvest(where_.context).empty());
  for (int i = 0; i < 4; ++i) Launch(1000);  // the same handle, another context
  EXPECT_EQ(model_.touched_dead, 0);
}

TEST_F(SamplerTest, AForkedChildTouchesNoEventOfItsParent) {
  Launch(1000);
  for (const auto& [event, time] : model_.events) model_.destroyed.insert(event);
  sampler_->AfterFork();
  model_.now = model_.stream_done;
  EXPECT_TRUE(Harvest(where_.context).empty());
  EXPECT_EQ(model_.touched_dead, 0);
}

// B11, CUDA graphs: a query while another thread captures breaks its capture.
TEST_F(SamplerTest, EveryDriverCallIsMadeInRelaxedCaptureMode) {
  Launch(1000);
  model_.now = model_.stream_done;
  Harvest(where_.context);
  EXPECT_EQ(model_.calls_not_relaxed, 0);
  EXPECT_EQ(model_.mode, 0);
}

// The first launch of a function may load its code: seconds that the card does not work.
TEST_F(SamplerTest, ALaunchHeldUpByTheHostOnAnIdleStreamIsNoSample) {
  Launch(1000, 30'000'000);
  model_.now = model_.stream_done;
  EXPECT_TRUE(Harvest(where_.context).empty());
  EXPECT_EQ(held_up_, 1);  // it has run, all the same
  // A pause that is nothing beside the launch does no harm, nor one behind work that lasts longer.
  Launch(400'000'000, 1'000'000);
  model_.now = model_.stream_done;
  EXPECT_EQ(Harvest(where_.context).size(), 1u);
  model_.stream_done = model_.now + 100'000'000;
  Launch(1000, 30'000'000);
  model_.now = model_.stream_done;
  EXPECT_EQ(Harvest(where_.context).size(), 1u);
}

TEST_F(SamplerTest, WithoutTheEventFunctionsNothingIsSampled) {
  Sampler bare;
  EXPECT_EQ(bare.Begin(where_), Sampler::kNone);
  const EventDriver none;
  bare.SetDriver(none);
  EXPECT_EQ(bare.Begin(where_), Sampler::kNone);
}

}  // namespace
}  // namespace hami::limiter::core

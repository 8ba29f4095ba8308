// Mirror: what an observer of Reflector knows of a collection, for tests: name -> annotation "v".
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/json.h"
#include "platform/kube/reflector.h"

namespace hami::fake {

// A level-triggered copy of the world, as the services keep one.
class Mirror final : public kube::Observer {
 public:
  void OnListBegin() override {
    std::lock_guard lock(mutex_);
    seen_.clear();
    in_list_ = true;
    ++begins_;
  }
  void OnUpsert(std::string_view object) override {
    auto json = ParseJson(object);
    ASSERT_TRUE(json);
    std::lock_guard lock(mutex_);
    std::string name(StringAt(*json, {"metadata", "name"}));
    world_[name] = StringAt(*json, {"metadata", "annotations", "v"});
    seen_.insert(name);
    ++upserts_;
    stale_ = false;
    changed_.notify_all();
  }
  void OnDelete(std::string_view object) override {
    auto json = ParseJson(object);
    ASSERT_TRUE(json);
    std::lock_guard lock(mutex_);
    world_.erase(std::string(StringAt(*json, {"metadata", "name"})));
    changed_.notify_all();
  }
  void OnListEnd() override {
    std::lock_guard lock(mutex_);
    EXPECT_TRUE(in_list_);
    in_list_ = false;
    std::erase_if(world_, [&](const auto& entry) { return !seen_.contains(entry.first); });
    ++lists_;
    stale_ = false;
    changed_.notify_all();
  }
  void OnStale(Duration) override {
    std::lock_guard lock(mutex_);
    stale_ = true;
    ++stales_;
    changed_.notify_all();
  }
  void OnFresh() override {
    std::lock_guard lock(mutex_);
    EXPECT_TRUE(stale_);
    stale_ = false;
    changed_.notify_all();
  }

  using World = std::map<std::string, std::string>;
  template <class Predicate>
  void Await(Predicate holds) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return holds(); });
  }
  void AwaitWorld(const World& world) {
    Await([&] { return world_ == world && lists_ > 0 && !in_list_; });
  }
  void AwaitLists(int n) {
    Await([&] { return lists_ >= n; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  World world_;
  std::set<std::string> seen_;
  bool in_list_ = false;
  bool stale_ = false;
  int begins_ = 0, lists_ = 0, upserts_ = 0, stales_ = 0;
};

}  // namespace hami::fake

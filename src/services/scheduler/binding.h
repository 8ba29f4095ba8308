// Binding: the writes that give a Pod its node and cards (design.md decision 3).
//
// ApiBindPort is BindQueue's way to the API server: the lock as a conditional patch of the Node,
// the decision as annotations inside the Binding, one transaction with the node's name. Called on
// the state thread; answers come back there. After a POST whose outcome is unknown the Pod is read
// before anything is undone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/executor.h"
#include "domain/protocol/bind_state.h"
#include "platform/kube/client.h"
#include "services/scheduler/bind_queue.h"

namespace hami::scheduler {

// How long the API server has to answer a Binding; a new leader waits as long before it gives out
// cards.
inline constexpr Duration kBindingTimeout = std::chrono::seconds(3);

// A callback for kube::Client that runs `done` on `executor`, unless what `alive` stands for has
// died by then.
kube::Done OnExecutor(std::shared_ptr<Executor> executor, std::weak_ptr<int> alive,
                      std::function<void(Result<kube::Response>)> done);

struct BindPortHooks {
  // Checks the plan once more and returns the annotations to write; the claim becomes Binding.
  std::function<Result<protocol::Annotations>(const BindJob&)> prepare;
  std::function<HolderState(const std::string& node, const protocol::NodeLock&)> holder;
};

class ApiBindPort final : public BindPort {
 public:
  // Made and destroyed on `executor`; answers that arrive later find nobody.
  ApiBindPort(kube::Client& api, std::shared_ptr<Executor> executor, BindPortHooks hooks);

  void TakeLock(const BindJob& job, const LockView& seen, LockDone done) override;
  void ReleaseLock(const std::string& node, const LockView& seen, LockDone done) override;
  void ReadLock(const std::string& node, LockDone done) override;
  void PostBinding(const BindJob& job, std::function<void(Result<void>)> done) override;
  HolderState StateOf(const std::string& node, const protocol::NodeLock& lock) override {
    return hooks_.holder(node, lock);
  }

 private:
  void PatchNode(const std::string& node, std::string body, LockDone done);
  void Settle(const BindJob& job, Error unclear, std::function<void(Result<void>)> done);
  kube::Done Back(std::function<void(Result<kube::Response>)> done) {
    return OnExecutor(executor_, alive_, std::move(done));
  }

  kube::Client& api_;
  std::shared_ptr<Executor> executor_;
  BindPortHooks hooks_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace hami::scheduler

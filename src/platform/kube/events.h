// EventRecorder: core/v1 Events, the way people learn what we decided.
//
// Thread-safe; lives on the client's Loop; never blocks and never fails the caller: Events go
// through the low lane and are dropped when the limiter is behind. An Event identical to one of the
// last ten minutes (object, type, reason, message) raises that one's count and lastTimestamp
// instead of adding another.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "domain/model/pod.h"
#include "platform/kube/client.h"

namespace hami::kube {

struct ObjectRef {
  std::string kind;
  std::string ns;  // "" for cluster scope: the Event goes to "default"
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string api_version = "v1";
};
ObjectRef RefOf(const Pod& pod);
ObjectRef RefOf(const Node& node);

enum class EventType : uint8_t { kNormal, kWarning };

// Longer messages are cut at a character's boundary and end in "...".
inline constexpr size_t kMaxEventMessage = 1024;
std::string CapMessage(std::string_view message);

class EventRecorder {
 public:
  // `component`: source component shown to users, e.g. the scheduler's name.
  EventRecorder(Client& client, std::string component, std::string host = "");
  ~EventRecorder();  // Events not sent yet are dropped

  void Emit(const ObjectRef& object, EventType type, std::string_view reason,
            std::string_view message);
  // Events that were refused or dropped.
  uint64_t lost() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::kube

#include "services/node/last_line.h"

#include <algorithm>

#include "domain/policy/charge.h"
#include "domain/protocol/bind_state.h"

namespace hami::node {
namespace {

bool RefusedByKubelet(const Pod& pod) {
  return protocol::ReadBindState(pod).phase == protocol::BindPhase::kFailed &&
         std::ranges::none_of(pod.containers, [](const Container& c) { return c.started; });
}

std::string Over(const NodeCard& card, const Promise& promise, int64_t sum, int64_t size,
                 std::string_view unit) {
  std::string text = "card " + card.device.id + " would be promised " + std::to_string(sum) +
                     " of " + std::to_string(size) + " " + std::string(unit) + " (Pods";
  size_t n = 0;
  for (const std::string& pod : promise.pods) {
    if (++n > 5) break;
    text += " " + pod;
  }
  if (promise.pods.size() > 5) text += " and " + std::to_string(promise.pods.size() - 5) + " more";
  return text + ")";
}

}  // namespace

std::map<std::string, Promise> SumPromises(const std::map<std::string, Pod>& pods,
                                           const VendorWords& words) {
  std::map<std::string, Promise> sums;
  for (const auto& [uid, pod] : pods) {
    if (pod.Finished() || RefusedByKubelet(pod)) continue;
    auto cards = ReadPodCards(pod, words);
    if (!cards) continue;  // no decision: such a Pod gets no card from us
    for (const auto& [card, usage] : policy::ChargeOf(pod, {{words.word, cards->shares}})) {
      Promise& sum = sums[card];
      sum.usage += usage;
      sum.pods.push_back(pod.key.Text());
    }
  }
  return sums;
}

Result<void> CheckLastLine(const std::vector<DeviceShare>& shares, const Inventory& inventory,
                           const std::map<std::string, Promise>& promises) {
  for (const DeviceShare& share : shares) {
    const NodeCard* card = inventory.Find(share.uuid);
    if (!card) {
      return Fail(Code::kFailedPrecondition,
                  "resolve allocated devices: card " + share.uuid + " is not on this node");
    }
    if (!card->device.healthy) {
      return Fail(Code::kFailedPrecondition,
                  "card " + share.uuid + " is not healthy: " + card->fault);
    }
    auto it = promises.find(share.uuid);
    if (it == promises.end()) continue;
    const DeviceUsage& sum = it->second.usage;
    const Device& device = card->device;
    if (sum.memory > device.memory) {
      return Fail(Code::kResourceExhausted,
                  Over(*card, it->second, sum.memory.value, device.memory.value, "MiB"));
    }
    if (sum.cores > device.cores) {
      return Fail(Code::kResourceExhausted, Over(*card, it->second, sum.cores.value,
                                                 device.cores.value, "percent of its cores"));
    }
    if (sum.slots > device.count) {
      return Fail(Code::kResourceExhausted,
                  Over(*card, it->second, sum.slots, device.count, "slots"));
    }
  }
  return {};
}

}  // namespace hami::node

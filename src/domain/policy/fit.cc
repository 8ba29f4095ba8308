#include "domain/policy/fit.h"

#include <algorithm>
#include <string_view>

#include "base/result.h"
#include "domain/policy/score.h"
#include "domain/policy/topology.h"

namespace hami::policy {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Is `word` (lower case) a part of the model's name, in whatever case?
bool Occurs(std::string_view word, std::string_view model) {
  auto same = [](char m, char w) { return Lower(m) == w; };
  return std::search(model.begin(), model.end(), word.begin(), word.end(), same) != model.end();
}

bool AcceptsType(const CardSelector& select, const Device& device) {
  auto occurs = [&](const std::string& word) { return Occurs(word, device.type); };
  if (!select.use_types.empty() && std::ranges::none_of(select.use_types, occurs)) return false;
  if (std::ranges::any_of(select.nouse_types, occurs)) return false;
  return !select.modes || device.mode.empty() ||
         select.modes->find(device.mode) != std::string::npos;
}

bool AcceptsUuid(const CardSelector& select, const Device& device) {
  auto lists = [&](const std::vector<std::string>& uuids) {
    return std::ranges::find(uuids, device.id) != uuids.end();
  };
  if (!select.use_uuids.empty() && !lists(select.use_uuids)) return false;
  return !lists(select.nouse_uuids);
}

// What stands against the words of `select`.
std::string TypeText(const CardSelector& select, const Device& device) {
  return select.modes ? device.type + " in mode " + device.mode : device.type;
}

MiB MemoryOf(const ContainerRequest& ask, const Device& device) {
  if (ask.memory_percent == 0) return ask.memory;
  return {device.memory.value * ask.memory_percent / 100};
}

// A share that was given to one container: positions in the request and in the node's card set.
struct Taken {
  size_t vendor = 0;
  size_t container = 0;
  size_t card = 0;
  MiB memory;
  Percent cores;
};

struct Candidate {
  size_t card = 0;
  double score = 0;
  int32_t slots = 0;
  int numa = 0;
};

// Buffers that keep their memory from node to node.
struct Scratch {
  std::vector<DeviceUsage> usage;  // of one vendor's cards, with what this Pod has taken so far
  std::vector<Candidate> candidates;
  std::vector<size_t> chosen;
  std::vector<Taken> taken;  // of the whole Pod
};

// Tries one Pod on one node.
class Fitter {
 public:
  Fitter(const NodeState& node, const PodRequest& request, Scratch& scratch)
      : node_(node), request_(request), s_(scratch) {}

  // True: scratch.taken holds the shares. False: `verdict` says why not.
  bool Run(NodeVerdict& verdict);

 private:
  bool PlaceVendor(NodeVerdict& verdict);
  bool PlaceContainer(size_t container, bool keep, NodeVerdict& verdict);
  Reason Test(size_t card, const ContainerRequest& ask) const;
  Reason TestCapacity(const Device& device, const DeviceUsage& used,
                      const ContainerRequest& ask) const;
  void Collect(const ContainerRequest& ask, NodeVerdict& verdict);
  void Sort();
  bool Choose(size_t count);
  bool ChooseFrom(std::span<const Candidate> group, size_t count);
  void Take(size_t container, const ContainerRequest& ask, bool keep);
  void Refuse(size_t container, const ContainerRequest& ask, NodeVerdict& verdict) const;

  const NodeState& node_;
  const PodRequest& request_;
  Scratch& s_;
  size_t vendor_ = 0;                      // being placed
  const VendorRequest* wanted_ = nullptr;  // request_.vendors[vendor_]
  const CardSet* set_ = nullptr;           // its cards on the node
};

bool Fitter::Run(NodeVerdict& verdict) {
  verdict = NodeVerdict();
  verdict.node = node_.name;
  s_.taken.clear();
  if (node_.cards.empty()) {
    verdict.decisive = Reason::kNodeUnregistered;
    return false;
  }
  for (vendor_ = 0; vendor_ < request_.vendors.size(); ++vendor_) {
    wanted_ = &request_.vendors[vendor_];
    auto it = node_.cards.find(wanted_->word);
    static const CardSet kNone;
    set_ = it == node_.cards.end() ? &kNone : &it->second;
    s_.usage = set_->usage;
    if (!PlaceVendor(verdict)) return false;
  }
  return true;
}

// Sidecars run beside everything, so they come first and stay; each init container then runs alone
// with them; the apps run together with them. The order makes the charge of policy/charge.h fit
// every card.
bool Fitter::PlaceVendor(NodeVerdict& verdict) {
  for (ContainerKind kind : {ContainerKind::kSidecar, ContainerKind::kInit, ContainerKind::kApp}) {
    for (size_t c = 0; c < request_.kinds.size(); ++c) {
      if (request_.kinds[c] != kind || wanted_->containers[c].count == 0) continue;
      if (!PlaceContainer(c, kind != ContainerKind::kInit, verdict)) return false;
    }
  }
  return true;
}

bool Fitter::PlaceContainer(size_t container, bool keep, NodeVerdict& verdict) {
  const ContainerRequest& ask = wanted_->containers[container];
  auto count = static_cast<size_t>(ask.count);
  if (count <= set_->devices.size()) {
    Collect(ask, verdict);
    Sort();
    if (Choose(count)) {
      Take(container, ask, keep);
      verdict.cards = ReasonCounts();
      return true;
    }
  }
  Refuse(container, ask, verdict);
  return false;
}

Reason Fitter::TestCapacity(const Device& device, const DeviceUsage& used,
                            const ContainerRequest& ask) const {
  const FitRules& rules = wanted_->rules;
  int64_t total_cores = device.cores.value;
  if (device.count <= used.slots) return Reason::kCardTimeSlicingExhausted;
  if (request_.card_policy.mutex && used.slots > 0) {
    return Reason::kExclusiveDeviceAllocateConflict;
  }
  if (device.memory - used.memory < MemoryOf(ask, device)) return Reason::kCardInsufficientMemory;
  if (device.cores - used.cores < ask.cores) return Reason::kCardInsufficientCore;
  if (rules.whole_card && total_cores >= 100) {
    // With core scaling above 1 the sums alone would let others onto a card that somebody has
    // alone.
    bool held = total_cores > 100 && used.exclusive > 0;
    if (held || (ask.cores.value >= 100 && used.slots > 0)) {
      return Reason::kExclusiveDeviceAllocateConflict;
    }
  }
  if (rules.free_core && total_cores != 0 && used.cores == device.cores && ask.cores.value == 0) {
    return Reason::kCardComputeUnitsExhausted;
  }
  return Reason::kFits;
}

// The tests of spec/scheduler.md 6.2 in their order; NUMA is judged over the cards that pass.
Reason Fitter::Test(size_t card, const ContainerRequest& ask) const {
  const Device& device = set_->devices[card];
  const FitRules& rules = wanted_->rules;
  if (!device.healthy) return Reason::kCardNotHealth;
  if (rules.cordon && !node_.cordoned.empty() && node_.cordoned.contains(device.id)) {
    return Reason::kCardCordoned;
  }
  if (!AcceptsType(wanted_->select, device)) return Reason::kCardTypeMismatch;
  if (!AcceptsUuid(wanted_->select, device)) return Reason::kCardUuidMismatch;
  Reason reason = TestCapacity(device, s_.usage[card], ask);
  if (reason != Reason::kFits) return reason;
  // Cutting instances is not built yet; such a card is never handed out as if it were whole.
  if (rules.mig && device.mode == "mig") return Reason::kCardMigTopologyInfeasible;
  return Reason::kFits;
}

void Fitter::Collect(const ContainerRequest& ask, NodeVerdict& verdict) {
  s_.candidates.clear();
  CardDemand demand{.slots = ask.count,
                    .cores = ask.cores.value,
                    .memory = ask.memory.value,
                    .percent = ask.memory_percent};
  for (size_t i = 0; i < set_->devices.size(); ++i) {
    Reason reason = Test(i, ask);
    if (reason != Reason::kFits) {
      ++verdict.cards[reason];
      continue;
    }
    const Device& device = set_->devices[i];
    s_.candidates.push_back({.card = i,
                             .score = CardScore(device, s_.usage[i], demand, request_.weights),
                             .slots = s_.usage[i].slots,
                             .numa = device.numa});
  }
}

// Most preferred first; the last registered card wins what is left equal, or the first where links
// decide (spec/vendors.md G, vector v).
void Fitter::Sort() {
  const CardPolicy& policy = request_.card_policy;
  std::ranges::sort(s_.candidates, [&](const Candidate& a, const Candidate& b) {
    for (CardKey key : policy.order) {
      switch (key) {
        case CardKey::kScoreHigh:
          if (a.score != b.score) return a.score > b.score;
          break;
        case CardKey::kScoreLow:
          if (a.score != b.score) return a.score < b.score;
          break;
        case CardKey::kUsedLow:
          if (a.slots != b.slots) return a.slots < b.slots;
          break;
        case CardKey::kNumaHigh:
          if (a.numa != b.numa) return a.numa > b.numa;
          break;
        case CardKey::kNumaLow:
          if (a.numa != b.numa) return a.numa < b.numa;
          break;
      }
    }
    return policy.topology ? a.card < b.card : a.card > b.card;
  });
}

bool Fitter::Choose(size_t count) {
  if (s_.candidates.size() < count) return false;
  if (!request_.numa_bind || !wanted_->rules.numa_bind) return ChooseFrom(s_.candidates, count);
  // One NUMA node for all cards: the first group, in order of preference, that is large enough.
  std::vector<int> tried;
  std::vector<Candidate> group;
  for (const Candidate& first : s_.candidates) {
    if (std::ranges::find(tried, first.numa) != tried.end()) continue;
    tried.push_back(first.numa);
    group.clear();
    std::ranges::copy_if(s_.candidates, std::back_inserter(group),
                         [&](const Candidate& c) { return c.numa == first.numa; });
    if (group.size() >= count) return ChooseFrom(group, count);
  }
  return false;
}

bool Fitter::ChooseFrom(std::span<const Candidate> group, size_t count) {
  s_.chosen.clear();
  for (const Candidate& c : group) s_.chosen.push_back(c.card);
  if (request_.card_policy.topology) {
    s_.chosen = BestLinked(s_.chosen, count, set_->pair_scores, set_->devices.size());
  }
  s_.chosen.resize(count);
  return true;
}

void Fitter::Take(size_t container, const ContainerRequest& ask, bool keep) {
  for (size_t card : s_.chosen) {
    Taken share{vendor_, container, card, MemoryOf(ask, set_->devices[card]), ask.cores};
    s_.taken.push_back(share);
    if (!keep) continue;
    s_.usage[card] += {.slots = 1,
                       .memory = share.memory,
                       .cores = share.cores,
                       .exclusive = share.cores.value >= 100 ? 1 : 0};
  }
}

void Fitter::Refuse(size_t container, const ContainerRequest& ask, NodeVerdict& verdict) const {
  auto total = static_cast<int>(set_->devices.size());
  verdict.container = static_cast<int>(container);
  verdict.vendor = static_cast<int>(vendor_);
  verdict.total_cards = total;
  for (size_t i = 0; i < set_->devices.size(); ++i) {
    const Device& device = set_->devices[i];
    if (!device.healthy) continue;
    if (!AcceptsType(wanted_->select, device)) {
      if (verdict.wrong_type.empty()) verdict.wrong_type = TypeText(wanted_->select, device);
      continue;
    }
    if (!AcceptsUuid(wanted_->select, device)) {
      if (verdict.wrong_uuid.empty()) verdict.wrong_uuid = device.id;
      continue;
    }
    const DeviceUsage& used = s_.usage[i];
    verdict.largest_free_memory =
        std::max(verdict.largest_free_memory, device.memory - used.memory);
    verdict.largest_free_cores = std::max(verdict.largest_free_cores, device.cores - used.cores);
    if (device.memory > verdict.largest_card) {
      verdict.largest_card = device.memory;
      verdict.largest_card_type = device.type;
    }
  }
  if (ask.count > total) {
    verdict.decisive = Reason::kNodeInsufficientDevice;
    return;
  }
  verdict.free_cards = static_cast<int>(s_.candidates.size());
  if (verdict.free_cards >= ask.count) {
    verdict.cards[Reason::kNumaNotFit] = verdict.free_cards;
    for (const Candidate& one : s_.candidates) {
      auto group = std::ranges::count(s_.candidates, one.numa, &Candidate::numa);
      verdict.numa_group = std::max(verdict.numa_group, static_cast<int>(group));
    }
  } else if (verdict.free_cards > 0) {
    verdict.cards[Reason::kAllocatedCardsInsufficientRequest] = verdict.free_cards;
  }
  int32_t most = 0;
  for (size_t r = 0; r < kReasonCount; ++r) {
    auto reason = static_cast<Reason>(r);
    if (verdict.cards[reason] > most) {
      most = verdict.cards[reason];
      verdict.decisive = reason;
    }
  }
}

Placement BuildPlacement(const NodeState& node, const PodRequest& request,
                         std::span<const Taken> taken) {
  Placement out{.node = node.name, .score = NodeScore(node), .shares = {}};
  for (const Taken& t : taken) {
    const std::string& word = request.vendors[t.vendor].word;
    PodShares& shares = out.shares[word];
    shares.resize(request.kinds.size());
    const Device& device = node.cards.find(word)->second.devices[t.card];
    shares[t.container].push_back(
        {.uuid = device.id, .vendor = word, .memory = t.memory, .cores = t.cores});
  }
  return out;
}

bool Better(NodePolicy policy, double score, const std::string& name, double best_score,
            const std::string& best_name) {
  if (score != best_score) {
    return policy == NodePolicy::kSpread ? score < best_score : score > best_score;
  }
  return name < best_name;
}

}  // namespace

FitResult FitNode(const NodeState& node, const PodRequest& request) {
  Scratch scratch;
  FitResult out;
  if (Fitter(node, request, scratch).Run(out.verdict)) {
    out.placement = BuildPlacement(node, request, scratch.taken);
  }
  return out;
}

Decision Decide(std::span<const NodeState* const> nodes, const PodRequest& request) {
  Decision out;
  Scratch scratch;
  NodeVerdict verdict;
  const NodeState* best = nullptr;
  double best_score = 0;
  std::vector<Taken> best_taken;
  for (const NodeState* node : nodes) {
    if (!Fitter(*node, request, scratch).Run(verdict)) {
      out.refusals.push_back(std::move(verdict));
      continue;
    }
    double score = NodeScore(*node);
    out.fitting.emplace_back(node->name, score);
    if (best == nullptr || Better(request.node_policy, score, node->name, best_score, best->name)) {
      best = node;
      best_score = score;
      best_taken = scratch.taken;
    }
  }
  if (best != nullptr) out.placement = BuildPlacement(*best, request, best_taken);
  return out;
}

}  // namespace hami::policy

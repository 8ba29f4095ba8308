#include "services/cli/node_answers.h"

#include <algorithm>
#include <optional>

#include "domain/policy/explain.h"
#include "domain/policy/fit.h"
#include "domain/vendor/vendor.h"

namespace hami::cli {
namespace {

// One share of the container, alone: what a single card is tested with.
PodRequest OneShare(PodRequest request, size_t vendor, size_t container) {
  for (size_t v = 0; v < request.vendors.size(); ++v) {
    for (size_t c = 0; c < request.vendors[v].containers.size(); ++c) {
      int32_t& count = request.vendors[v].containers[c].count;
      count = v == vendor && c == container ? std::min(count, 1) : 0;
    }
  }
  return request;
}

// The card's own reason, not what it does to the node as a whole.
std::string CardWord(const NodeVerdict& verdict) {
  for (size_t i = 0; i < kReasonCount; ++i) {
    auto reason = static_cast<Reason>(i);
    if (verdict.cards[reason] > 0 && reason != Reason::kAllocatedCardsInsufficientRequest) {
      return std::string(policy::ReasonText(reason));
    }
  }
  return std::string(policy::ReasonText(verdict.decisive));
}

// Why no share fits on the card; "" when one of every container that asks does.
std::string CardReason(const NodeState& node, const std::string& word, size_t index,
                       const PodRequest& request) {
  NodeState alone;
  alone.name = node.name;
  alone.cordoned = node.cordoned;
  const CardSet& set = node.cards.find(word)->second;
  alone.cards[word].devices = {set.devices[index]};
  alone.cards[word].usage = {set.usage[index]};
  for (size_t v = 0; v < request.vendors.size(); ++v) {
    if (request.vendors[v].word != word) continue;
    for (size_t c = 0; c < request.vendors[v].containers.size(); ++c) {
      if (request.vendors[v].containers[c].count == 0) continue;
      policy::FitResult result = policy::FitNode(alone, OneShare(request, v, c));
      if (result.placement) continue;
      return CardWord(result.verdict);
    }
  }
  return "";
}

std::vector<CardAnswer> AnswerCards(const NodeState& node, const PodRequest& request) {
  std::vector<CardAnswer> answers;
  for (const VendorRequest& asked : request.vendors) {
    auto set = node.cards.find(asked.word);
    if (set == node.cards.end()) continue;
    for (size_t i = 0; i < set->second.devices.size(); ++i) {
      const Device& device = set->second.devices[i];
      answers.push_back({.uuid = device.id,
                         .model = device.type,
                         .index = device.index,
                         .reason = CardReason(node, asked.word, i, request),
                         .used = set->second.usage[i],
                         .total = {device.count, device.memory, device.cores}});
    }
  }
  return answers;
}

std::optional<Obstacle> ObstacleOn(const std::string& node, const Json& pod, const Cluster& cluster,
                                   const std::vector<std::string>& managed) {
  auto facts = cluster.facts.find(node);
  if (facts == cluster.facts.end()) return std::nullopt;
  return FirstObstacle(pod, facts->second, managed);
}

// A node that hami-scheduler leaves out before it looks at cards.
std::optional<NodeVerdict> LeftOut(const NodePicture& node) {
  NodeVerdict verdict;
  verdict.node = node.state.name;
  if (!node.unregistered.empty()) {
    verdict.decisive = Reason::kNodeUnregistered;
    return verdict;
  }
  if (node.unreadable.empty()) return std::nullopt;
  verdict.decisive = Reason::kNodeUsageUnavailable;
  verdict.unreadable = node.unreadable;
  return verdict;
}

// "before cards are looked at, kube-scheduler rules out 2 of 3 nodes: n1: cordoned; n2: ..."
std::string RuledOutText(const std::vector<std::string>& texts, size_t nodes) {
  constexpr size_t kShown = 3;
  std::string out = "before cards are looked at, kube-scheduler rules out " +
                    std::to_string(texts.size()) + " of " + std::to_string(nodes) +
                    (nodes == 1 ? " node" : " nodes") + " with cards: ";
  for (size_t i = 0; i < std::min(kShown, texts.size()); ++i)
    out += (i == 0 ? "" : "; ") + texts[i];
  if (texts.size() > kShown) out += "; and " + std::to_string(texts.size() - kShown) + " more";
  return out;
}

}  // namespace

TryResult TryNodes(const Json& pod, const Cluster& cluster, const PodRequest& request) {
  const std::vector<std::string> managed = vendor::ManagedResources(cluster.devices);
  TryResult out;
  std::vector<const NodeState*> candidates;
  std::vector<NodeVerdict> left_out;
  std::vector<std::string> ruled_out;
  for (const NodePicture& node : cluster.nodes) {
    NodeAnswer answer{.name = node.state.name, .text = {}, .lock = node.lock, .cards = {}};
    if (auto obstacle = ObstacleOn(answer.name, pod, cluster, managed)) {
      answer.text = answer.name + ": " + obstacle->text;
      ruled_out.push_back(answer.text);
    } else if (auto verdict = LeftOut(node)) {
      left_out.push_back(std::move(*verdict));
    } else {
      candidates.push_back(&node.state);
    }
    answer.cards = AnswerCards(node.state, request);
    out.nodes.push_back(std::move(answer));
  }
  policy::Decision decision = policy::Decide(candidates, request);
  std::ranges::move(left_out, std::back_inserter(decision.refusals));
  for (size_t i = 0; i < out.nodes.size(); ++i) {
    NodeAnswer& answer = out.nodes[i];
    for (const auto& [name, score] : decision.fitting) {
      if (name != answer.name) continue;
      answer.fits = true;
      answer.score = score;
    }
    auto refusal = std::ranges::find(decision.refusals, answer.name, &NodeVerdict::node);
    if (refusal != decision.refusals.end()) answer.text = policy::NodeText(request, *refusal);
    const std::string& broken = cluster.nodes[i].unregistered;
    if (refusal != decision.refusals.end() && !broken.empty()) answer.text += ": " + broken;
  }
  out.fits = decision.placement.has_value();
  if (out.fits) {
    out.findings.push_back(policy::SuccessText(decision));
  } else if (cluster.nodes.empty()) {
    out.findings.emplace_back("no node registers cards");
  } else if (!decision.refusals.empty()) {
    out.findings.push_back(policy::RefusalText(request, decision.refusals));
  }
  if (!ruled_out.empty()) {
    auto at = out.fits ? out.findings.end() : out.findings.begin();
    out.findings.insert(at, RuledOutText(ruled_out, cluster.nodes.size()));
  }
  return out;
}

std::map<std::string, int64_t> KubeReasons(const Json& pod, const Cluster& cluster) {
  const std::vector<std::string> managed = vendor::ManagedResources(cluster.devices);
  std::map<std::string, int64_t> out;
  for (const auto& [name, facts] : cluster.facts) {
    auto obstacle = FirstObstacle(pod, facts, managed);
    if (!obstacle) continue;
    for (const std::string& word : obstacle->words) ++out[word];
  }
  return out;
}

}  // namespace hami::cli

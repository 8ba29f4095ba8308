#include "services/node/matcher.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>

#include "domain/protocol/bind_state.h"

namespace hami::node {
namespace {

struct Candidate {
  Match match;
  bool proposed = false;
  bool holds_lock = false;
  int64_t seq = 0;
};

int64_t Seq(const Pod& pod) {
  const std::string& text = pod.Annotation(protocol::kAllocationSeq);
  int64_t value = std::numeric_limits<int64_t>::max();
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

auto Rank(const Candidate& c) {
  return std::make_tuple(!c.proposed, !c.holds_lock, c.match.pod->creation_unix, c.seq,
                         c.match.pod->uid);
}

std::optional<Match> Best(std::vector<Candidate> candidates) {
  auto best = std::ranges::min_element(
      candidates, [](const Candidate& a, const Candidate& b) { return Rank(a) < Rank(b); });
  if (best == candidates.end()) return std::nullopt;
  return best->match;
}

Candidate Describe(const MatchInput& in, const Pod& pod, size_t container,
                   std::vector<DeviceShare> shares, const std::vector<std::string>* ids) {
  Candidate c{.match = {.pod = &pod, .container = container, .shares = std::move(shares)}};
  if (ids) {
    auto ticket = in.tickets.find(*ids);
    c.proposed = ticket != in.tickets.end() &&
                 ticket->second == ContainerRef{pod.uid, pod.containers[container].name};
  }
  c.holds_lock = protocol::HeldBy(in.lock, pod.key, pod.uid);
  c.seq = Seq(pod);
  return c;
}

std::vector<Candidate> Waiting(const MatchInput& in, size_t count,
                               const std::vector<std::string>* ids) {
  std::vector<Candidate> out;
  for (const auto& [uid, pod] : in.pods) {
    if (!AwaitsCards(pod, in.node)) continue;
    auto cards = ReadPodCards(pod, in.words);
    if (!cards) continue;
    const auto next = NextContainer(pod, *cards, in.records);
    if (!next || cards->shares[*next].size() != count) continue;
    out.push_back(Describe(in, pod, *next, cards->shares[*next], ids));
  }
  return out;
}

// Containers that were answered before and have not started since.
std::vector<Candidate> Answered(const MatchInput& in, const std::vector<std::string>& ids) {
  std::vector<Candidate> out;
  for (const auto& [uid, pod] : in.pods) {
    const auto phase = protocol::ReadBindState(pod).phase;
    if (pod.Finished() || pod.deleting ||
        (phase != protocol::BindPhase::kAllocating && phase != protocol::BindPhase::kSuccess)) {
      continue;
    }
    auto cards = ReadPodCards(pod, in.words);
    if (!cards) continue;
    for (size_t c = 0; c < pod.containers.size(); ++c) {
      if (pod.containers[c].started || cards->shares[c].size() != ids.size()) continue;
      const ContainerRef ref{uid, pod.containers[c].name};
      auto record = in.records.find(ref);
      const bool same_ids = record != in.records.end() && record->second.ids == ids;
      if (!same_ids && in.repeated.contains(ref)) continue;
      Candidate candidate = Describe(in, pod, c, cards->shares[c], &ids);
      candidate.match.repeat = true;
      candidate.proposed = candidate.proposed || same_ids;
      out.push_back(std::move(candidate));
      break;  // kubelet asks in order
    }
  }
  return out;
}

}  // namespace

bool AwaitsCards(const Pod& pod, const std::string& node) {
  const auto state = protocol::ReadBindState(pod);
  return !pod.Finished() && state.phase == protocol::BindPhase::kAllocating && state.node == node &&
         pod.node_name == node;
}

std::optional<size_t> NextContainer(const Pod& pod, const PodCards& cards,
                                    const std::map<ContainerRef, Record>& records) {
  for (size_t c = 0; c < pod.containers.size(); ++c) {
    if (cards.pending[c] && !records.contains({pod.uid, pod.containers[c].name})) return c;
  }
  return std::nullopt;
}

std::optional<Match> MatchAllocation(const MatchInput& input, const std::vector<std::string>& ids) {
  if (auto match = Best(Waiting(input, ids.size(), &ids))) return match;
  return Best(Answered(input, ids));
}

std::optional<Match> MatchPreference(const MatchInput& input, size_t count) {
  return Best(Waiting(input, count, nullptr));
}

const Pod* UndecidedPod(const MatchInput& input, size_t count) {
  const Pod* found = nullptr;
  for (const auto& [uid, pod] : input.pods) {
    if (pod.Finished() || pod.phase == "Running" ||
        protocol::ReadBindState(pod).node == input.node) {
      continue;
    }
    const std::vector<int> counts = RequestedCounts(pod, input.words.resource);
    if (std::ranges::find(counts, static_cast<int>(count)) == counts.end()) continue;
    if (found) return nullptr;
    found = &pod;
  }
  return found;
}

}  // namespace hami::node

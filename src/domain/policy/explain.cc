#include "domain/policy/explain.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <vector>

#include "base/printable.h"

namespace hami::policy {
namespace {

constexpr size_t kMaxNames = 10;

std::string Count(int64_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}
std::string Mib(MiB m) { return std::to_string(m.value) + " MiB"; }

// What a verdict's failing container asked for; null for a node without cards.
const ContainerRequest* AskOf(const PodRequest& request, const NodeVerdict& verdict) {
  if (verdict.vendor < 0 || verdict.container < 0) return nullptr;
  return &request.vendors[static_cast<size_t>(verdict.vendor)]
              .containers[static_cast<size_t>(verdict.container)];
}

MiB Needed(const ContainerRequest& ask, const NodeVerdict& verdict) {
  if (ask.memory_percent == 0) return ask.memory;
  return {verdict.largest_card.value * ask.memory_percent / 100};
}

// Nodes that met one reason, and on how many of their cards.
struct Row {
  Reason reason = Reason::kFits;
  int64_t cards = 0;
  int64_t total_cards = 0;
  std::vector<std::string_view> nodes;
  std::string detail;
};

constexpr size_t kMaxItems = 3;
constexpr size_t kMaxItemText = 64;

// Users write these words: cut at 64 bytes, and nothing in them reaches a terminal raw.
std::string Item(const std::string& word) {
  std::string out = QuotedIfOdd(Head(word, kMaxItemText));
  if (word.size() > kMaxItemText) out += "...";
  return out;
}

// "a, b and 2 more".
std::string Items(const std::vector<std::string>& items) {
  std::string out;
  for (size_t i = 0; i < std::min(kMaxItems, items.size()); ++i) {
    out += (i == 0 ? "" : ", ") + Item(items[i]);
  }
  if (items.size() > kMaxItems) out += " and " + std::to_string(items.size() - kMaxItems) + " more";
  return out;
}

// "asks for type h100, not type a100, there is Model X": wanted and unwanted words of one kind.
std::string AgainstText(const std::string& kind, const std::vector<std::string>& use,
                        const std::vector<std::string>& nouse, const std::string& more,
                        const std::vector<std::string>& there) {
  std::string out;
  auto add = [&](const std::string& text) { out += (out.empty() ? "asks for " : ", ") + text; };
  if (!use.empty()) add(kind + " " + Items(use));
  if (!nouse.empty()) add("not " + kind + " " + Items(nouse));
  if (!more.empty()) add(more);
  if (!there.empty()) out += ", there is " + Items(there);
  return out;
}

// What stood in the way on each node, once.
std::vector<std::string> There(std::span<const NodeVerdict> refusals,
                               std::string NodeVerdict::*what) {
  std::vector<std::string> out;
  for (const NodeVerdict& v : refusals) {
    if (!(v.*what).empty() && std::ranges::find(out, v.*what) == out.end()) out.push_back(v.*what);
  }
  return out;
}

std::string NumaText(const ContainerRequest& ask, std::span<const NodeVerdict> refusals) {
  int most = 0;
  for (const NodeVerdict& v : refusals) most = std::max(most, v.numa_group);
  return "asks " + Count(ask.count, "card") + " of one NUMA node, at most " + std::to_string(most) +
         " are free on one";
}

std::string TooFewText(const ContainerRequest& ask, std::span<const NodeVerdict> refusals) {
  int most = 0;
  for (const NodeVerdict& v : refusals) {
    if (v.decisive == Reason::kNodeInsufficientDevice) most = std::max(most, v.total_cards);
  }
  return "asks " + Count(ask.count, "card") + ", there are at most " + std::to_string(most);
}

// What was asked for and what is there, where neither the counts nor the closest miss say it.
std::string Detail(const PodRequest& request, Reason reason,
                   std::span<const NodeVerdict> refusals) {
  auto met = std::ranges::find_if(
      refusals, [&](const NodeVerdict& v) { return v.decisive == reason || v.cards[reason] > 0; });
  if (met == refusals.end()) return "";
  if (reason == Reason::kNodeUsageUnavailable) {
    return "the allocation of pod " + met->unreadable + " cannot be read";
  }
  const ContainerRequest* ask = AskOf(request, *met);
  if (ask == nullptr) return "";
  const CardSelector& select = request.vendors[static_cast<size_t>(met->vendor)].select;
  switch (reason) {
    case Reason::kCardTypeMismatch:
      return AgainstText("type", select.use_types, select.nouse_types,
                         select.modes ? "mode " + Item(*select.modes) : "",
                         There(refusals, &NodeVerdict::wrong_type));
    case Reason::kCardUuidMismatch:
      return AgainstText("card", select.use_uuids, select.nouse_uuids, "",
                         There(refusals, &NodeVerdict::wrong_uuid));
    case Reason::kNumaNotFit:
      return NumaText(*ask, refusals);
    case Reason::kNodeInsufficientDevice:
      return TooFewText(*ask, refusals);
    default:
      return "";
  }
}

std::vector<Row> Rows(const PodRequest& request, std::span<const NodeVerdict> refusals) {
  std::map<Reason, Row> rows;
  for (const NodeVerdict& v : refusals) {
    for (size_t r = 0; r < kReasonCount; ++r) {
      auto reason = static_cast<Reason>(r);
      if (v.cards[reason] == 0 && v.decisive != reason) continue;
      Row& row = rows[reason];
      row.reason = reason;
      row.cards += v.cards[reason];
      row.total_cards += v.total_cards;
      row.nodes.push_back(v.node);
    }
  }
  std::vector<Row> out;
  for (auto& [reason, row] : rows) {
    std::ranges::sort(row.nodes);
    row.detail = Detail(request, reason, refusals);
    out.push_back(std::move(row));
  }
  std::ranges::stable_sort(
      out, [](const Row& a, const Row& b) { return a.nodes.size() > b.nodes.size(); });
  return out;
}

std::string NameList(const std::vector<std::string_view>& names, size_t shown) {
  std::string out;
  for (size_t i = 0; i < std::min(shown, names.size()); ++i) {
    out += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  if (names.size() > shown && shown > 0) {
    out += " and " + std::to_string(names.size() - shown) + " more";
  }
  return out;
}

// "CardInsufficientMemory: 6 of 8 cards on 2 nodes (n1, n2)", and what there is to add.
std::string RowText(const Row& row, size_t names) {
  std::string out(ReasonText(row.reason));
  out += ": ";
  if (row.cards > 0) {
    out += std::to_string(row.cards) + " of " + Count(row.total_cards, "card") + " on ";
  }
  out += Count(static_cast<int64_t>(row.nodes.size()), "node");
  std::string list = NameList(row.nodes, names);
  if (!list.empty()) out += " (" + list + ")";
  return row.detail.empty() ? out : out + ": " + row.detail;
}

// How far one node was from taking the Pod; smaller is closer.
struct Miss {
  int64_t rank = 0;  // kind of shortage, then amount
  int64_t amount = 0;
  std::string text;
};

std::optional<Miss> MissOf(const PodRequest& request, const NodeVerdict& v) {
  const ContainerRequest* ask = AskOf(request, v);
  if (ask == nullptr) return std::nullopt;
  if (v.free_cards > 0 && v.free_cards < ask->count) {
    int64_t lacking = ask->count - v.free_cards;
    return Miss{
        0, lacking,
        v.node + " has " + std::to_string(v.free_cards) + " of " + Count(ask->count, "card")};
  }
  MiB needed = Needed(*ask, v);
  if (v.cards[Reason::kCardInsufficientMemory] > 0 && needed > v.largest_free_memory) {
    MiB lacking = needed - v.largest_free_memory;
    return Miss{1, lacking.value,
                v.node + " lacks " + Mib(lacking) + " (" + Mib(v.largest_free_memory) +
                    " free on its best card)"};
  }
  if (v.cards[Reason::kCardInsufficientCore] > 0 && ask->cores > v.largest_free_cores) {
    Percent lacking = ask->cores - v.largest_free_cores;
    return Miss{2, lacking.value,
                v.node + " lacks " + Count(lacking.value, "core") + " (" +
                    std::to_string(v.largest_free_cores.value) + " free on its best card)"};
  }
  return std::nullopt;
}

std::string ClosestText(const PodRequest& request, std::span<const NodeVerdict> refusals) {
  std::optional<Miss> best;
  for (const NodeVerdict& v : refusals) {
    auto miss = MissOf(request, v);
    if (miss &&
        (!best || std::pair(miss->rank, miss->amount) < std::pair(best->rank, best->amount))) {
      best = std::move(miss);
    }
  }
  return best ? "; closest: " + best->text : "";
}

const NodeVerdict* LargestCard(std::span<const NodeVerdict> refusals) {
  const NodeVerdict* best = nullptr;
  for (const NodeVerdict& v : refusals) {
    if (v.largest_card.value == 0) continue;
    if (best == nullptr || v.largest_card > best->largest_card) best = &v;
  }
  return best;
}

// A request that no card of today could ever serve, with the card that comes nearest.
std::string TooLargeText(const PodRequest& request, std::span<const NodeVerdict> refusals) {
  const NodeVerdict* largest = LargestCard(refusals);
  if (largest == nullptr) return "";
  const ContainerRequest* ask = AskOf(request, *largest);
  if (ask == nullptr || ask->memory_percent != 0 || ask->memory <= largest->largest_card) return "";
  return "; more than the largest card: " + largest->largest_card_type + " on " + largest->node +
         " has " + Mib(largest->largest_card);
}

std::string MigText(std::span<const NodeVerdict> refusals) {
  bool any = std::ranges::any_of(refusals, [](const NodeVerdict& v) {
    return v.cards[Reason::kCardMigTopologyInfeasible] > 0;
  });
  return any ? "; cards in mode mig are not handed out by this version" : "";
}

// "container \"c\" asks 3000 MiB on 1 card"
std::string WantText(const PodRequest& request, std::span<const NodeVerdict> refusals) {
  for (const NodeVerdict& v : refusals) {
    if (const ContainerRequest* ask = AskOf(request, v)) {
      return "container \"" + request.names[static_cast<size_t>(v.container)] + "\" asks " +
             AskText(*ask);
    }
  }
  for (const VendorRequest& vendor : request.vendors) {
    for (size_t c = 0; c < vendor.containers.size(); ++c) {
      if (vendor.containers[c].count == 0) continue;
      return "container \"" + request.names[c] + "\" asks " + AskText(vendor.containers[c]);
    }
  }
  return "nothing is asked for";
}

std::string Compose(std::string_view head, const std::vector<Row>& rows, std::string_view tail,
                    size_t names) {
  std::string out(head);
  for (const Row& row : rows) out += "; " + RowText(row, names);
  return out + std::string(tail);
}

}  // namespace

std::string_view ReasonText(Reason reason) {
  switch (reason) {
    case Reason::kFits:
      return "NodeFitPod";
    case Reason::kNodeUnregistered:
      return "node unregistered";
    case Reason::kNodeUsageUnavailable:
      return "node usage unavailable";
    case Reason::kCardNotHealth:
      return "CardNotHealth";
    case Reason::kCardCordoned:
      return "CardCordoned";
    case Reason::kCardTypeMismatch:
      return "CardTypeMismatch";
    case Reason::kNumaNotFit:
      return "NumaNotFit";
    case Reason::kCardUuidMismatch:
      return "CardUuidMismatch";
    case Reason::kCardTimeSlicingExhausted:
      return "CardTimeSlicingExhausted";
    case Reason::kResourceQuotaNotFit:
      return "ResourceQuotaNotFit";
    case Reason::kCardInsufficientMemory:
      return "CardInsufficientMemory";
    case Reason::kCardInsufficientCore:
      return "CardInsufficientCore";
    case Reason::kExclusiveDeviceAllocateConflict:
      return "ExclusiveDeviceAllocateConflict";
    case Reason::kCardComputeUnitsExhausted:
      return "CardComputeUnitsExhausted";
    case Reason::kCardMigTopologyInfeasible:
      return "CardMigTopologyInfeasible";
    case Reason::kCardNotFoundCustomFilterRule:
      return "CardNotFoundCustomFilterRule";
    case Reason::kModeNotFit:
      return "ModeNotFit";
    case Reason::kAllocatedCardsInsufficientRequest:
      return "AllocatedCardsInsufficientRequest";
    case Reason::kNodeInsufficientDevice:
      return "NodeInsufficientDevice";
    case Reason::kNodeUnfitPod:
      return "NodeUnfitPod";
  }
  return "NodeUnfitPod";
}

std::string FailedNodeText(const NodeVerdict& verdict) {
  std::string out(ReasonText(verdict.decisive));
  if (verdict.decisive != Reason::kNodeUsageUnavailable) return out;
  return out + "; " + Detail({}, verdict.decisive, {&verdict, 1});
}

bool IsFailedNodeText(std::string_view text) {
  for (size_t r = 0; r < kReasonCount; ++r) {
    std::string_view word = ReasonText(static_cast<Reason>(r));
    if (text.starts_with(word) && (text.size() == word.size() || text[word.size()] == ';')) {
      return true;
    }
  }
  return false;
}

std::string AskText(const ContainerRequest& ask) {
  std::string out = ask.memory_percent != 0
                        ? std::to_string(ask.memory_percent) + "% of a card's memory"
                        : Mib(ask.memory);
  if (ask.cores.value > 0) out += " and " + Count(ask.cores.value, "core");
  return out + (ask.count == 1 ? " on 1 card" : " on each of " + Count(ask.count, "card"));
}

std::string RefusalText(const PodRequest& request, std::span<const NodeVerdict> refusals) {
  std::string head = "no fit on " + Count(static_cast<int64_t>(refusals.size()), "node") + ": " +
                     WantText(request, refusals);
  std::string too_large = TooLargeText(request, refusals);
  std::string tail = too_large.empty() ? ClosestText(request, refusals) : too_large;
  tail += MigText(refusals);
  std::vector<Row> rows = Rows(request, refusals);
  for (size_t names : {kMaxNames, size_t{5}, size_t{2}, size_t{1}, size_t{0}}) {
    std::string text = Compose(head, rows, tail, names);
    if (text.size() <= kMaxEventText) return text;
  }
  // Names of objects may have 253 characters: give up the rows before the hint.
  std::string text = head.substr(0, 400) + tail.substr(0, kMaxEventText - 400);
  return text;
}

std::string NodeText(const PodRequest& request, const NodeVerdict& verdict) {
  std::string out = verdict.node + ": ";
  std::span<const NodeVerdict> one(&verdict, 1);
  bool any = false;
  for (size_t r = 0; r < kReasonCount; ++r) {
    auto reason = static_cast<Reason>(r);
    if (verdict.cards[reason] == 0) continue;
    out += (any ? ", " : "") + std::to_string(verdict.cards[reason]) + "/" +
           std::to_string(verdict.total_cards) + " " + std::string(ReasonText(reason));
    if (std::string detail = Detail(request, reason, one); !detail.empty()) {
      out += " (" + detail + ")";
    }
    any = true;
  }
  if (!any) {
    out += ReasonText(verdict.decisive);
    std::string detail = Detail(request, verdict.decisive, one);
    if (!detail.empty()) out += ": " + detail;
  }
  std::string too_large = TooLargeText(request, one);
  return out + (too_large.empty() ? ClosestText(request, one) : too_large) + MigText(one);
}

std::string SuccessText(const Decision& decision) {
  if (!decision.placement) return "";
  std::string out = "find fit node(" + decision.placement->node + "), " +
                    std::to_string(decision.refusals.size()) + " nodes not fit, " +
                    std::to_string(decision.fitting.size()) + " nodes fit(";
  size_t shown = 0;
  for (const auto& [node, score] : decision.fitting) {
    char number[32];
    std::snprintf(number, sizeof number, ":%.2f", score);
    std::string item = (shown == 0 ? "" : ",") + node + number;
    if (shown == kMaxNames || out.size() + item.size() + 24 > kMaxEventText) break;
    out += item;
    ++shown;
  }
  if (shown < decision.fitting.size()) {
    out += ",... and " + std::to_string(decision.fitting.size() - shown) + " more";
  }
  return out + ")";
}

}  // namespace hami::policy

// Explain: the only place where verdicts become text (design.md decision 8). Pure, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "domain/model/request.h"
#include "domain/model/verdict.h"
#include "domain/policy/fit.h"

namespace hami::policy {

inline constexpr size_t kMaxEventText = 1024;

// The fixed vocabulary: "CardInsufficientMemory", "node unregistered", ...
std::string_view ReasonText(Reason reason);

// What FailedNodes holds: the decisive reason's word alone, so that kube-scheduler can fold equal
// ones; where a Pod's allocation cannot be read, "; " and that Pod follow.
std::string FailedNodeText(const NodeVerdict& verdict);
// Could FailedNodeText have said so?
bool IsFailedNodeText(std::string_view text);

// The Event of a Pod that fits nowhere: cards and nodes per reason, the closest miss with the
// missing amount, and the largest card when the Pod asks for more than any card has. At most 1,024
// bytes.
std::string RefusalText(const PodRequest& request, std::span<const NodeVerdict> refusals);

// One node at length, for people who ask: every reason with its count and what is free.
std::string NodeText(const PodRequest& request, const NodeVerdict& verdict);

// The Event of a decision: "find fit node(n1), 3 nodes not fit, 2 nodes fit(n1:20.00,n2:10.00)",
// with at most ten nodes named.
std::string SuccessText(const Decision& decision);

// "3000 MiB and 30 cores on each of 2 cards": what one container asks of one vendor.
std::string AskText(const ContainerRequest& ask);

}  // namespace hami::policy

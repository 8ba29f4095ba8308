// NodeAnswers: would each node with cards take the Pod, and why not, as both schedulers decide it.
//
// kube-scheduler's tests come first (kube_scheduler.h), then ours (domain/policy). Pure, any
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "domain/model/request.h"
#include "services/cli/cluster.h"

namespace hami::cli {

struct CardAnswer {
  std::string uuid;
  std::string model;
  uint32_t index = 0;
  std::string reason;  // "" = a share fits
  DeviceUsage used;
  DeviceUsage total;  // slots, memory, cores of the card
};

struct NodeAnswer {
  std::string name;
  bool fits = false;
  double score = 0;
  std::string text;  // why not, in the words of the Event
  std::string lock;  // who holds the node's lock, "" for nobody
  std::vector<CardAnswer> cards;
};

struct TryResult {
  bool fits = false;
  std::vector<std::string> findings;  // sentences, the most important first
  std::vector<NodeAnswer> nodes;      // those with cards or problems
};

// The decision on the picture as it is.
TryResult TryNodes(const Json& pod, const Cluster& cluster, const PodRequest& request);

// How many of all nodes kube-scheduler's own tests take out, by its words.
std::map<std::string, int64_t> KubeReasons(const Json& pod, const Cluster& cluster);

}  // namespace hami::cli

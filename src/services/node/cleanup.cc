#include "services/node/cleanup.h"

#include <future>
#include <set>
#include <utility>

#include "base/executor.h"
#include "base/log.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"
#include "platform/net/http.h"
#include "services/node/host_files.h"

namespace hami::node {
namespace {

constexpr Duration kPause = std::chrono::seconds(1);

Result<Json> Get(kube::Client& client, std::string path) {
  kube::Request request;
  request.path = std::move(path);
  TRY_ASSIGN(const kube::Response response, client.CallSync(std::move(request)));
  return ParseJson(response.body);
}

Result<void> RemoveAnnotations(kube::Client& client, const std::string& node,
                               const protocol::VendorKeys& keys) {
  kube::MetadataPatch patch;
  for (std::string_view key :
       {keys.register_key, keys.handshake, protocol::kNvidiaPairScores, protocol::kMutexLock,
        protocol::kMutexOwnerUid, protocol::kPluginCapabilities, protocol::kRegisterHash}) {
    patch.annotations.emplace(key, std::nullopt);
  }
  kube::Request request;
  request.method = "PATCH";
  request.path = kube::NodePath(node);
  request.body = kube::MetadataPatchBody(patch);
  request.content_type = kube::kMergePatch;
  auto answer = client.CallSync(std::move(request));
  if (!answer && answer.error().code != Code::kNotFound) {
    return Fail(std::move(answer.error()).With("clean annotations of node " + node));
  }
  LOG(kInfo, "node annotations removed").Kv("node", node);
  return {};
}

Result<std::set<std::string>> LivePods(kube::Client& client, const std::string& node) {
  TRY_ASSIGN(const Json list, Get(client, kube::PodsPath() + "?fieldSelector=" +
                                              net::PercentEncode("spec.nodeName=" + node)));
  std::set<std::string> uids;
  const Json* items = Find(list, {"items"});
  if (!items || !items->is_array()) return uids;
  for (const Json& pod : items->as_array()) {
    const std::string_view phase = StringAt(pod, {"status", "phase"});
    if (phase != "Succeeded" && phase != "Failed") {
      uids.emplace(StringAt(pod, {"metadata", "uid"}));
    }
  }
  return uids;
}

Result<void> RemoveFiles(FileSystem& fs, kube::Client& client, const NodeFlags& flags,
                         const driver::VendorSetup& setup) {
  TRY_ASSIGN(const std::set<std::string> live, LivePods(client, flags.node_name));
  HostFiles files(fs, {.hook_path = flags.hook_path, .lock_dir = flags.lock_dir});
  TRY_ASSIGN(const std::vector<std::string> kept,
             files.RemoveAll([&](const std::string& uid) { return live.contains(uid); }));
  for (const std::string& path : kept) LOG(kWarn, "stays: a live Pod uses it").Kv("path", path);
  if (!flags.kubelet_socket.empty()) {
    TRY(fs.Remove(flags.kubelet_socket.substr(0, flags.kubelet_socket.rfind('/')) + "/" +
                  setup.vendor->SocketName(setup.resource)));
  }
  if (kept.empty()) TRY(setup.vendor->RemoveHostFiles());
  LOG(kInfo, "host files removed").Kv("kept", kept.size());
  return {};
}

// What is still there, "" for nothing.
Result<std::string> Leftover(kube::Client& client, std::string_view register_key,
                             const CleanupFlags& what) {
  if (!what.plugin_selector.empty()) {
    TRY_ASSIGN(const Json pods,
               Get(client, kube::PodsPath(what.plugin_namespace) +
                               "?labelSelector=" + net::PercentEncode(what.plugin_selector)));
    const Json* items = Find(pods, {"items"});
    if (items && items->is_array() && !items->as_array().empty()) {
      return "pod " + std::string(StringAt(items->as_array()[0], {"metadata", "name"}));
    }
  }
  TRY_ASSIGN(const Json nodes, Get(client, kube::NodesPath()));
  const Json* items = Find(nodes, {"items"});
  if (!items || !items->is_array()) return std::string();
  for (const Json& node : items->as_array()) {
    if (!StringAt(node, {"metadata", "annotations", register_key}).empty()) {
      return "annotation of node " + std::string(StringAt(node, {"metadata", "name"}));
    }
  }
  return std::string();
}

void Pause(Executor& executor) {
  std::promise<void> over;
  executor.PostAfter(kPause, [&] { over.set_value(); });
  over.get_future().wait();
}

}  // namespace

void AddCleanupFlags(FlagSet& flags, CleanupFlags& v) {
  flags.Add("node-annotations", &v.node_annotations, "remove this node's annotations");
  flags.Add("host-files", &v.host_files, "remove this node's files; those of live Pods stay");
  flags.Add("wait-cluster", &v.wait_cluster, "wait until every node is clean");
  flags.Add("plugin-namespace", &v.plugin_namespace, "with --wait-cluster: where plugins run");
  flags.Add("plugin-selector", &v.plugin_selector, "with --wait-cluster: labels of plugin Pods");
  flags.Add("wait-timeout", &v.wait_timeout, "with --wait-cluster: give up after");
}

Result<void> CleanNode(FileSystem& fs, kube::Client& client, const NodeFlags& flags,
                       const driver::VendorSetup& setup, const CleanupFlags& what) {
  // The annotations go last: whoever waits for the node to be clean watches them.
  if (what.host_files) TRY(RemoveFiles(fs, client, flags, setup));
  if (what.node_annotations) TRY(RemoveAnnotations(client, flags.node_name, setup.keys));
  return {};
}

Result<void> WaitForCluster(kube::Client& client, std::string_view register_key,
                            const CleanupFlags& what) {
  ThreadExecutor executor("wait");
  const MonoTime until = executor.clock().Mono() + what.wait_timeout;
  std::string said;
  for (;;) {
    auto left = Leftover(client, register_key, what);
    const std::string text = left ? *left : left.error().message;
    if (left && left->empty()) return {};
    if (text != said) {
      LOG(kInfo, "waiting for cleanup").Kv("left", text);
    }
    said = text;
    if (executor.clock().Mono() >= until) {
      return Fail(Code::kDeadlineExceeded, "cleanup is not complete: " + text);
    }
    Pause(executor);
  }
}

}  // namespace hami::node

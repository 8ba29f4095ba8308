// hami-device-plugin: offers a node's cards to kubelet and registers them in the cluster.
#include <csignal>
#include <ctime>
#include <functional>

#include "apps/device_plugin_setup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/terminal.h"
#include "base/version.h"
#include "platform/net/http_server.h"
#include "services/node/cleanup.h"
#include "services/node/limits.h"
#include "services/node/routes.h"
#include "services/node/service.h"

namespace hami {
namespace {

// Until the service has to end: true means start again. Files that are wrong keep what runs.
bool AwaitEnd(const sigset_t& signals, const node::NodeFlags& flags, node::NodeService& service,
              const PluginFiles& files,
              const std::function<Result<void>(const PluginFiles&)>& check) {
  constexpr timespec kLook = {.tv_sec = 10, .tv_nsec = 0};
  std::string said;
  for (;;) {
    const int signal = ::sigtimedwait(&signals, nullptr, &kLook);
    if (signal > 0 && signal != SIGHUP) {
      LOG(kInfo, "stopping").Kv("signal", signal);
      return false;
    }
    const auto now = ReadFiles(flags);
    const bool changed = now != files;
    std::string error;
    if (changed || signal == SIGHUP) {
      const auto good = now.and_then(check);
      if (good) {
        LOG(kInfo, "restarting").Kv("why", changed ? "configuration changed" : "SIGHUP");
        return true;
      }
      error = good.error().message;
      if (error != said || signal == SIGHUP) {
        LOG(kError, "new configuration is not used").Kv("error", error);
      }
    }
    if (error != said) service.SetConfigError(error);
    said = error;
  }
}

// One life of the service, until a signal or a change of the files: true means start again.
Result<bool> RunOnce(const FlagSet& given, const PluginOptions& o, const sigset_t& signals) {
  TRY_ASSIGN(const PluginFiles files, ReadFiles(o.node));
  net::Loop loop;
  TRY_ASSIGN(auto client, Connect(loop, o.node));
  TRY_ASSIGN(auto setup, Setup(given, o, files, *client));
  for (const std::string& warning : setup.warnings) LOG(kWarn, warning);
  const bool kept_back = !setup.settings.refusal.empty();
  TRY_ASSIGN(auto service, node::NodeService::Start(RealFileSystem(), *client, o.node,
                                                    std::move(setup), node::MakeContainerLimits));
  std::unique_ptr<net::HttpServer> server;
  if (!o.node.metrics_address.empty()) {
    TRY_ASSIGN(server, net::HttpServer::Listen(loop, {.address = o.node.metrics_address},
                                               node::Routes(*service)));
  }
  return AwaitEnd(signals, o.node, *service, files, [&](const PluginFiles& next) -> Result<void> {
    TRY_ASSIGN(const auto would, Setup(given, o, next, *client));
    // Who gives no card already loses nothing by files that refuse too.
    if (kept_back || would.settings.refusal.empty()) return {};
    return Fail(Code::kInvalidArgument, would.settings.refusal);
  });
}

Result<void> Clean(const FlagSet& given, PluginOptions o) {
  net::Loop loop;
  TRY_ASSIGN(auto client, Connect(loop, o.node));
  TRY_ASSIGN(const PluginFiles files, ReadFiles(o.node));
  TRY_ASSIGN(auto setup, Setup(given, o, files, *client));
  if (o.cleanup.wait_cluster)
    return node::WaitForCluster(*client, setup.keys.register_key, o.cleanup);
  return node::CleanNode(RealFileSystem(), *client, o.node, setup, o.cleanup);
}

Result<void> Serve(const FlagSet& given, PluginOptions o) {
  for (const auto& [name, value] : given.Values()) LOG(kInfo, "FLAG").Kv(name, value);
  // Blocked before any thread starts, so that only RunOnce sees them.
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGHUP, SIGINT, SIGTERM, SIGQUIT}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  for (bool again = true; again;) {
    TRY_ASSIGN(again, RunOnce(given, o, signals));
  }
  return {};
}

int Main(int argc, char** argv) {
  PluginOptions o;
  FlagSet flags("hami-device-plugin", "offers a node's cards to kubelet in shares");
  node::AddNodeFlags(flags, o.node);
  driver::AddVendorFlags(flags, o.vendor);
  flags.Command("version", "print which build this is");
  FlagSet& cleanup = flags.Command("cleanup", "remove what this node's plugin left behind");
  node::AddNodeFlags(cleanup, o.node);
  driver::AddVendorFlags(cleanup, o.vendor);
  node::AddCleanupFlags(cleanup, o.cleanup);
  auto fail = [](const Error& error, int code) {
    WriteError("hami-device-plugin: " + error.message + "\n");
    return code;
  };
  auto action = flags.Parse(argc, argv);
  if (!action) return fail(action.error(), 2);
  if (*action == FlagSet::Action::kExit) return 0;
  if (flags.command() == "version") {
    WriteOut(driver::PluginVersionLine(Build().version) + "\n" + VersionText("hami-device-plugin"));
    return 0;
  }
  // Waiting for the whole cluster is the one task that needs no node.
  if (flags.command() != "cleanup" || !o.cleanup.wait_cluster) {
    if (auto usable = node::FinishNodeFlags(o.node); !usable) return fail(usable.error(), 2);
  }
  InitLog({.level = LogLevelFromVerbosity(static_cast<int>(o.node.verbosity)),
           .format = o.node.log_format == "json" ? LogFormat::kJson : LogFormat::kLogfmt});
  auto done = flags.command() == "cleanup" ? Clean(cleanup, o) : Serve(flags, o);
  return done ? 0 : fail(done.error(), 1);
}

}  // namespace
}  // namespace hami

int main(int argc, char** argv) { return hami::Main(argc, argv); }

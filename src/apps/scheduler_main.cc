// hami-scheduler: admission webhook and scheduler extender. Reads like docs/architecture.md's
// picture.
#include <cstdio>

#include "apps/scheduler_flags.h"
#include "apps/scheduler_ports.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/version.h"
#include "platform/kube/events.h"
#include "platform/kube/lease.h"
#include "services/admission/certgen.h"
#include "services/admission/service.h"
#include "services/scheduler/role_labels.h"
#include "services/scheduler/service.h"

namespace hami {
namespace {

constexpr Duration kLongestBindWait = std::chrono::seconds(27);  // the extender's httpTimeout - 3 s

Result<int> Run(const FlagSet& set, const SchedulerFlags& f) {
  TRY_ASSIGN(auto devices, LoadDevices(f.device_config_file));
  TRY_ASSIGN(auto selector, ParseLabelSelector(f.node_label_selector));
  TRY_ASSIGN(auto lock_timeout, NodeLockTimeout(set, f));
  for (const auto& [name, value] : set.Values()) LOG(kInfo, "FLAG").Kv(name, value);

  net::Loop loop;
  TRY_ASSIGN(auto config, kube::LoadConfig(RealFileSystem(), f.kubeconfig));
  TRY_ASSIGN(auto api, kube::Client::Create(loop, config, ClientOptions(f)));
  kube::EventRecorder events(*api, f.scheduler_name);

  scheduler::Leading leading;
  std::unique_ptr<scheduler::RoleLabels> roles;
  auto learned = [&](const kube::Leadership& now) {
    LOG(kInfo, "leadership")
        .Kv("leading", now.leader)
        .Kv("holder", now.holder)
        .Kv("term", now.term);
    leading.Set(now, loop.clock().Mono());
    if (roles) roles->Refresh();
  };
  std::unique_ptr<kube::LeaseFollower> lease;
  if (f.leader_elect) {
    lease = std::make_unique<kube::LeaseFollower>(*api, loop, LeaseOptions(f), learned);
  }
  auto view = [&]() -> scheduler::LeaderView {
    if (!lease) return {};
    return leading.View(lease->current());
  };

  scheduler::Service service(
      *api,
      [&events](const Pod& pod, kube::EventType type, std::string_view reason,
                const std::string& text) { events.Emit(kube::RefOf(pod), type, reason, text); },
      {.devices = devices,
       .policies = {.node = f.node_policy, .card = f.card_policy},
       .node_selector = selector,
       .lock_timeout = lock_timeout,
       .bind_wait = std::min(f.node_lock_retry_timeout, kLongestBindWait),
       .annotate_at_filter = f.annotate_at_filter,
       .leader = view});
  WorkerPool reviewers("review", 2);
  admission::Service admission(
      {.devices = devices,
       .scheduler_name = f.scheduler_name,
       .force_overwrite_default_scheduler = f.force_overwrite_default_scheduler,
       .allow_privileged = f.allow_privileged,
       .deny_forged_annotations = f.deny_forged_annotations,
       .allow_disable_control = f.allow_disable_control,
       .decision_writers = f.decision_writers},
      reviewers);
  std::string pod = GetEnvOr("POD_NAME", "");
  std::string ns = GetEnvOr("POD_NAMESPACE", "");
  if (!pod.empty() && !ns.empty()) {
    roles = std::make_unique<scheduler::RoleLabels>(
        *api, loop, scheduler::RoleLabelOptions{.ns = ns, .pod = pod, .leading = [&] {
                                                  return view().leading;
                                                }});
  }

  TRY_ASSIGN(auto ports, OpenPorts(loop, f, service, admission));
  int signal = loop.WaitForSignal();
  LOG(kInfo, "stopping").Kv("signal", signal);
  return 0;
}

}  // namespace
}  // namespace hami

int main(int argc, char** argv) {
  using namespace hami;
  auto fail = [](const Error& error, int code) {
    std::fprintf(stderr, "hami-scheduler: %s\n", error.message.c_str());
    return code;
  };
  if (argc > 1 && std::string_view(argv[1]) == "certgen") {
    auto code = admission::RunCertgen(argc - 1, argv + 1);
    if (code) return *code;
    return fail(code.error(), code.error().code == Code::kInvalidArgument ? 2 : 1);
  }
  SchedulerFlags flags;
  FlagSet set("hami-scheduler",
              "Admission webhook and scheduler extender of HAMi: slices of accelerators for Pods.");
  DeclareSchedulerFlags(set, flags);
  set.Command("version", "print version, revision, compiler and platform");
  set.Command("certgen", "create the webhook's certificate, or write its CA into the webhook");
  auto action = set.Parse(argc, argv);
  if (!action) return fail(action.error(), 2);
  if (*action == FlagSet::Action::kExit) return 0;
  if (set.command() == "version") {
    std::fputs(VersionText("hami-scheduler").c_str(), stdout);
    return 0;
  }
  if (auto usable = CheckFlags(set, flags); !usable) return fail(usable.error(), 2);
  InitLog({.level = LogLevelFromVerbosity(static_cast<int>(flags.verbosity)),
           .format = flags.log_format == "json" ? LogFormat::kJson : LogFormat::kLogfmt,
           .file = flags.log_file});
  auto code = Run(set, flags);
  return code ? *code : fail(code.error(), 1);
}

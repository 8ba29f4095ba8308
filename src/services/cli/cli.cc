#include "services/cli/cli.h"

#include <memory>
#include <vector>

#include "base/flags.h"
#include "base/fs.h"
#include "base/printable.h"
#include "base/terminal.h"
#include "base/version.h"
#include "domain/protocol/names.h"
#include "platform/kube/config.h"
#include "platform/net/loop.h"
#include "services/cli/explain.h"
#include "services/cli/get_cards.h"

namespace hami::cli {
namespace {

constexpr char kAbout[] =
    "hamictl shows which share of which card each Pod has, and why a Pod has none.\n"
    "\n"
    "  hamictl get cards                        every card: used and total, by whom\n"
    "  hamictl get cards --node n1 -o wide      one node, with NUMA, mode and each share's size\n"
    "  hamictl explain pod team-a/train         why it is pending, or where its cards are\n"
    "  hamictl explain pod train -n team-a -o json\n"
    "\n"
    "It reads Nodes, Pods and Events with your own kubeconfig and changes nothing.\n"
    "Exit codes: 0 yes; 1 the answer is no (not found, fits nowhere, failed); 2 wrong command "
    "line;\n"
    "3 the cluster gives no answer.";

constexpr char kAboutCards[] =
    "Show every card: what is promised of its memory, cores and slots, and to which Pods\n"
    "\n"
    "Memory is MiB, cores are percent of one card, slots are shares; each as used/total. What is "
    "shown\n"
    "is what the scheduler has promised, not what programs use at this moment.";

constexpr char kAboutPod[] =
    "Explain what happened to a Pod: seen by admission, scheduled, given cards, running\n"
    "\n"
    "For a pending Pod the scheduler's decision is made again on the present state, without "
    "effect: per\n"
    "node and per card, in the words of the Pod's Events.";

struct Line {
  std::string kubeconfig, context, ns, output, node, device_config;
  std::vector<std::string> words;
};

void AddCommon(FlagSet& flags, Line& line) {
  flags.Add("kubeconfig", &line.kubeconfig,
            "kubeconfig file; empty: $KUBECONFIG, ~/.kube/config or the Pod's own account");
  flags.Add("context", &line.context, "context of the kubeconfig; empty: its current one");
  flags.Add("namespace", &line.ns, "namespace of the Pod; empty: the context's");
  flags.Add("n", &line.ns, "short for --namespace");
  flags.Add("device-config", &line.device_config,
            "device-config.yaml with the resource names; empty: the cluster's ConfigMap");
}

void AddOutput(FlagSet& flags, Line& line, const char* forms) {
  flags.Add("output", &line.output, forms);
  flags.Add("o", &line.output, "short for --output");
}

Error Usage(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

Result<Cluster> Load(const Outside& outside, const Line& line, const ApiCall& api) {
  LoadOptions options;
  if (!line.device_config.empty()) {
    TRY_ASSIGN(options.device_config, outside.read_file(line.device_config));
  }
  return LoadCluster(api, options);
}

Result<int> GetCards(const Outside& outside, const Line& line) {
  Format format = Format::kTable;
  if (line.output == "json")
    format = Format::kJson;
  else if (line.output == "wide")
    format = Format::kWide;
  else if (!line.output.empty())
    return Fail(Usage("--output " + line.output + ": expected wide or json"));
  if (!line.ns.empty()) {
    return Fail(Usage("get cards: expected no --namespace: cards belong to nodes (--node)"));
  }
  std::string ns;
  TRY_ASSIGN(ApiCall api, outside.connect(line.kubeconfig, line.context, &ns));
  TRY_ASSIGN(Cluster cluster, Load(outside, line, api));
  CardsReport report = ReportCards(cluster, line.node, format);
  outside.out(report.text);
  if (!cluster.nodes_known) return kExitUnreachable;
  return report.cards > 0 ? kExitOk : kExitNo;
}

// "ns/name" or "name".
Result<PodKey> ParsePodName(const Line& line, const std::string& default_ns) {
  if (line.words.size() != 1) return Fail(Usage("explain pod: expected one pod: [namespace/]name"));
  const std::string& word = line.words.front();
  size_t slash = word.find('/');
  PodKey key;
  if (slash == std::string::npos) {
    key = {line.ns.empty() ? default_ns : line.ns, word};
  } else {
    key = {word.substr(0, slash), word.substr(slash + 1)};
    if (!line.ns.empty() && line.ns != key.ns) {
      return Fail(Usage("pod " + word + " is not in namespace " + line.ns));
    }
  }
  if (key.ns.empty() && slash == std::string::npos) key.ns = "default";
  if (key.ns.empty() || key.name.empty() || key.name.find('/') != std::string::npos) {
    return Fail(Usage("pod \"" + word + "\": expected [namespace/]name"));
  }
  return key;
}

// The label hami.io/webhook of the namespace; "" when there is none or it may not be read.
std::string NamespaceWebhookLabel(const ApiCall& api, const std::string& ns) {
  auto object = GetJson(api, "/api/v1/namespaces/" + UrlEncode(ns));
  if (!object) return "";
  return std::string(StringAt(*object, {"metadata", "labels", protocol::kWebhookLabel}));
}

std::vector<PodEvent> PodEvents(const ApiCall& api, const PodKey& key, const Json& object,
                                Cluster& cluster) {
  std::string selector = "involvedObject.uid=" + std::string(StringAt(object, {"metadata", "uid"}));
  auto items = ListAll(api, "/api/v1/namespaces/" + UrlEncode(key.ns) +
                                "/events?fieldSelector=" + UrlEncode(selector));
  if (items) return DecodeEvents(*items);
  cluster.notes.push_back("its Events cannot be read: " + items.error().message);
  return {};
}

Result<int> ExplainPod(const Outside& outside, const Line& line) {
  if (!line.output.empty() && line.output != "json") {
    return Fail(Usage("--output " + line.output + ": expected json"));
  }
  TRY(ParsePodName(line, "default"));  // a wrong word needs no cluster to be told so
  std::string default_ns;
  TRY_ASSIGN(ApiCall api, outside.connect(line.kubeconfig, line.context, &default_ns));
  TRY_ASSIGN(PodKey key, ParsePodName(line, default_ns));
  auto object =
      GetJson(api, "/api/v1/namespaces/" + UrlEncode(key.ns) + "/pods/" + UrlEncode(key.name));
  if (!object && object.error().code == Code::kNotFound) {
    outside.err("hamictl: pod " + key.Text() + " does not exist\n");
    return kExitNo;
  }
  if (!object) return Fail(std::move(object).error().With("read pod " + key.Text()));
  TRY_ASSIGN(Cluster cluster, Load(outside, line, api));
  std::string label = NamespaceWebhookLabel(api, key.ns);
  WallTime now = outside.clock->Now();
  PodInput input{*object, label, PodEvents(api, key, *object, cluster), now};
  auto explanation = Explain(input, cluster);
  if (!explanation) {
    return Fail(Code::kDataLoss, "pod " + key.Text() + ": " + explanation.error().message);
  }
  outside.out(line.output == "json" ? ExplanationJson(*explanation)
                                    : ExplanationText(*explanation, now));
  return IsFine(explanation->state) ? kExitOk : kExitNo;
}

Result<int> Run(int argc, const char* const* argv, const Outside& outside) {
  Line line;
  FlagSet root("hamictl", kAbout);
  AddCommon(root, line);
  FlagSet& get = root.Command("get", "Show what there is: cards");
  FlagSet& cards = get.Command("cards", kAboutCards);
  AddCommon(cards, line);
  AddOutput(cards, line, "wide or json; empty: a table");
  cards.Add("node", &line.node, "only this node");
  FlagSet& explain = root.Command("explain", "Explain what happened: pod");
  FlagSet& pod = explain.Command("pod", kAboutPod);
  AddCommon(pod, line);
  AddOutput(pod, line, "json; empty: for people");
  pod.Positional("[namespace/]name", &line.words, "the Pod");
  get.Alias("card", "cards");
  explain.Alias("pods", "pod");
  explain.Alias("po", "pod");
  root.Command("version", "Show which build this is");

  TRY_ASSIGN(FlagSet::Action action, root.Parse(argc, argv));
  if (action == FlagSet::Action::kExit) return kExitOk;
  if (root.command() == "version") {
    outside.out(VersionText("hamictl"));
    return kExitOk;
  }
  if (get.command() == "cards") return GetCards(outside, line);
  if (explain.command() == "pod") return ExplainPod(outside, line);
  if (root.command() == "get") return Fail(Usage("get: expected what: cards"));
  if (root.command() == "explain") return Fail(Usage("explain: expected what: pod"));
  return Fail(Usage("expected a command: get, explain or version; --help shows examples"));
}

}  // namespace

int RunHamictl(int argc, const char* const* argv, const Outside& outside) {
  auto result = Run(argc, argv, outside);
  if (result) return *result;
  outside.err("hamictl: " + Printable(result.error().message) + "\n");
  return result.error().code == Code::kInvalidArgument ? kExitUsage : kExitUnreachable;
}

int RunHamictl(int argc, const char* const* argv) {
  // Made on connecting only: --help and version need neither threads nor a cluster.
  std::unique_ptr<net::Loop> loop;
  std::unique_ptr<kube::Client> client;
  Outside outside;
  outside.connect = [&](const std::string& file, const std::string& context,
                        std::string* ns) -> Result<ApiCall> {
    auto config = kube::LoadConfig(RealFileSystem(), file, context);
    // Not the command line's fault in the sense of exit code 2, whatever is wrong with the file.
    if (!config) return Fail(Code::kUnavailable, std::move(config).error().message);
    *ns = config->ns;
    loop = std::make_unique<net::Loop>();
    TRY_ASSIGN(client, kube::Client::Create(*loop, std::move(*config), {.user_agent = "hamictl"}));
    return ApiCall(
        [&client](kube::Request request) { return client->CallSync(std::move(request)); });
  };
  outside.read_file = [](const std::string& path) { return RealFileSystem().Read(path); };
  outside.out = [](std::string_view text) { WriteOut(text); };
  outside.err = [](std::string_view text) { WriteError(text); };
  outside.clock = &SystemClock();
  return RunHamictl(argc, argv, outside);
}

}  // namespace hami::cli

// /filter as a whole, from the request's body to the answer's, with 5,000 nodes of 8 cards known:
// parsing, the way to the state thread and back, deciding, explaining, writing. HTTP itself is not
// in it.
#include <benchmark/benchmark.h>

#include <future>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/log.h"
#include "bench/scheduler/card.h"
#include "domain/protocol/register_annotation.h"
#include "platform/net/responder.h"
#include "services/scheduler/service.h"
#include "tests/fake_apiserver/fake_apiserver.h"

namespace hami::scheduler {
namespace {

constexpr int kNodes = 5000;
constexpr int kCards = 8;

std::string RegisterText(int node) {
  std::vector<Device> devices;
  for (int c = 0; c < kCards; ++c) {
    devices.push_back(bench::H100("GPU-" + std::to_string(node) + "-" + std::to_string(c), c));
  }
  return protocol::EncodeRegisterJson(devices);
}

Json NodeObject(int number) {
  return {{"metadata",
           {{"name", "node-" + std::to_string(number)},
            {"annotations", {{"hami.io/node-nvidia-register", RegisterText(number)}}}}},
          {"status", {{"allocatable", {{"nvidia.com/gpu", "80"}}}}}};
}

// A scheduler in step with an API server that has the nodes; made once, for all benches here.
class World {
 public:
  static World& Get() {
    static World world;
    return world;
  }

  std::string Filter(std::string body) {
    std::promise<std::string> answer;
    for (const net::Route& route : routes_) {
      if (route.path != "/filter") continue;
      route.handler({.method = "POST", .target = "/filter", .body = std::move(body)},
                    net::Responder(std::make_shared<net::Responder::State>(
                        [&answer](net::HttpResponse r) { answer.set_value(std::move(r.body)); })));
    }
    return answer.get_future().get();
  }

 private:
  World() {
    InitLog({.level = LogLevel::kError});
    for (int n = 0; n < kNodes; ++n) server_.Create("/api/v1/nodes", ToJson(NodeObject(n)));
    api_ = *kube::Client::Create(loop_, {.server = server_.url()}, {});
    ServiceOptions options;
    options.devices = protocol::DefaultDeviceConfig();
    service_ = std::make_unique<Service>(
        *api_, [](const Pod&, kube::EventType, std::string_view, const std::string&) {},
        std::move(options));
    routes_ = service_->ExtenderRoutes();
    server_.AwaitWatches("/api/v1/nodes", 1);
    server_.Await([this] { return Ready(); });
  }
  bool Ready() {
    std::promise<int> status;
    service_->ReadyHandler()({}, net::Responder(std::make_shared<net::Responder::State>(
                                     [&](net::HttpResponse r) { status.set_value(r.status); })));
    return status.get_future().get() == 200;
  }

  fake::FakeApiServer server_;
  net::Loop loop_;
  std::unique_ptr<kube::Client> api_;
  std::unique_ptr<Service> service_;
  std::vector<net::Route> routes_;
};

std::string Body(const std::string& memory_mib) {
  Json limits = {{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", memory_mib}};
  Json container = {{"name", "c"}, {"resources", {{"limits", limits}}}};
  Json pod = {{"metadata", {{"name", "p"}, {"namespace", "default"}, {"uid", "uid-1"}}},
              {"spec", {{"containers", boost::json::array{container}}}},
              {"status", {{"phase", "Pending"}}}};
  boost::json::array names;
  for (int n = 0; n < kNodes; ++n) names.push_back(Json("node-" + std::to_string(n)));
  return ToJson({{"Pod", pod}, {"NodeNames", names}});
}

void Filter(benchmark::State& state, const std::string& memory_mib, const std::string& expected) {
  World& world = World::Get();
  const std::string body = Body(memory_mib);
  for (auto _ : state) {
    const std::string answer = world.Filter(body);
    if (answer.find(expected) == std::string::npos) state.SkipWithError("unexpected answer");
  }
}
BENCHMARK_CAPTURE(Filter, placed_5000x8, "3000", "\"NodeNames\":[\"node-")
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Filter, fits_nowhere_5000x8, "90000", "CardInsufficientMemory")
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hami::scheduler

BENCHMARK_MAIN();

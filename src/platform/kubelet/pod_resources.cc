#include "platform/kubelet/pod_resources.h"

#include <grpcpp/grpcpp.h>

#include "kubelet/podresources.grpc.pb.h"
#include "platform/kubelet/channel.h"

namespace hami::kubelet {

Result<std::vector<HeldDevices>> ListHeldDevices(const std::string& socket, Duration timeout) {
  auto stub = v1::PodResourcesLister::NewStub(UnixChannel(socket));
  grpc::ClientContext context;
  context.set_deadline(Deadline(timeout));
  v1::ListPodResourcesResponse reply;
  const grpc::Status status = stub->List(&context, v1::ListPodResourcesRequest(), &reply);
  if (!status.ok()) {
    return Fail(Code::kUnavailable,
                "list pod resources at " + socket + ": " + status.error_message());
  }
  std::vector<HeldDevices> held;
  for (const v1::PodResources& pod : reply.pod_resources()) {
    for (const v1::ContainerResources& container : pod.containers()) {
      for (const v1::ContainerDevices& devices : container.devices()) {
        held.push_back({.ns = pod.namespace_(),
                        .pod = pod.name(),
                        .container = container.name(),
                        .resource = devices.resource_name(),
                        .ids = {devices.device_ids().begin(), devices.device_ids().end()}});
      }
    }
  }
  return held;
}

}  // namespace hami::kubelet

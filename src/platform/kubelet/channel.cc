#include "platform/kubelet/channel.h"

#include <grpcpp/grpcpp.h>

namespace hami::kubelet {

std::shared_ptr<grpc::Channel> UnixChannel(const std::string& path) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

std::chrono::system_clock::time_point Deadline(Duration timeout) {
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(SystemClock().Now() +
                                                                           timeout);
}

}  // namespace hami::kubelet

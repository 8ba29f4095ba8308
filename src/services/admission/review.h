// Review: one AdmissionReview in, one out. The whole decision of the webhook, as a pure function.
//
// Order of steps and texts: spec/scheduler.md 3.2-3.4. The Pod is never written again: the answer
// is a minimal JSON Patch on the object as the API server sent it. No clock, no I/O; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "domain/model/pod.h"
#include "domain/protocol/device_config.h"

namespace hami::admission {

struct AdmissionConfig {
  protocol::DeviceConfig devices;
  std::string scheduler_name;                     // "": spec.schedulerName is left alone
  bool force_overwrite_default_scheduler = true;  // take Pods of "default-scheduler"
  bool allow_privileged = false;                  // privileged containers beside a slice
  bool deny_forged_annotations = false;           // refuse instead of removing or restoring them
  bool allow_disable_control = true;              // what the plugins do with CUDA_DISABLE_CONTROL
  // Users that may change a decision of a living Pod, beside the nodes; none: updates pass.
  std::vector<std::string> decision_writers;
};

enum class Outcome : uint8_t {
  kAllowed,         // nothing of ours in it
  kMutated,         // allowed with a patch
  kOtherScheduler,  // allowed; belongs to another scheduler
  kDenied,          // by rule (403)
  kInvalid,         // a value is wrong (500, the reference's code for it)
  kUndecodable,     // the review itself (400, 413)
};
std::string_view OutcomeText(Outcome outcome);  // "allowed", "mutated", ...: metric label and log

struct ReviewResult {
  std::string body;  // AdmissionReview of the version asked; HTTP status is 200 in every case
  Outcome outcome = Outcome::kAllowed;
  std::string uid;      // of the request
  std::string pod;      // "ns/name", the name may be a generated one's beginning ("web-*")
  std::string message;  // what the user sees when not allowed
  bool uses_cards = false;
};

// Never fails: what cannot be understood is answered with status 400 inside the review.
ReviewResult Review(std::string_view body, const AdmissionConfig& config);

// The answer to a request that never got as far as a review (body too long, wrong content type).
ReviewResult Refuse(int code, std::string message);

}  // namespace hami::admission

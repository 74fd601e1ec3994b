// host.cc: the one function pointer by which native code calls the host language.
//
// It is null until the host sets it, and again before the host's interpreter ends: XLA's threads may still
// run programs then, and must not enter an interpreter that is gone.

#include "host.h"

#include <atomic>

namespace elimax {
namespace {

std::atomic<HostFunction> host{nullptr};
std::atomic<std::int64_t> running{0};

}  // namespace

void set_host(HostFunction function) {
  host.store(function);
  if (function) return;
  while (const auto calls = running.load()) running.wait(calls);
}

bool call_host(HostCall& call) {
  // Counted before the pointer is read: who sets it to null waits for whoever may have read it before.
  running.fetch_add(1);
  const HostFunction function = host.load();
  if (function) function(&call);
  running.fetch_sub(1);
  running.notify_all();
  return function != nullptr;
}

}  // namespace elimax

// host.h: calls into the host language: one function pointer, and the record that describes one call.
//
// Host code is Python's: it takes the interpreter's lock, and may run for as long as it likes. Nothing but
// ffi_external.cc calls it. The twin of HostCall is _structure/host.py.
#pragma once

#include <array>

#include "core.h"

namespace elimax {

enum class HostOperation : std::int64_t { setup = 0, solve = 1, solve_transposed = 2 };

// What the host makes of `outcome`; a call that it does not come back from in good order leaves it as it was.
enum class HostOutcome : std::int64_t { unfinished = 0, success = 1, failure = 2 };

// `batch` elements of so many rows and columns each, one after the other, row-major.
struct HostArray {
  void* data;
  std::int64_t batch, rows, columns;
};

// `key`, `values`, `b`, `x`, `status`, in this order; a setup has the first two of them alone.
struct HostCall {
  std::int64_t token;  // which solver, for which pattern: a name that the host gave
  HostOperation operation;
  std::int64_t scalar;  // 0: float, 1: double, 2: complex<float>, 3: complex<double>
  std::array<HostArray, 5> arrays;
  HostOutcome outcome;
  std::array<char, 4096> message;  // UTF-8, up to the first zero; the host fills it in on failure
};

using HostFunction = void (*)(HostCall*);

// Null: there is no host any more. Comes back when no call runs that an earlier function was called for.
void set_host(HostFunction function);

// False if there is no host.
bool call_host(HostCall& call);

}  // namespace elimax

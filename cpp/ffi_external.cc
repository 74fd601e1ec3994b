// ffi_external.cc: XLA FFI handlers of solvers that live on the host: they describe the call and hand it
// over.
//
// A whole batch, and all columns of its right-hand sides, are one call of the host.

#include "ffi.h"
#include "host.h"

namespace elimax {
namespace {

template <class Buffer>
HostArray host_array(Buffer&& buffer, std::size_t rank) {
  HostArray array{buffer.untyped_data(), 1, 1, 1};
  const auto dimensions = buffer.dimensions();
  const std::size_t lead = dimensions.size() - rank;
  for (std::size_t d = 0; d < lead; ++d) array.batch *= dimensions[d];
  if (rank > 0) array.rows = dimensions[lead];
  if (rank > 1) array.columns = dimensions[lead + 1];
  return array;
}

std::int64_t scalar_code(ffi::DataType dtype) {
  switch (dtype) {
    case ffi::F32: return 0;
    case ffi::F64: return 1;
    case ffi::C64: return 2;
    case ffi::C128: return 3;
    default: return -1;
  }
}

ffi::Error failed(std::string_view solver, std::string_view sentence) {
  return ffi::Error(ffi::ErrorCode::kFailedPrecondition,
                    "elimax: ExternalSolver '" + std::string(solver) + "': " + std::string(sentence));
}

ffi::Error on_host(HostCall& call, std::string_view solver) {
  if (!call_host(call))
    return failed(
        solver,
        "there is no Python to call: this process has made no ExternalSolver, so that the program was "
        "compiled elsewhere; or the interpreter is about to end. Make the solver, trace the function and "
        "compile it here.");
  switch (call.outcome) {
    case HostOutcome::success: return ffi::Error::Success();
    case HostOutcome::failure: return failed(solver, call.message.data());
    default: return failed(solver, "the call was interrupted");
  }
}

ffi::Error external_setup_handler(ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> key, std::int64_t token,
                                  std::string_view solver) {
  HostCall call{};
  call.token = token;
  call.operation = HostOperation::setup;
  call.scalar = scalar_code(values.element_type());
  call.arrays = {host_array(*key, 1), host_array(values, 1)};
  if (call.arrays[0].batch == 0) return ffi::Error::Success();
  return on_host(call, solver);
}

ffi::Error external_solve_handler(ffi::AnyBuffer key, ffi::AnyBuffer values, ffi::AnyBuffer b,
                                  ffi::Result<ffi::AnyBuffer> x, ffi::Result<ffi::AnyBuffer> status,
                                  std::int64_t token, bool transpose, std::string_view solver) {
  HostCall call{};
  call.token = token;
  call.operation = transpose ? HostOperation::solve_transposed : HostOperation::solve;
  call.scalar = scalar_code(values.element_type());
  call.arrays = {host_array(key, 1), host_array(values, 1), host_array(b, 2), host_array(*x, 2),
                 host_array(*status, 1)};
  if (status->element_count() == 0) return ffi::Error::Success();
  return on_host(call, solver);
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_external_setup, external_setup_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("token")
                                  .Attr<std::string_view>("solver"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_external_solve, external_solve_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("token")
                                  .Attr<bool>("transpose")
                                  .Attr<std::string_view>("solver"));

#pragma GCC visibility pop

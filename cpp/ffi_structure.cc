// ffi_structure.cc: the XLA FFI handler that restores a structure inside of an exported program.
//
// It hands its first operand on unchanged, and a kernel that needs the structure reads that operand from it:
// so it runs first, and the kernel is the same as in any other program. Further operands are the arrays of
// the structure's content. Cost: a look-up, but for the first time in a process.

#include <cstring>

#include "ffi.h"

namespace elimax {
namespace {

ffi::Error restore_handler(ffi::AnyBuffer operand, ffi::RemainingArgs arrays,
                           ffi::Result<ffi::AnyBuffer> result, std::string_view kind,
                           ffi::Span<const std::int64_t> preamble, std::int64_t high, std::int64_t low) {
  Content content{kind, {preamble.begin(), preamble.size()}, {}};
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    const auto array = arrays.get<ffi::BufferR1<ffi::S32>>(k);
    if (!array.has_value()) return array.error();
    content.arrays.emplace_back(array->typed_data(), array->element_count());
  }
  switch (restore(content, hash_of(high, low))) {
    case Restored::done: break;
    case Restored::out_of_memory:
      return ffi::Error(ffi::ErrorCode::kResourceExhausted, "elimax: out of memory for a sparsity structure");
    case Restored::damaged:
      return ffi::Error(ffi::ErrorCode::kInvalidArgument,
                        "elimax: the exported program carries a damaged sparsity structure, or one that this "
                        "version of Elimax lays out differently. Export the function again.");
  }
  // XLA lets them share memory, and copies where something else reads the operand.
  if (result->untyped_data() != operand.untyped_data())
    std::memcpy(result->untyped_data(), operand.untyped_data(), operand.size_bytes());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_restore, restore_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::string_view>("kind")
                                  .Attr<ffi::Span<const std::int64_t>>("preamble")
                                  .Attr<std::int64_t>("content_high")
                                  .Attr<std::int64_t>("content_low"));

#pragma GCC visibility pop

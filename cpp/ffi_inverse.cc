// ffi_inverse.cc: the XLA FFI handler of the derivatives of log|det A| from an LDL or LU factorization.

#include "ffi.h"

namespace elimax {
namespace {

ffi::Error inverse_gradient_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor, ffi::AnyBuffer pivots,
                                    ffi::RemainingArgs directions, ffi::Result<ffi::AnyBuffer> gradient,
                                    std::int64_t symbolic_high, std::int64_t symbolic_low,
                                    std::int64_t embedding_high, std::int64_t embedding_low,
                                    std::int64_t storage_code) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  const auto storage = static_cast<Storage>(storage_code);
  return for_scalar(factor.element_type(), storage, [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> result(*gradient, 1);
    const Batched<const T> values(factor, 1, result.batch());
    const Batched<const Index> order(pivots, 1, result.batch());
    const Directions<T> v(directions, result.batch());
    count(Counter::inverse_gradient, result.batch());
    const int triangles = storage == Storage::general ? 2 : 1;
    return for_matrices<T>(
        pool, *symbolic, result.batch(), 2 * triangles * (v.order() + 1) * sweep_time(*symbolic),
        [&](const Schedule& schedule) {
          return inverse_gradient_workspace(*symbolic, schedule, storage, v.order());
        },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          const Factor<T> f = pivoted_factor(*symbolic, storage, values[i], order[i]);
          inverse_gradient<T>(*symbolic, *embedding, schedule, crew, f, v[i], result[i], workspace);
        });
  });
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_pivoted_inverse_gradient, inverse_gradient_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .RemainingArgs()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic", "embedding")
                                  .Attr<std::int64_t>("storage"));

#pragma GCC visibility pop

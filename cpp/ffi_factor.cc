// ffi_factor.cc: XLA FFI handlers of the derivatives of the Cholesky factor, and of products with them.

#include "ffi.h"

namespace elimax {
namespace {

ffi::Error factor_derivative_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor,
                                     ffi::RemainingArgs directions, ffi::Result<ffi::AnyBuffer> derivative,
                                     std::int64_t symbolic_high, std::int64_t symbolic_low,
                                     std::int64_t embedding_high, std::int64_t embedding_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> result(*derivative, 1);
    const Batched<const T> L(factor, 1, result.batch());
    const Directions<T> v(directions, result.batch());
    count(Counter::factor_derivative, result.batch());
    return for_matrices<T>(
        pool, *symbolic, result.batch(), 2 * v.order() * sweep_time(*symbolic),
        [&](const Schedule& schedule) { return factor_derivative_workspace(*symbolic, schedule, v.order()); },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          factor_derivative<T>(*symbolic, *embedding, schedule, crew, L[i], v[i], result[i], workspace);
        });
  });
}

ffi::Error factor_adjoint_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor, ffi::AnyBuffer cotangent,
                                  ffi::RemainingArgs directions, ffi::Result<ffi::AnyBuffer> gradient,
                                  std::int64_t symbolic_high, std::int64_t symbolic_low,
                                  std::int64_t embedding_high, std::int64_t embedding_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> result(*gradient, 1);
    const Batched<const T> L(factor, 1, result.batch()), ct(cotangent, 1, result.batch());
    const Directions<T> v(directions, result.batch());
    count(Counter::factor_adjoint, result.batch());
    return for_matrices<T>(
        pool, *symbolic, result.batch(), 2 * (v.order() + 1) * sweep_time(*symbolic),
        [&](const Schedule& schedule) { return factor_adjoint_workspace(*symbolic, schedule, v.order()); },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          factor_adjoint<T>(*symbolic, *embedding, schedule, crew, L[i], ct[i], v[i], result[i], workspace);
        });
  });
}

// t(l, x, y): l is `first`, x `second`, y `third`.
template <Slot slot>
ffi::Error factor_product_handler(ffi::ThreadPool pool, ffi::AnyBuffer left, ffi::AnyBuffer right,
                                  ffi::Result<ffi::AnyBuffer> result, std::int64_t symbolic_high,
                                  std::int64_t symbolic_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  if (!symbolic) return unknown_structure();
  return for_scalar(left.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const auto k = static_cast<Index>(right.dimensions().back());
    const Batched<T> out(*result, slot == Slot::first ? 1 : 2);
    const Batched<const T> a(left, slot == Slot::first ? 2 : 1, out.batch()), b(right, 2, out.batch());
    constexpr auto multiply = slot == Slot::first    ? factor_product_l<T>
                              : slot == Slot::second ? factor_product_x<T>
                                                     : factor_product_y<T>;
    return for_batch<T>(
        pool, out.batch(), solve_time(*symbolic, k), factor_product_workspace(*symbolic, k),
        [&](Offset i, T* workspace) { multiply(*symbolic, a[i], b[i], k, out[i], workspace); });
  });
}

auto factor_product_binding() {
  return with_structures(ffi::Ffi::Bind()
                             .Ctx<ffi::ThreadPool>()
                             .Arg<ffi::AnyBuffer>()
                             .Arg<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>(),
                         "symbolic");
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    elimax_factor_derivative, factor_derivative_handler,
    with_structures(
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().RemainingArgs().Ret<ffi::AnyBuffer>(),
        "symbolic", "embedding"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_factor_adjoint, factor_adjoint_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .RemainingArgs()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic", "embedding"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_factor_product_l, factor_product_handler<Slot::first>,
                              factor_product_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_factor_product_x, factor_product_handler<Slot::second>,
                              factor_product_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_factor_product_y, factor_product_handler<Slot::third>,
                              factor_product_binding());

#pragma GCC visibility pop

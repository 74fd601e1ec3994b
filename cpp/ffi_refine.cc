// ffi_refine.cc: XLA FFI handlers of what is computed from an LDL or LU factor: solutions with their errors,
// determinants, inertias.
//
// Each handler looks its structures up by hash, loops over the batch and calls one kernel of numeric.h.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "ffi.h"

namespace elimax {
namespace {

// The error of the first column that no step of refinement could solve, with {error} filled in.
template <class R>
ffi::Error first_stagnated(std::string_view sentence, const Batched<R>& errors, Offset batch) {
  constexpr R enough = 10 * std::numeric_limits<R>::epsilon();
  for (Offset i = 0; i < batch * errors.size(); ++i) {
    const R error = errors[0][i];
    if (sentence.empty() || error <= enough) continue;
    std::string text(sentence);
    char number[32];
    std::snprintf(number, sizeof number, "%.1e", static_cast<double>(error));
    if (const auto at = text.find("{error}"); at != std::string::npos) text.replace(at, 7, number);
    if (batch > 1) text += " (batch element " + std::to_string(i / errors.size()) + ")";
    return ffi::Error(ffi::ErrorCode::kInvalidArgument, std::move(text));
  }
  return ffi::Error::Success();
}

ffi::Error refined_solve_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::AnyBuffer factor,
                                 ffi::AnyBuffer pivots, ffi::AnyBuffer right_hand_side,
                                 ffi::Result<ffi::AnyBuffer> solution,
                                 ffi::Result<ffi::AnyBuffer> backward_errors, std::int64_t symbolic_high,
                                 std::int64_t symbolic_low, std::int64_t embedding_high,
                                 std::int64_t embedding_low, std::int64_t pattern_high,
                                 std::int64_t pattern_low, std::int64_t storage_code, bool adjoint,
                                 bool refine, std::string_view sentence) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!symbolic || !embedding || !pattern) return unknown_structure();
  const auto storage = static_cast<Storage>(storage_code);
  return for_scalar(values.element_type(), storage, [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> x(*solution, 2);
    const Batched<Real<T>> errors(*backward_errors, 1);
    const Batched<const T> a(values, 1, x.batch()), F(factor, 1, x.batch()), b(right_hand_side, 2, x.batch());
    const Batched<const Index> order(pivots, 1, x.batch());
    const auto k = static_cast<Index>(right_hand_side.dimensions().back());
    count(Counter::solve, x.batch());
    const double once = solve_time(*symbolic, k) + 2.0 * static_cast<double>(pattern->rows.size()) * k;
    const ffi::Error error = for_matrices<T>(
        pool, *symbolic, x.batch(), refine ? 2 * once : once,
        [&](const Schedule& schedule) {
          return refine ? refined_solve_workspace<T>(*symbolic, schedule, k)
                        : solve_workspace(*symbolic, schedule, k);
        },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          const Factor<T> f = pivoted_factor<T>(*symbolic, storage, F[i], order[i]);
          if (refine) {
            refined_solve<T>(*symbolic, *embedding, schedule, crew, *pattern, a[i], f, adjoint, b[i], k, x[i],
                             errors[i], workspace);
          } else {
            pivoted_solve(*symbolic, *embedding, schedule, crew, f, adjoint, b[i], k, x[i], workspace);
            std::fill_n(errors[i], k, Real<T>{});
          }
        });
    if (error.failure()) return error;
    return first_stagnated(sentence, errors, x.batch());
  });
}

ffi::Error slogdet_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor, ffi::AnyBuffer pivots,
                           ffi::Result<ffi::AnyBuffer> sign, ffi::Result<ffi::AnyBuffer> logdet,
                           std::int64_t symbolic_high, std::int64_t symbolic_low, std::int64_t embedding_high,
                           std::int64_t embedding_low, std::int64_t storage_code) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  const auto storage = static_cast<Storage>(storage_code);
  return for_scalar(factor.element_type(), storage, [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> phase(*sign, 0);
    const Batched<Real<T>> logarithm(*logdet, 0);
    const Batched<const T> F(factor, 1, phase.batch());
    const Batched<const Index> order(pivots, 1, phase.batch());
    return for_batch<Index>(pool, phase.batch(), 10.0 * symbolic->n, symbolic->n, [&](Offset i, Index* work) {
      slogdet<T>(*symbolic, *embedding, pivoted_factor<T>(*symbolic, storage, F[i], order[i]), phase[i],
                 logarithm[i], work);
    });
  });
}

ffi::Error inertia_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor, ffi::AnyBuffer pivots,
                           ffi::Result<ffi::AnyBuffer> counts, std::int64_t symbolic_high,
                           std::int64_t symbolic_low, std::int64_t storage_code) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  if (!symbolic) return unknown_structure();
  const auto storage = static_cast<Storage>(storage_code);
  return for_scalar(factor.element_type(), storage, [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<Index> result(*counts, 1);
    const Batched<const T> F(factor, 1, result.batch());
    const Batched<const Index> order(pivots, 1, result.batch());
    return for_batch(pool, result.batch(), 2.0 * symbolic->n, [&](Offset i) {
      inertia<T>(*symbolic, pivoted_factor<T>(*symbolic, storage, F[i], order[i]), result[i]);
    });
  });
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_refined_solve, refined_solve_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic", "embedding", "pattern")
                                  .Attr<std::int64_t>("storage")
                                  .Attr<bool>("adjoint")
                                  .Attr<bool>("refine")
                                  .Attr<std::string_view>("sentence"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_slogdet, slogdet_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic", "embedding")
                                  .Attr<std::int64_t>("storage"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_inertia, inertia_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic")
                                  .Attr<std::int64_t>("storage"));

#pragma GCC visibility pop

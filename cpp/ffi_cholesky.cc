// ffi_cholesky.cc: XLA FFI handlers of the Cholesky factorization and of what is computed from it.
//
// Each handler looks its structures up by hash, loops over the batch and calls one kernel of numeric.h.

#include "ffi_failure.h"

namespace elimax {
namespace {

ffi::Error cholesky_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> factor,
                            ffi::Result<ffi::AnyBuffer> status, ffi::Result<ffi::AnyBuffer> detail,
                            std::int64_t symbolic_high, std::int64_t symbolic_low,
                            std::int64_t embedding_high, std::int64_t embedding_low,
                            std::string_view pivot_sentence, std::string_view not_finite_sentence) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> L(*factor, 1);
    const Batched<const T> a(values, 1, L.batch());
    const Batched<Index> code(*status, 0), place(*detail, 0);
    count(Counter::factorization, L.batch());
    const ffi::Error error = for_matrices<T>(
        pool, *symbolic, L.batch(), sweep_time(*symbolic),
        [&](const Schedule& schedule) { return cholesky_workspace(*symbolic, schedule); },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          const Status result = cholesky<T>(*symbolic, *embedding, schedule, crew, a[i], L[i], workspace);
          *code[i] = result.code;
          *place[i] = result.detail;
        });
    if (error.failure()) return error;
    return first_failure(
        L.batch(), [&](Offset i) { return Status{*code[i], *place[i]}; },
        [&](Status failed) { return failed.code > 0 ? pivot_sentence : not_finite_sentence; });
  });
}

ffi::Error logdet_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor, ffi::Result<ffi::AnyBuffer> logdet,
                          std::int64_t symbolic_high, std::int64_t symbolic_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  if (!symbolic) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<Real<T>> result(*logdet, 0);
    const Batched<const T> L(factor, 1, result.batch());
    return for_batch(pool, result.batch(), 2.0 * symbolic->n,
                     [&](Offset i) { *result[i] = cholesky_logdet<T>(*symbolic, L[i]); });
  });
}

ffi::Error solve_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor, ffi::AnyBuffer right_hand_side,
                         ffi::Result<ffi::AnyBuffer> solution, std::int64_t symbolic_high,
                         std::int64_t symbolic_low, std::int64_t part_code) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  if (!symbolic) return unknown_structure();
  const auto part = static_cast<SolvePart>(part_code);
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> x(*solution, 2);
    const Batched<const T> L(factor, 1, x.batch()), b(right_hand_side, 2, x.batch());
    const auto k = static_cast<Index>(right_hand_side.dimensions().back());
    count(part == SolvePart::whole ? Counter::solve : Counter::half_solve, x.batch());
    return for_matrices<T>(
        pool, *symbolic, x.batch(), solve_time(*symbolic, k),
        [&](const Schedule& schedule) { return solve_workspace(*symbolic, schedule, k); },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          cholesky_solve<T>(*symbolic, schedule, crew, part, L[i], b[i], k, x[i], workspace);
        });
  });
}

ffi::Error inverse_gradient_handler(ffi::ThreadPool pool, ffi::AnyBuffer factor,
                                    ffi::RemainingArgs directions, ffi::Result<ffi::AnyBuffer> gradient,
                                    std::int64_t symbolic_high, std::int64_t symbolic_low,
                                    std::int64_t embedding_high, std::int64_t embedding_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> result(*gradient, 1);
    const Batched<const T> L(factor, 1, result.batch());
    const Directions<T> v(directions, result.batch());
    count(Counter::inverse_gradient, result.batch());
    return for_matrices<T>(
        pool, *symbolic, result.batch(), 2 * (v.order() + 1) * sweep_time(*symbolic),
        [&](const Schedule& schedule) { return inverse_gradient_workspace(*symbolic, schedule, v.order()); },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          inverse_gradient<T>(*symbolic, *embedding, schedule, crew, L[i], v[i], result[i], workspace);
        });
  });
}

ffi::Error triangular_solve_handler(ffi::ThreadPool pool, ffi::AnyBuffer values,
                                    ffi::AnyBuffer right_hand_side, ffi::Result<ffi::AnyBuffer> solution,
                                    ffi::Result<ffi::AnyBuffer> status, std::int64_t pattern_high,
                                    std::int64_t pattern_low, bool lower, bool transpose, bool unit_diagonal,
                                    std::string_view sentence) {
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!pattern) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> x(*solution, 2);
    const Batched<const T> t(values, 1, x.batch()), b(right_hand_side, 2, x.batch());
    const Batched<Index> code(*status, 0);
    const auto k = static_cast<Index>(right_hand_side.dimensions().back());
    const ffi::Error error = for_batch(pool, x.batch(), 1.0 * pattern->rows.size() * k, [&](Offset i) {
      const Status result =
          triangular_solve<T>(*pattern, lower, transpose, unit_diagonal, t[i], b[i], k, x[i]);
      *code[i] = result.code == 0 ? 0 : 1 + result.detail;
    });
    if (error.failure()) return error;
    return first_failure(
        x.batch(), [&](Offset i) { return Status{*code[i], *code[i] - 1}; },
        [&](Status) { return sentence; });
  });
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_cholesky, cholesky_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic", "embedding")
                                  .Attr<std::string_view>("pivot_sentence")
                                  .Attr<std::string_view>("not_finite_sentence"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    elimax_logdet, logdet_handler,
    with_structures(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>(),
                    "symbolic"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_solve, solve_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic")
                                  .Attr<std::int64_t>("part"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    elimax_inverse_gradient, inverse_gradient_handler,
    with_structures(
        ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().RemainingArgs().Ret<ffi::AnyBuffer>(),
        "symbolic", "embedding"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_triangular_solve, triangular_solve_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "pattern")
                                  .Attr<bool>("lower")
                                  .Attr<bool>("transpose")
                                  .Attr<bool>("unit_diagonal")
                                  .Attr<std::string_view>("sentence"));

#pragma GCC visibility pop

// ffi_pivoted.cc: the XLA FFI handlers of the factorizations that pivot.
//
// Each looks its structures up by hash, loops over the batch and calls ldl() or lu() of numeric.h. Complex
// symmetric matrices are those over Bilinear.

#include "ffi_failure.h"

namespace elimax {
namespace {

struct Results {
  ffi::Result<ffi::AnyBuffer> factor, pivots, status, detail;
};

// kernel(a, factor, pivots, schedule, crew, workspace) for every matrix of the batch, in `nanoseconds` each.
template <class T, class WorkspaceOf, class Kernel>
ffi::Error factorize(ffi::ThreadPool pool, const Symbolic& symbolic, ffi::AnyBuffer values, Results results,
                     double nanoseconds, const WorkspaceOf& workspace_of, const Kernel& kernel,
                     std::string_view not_finite_sentence) {
  const Batched<T> factor(*results.factor, 1);
  const Batched<const T> a(values, 1, factor.batch());
  const Batched<Index> pivots(*results.pivots, 1), code(*results.status, 0), place(*results.detail, 0);
  count(Counter::factorization, factor.batch());
  const ffi::Error error =
      for_matrices<T>(pool, symbolic, factor.batch(), nanoseconds, workspace_of,
                      [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
                        const Status result = kernel(a[i], factor[i], pivots[i], schedule, crew, workspace);
                        *code[i] = result.code;
                        *place[i] = result.detail;
                      });
  if (error.failure()) return error;
  return first_failure(
      factor.batch(), [&](Offset i) { return Status{*code[i], *place[i]}; },
      [&](Status failed) {
        return failed.code == status_not_finite ? not_finite_sentence : std::string_view();
      });
}

ffi::Error ldl_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> factor,
                       ffi::Result<ffi::AnyBuffer> pivots, ffi::Result<ffi::AnyBuffer> status,
                       ffi::Result<ffi::AnyBuffer> detail, std::int64_t symbolic_high,
                       std::int64_t symbolic_low, std::int64_t embedding_high, std::int64_t embedding_low,
                       std::int64_t storage, std::string_view not_finite_sentence) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(values.element_type(), static_cast<Storage>(storage), [&](auto scalar) {
    using T = decltype(scalar);
    return factorize<T>(
        pool, *symbolic, values, {factor, pivots, status, detail}, sweep_time(*symbolic),
        [&](const Schedule& schedule) { return ldl_workspace(*symbolic, schedule); },
        [&](const T* a, T* L, Index* order, const Schedule& schedule, Crew& crew, T* workspace) {
          return ldl<T>(*symbolic, *embedding, schedule, crew, a, L, order, workspace);
        },
        not_finite_sentence);
  });
}

ffi::Error lu_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> factor,
                      ffi::Result<ffi::AnyBuffer> pivots, ffi::Result<ffi::AnyBuffer> status,
                      ffi::Result<ffi::AnyBuffer> detail, std::int64_t symbolic_high,
                      std::int64_t symbolic_low, std::int64_t embedding_high, std::int64_t embedding_low,
                      std::string_view not_finite_sentence) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) {
    using T = decltype(scalar);
    return factorize<T>(
        pool, *symbolic, values, {factor, pivots, status, detail}, 2 * sweep_time(*symbolic),
        [&](const Schedule& schedule) { return lu_workspace(*symbolic, schedule); },
        [&](const T* a, T* LU, Index* order, const Schedule& schedule, Crew& crew, T* workspace) {
          return lu<T>(*symbolic, *embedding, schedule, crew, a, LU, order, workspace);
        },
        not_finite_sentence);
  });
}

auto factorization() {
  return with_structures(ffi::Ffi::Bind()
                             .Ctx<ffi::ThreadPool>()
                             .Arg<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>(),
                         "symbolic", "embedding");
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    elimax_ldl, ldl_handler,
    factorization().Attr<std::int64_t>("storage").Attr<std::string_view>("not_finite_sentence"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_lu, lu_handler,
                              factorization().Attr<std::string_view>("not_finite_sentence"));

#pragma GCC visibility pop

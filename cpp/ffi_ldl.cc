// ffi_ldl.cc: the XLA FFI handler of the LDL factorization.
//
// It looks its structures up by hash, loops over the batch and calls ldl() of numeric.h; complex symmetric
// matrices are those over Bilinear.

#include "ffi_failure.h"

namespace elimax {
namespace {

ffi::Error ldl_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> factor,
                       ffi::Result<ffi::AnyBuffer> pivots, ffi::Result<ffi::AnyBuffer> status,
                       ffi::Result<ffi::AnyBuffer> detail, std::int64_t symbolic_high,
                       std::int64_t symbolic_low, std::int64_t embedding_high, std::int64_t embedding_low,
                       std::int64_t storage, std::string_view not_finite_sentence) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(values.element_type(), static_cast<Storage>(storage), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> L(*factor, 1);
    const Batched<const T> a(values, 1, L.batch());
    const Batched<Index> order(*pivots, 1), code(*status, 0), place(*detail, 0);
    count(Counter::factorization, L.batch());
    const ffi::Error error = for_matrices<T>(
        pool, *symbolic, L.batch(), sweep_time(*symbolic),
        [&](const Schedule& schedule) { return ldl_workspace(*symbolic, schedule); },
        [&](Offset i, const Schedule& schedule, Crew& crew, T* workspace) {
          const Status result =
              ldl<T>(*symbolic, *embedding, schedule, crew, a[i], L[i], order[i], workspace);
          *code[i] = result.code;
          *place[i] = result.detail;
        });
    if (error.failure()) return error;
    return first_failure(
        L.batch(), [&](Offset i) { return Status{*code[i], *place[i]}; },
        [&](Status failed) {
          return failed.code == status_not_finite ? not_finite_sentence : std::string_view();
        });
  });
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_ldl, ldl_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "symbolic", "embedding")
                                  .Attr<std::int64_t>("storage")
                                  .Attr<std::string_view>("not_finite_sentence"));

#pragma GCC visibility pop

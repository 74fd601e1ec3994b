// ffi_scaling.cc: XLA FFI handlers around a pivoted factorization: scales of rows and columns, the scaled
// values, the incomplete factors, and the guard of what a factor that is not exact would spoil.

#include "ffi_failure.h"

namespace elimax {
namespace {

ffi::Error equilibrate_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> rows,
                               ffi::Result<ffi::AnyBuffer> columns, std::int64_t pattern_high,
                               std::int64_t pattern_low, std::int64_t storage_code) {
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!pattern) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<Real<T>> r(*rows, 1), c(*columns, 1);
    const Batched<const T> a(values, 1, r.batch());
    return for_batch(pool, r.batch(), 4.0 * pattern->rows.size(), [&](Offset i) {
      equilibrate<T>(*pattern, static_cast<Storage>(storage_code), a[i], r[i], c[i]);
    });
  });
}

ffi::Error scale_handler(ffi::ThreadPool pool, ffi::AnyBuffer values, ffi::AnyBuffer rows,
                         ffi::AnyBuffer columns, ffi::Result<ffi::AnyBuffer> scaled,
                         std::int64_t pattern_high, std::int64_t pattern_low) {
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!pattern) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> result(*scaled, 1);
    const Batched<const T> a(values, 1, result.batch());
    const Batched<const Real<T>> r(rows, 1, result.batch()), c(columns, 1, result.batch());
    return for_batch(pool, result.batch(), 2.0 * pattern->rows.size(),
                     [&](Offset i) { scale<T>(*pattern, a[i], r[i], c[i], result[i]); });
  });
}

ffi::Error incomplete_lu_handler(ffi::ThreadPool pool, ffi::AnyBuffer values,
                                 ffi::Result<ffi::AnyBuffer> factor, ffi::Result<ffi::AnyBuffer> status,
                                 ffi::Result<ffi::AnyBuffer> detail, std::int64_t pattern_high,
                                 std::int64_t pattern_low, bool modified, bool positive) {
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!pattern) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> result(*factor, 1);
    const Batched<Index> code(*status, 0), place(*detail, 0);
    const Batched<const T> a(values, 1, result.batch());
    const Columns columns = *pattern;
    const double time = 10.0 * static_cast<double>(columns.rows.size());
    return for_batch<Index>(pool, result.batch(), time, 2 * columns.n_cols, [&](Offset i, Index* work) {
      const Status found = incomplete_lu<T>(columns, a[i], modified, positive, result[i], work);
      *code[i] = found.code;
      *place[i] = found.detail;
    });
  });
}

// Hands x on where the status is that of success.
ffi::Error guard_handler(ffi::AnyBuffer x, ffi::AnyBuffer status, ffi::AnyBuffer detail,
                         ffi::Result<ffi::AnyBuffer> result, std::string_view perturbed_sentence,
                         std::string_view unstable_sentence) {
  return for_scalar(x.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> y(*result, 1);
    const Batched<const T> input(x, 1, y.batch());
    const Batched<const Index> code(status, 0, y.batch()), place(detail, 0, y.batch());
    for (Offset i = 0; i < y.batch(); ++i)
      if (y[i] != input[i]) std::copy_n(input[i], y.size(), y[i]);
    return first_failure(
        y.batch(), [&](Offset i) { return Status{*code[i], *place[i]}; },
        [&](Status failed) {
          if (failed.code == status_pivots_perturbed) return perturbed_sentence;
          return failed.code == status_unstable ? unstable_sentence : std::string_view();
        });
  });
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_equilibrate, equilibrate_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "pattern")
                                  .Attr<std::int64_t>("storage"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_scale, scale_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "pattern"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_incomplete_lu, incomplete_lu_handler,
                              with_structures(ffi::Ffi::Bind()
                                                  .Ctx<ffi::ThreadPool>()
                                                  .Arg<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>()
                                                  .Ret<ffi::AnyBuffer>(),
                                              "pattern")
                                  .Attr<bool>("modified")
                                  .Attr<bool>("positive"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_guard, guard_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::string_view>("perturbed_sentence")
                                  .Attr<std::string_view>("unstable_sentence"));

#pragma GCC visibility pop

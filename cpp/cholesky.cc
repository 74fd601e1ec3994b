// cholesky.cc: P A P^T = L L^H by the multifrontal method, and log det A.
//
// Every supernode s is eliminated within its front (front.h): the front is assembled, its c columns are
// factorized,
//     F11 = L11 L11^H,   L21 = F21 L11^-H,   U = F22 - L21 L21^H,
// and the update matrix U waits on a stack for the front of the parent (Duff and Reid, TOMS 9, 1983; Liu,
// "The multifrontal method for sparse matrix solution: theory and practice", SIAM Review 34, 1992). Cost:
// sum of counts^2 flops, all but the assembly in dense kernels, plus a workspace of stacked update matrices.
//
// Why multifrontal and not left-looking: one update matrix and one relative map per front serve the
// factorization, the selected inverse and all derivatives, upwards and downwards; fronts of disjoint
// subtrees share nothing, so the tree can be worked on in parallel; and the order of every sum is fixed
// by the structure, so the result is the same on every run.

#include <array>
#include <cmath>
#include <limits>

#include "assembly.h"
#include "breakdown.h"
#include "dense_crew.h"
#include "numeric.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax {
namespace {

template <class T>
class Elimination {
 public:
  Elimination(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, const T* values,
              T* factor, T* workspace)
      : symbolic_(symbolic),
        embedding_(embedding),
        threads_(schedule.threads),
        assembly_(symbolic, embedding, schedule, values, factor, workspace),
        kernels_(dense<T>()),
        values_(values),
        factor_(factor),
        floors_(reinterpret_cast<Real<T>*>(workspace + schedule.triangles.size(schedule.threads))) {}

  static Offset workspace(const Symbolic& symbolic, const Schedule& schedule) {
    return schedule.triangles.size(schedule.threads) + symbolic.n;
  }

  bool visit(Index s, Worker worker) {
    const auto front =
        assembly_.visit(s, worker, [&](Index begun, const auto& its) { set_floors(begun, its); });
    const CrewKernels<T> kernels(kernels_, worker.crew);
    const Real<T>* floor = floors_ + symbolic_.super[s];
    const Index done = kernels.panel(front.size(), front.c, floor, front.panel, front.size());
    Outcome& outcome = outcomes_[worker.id];
    if (done < front.c) {
      outcome.fail(symbolic_.super[s] + done);
      return false;
    }
    const Offset stride = front.size() + 1;  // along the diagonal of the panel
    for (Index j = 0; j < front.c; ++j)
      outcome.smallest.offer(std::norm(real_part(front.panel[stride * j])) / floor[j],
                             symbolic_.super[s] + j);
    Trapezoids(front.u).for_blocks([&](Index first, Index columns, Index rows, Offset start) {
      kernels.herk(rows, columns, front.c, front.below() + first, front.size(), front.update + start, rows);
    });
    return true;
  }

  void arrive(Index s, Worker worker) const {
    assembly_.arrive(s, worker, [&](Index begun, const auto& its) { set_floors(begun, its); });
  }

  Status conclude(T* workspace) {
    Outcome& outcome = outcomes_[0];
    for (int id = 1; id < threads_; ++id) {
      if (outcomes_[id].failed != none) outcome.fail(outcomes_[id].failed);
      outcome.smallest.offer(outcomes_[id].smallest.units, outcomes_[id].smallest.column);
    }
    return elimax::conclude(symbolic_, embedding_, values_, outcome.failed, outcome.smallest, factor_,
                            workspace);
  }

 private:
  struct Outcome {
    Index failed = none;
    SmallestPivot<Real<T>> smallest;
    void fail(Index column) { failed = failed == none ? column : std::min(failed, column); }
  };

  // A rounding of the diagonal entry of every column.
  void set_floors(Index s, const typename Assembly<T>::Update& front) const {
    Real<T>* floor = floors_ + symbolic_.super[s];
    const Offset stride = front.size() + 1;
    for (Index j = 0; j < front.c; ++j)
      floor[j] = std::numeric_limits<Real<T>>::epsilon() * std::abs(real_part(front.panel[stride * j]));
  }

  const Symbolic& symbolic_;
  const Embedding& embedding_;
  const int threads_;
  const Assembly<T> assembly_;
  const DenseKernels<T>& kernels_;
  const T* values_;
  T* factor_;
  Real<T>* floors_;  // n
  std::array<Outcome, Crew::most> outcomes_;
};

}  // namespace

Offset cholesky_workspace(const Symbolic& symbolic, const Schedule& schedule) {
  if (symbolic.simplicial()) return simplicial::cholesky_workspace(symbolic, schedule);
  return std::max(Elimination<float>::workspace(symbolic, schedule), conclude_workspace(symbolic));
}

template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                const T* values, T* factor, T* workspace) {
  if (symbolic.simplicial())
    return simplicial::cholesky(symbolic, embedding, schedule, values, factor, workspace);
  Elimination<T> elimination(symbolic, embedding, schedule, values, factor, workspace);
  upward(
      schedule, crew, [&](Index s, Worker worker) { return elimination.visit(s, worker); },
      [&](Index s, Worker worker) { elimination.arrive(s, worker); });
  return elimination.conclude(workspace);
}

// log prod L_jj^2, with the product kept as fraction * 2^exponent: one logarithm in all, and an error of
// about eps * sqrt(n) in double precision whatever T is.
template <class T>
Real<T> cholesky_logdet(const Symbolic& symbolic, const T* factor) {
  double fraction = 1;
  double exponent = 0;
  const auto normalize = [&] {
    int shift;
    fraction = std::frexp(fraction, &shift);
    exponent += shift;
  };
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    const Offset stride = symbolic.front(s) + 1;
    const T* diagonal = factor + symbolic.panel[s];
    for (Index j = 0; j < symbolic.columns(s); ++j, diagonal += stride) {
      fraction *= real_part(*diagonal);
      if (!(fraction > 1e-100 && fraction < 1e100)) normalize();
    }
  }
  return static_cast<Real<T>>(2 * (std::log(fraction) + exponent * std::log(2.0)));
}

#define INSTANTIATE(T)                                                                                      \
  template Status cholesky<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, T*, T*); \
  template Real<T> cholesky_logdet<T>(const Symbolic&, const T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax

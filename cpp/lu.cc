// lu.cc: P A Q = L U by the multifrontal method, with a symmetric structure and pivoting within supernodes.
//
// Every supernode s is eliminated within its front (general_front.h): the front is assembled, its c columns
// are factorized,
//     P_s F11 = L11 U11,   L21 = F21 U11^-1,   U12 = L11^-1 P_s F12,   F22 <- F22 - L21 U12,
// and the update matrix F22 waits on a stack for the front of the parent (Duff and Reid, SIAM J. Sci. Stat.
// Comput. 5, 1984, for matrices with unsymmetric values in the structure of A + A^T).
//
// The rows of A were matched with its columns, so that its diagonal is strong; what is left of pivoting is
// the choice among the rows of a supernode, and replacing what is too small in spite of it (perturbation.h).
// Cost: twice that of Cholesky for the same structure.

#include <array>
#include <bit>
#include <numeric>

#include "general_front.h"
#include "perturbation.h"
#include "square_lu.h"

namespace elimax {
namespace {

template <class T>
class Elimination {
 public:
  Elimination(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, const T* values,
              T* factor, Index* pivots, T* workspace)
      : symbolic_(symbolic),
        embedding_(embedding),
        schedule_(schedule),
        kernels_(dense<T>()),
        rule_(symbolic.n),
        values_(values),
        factor_(factor),
        pivots_(pivots),
        updates_(workspace) {}

  bool visit(Index s, Worker worker) {
    const GeneralFront<T> front = front_at(s, worker);
    front.c <= small_front_columns&& front.u <= small_front_rows ? visit_small(s, front, worker)
                                                                 : visit_large(s, front, worker);
    return true;
  }

  Status conclude() {
    for (int id = 1; id < schedule_.threads; ++id) records_[0].merge(records_[id]);
    return records_[0].status(symbolic_);
  }

 private:
  GeneralFront<T> front_at(Index s, Worker worker) const {
    return general_front_of(symbolic_, s, factor_, updates_ + schedule_.squares.at(s, worker.id));
  }

  void add_children(Index s, GeneralFront<T> front, Worker worker) const {
    schedule_.for_children(s, [&](Index child) {
      extend_add(worker, relative_rows(symbolic_, child), front_at(child, worker).update, front);
    });
  }

  void visit_small(Index s, GeneralFront<T> front, Worker worker) {
    const bool is_leaf = schedule_.first_child[s] == none;
    std::fill_n(front.lower, front.panel_size(), T{});
    std::fill_n(front.upper, front.panel_size(), T{});
    if (!is_leaf) std::fill_n(front.update, front.update_size(), T{});
    assemble(embedding_, s, values_, front);
    add_children(s, front, worker);
    PivotRecord<Real<T>>& record = records_[worker.id];
    const unsigned replaced =
        kernels_.small_front(front.c, front.u, rule_, is_leaf, front.lower, front.upper, front.update,
                             pivots_ + symbolic_.super[s], &record.growth);
    if (replaced) record.perturb(symbolic_.super[s] + std::countr_zero(replaced));
  }

  // Not inline: what it prepares for a crew would be prepared for small fronts, too.
  [[gnu::noinline]] void visit_large(Index s, GeneralFront<T> front, Worker worker) {
    const auto clear = [&](T* data, Index columns, Index rows) {
      share_out(worker, columns, rows, [&](Index first, Index end) {
        std::fill(data + Offset{rows} * first, data + Offset{rows} * end, T{});
      });
    };
    clear(front.lower, front.c, front.size());
    clear(front.upper, front.c, front.size());
    clear(front.update, front.u, front.u);
    assemble(embedding_, s, values_, front);
    add_children(s, front, worker);

    const CrewKernels<T> kernels(kernels_, worker.crew);
    const Index c = front.c, u = front.u, ld = front.size();
    Index* const order = pivots_ + symbolic_.super[s];
    std::iota(order, order + c, 0);
    PivotRecord<Real<T>>& record = records_[worker.id];
    const auto largest = [&](const T* below) { return kernels_.largest(u, c, below, ld); };
    const Real<T> coupling = std::max(largest(front.left()), largest(front.above()));
    const SquareLu<T> square(kernels_, worker, c, front.lower, front.upper, ld, u, front.above(), order,
                             rule_.least(coupling), rule_.replacement(coupling));
    square.run([&](Index j) { record.perturb(symbolic_.super[s] + j); });
    kernels.trsm_h(u, c, front.upper, ld, front.left(), ld);
    kernels.trsm_h(u, c, front.lower, ld, front.above(), ld);
    kernels.gemm_nh(u, u, c, -1, front.left(), ld, front.above(), ld, front.update, u);
    record.grow(kernels_.largest_product(u, c, front.left(), ld, front.above(), ld));
  }

  const Symbolic& symbolic_;
  const Embedding& embedding_;
  const Schedule& schedule_;
  const DenseKernels<T>& kernels_;
  const PivotRule<Real<T>> rule_;
  const T* values_;
  T* factor_;
  Index* pivots_;
  T* updates_;
  std::array<PivotRecord<Real<T>>, Crew::most> records_;
};

}  // namespace

Offset lu_workspace(const Symbolic& symbolic, const Schedule& schedule) {
  return std::max(schedule.squares.size(schedule.threads), stability_workspace(symbolic, schedule));
}

template <class T>
Status lu(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
          const T* values, T* factor, Index* pivots, T* workspace) {
  if (const Index bad = first_not_finite(embedding, values); bad != none) {
    std::fill_n(factor, 2 * symbolic.factor_size(), T(std::numeric_limits<Real<T>>::quiet_NaN()));
    for (Index s = 0; s < symbolic.supernodes(); ++s)
      for (Index j = 0; j < symbolic.columns(s); ++j) pivots[symbolic.super[s] + j] = j;
    return {status_not_finite, bad};
  }
  Elimination<T> elimination(symbolic, embedding, schedule, values, factor, pivots, workspace);
  upward(schedule, crew, [&](Index s, Worker worker) { return elimination.visit(s, worker); });
  const Status status = elimination.conclude();
  const Factor<T> found = pivoted_factor(symbolic, Storage::general, factor, pivots);
  if (status.code == status_unstable &&
      is_accurate(symbolic, embedding, schedule, crew, values, found, workspace))
    return {};
  return status;
}

#define INSTANTIATE(T) \
  template Status lu<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, T*, Index*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax

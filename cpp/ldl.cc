// ldl.cc: P A P^T = L D L^H of an indefinite matrix by the multifrontal method.
//
// As in cholesky.cc, a supernode s is eliminated within its front; its pivots are chosen among its own rows:
//     P_s F11 P_s^T = L11 D L11^H,   W = F21 P_s^T L11^-H,   L21 = W D^-1,   U = F22 - L21 W^H.
// Most fronts of most matrices are definite in F11: then D = I or -I by Cholesky, which is faster, and W is
// L21 but for its sign. Others are Bunch and Kaufman's (bunch_kaufman.h). Pivots too small for the rows
// below, among which nobody may look for a better one, are replaced (perturbation.h).
//
// Sources: Duff and Reid, "The multifrontal solution of indefinite sparse symmetric linear equations", TOMS 9
//          (1983); Schenk and Gaertner, "On fast factorization pivoting methods for sparse symmetric
//          indefinite systems", ETNA 23 (2006): pivots inside of supernodes, perturbed ones.
// Cost: that of Cholesky where fronts are definite, and up to twice as much where not.

#include <array>
#include <numeric>

#include "assembly.h"
#include "breakdown.h"
#include "bunch_kaufman.h"
#include "dense_crew.h"
#include "numeric.h"
#include "perturbation.h"
#include "schedule.h"

namespace elimax {
namespace {

template <class T>
class Elimination {
 public:
  Elimination(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, const T* values,
              T* factor, Index* pivots, T* workspace)
      : symbolic_(symbolic),
        schedule_(schedule),
        assembly_(symbolic, embedding, schedule, values, factor, workspace),
        kernels_(dense<T>()),
        rule_(symbolic.n),
        diagonal_(factor + symbolic.factor_size()),
        couplings_(diagonal_ + symbolic.n),
        pivots_(pivots),
        own_(workspace + schedule.triangles.size(schedule.threads)),
        floors_(reinterpret_cast<R*>(own_ + own(symbolic, schedule, schedule.threads))) {
    std::fill_n(floors_, symbolic.max_columns, rule_.zero);
  }

  static Offset workspace(const Symbolic& symbolic, const Schedule& schedule) {
    return schedule.triangles.size(schedule.threads) + own(symbolic, schedule, schedule.threads) +
           symbolic.max_columns;
  }

  void visit(Index s, Worker worker) {
    const Update front = assemble(s, worker);
    T* scratch = own_ + own(symbolic_, schedule_, worker.id);
    const Pivots pivots{diagonal_ + symbolic_.super[s], couplings_ + symbolic_.super[s],
                        pivots_ + symbolic_.super[s], symbolic_.super[s]};
    const CrewKernels<T> kernels(kernels_, worker.crew);
    const R sign = sign_of_diagonal(front);
    if (sign != 0 && cholesky(s, front, kernels, worker, sign, scratch)) {
      eliminate_definite(front, pivots, kernels, sign, scratch, records_[worker.id]);
    } else {
      eliminate_indefinite(front, pivots, kernels, worker, scratch);
    }
  }

  void arrive(Index s, Worker worker) const {
    assembly_.arrive(s, worker, [](Index, const Update&) {});
  }

  Status conclude() {
    PivotRecord<R>& record = records_[0];
    for (int id = 1; id < schedule_.threads; ++id) record.merge(records_[id]);
    return record.status(symbolic_);
  }

 private:
  using R = Real<T>;
  using Update = typename Assembly<T>::Update;
  // What a supernode fills of D and of the pivots' order.
  struct Pivots {
    T *diagonal, *couplings;
    Index *order, first;
  };

  // A worker's own memory: for the columns of W, what Bunch and Kaufman need, or a copy of the panel; and for
  // the largest entries of columns.
  static Offset own(const Symbolic& symbolic, const Schedule& schedule, int id) {
    return schedule.own(id, [&](Offset panel) { return panel + 2 * symbolic.max_columns; });
  }

  Update assemble(Index s, Worker worker) const {
    return assembly_.visit(s, worker, [](Index, const Update&) {});
  }

  // That of all diagonal entries of F11; 0 if there is none, and F11 is certainly not definite.
  R sign_of_diagonal(const Update& front) const {
    if constexpr (is_bilinear<T>) return 0;
    const R sign = real_part(front.panel[0]) > 0 ? 1 : -1;
    for (Index j = 0; j < front.c; ++j)
      if (!(sign * real_part(front.panel[at(j, j, front.size())]) > rule_.zero)) return 0;
    return sign;
  }

  // F11 = sign L11 L11^H and L21 = sign F21 L11^-H, if F11 is definite. If not, the front is what it was: it
  // is assembled again, or copied back where children that came early are gone.
  bool cholesky(Index s, const Update& front, const CrewKernels<T>& kernels, Worker worker, R sign,
                T* copy) const {
    const bool early = schedule_.early[s];
    if (early) std::copy_n(front.panel, front.panel_size(), copy);
    if (sign < 0)
      for (Offset p = 0; p < front.panel_size(); ++p) front.panel[p] = -front.panel[p];
    if (kernels.panel(front.size(), front.c, floors_, front.panel, front.size()) == front.c) return true;
    if (early) {
      std::copy_n(copy, front.panel_size(), front.panel);
    } else {
      assemble(s, worker);
    }
    return false;
  }

  // The pivots of a definite front are the squares of Cholesky's diagonal entries.
  void eliminate_definite(const Update& front, const Pivots& pivots, const CrewKernels<T>& kernels, R sign,
                          T* W, PivotRecord<R>& record) const {
    const Index c = front.c, u = front.u, ld = front.size();
    std::fill_n(pivots.diagonal, c, T(sign));
    std::fill_n(pivots.couplings, c, T{});
    std::iota(pivots.order, pivots.order + c, 0);
    R least = std::numeric_limits<R>::infinity();
    for (Index j = 0; j < c; ++j) least = std::min(least, real_part(front.panel[at(j, j, ld)]));
    const R most = kernels_.largest(u, c, front.below(), ld);
    if (least * least >= rule_.least(most * least)) {
      record.grow(most * most);
      return update(front, kernels, -sign, front.below(), ld);
    }
    for (Index j = 0; j < c; ++j) {
      const R root = real_part(front.panel[at(j, j, ld)]), d = root * root;
      T *l = front.below() + at(0, j, ld), *w = W + at(0, j, u);
      const R largest = kernels_.largest(u, 1, l, ld) * root;
      const bool small = d < rule_.least(largest);
      const R factor = small ? rule_.replacement(largest) / d : 1;
      if (small) record.perturb(pivots.first + j);
      record.grow(largest * largest / (d * factor));
      pivots.diagonal[j] *= factor;
      for (Index i = 0; i < u; ++i) {
        w[i] = l[i] * sign;
        l[i] /= factor;
      }
    }
    update(front, kernels, -1, W, u);
  }

  void eliminate_indefinite(const Update& front, const Pivots& pivots, const CrewKernels<T>& kernels,
                            Worker worker, T* scratch) {
    const Index c = front.c, u = front.u, ld = front.size();
    BunchKaufman<T>::run(kernels, c, front.panel, ld, pivots.diagonal, pivots.couplings, pivots.order,
                         scratch);
    T* W = scratch;
    share_out(worker, c, u, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j)
        std::copy_n(front.below() + at(0, pivots.order[j], ld), u, W + at(0, j, u));
    });
    kernels.trsm_h(u, c, front.panel, ld, W, u);
    const R* largest = largest_entries(front, W, u, worker, scratch);
    for (Index j = 0; j < c; ++j) {
      const bool pair = pivots.couplings[j] != T{};
      replace_small(pivots, j, pair, pair ? std::max(largest[j], largest[j + 1]) : largest[j],
                    records_[worker.id]);
      j += pair;
    }
    share_out(worker, u, c, [&](Index begin, Index end) {
      for (Index j = 0; j < c; ++j) {
        const T* a = W + at(0, j, u);
        T* x = front.below() + at(0, j, ld);
        if (pivots.couplings[j] == T{}) {
          const T inverse = T(1) / pivots.diagonal[j];
          for (Index i = begin; i < end; ++i) x[i] = a[i] * inverse;
        } else {
          const BlockInverse<T> inverse(pivots.diagonal[j], pivots.couplings[j], pivots.diagonal[j + 1]);
          for (Index i = begin; i < end; ++i) std::tie(x[i], x[i + ld]) = inverse(a[i], a[i + u]);
          ++j;
        }
      }
    });
    update(front, kernels, -1, W, u);
  }

  // The block of D at j, of order 1 or 2, whose columns of W have entries up to w.
  void replace_small(const Pivots& pivots, Index j, bool pair, R w, PivotRecord<R>& record) const {
    T& pivot = pair ? pivots.couplings[j] : pivots.diagonal[j];
    const R size = std::abs(pivot);
    if (size >= rule_.least(w)) return record.grow(w * w / size);
    record.perturb(pivots.first + pivots.order[j]);
    const R larger = rule_.replacement(w);
    record.grow(w * w / larger);
    if (pivot == T{}) {
      pivot = T(larger);
      return;
    }
    const R factor = larger / size;
    pivot *= factor;
    if (!pair) return;
    pivots.diagonal[j] *= factor;
    pivots.diagonal[j + 1] *= factor;
  }

  // F22 += sign L21 W^H.
  static void update(const Update& front, const CrewKernels<T>& kernels, R sign, const T* W, Index ldw) {
    Trapezoids(front.u).for_blocks([&](Index first, Index columns, Index rows, Offset start) {
      kernels.gemmt(rows, columns, front.c, sign, front.below() + first, front.size(), W + first, ldw,
                    front.update + start, rows);
    });
  }

  // Those of every column of W, as many as the front has.
  const R* largest_entries(const Update& front, const T* W, Index ldw, Worker worker, T* scratch) const {
    R* largest = reinterpret_cast<R*>(scratch + front.panel_size() + front.c);
    share_out(worker, front.c, front.u, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j) largest[j] = kernels_.largest(front.u, 1, W + at(0, j, ldw), ldw);
    });
    return largest;
  }

  static Offset at(Index i, Index j, Index ld) { return i + static_cast<Offset>(j) * ld; }

  const Symbolic& symbolic_;
  const Schedule& schedule_;
  const Assembly<T> assembly_;
  const DenseKernels<T>& kernels_;
  const PivotRule<R> rule_;
  T *diagonal_, *couplings_;  // n each
  Index* pivots_;
  T* own_;
  R* floors_;  // max_columns: for Cholesky
  std::array<PivotRecord<R>, Crew::most> records_;
};

}  // namespace

Offset ldl_workspace(const Symbolic& symbolic, const Schedule& schedule) {
  return std::max(Elimination<float>::workspace(symbolic, schedule), stability_workspace(symbolic, schedule));
}

template <class T>
Status ldl(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
           const T* values, T* factor, Index* pivots, T* workspace) {
  if (const Index bad = first_not_finite(embedding, values); bad != none) {
    std::fill_n(factor, pivoted_factor_size(symbolic, Storage::symmetric),
                T(std::numeric_limits<Real<T>>::quiet_NaN()));
    for (Index s = 0; s < symbolic.supernodes(); ++s)
      for (Index k = symbolic.super[s]; k < symbolic.super[s + 1]; ++k) pivots[k] = k - symbolic.super[s];
    return {status_not_finite, bad};
  }
  Elimination<T> elimination(symbolic, embedding, schedule, values, factor, pivots, workspace);
  upward(
      schedule, crew,
      [&](Index s, Worker worker) {
        elimination.visit(s, worker);
        return true;
      },
      [&](Index s, Worker worker) { elimination.arrive(s, worker); });
  const Status status = elimination.conclude();
  constexpr Storage storage = is_bilinear<T> ? Storage::symmetric : Storage::hermitian;
  const Factor<T> found = pivoted_factor(symbolic, storage, factor, pivots);
  if (status.code == status_unstable &&
      is_accurate(symbolic, embedding, schedule, crew, values, found, workspace))
    return {};
  return status;
}

#define INSTANTIATE(T) \
  template Status ldl<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, T*, Index*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax

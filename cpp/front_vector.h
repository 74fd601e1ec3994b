// front_vector.h: who sweeps over the forest for a solve, and where the front vectors lie meanwhile.
//
// A front vector, of c + u entries per right-hand side, is made of zeros when the first child pushes to it
// and is zero again after its own push to the parent. The places of Symbolic hold for a sweep over the whole
// forest, and so for a sweep over any subtree: every thread has all of them in a lane of its own, one lane
// is for the top of the forest, and what the root of a subtree pushes waits in a place of its own.
#pragma once

#include "core.h"
#include "schedule.h"

namespace elimax {

// One thread, or a crew by its schedule.
struct Sweep {
  const Schedule* schedule = nullptr;
  Crew* crew = nullptr;

  int threads() const { return crew ? crew->threads() : 1; }
  template <class Visit, class Arrive>
  void upward(const Symbolic& symbolic, const Visit& visit, const Arrive& arrive) const {
    if (schedule) return elimax::upward(*schedule, *crew, visit, arrive);
    for (Index s = 0; s < symbolic.supernodes(); ++s) {
      visit(s, Worker{});
      arrive(s, Worker{});
    }
  }
  template <class Visit>
  void downward(const Symbolic& symbolic, const Visit& visit) const {
    if (schedule) return elimax::downward(*schedule, *crew, visit);
    for (Index s = symbolic.supernodes(); s-- > 0;) visit(s, Worker{});
  }
};

// Those of `width` right-hand sides.
template <class T>
class FrontVectors {
 public:
  static Offset size(const Symbolic& symbolic, const Schedule* schedule) {
    if (!schedule || schedule->subtrees.empty()) return symbolic.vectors;
    return (1 + schedule->threads) * symbolic.vectors + schedule->left.back();
  }

  FrontVectors(const Symbolic& symbolic, const Schedule* schedule, Index width, T* memory)
      : symbolic_(symbolic), schedule_(schedule), width_(width), memory_(memory) {
    std::fill_n(memory, size(symbolic, schedule) * width, T{});
  }
  // The front vector of s, and the part of it for the rows below.
  T* of(Index s, Worker worker) const {
    return memory_ + (lane(worker) * symbolic_.vectors + symbolic_.vector[s]) * width_;
  }
  T* below(Index s, Worker worker) const { return of(s, worker) + symbolic_.columns(s) * Offset{width_}; }

  // After the visit of s: what the root of a subtree has made is left to the top.
  void leave(Index s, Worker worker) const {
    if (lane(worker) == 0 || schedule_->is_inside(s)) return;
    std::copy_n(below(s, worker), symbolic_.below(s) * Offset{width_}, left(s));
    clear(s, worker);
  }
  // Adds what s has made to the front vector of its parent.
  void push(Index s, Worker worker) const {
    const bool was_left = lane(worker) == 0 && schedule_ && !schedule_->subtrees.empty() && is_root(s);
    const T* source = was_left ? left(s) : below(s, worker);
    const Index* relative = symbolic_.relative.data() + symbolic_.row_ptr[s];
    const Index u = symbolic_.below(s);
    if (u > 0) {
      T* parent = of(symbolic_.super_parent[s], worker);
      if (width_ == 1) {
        for (Index i = 0; i < u; ++i) parent[relative[i]] += source[i];
      } else {
        for (Index i = 0; i < u; ++i, source += width_) {
          T* target = parent + relative[i] * Offset{width_};
          for (Index r = 0; r < width_; ++r) target[r] += source[r];
        }
      }
    }
    if (!was_left) clear(s, worker);
  }

 private:
  // 0 for the top, which the captain of a crew works on.
  Offset lane(Worker worker) const { return !schedule_ || worker.crew ? 0 : 1 + worker.id; }
  // Whether an entry of the top, s, is the root of a subtree; which one it is.
  Index entry(Index s) const {
    const auto before = [](Index a, Index s) { return (a >= 0 ? a : ~a) < s; };
    const auto& top = schedule_->top;
    return static_cast<Index>(std::lower_bound(top.begin(), top.end(), s, before) - top.begin());
  }
  bool is_root(Index s) const { return schedule_->top[entry(s)] < 0; }
  T* left(Index s) const {
    return memory_ + ((1 + schedule_->threads) * symbolic_.vectors + schedule_->left[entry(s)]) * width_;
  }
  void clear(Index s, Worker worker) const {
    constexpr Offset whole = 64 / sizeof(T);  // what a vector kernel may have touched behind the last entry
    std::fill_n(of(s, worker), (symbolic_.front(s) * Offset{width_} + whole - 1) / whole * whole, T{});
  }

  const Symbolic& symbolic_;
  const Schedule* schedule_;
  const Index width_;
  T* const memory_;
};

}  // namespace elimax

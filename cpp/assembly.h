// assembly.h: the fronts of an upward sweep over a symmetric matrix, made of values and of the children's
// update matrices (front.h), on the stack of triangles of a Schedule.
//
// Most fronts are begun, with values of A, when they are visited, and take what their children hold. That of
// a supernode whose children hold much is begun when the first of them arrives, and takes what each holds at
// once, whose memory is then free.
#pragma once

#include "front.h"

namespace elimax {

template <class T>
class Assembly {
 public:
  using Update = Front<T, Trapezoids>;

  Assembly(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, const T* values,
           T* factor, T* updates)
      : symbolic_(symbolic),
        embedding_(embedding),
        schedule_(schedule),
        values_(values),
        factor_(factor),
        updates_(updates) {}

  // The front of s, complete. begun(s, front) is called when it holds nothing but values of A.
  template <class Begun>
  Update visit(Index s, Worker worker, const Begun& begun) const {
    const Update front = front_at(s, worker);
    if (!schedule_.early[s]) {
      begin(s, front, worker);
      begun(s, front);
      schedule_.for_children(s, [&](Index child) { add(child, front, worker); });
    }
    return front;
  }
  // The front of s is eliminated.
  template <class Begun>
  void arrive(Index s, Worker worker, const Begun& begun) const {
    const Index parent = symbolic_.super_parent[s];
    if (parent == none || !schedule_.early[parent]) return;
    const Update front = front_at(parent, worker);
    if (schedule_.first_child[parent] == s) {
      begin(parent, front, worker);
      begun(parent, front);
    }
    add(s, front, worker);
  }

 private:
  Update front_at(Index s, Worker worker) const {
    return {symbolic_.columns(s), symbolic_.below(s), factor_ + symbolic_.panel[s],
            updates_ + schedule_.triangles.at(s, worker.id)};
  }

  void begin(Index s, Update front, Worker worker) const {
    share_out(worker, front.c, front.size(), [&](Index first, Index end) {
      const Offset rows = front.size();
      std::fill(front.panel + rows * first, front.panel + rows * end, T{});
    });
    Trapezoids(front.u).for_blocks([&](Index, Index columns, Index rows, Offset start) {
      share_out(worker, columns, rows, [&](Index first, Index end) {
        std::fill(front.update + start + Offset{rows} * first, front.update + start + Offset{rows} * end,
                  T{});
      });
    });
    assemble(embedding_, s, values_, front);
  }

  void add(Index child, Update front, Worker worker) const {
    extend_add(worker, relative_rows(symbolic_, child), front_at(child, worker).update, front);
  }

  const Symbolic& symbolic_;
  const Embedding& embedding_;
  const Schedule& schedule_;
  const T* values_;
  T *factor_, *updates_;
};

}  // namespace elimax

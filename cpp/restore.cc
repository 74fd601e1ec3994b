// restore.cc: a structure made again from its content, as Python hands it over and an exported program
// carries it.
//
// Nothing is taken on trust: content that does not have the hash, that breaks an invariant of core.h, or
// for which this version finds another layout is refused. Cost: that of hashing the content, and of
// analyze() for a Symbolic; a look-up if the structure is pinned already.

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <new>
#include <optional>
#include <tuple>

#include "core.h"

namespace elimax {
namespace {

// The preamble taken apart: { foundations, header, arrays } in numbers, the size of every array, two
// words for the hash of every foundation, the header.
struct Parts {
  std::vector<Hash> foundations;
  In<std::int64_t> header;
};

// Empty if the content does not have the given numbers of parts or if an array has not its size.
std::optional<Parts> parts(const Content& content, std::size_t foundations, std::size_t header,
                           std::size_t arrays) {
  const auto preamble = content.preamble;
  const std::array<std::size_t, 3> numbers = {foundations, header, arrays};
  if (preamble.size() != 3 + arrays + 2 * foundations + header || content.arrays.size() != arrays ||
      !std::equal(numbers.begin(), numbers.end(), preamble.begin(), std::equal_to<std::int64_t>()))
    return {};
  for (std::size_t k = 0; k < arrays; ++k)
    if (preamble[3 + k] != static_cast<std::int64_t>(content.arrays[k].size())) return {};
  Parts result;
  const auto words = preamble.subspan(3 + arrays);
  for (std::size_t k = 0; k < foundations; ++k)
    result.foundations.push_back(
        {std::bit_cast<std::uint64_t>(words[2 * k]), std::bit_cast<std::uint64_t>(words[2 * k + 1])});
  result.header = words.subspan(2 * foundations);
  return result;
}

bool is_index(std::int64_t number) { return number >= 0 && number <= INT32_MAX; }

bool is_lower_triangle(Columns pattern) {
  if (pattern.n_rows != pattern.n_cols) return false;
  for (Index j = 0; j < pattern.n_cols; ++j)
    if (pattern.ptr[j] < pattern.ptr[j + 1] && pattern.rows[pattern.ptr[j]] < j) return false;
  return true;
}

bool is_permutation(In<Index> permutation) {
  std::vector<bool> seen(permutation.size());
  for (const Index i : permutation) {
    if (i < 0 || static_cast<std::size_t>(i) >= seen.size() || seen[i]) return false;
    seen[i] = true;
  }
  return true;
}

std::shared_ptr<const Pattern> make_pattern(const Content& content) {
  const auto part = parts(content, 0, 3, 2);  // rows, columns, symmetric; pointers, rows
  if (!part || !is_index(part->header[0]) || !is_index(part->header[1])) return nullptr;
  const auto n_rows = static_cast<Index>(part->header[0]), n_cols = static_cast<Index>(part->header[1]);
  const auto ptr = content.arrays[0], rows = content.arrays[1];
  if (ptr.size() != static_cast<std::size_t>(n_cols) + 1 || ptr.front() != 0 ||
      static_cast<std::size_t>(ptr.back()) != rows.size() || !std::is_sorted(ptr.begin(), ptr.end()))
    return nullptr;
  for (Index j = 0; j < n_cols; ++j) {
    for (Index p = ptr[j]; p < ptr[j + 1]; ++p)
      if (rows[p] < 0 || rows[p] >= n_rows || (p > ptr[j] && rows[p] <= rows[p - 1])) return nullptr;
  }
  if (part->header[2] != 0 && !is_lower_triangle({n_rows, n_cols, ptr, rows})) return nullptr;
  return std::make_shared<Pattern>(
      Pattern{n_rows, n_cols, {ptr.begin(), ptr.end()}, {rows.begin(), rows.end()}});
}

std::shared_ptr<const IndexMap> make_map(const Content& content) {
  const auto part = parts(content, 0, 1, 1);  // length of the input; map
  if (!part || !is_index(part->header[0])) return nullptr;
  const auto map = content.arrays[0];
  for (const Index q : map)
    if (q != zero && (q < 0 ? ~q : q) >= part->header[0]) return nullptr;
  const bool is_plain = std::all_of(map.begin(), map.end(), [](Index q) { return q >= 0; });
  return std::make_shared<IndexMap>(IndexMap{{map.begin(), map.end()}, is_plain});
}

std::shared_ptr<const Symbolic> make_symbolic(const Content& content) {
  const auto part = parts(content, 1, 12, 3);  // pattern; method, TimeModel; sequence, permutation, super
  if (!part || part->header[0] < 1 || part->header[0] > 2) return nullptr;
  const auto method = static_cast<Method>(part->header[0]);
  const auto pattern = find<Pattern>(part->foundations[0]);
  const auto [sequence, permutation, super] =
      std::tie(content.arrays[0], content.arrays[1], content.arrays[2]);
  if (!pattern || !is_lower_triangle(*pattern) || !is_permutation(sequence) ||
      sequence.size() != static_cast<std::size_t>(pattern->n_cols))
    return nullptr;
  const auto r = [&](int k) { return std::bit_cast<double>(part->header[k]); };
  auto symbolic = analyze(*pattern, sequence,
                          {{r(1), r(2), r(3), r(4), r(5), r(6)}, r(7), r(8), r(9), r(10), r(11)}, method);
  const bool same_layout =
      std::ranges::equal(symbolic->permutation, permutation) && std::ranges::equal(symbolic->super, super);
  return same_layout ? symbolic : nullptr;
}

std::shared_ptr<const Embedding> make_embedding(const Content& content) {
  const auto part = parts(content, 2, 0, 0);  // symbolic, pattern
  if (!part) return nullptr;
  const auto symbolic = find<Symbolic>(part->foundations[0]);
  const auto pattern = find<Pattern>(part->foundations[1]);
  if (!symbolic || !pattern || !is_lower_triangle(*pattern) || pattern->n_cols != symbolic->n) return nullptr;
  Index outside = none;
  return embed(*symbolic, *pattern, outside);
}

std::shared_ptr<const Embedding> make_lu_embedding(const Content& content) {
  const auto part = parts(content, 2, 0, 1);  // symbolic, pattern; matching
  if (!part) return nullptr;
  const auto symbolic = find<Symbolic>(part->foundations[0]);
  const auto pattern = find<Pattern>(part->foundations[1]);
  const auto matching = content.arrays[0];
  if (!symbolic || !pattern || pattern->n_rows != symbolic->n || pattern->n_cols != symbolic->n ||
      matching.size() != static_cast<std::size_t>(symbolic->n) || !is_permutation(matching))
    return nullptr;
  Index outside = none;
  return embed_general(*symbolic, *pattern, matching, outside);
}

template <class S>
Restored restore_as(std::shared_ptr<const S> (*make)(const Content&), const Content& content, Hash hash) {
  if (find<S>(hash)) return Restored::done;
  if (digest(content) != hash) return Restored::damaged;
  auto structure = make(content);
  if (!structure) return Restored::damaged;
  pin<S>(hash, std::move(structure));
  return Restored::done;
}

}  // namespace

Restored restore(const Content& content, Hash hash) try {
  if (content.kind == "pattern") return restore_as(make_pattern, content, hash);
  if (content.kind == "map") return restore_as(make_map, content, hash);
  if (content.kind == "symbolic") return restore_as(make_symbolic, content, hash);
  if (content.kind == "embedding") return restore_as(make_embedding, content, hash);
  if (content.kind == "lu_embedding") return restore_as(make_lu_embedding, content, hash);
  return Restored::damaged;
} catch (const std::bad_alloc&) {
  return Restored::out_of_memory;
}

}  // namespace elimax

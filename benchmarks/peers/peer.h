// peer.h: a solver as a process that answers one request at a time (the C++ twin of peer.py).
//
// The process reads a matrix, analyzes it, and greets with one JSON line. From then on each line
//     OPERATION SECONDS
// on standard input is answered by one JSON line on standard output: the operation is repeated until
// SECONDS have passed, at least once, and the times of one call are reported. The one who asks can
// so let several solvers take turns on a noisy machine. `memory` is the one operation of which the memory is
// reported that a single call takes: a factorization, the first in its process.
//
// A Solver has: version(), flops(), nonzeros() (negative where unknown), analyze(),
// factor(values), solve(b, k, x) for k right-hand sides, column-major.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

// The lower triangle of a symmetric matrix by columns, as gallery.py writes it.
struct Matrix {
  int n = 0;
  std::vector<int> ptr, rows;
  std::vector<double> values;
};

inline void fail(const std::string& reason) {
  std::printf("{\"error\": \"%s\"}\n", reason.c_str());
  std::exit(1);
}

template <class T>
std::vector<T> read_array(std::FILE* file, std::size_t size) {
  std::vector<T> array(size);
  if (std::fread(array.data(), sizeof(T), size, file) != size) fail("the matrix file is cut short");
  return array;
}

inline Matrix read_matrix(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) fail(std::string("cannot open ") + path);
  const auto sizes = read_array<std::int64_t>(file, 2);
  const auto ptr = read_array<std::int64_t>(file, sizes[0] + 1);
  Matrix A{static_cast<int>(sizes[0]), {ptr.begin(), ptr.end()}, {}, {}};
  A.rows = read_array<int>(file, sizes[1]);
  A.values = read_array<double>(file, sizes[1]);
  std::fclose(file);
  return A;
}

inline double wall_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double cpu_clock() {
  std::timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

inline double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const std::size_t half = times.size() / 2;
  return times.size() % 2 ? times[half] : 0.5 * (times[half - 1] + times[half]);
}

// max_i |A x - b|_i / max_i |b|_i; what is not a number is as wrong as can be.
inline double residual(const Matrix& A, const std::vector<double>& x, const std::vector<double>& b) {
  std::vector<double> r = b;
  for (int j = 0; j < A.n; ++j)
    for (int p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const int i = A.rows[p];
      r[i] -= A.values[p] * x[j];
      if (i != j) r[j] -= A.values[p] * x[i];
    }
  double largest = 0, scale = 0;
  for (int i = 0; i < A.n; ++i) {
    if (!std::isfinite(r[i])) return 1e300;
    largest = std::max(largest, std::abs(r[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  return largest / scale;
}

// New numbers at every call, made outside the timed region: the k-th are scaled by 1 + k / 1000.
inline std::vector<double> vary(const std::vector<double>& numbers, int call) {
  std::vector<double> varied = numbers;
  for (double& number : varied) number *= 1 + 1e-3 * (call % 1000);
  return varied;
}

template <class Prepare, class Operation>
void measure(double seconds, Prepare prepare, Operation operation) {
  std::vector<double> wall, cpu;
  double total = 0;
  do {
    prepare();
    const double cpu_start = cpu_clock(), wall_start = wall_clock();
    operation();
    wall.push_back(wall_clock() - wall_start);
    cpu.push_back(cpu_clock() - cpu_start);
    total += wall.back();
  } while (total < seconds);
  std::printf("{\"seconds\": %.9g, \"cpu\": %.9g, \"calls\": %zu}\n", median(wall), median(cpu), wall.size());
}

// The most memory in bytes that this process has had at once since the count was reset (VmHWM of Linux).
inline double high_water() {
  std::ifstream status("/proc/self/status");
  std::string word;
  double kilobytes = 0;
  while (status >> word)
    if (word == "VmHWM:") status >> kilobytes;
  return 1024 * kilobytes;
}

// Bytes by which memory rises during a call, after malloc has given back what it holds in reserve.
template <class Call>
double peak(Call call) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
  const double before = high_water();
  call();
  return high_water() - before;
}

template <class Solver>
int serve(const Matrix& A, Solver& solver) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  solver.analyze();
  std::printf(
      "{\"version\": \"%s\", \"flops\": %.9g, \"nonzeros\": %.9g, "
      "\"operations\": [\"analyze\", \"factor\", \"solve_1\", \"solve_64\", \"memory\"]}\n",
      solver.version().c_str(), solver.flops(), solver.nonzeros());
  bool factored = false;
  int call = 0;
  std::vector<double> values, b, x;
  const auto factor_before = [&] {
    if (!factored) solver.factor(A.values);
    factored = true;
  };
  const auto right_hand_sides = [&](int k) {
    std::vector<double> sides(static_cast<std::size_t>(A.n) * k);
    for (std::size_t i = 0; i < sides.size(); ++i) sides[i] = std::sin(static_cast<double>(i + 1));
    return sides;
  };

  std::string operation;
  double seconds = 0;
  while (std::cin >> operation >> seconds) {
    if (operation == "analyze") {
      factored = false;
      measure(seconds, [] {}, [&] { solver.analyze(); });
    } else if (operation == "factor") {
      factored = false;
      measure(seconds, [&] { values = vary(A.values, ++call); }, [&] { solver.factor(values); });
    } else if (operation == "solve_1" || operation == "solve_64") {
      const int k = operation == "solve_1" ? 1 : 64;
      factor_before();
      const auto sides = right_hand_sides(k);
      x.assign(sides.size(), 0.0);
      measure(seconds, [&] { b = vary(sides, ++call); }, [&] { solver.solve(b.data(), k, x.data()); });
    } else if (operation == "memory") {
      values = vary(A.values, ++call);
      std::printf("{\"bytes\": %.9g}\n", peak([&] { solver.factor(values); }));
    } else if (operation == "check") {
      factored = false;
      factor_before();
      b = right_hand_sides(1);
      x.assign(b.size(), 0.0);
      solver.solve(b.data(), 1, x.data());
      std::printf("{\"residual\": %.3g}\n", residual(A, x, b));
    } else {
      fail("unknown operation " + operation);
    }
  }
  return 0;
}

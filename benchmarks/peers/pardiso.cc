// pardiso.cc: PARDISO of Intel's MKL as a peer, for symmetric positive definite matrices (type 2).
//
//     pardiso minimum-degree|metis LIBMKL_RT FILE
//
// The library is that of the `mkl` wheel, opened at run time. Lower triangle by columns, as the file
// has it, is upper triangle by rows, as PARDISO wants it.
#include <dlfcn.h>

#include "peer.h"

class Pardiso {
 public:
  Pardiso(Matrix& A, bool metis, const char* library) : A_(A) {
    void* mkl = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    if (!mkl) fail(std::string("cannot open ") + library);
    pardiso_ = reinterpret_cast<decltype(pardiso_)>(dlsym(mkl, "pardiso"));
    version_ = reinterpret_cast<decltype(version_)>(dlsym(mkl, "mkl_get_version_string"));
    if (!pardiso_ || !version_) fail(std::string("no pardiso in ") + library);
    // iparm, from 0: 0 takes the options below instead of the defaults; 1 the ordering; 9 no pivot
    // perturbation matters for this type; 17 and 18 ask for nonzeros and Mflop; 34 counts from 0.
    options_[0] = 1;
    options_[1] = metis ? 2 : 0;
    options_[17] = options_[18] = -1;
    options_[34] = 1;
  }

  std::string version() const {
    char text[200] = {};
    version_(text, sizeof text - 1);
    const std::string full = text;
    const std::size_t start = full.find("Version ") + 8;
    return "MKL " + full.substr(start, full.find_first_of("- ", start) - start);
  }
  double flops() const { return 1e6 * flops_; }
  double nonzeros() const { return nonzeros_; }

  void analyze() {
    if (analyzed_) call(-1, 1, &unused_, &unused_);
    std::fill(std::begin(handle_), std::end(handle_), nullptr);
    options_[17] = options_[18] = -1;
    call(11, 1, &unused_, &unused_);
    nonzeros_ = options_[17];
    flops_ = options_[18];
    analyzed_ = true;
  }
  void factor(const std::vector<double>& values) {
    values_ = values.data();
    call(22, 1, &unused_, &unused_);
  }
  void solve(double* b, int k, double* x) { call(33, k, b, x); }

 private:
  void call(int phase, int k, double* b, double* x) {
    int one = 1, positive_definite = 2, silent = 0, error = 0, no_permutation = 0;
    pardiso_(handle_, &one, &one, &positive_definite, &phase, &A_.n, values_, A_.ptr.data(), A_.rows.data(),
             &no_permutation, &k, options_, &silent, b, x, &error);
    if (error) fail("pardiso: error " + std::to_string(error) + " in phase " + std::to_string(phase));
  }

  Matrix& A_;
  const double* values_ = A_.values.data();
  void (*pardiso_)(void**, int*, int*, int*, int*, int*, const double*, int*, int*, int*, int*, int*, int*,
                   double*, double*, int*) = nullptr;
  void (*version_)(char*, int) = nullptr;
  void* handle_[64] = {};
  int options_[64] = {};
  double nonzeros_ = -1, flops_ = -1, unused_ = 0;
  bool analyzed_ = false;
};

int main(int count, char** arguments) {
  if (count != 4) fail("usage: pardiso minimum-degree|metis LIBMKL_RT FILE");
  Matrix A = read_matrix(arguments[3]);
  Pardiso solver(A, std::string("metis") == arguments[1], arguments[2]);
  return serve(A, solver);
}

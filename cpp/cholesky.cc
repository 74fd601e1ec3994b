// cholesky.cc

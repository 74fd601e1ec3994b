// ffi_cholesky.cc

// ffi_product.cc

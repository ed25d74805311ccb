// What tch does not bind: libtorch's global switches and what it says of itself.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdio>
#include <string>

namespace {
// Copies as much as fits, always terminated; returns the whole length.
size_t copy(const std::string& text, char* buffer, size_t size) {
  return static_cast<size_t>(std::snprintf(buffer, size, "%s", text.c_str()));
}
}  // namespace

extern "C" {
// MKL's own question about the processor, inside libtorch: a library that was loaded before may
// answer it instead. Weak, since a libtorch without MKL has none.
int mkl_serv_intel_cpu_true(void) __attribute__((weak));
int wan22_mkl_takes_intel() { return mkl_serv_intel_cpu_true ? mkl_serv_intel_cpu_true() : -1; }
// 0 highest, 1 high, 2 medium.
void wan22_set_float32_matmul_precision(int level) {
  static const char* const names[] = {"highest", "high", "medium"};
  at::globalContext().setFloat32MatmulPrecision(names[level]);
}
int wan22_float32_matmul_precision() {
  switch (at::globalContext().float32MatmulPrecision()) {
    case at::Float32MatmulPrecision::HIGHEST: return 0;
    case at::Float32MatmulPrecision::HIGH: return 1;
    case at::Float32MatmulPrecision::MEDIUM: return 2;
  }
  return -1;
}
size_t wan22_parallel_info(char* buffer, size_t size) { return copy(at::get_parallel_info(), buffer, size); }
size_t wan22_show_config(char* buffer, size_t size) { return copy(at::show_config(), buffer, size); }
size_t wan22_cpu_capability(char* buffer, size_t size) { return copy(at::get_cpu_capability(), buffer, size); }
}
